import { describe, expect, it } from 'vitest';
import { inKey, inTime, melody, midi } from '../../demo/examples/melody.ts';
import { Draw } from '../../demo/frame/draw.ts';

const notes = (...pitches: number[]) => pitches.map((pitch) => ({ pitch, duration: 2 }));
/** Melodies of the data, with many seeds. */
const made = Array.from({ length: 200 }, (_, seed) => melody(new Draw(seed)));

describe('a melody', () => {
  it('of the data is in its key and in time, has eight bars, and ends as it has begun', () => {
    expect([inKey(made), inTime(made)]).toEqual([1, 1]);
    for (const each of made) {
      expect(each.reduce((sum, { duration }) => sum + duration, 0)).toBe(64);
      expect(each.at(-1)?.pitch).toBe(each[0]?.pitch);
    }
    expect(new Set(made.map(([first]) => first?.pitch)).size).toBe(12);
  });

  it('is in key as far as its notes are in the major or the minor scale of the first, which does not count', () => {
    expect(inKey([notes(60, 62, 64, 65, 67, 69, 71, 72)])).toBe(1);
    expect(inKey([notes(60, 62, 63, 65, 67, 68, 70, 48)])).toBe(1);
    // E is of C major, E flat of C minor: a melody is in one of them.
    expect(inKey([notes(60, 64, 63)])).toBe(0.5);
    expect(inKey([notes(61, 60, 62, 64)])).toBeCloseTo(1 / 3);
    expect(inKey([notes(60, 61), notes(60, 62, 64, 67)])).toBe(0.75);
  });

  it('is in time as far as its bars begin with a note', () => {
    const durations = (...all: number[]) => all.map((duration) => ({ pitch: 60, duration }));
    expect(inTime([durations(4, 4, 4, 4, 1)])).toBe(1);
    expect(inTime([durations(4, 2, 4, 4, 2, 1)])).toBe(0.5);
  });
});

describe('a MIDI file', () => {
  it('has the notes one after another, with their pitches and durations', () => {
    const [first] = made as [(typeof made)[number]];
    const { format, ticksPerQuarter, events } = parsed(midi(first));
    expect([format, ticksPerQuarter]).toEqual([0, 128]);
    let start = 0;
    const wanted = first.map(({ pitch, duration }) => {
      const note = { pitch, start, end: start + duration * (ticksPerQuarter / 2) };
      start = note.end;
      return note;
    });
    expect(notesOf(events)).toEqual(wanted);
    // Tempo, 500,000 µs for a quarter; four quarters in a bar; the end of the track.
    expect(events.filter(({ status }) => status === 0xff).map(({ data }) => data)).toEqual(
      expect.arrayContaining([
        [0x51, 0x07, 0xa1, 0x20],
        [0x58, 4, 2, 24, 8],
      ]),
    );
    expect(events.at(-1)).toMatchObject({ status: 0xff, data: [0x2f] });
  });
});

interface Event {
  /** Ticks from the beginning. */
  readonly time: number;
  readonly status: number;
  /** What follows the status: of a meta event its type and its bytes. */
  readonly data: readonly number[];
}

/** Reads a Standard MIDI File of one track, without running status: chunks MThd and MTrk, then times and events. */
function parsed(bytes: Uint8Array<ArrayBuffer>) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  expect([name(0), view.getUint32(4), view.getUint16(10), name(14)]).toEqual(['MThd', 6, 1, 'MTrk']);
  expect(22 + view.getUint32(18)).toBe(bytes.length);
  let at = 22;
  /** Seven bits a byte, of which all but the last have the eighth. */
  const number = () => {
    let value = 0;
    for (;;) {
      const byte = view.getUint8(at++);
      value = 128 * value + (byte & 127);
      if (byte < 128) return value;
    }
  };
  const events: Event[] = [];
  let time = 0;
  while (at < bytes.length) {
    time += number();
    const status = view.getUint8(at++);
    expect(status).toBeGreaterThanOrEqual(0x80);
    const type = status === 0xff ? [view.getUint8(at++)] : [];
    const length = status === 0xff ? number() : 2;
    events.push({ time, status, data: [...type, ...bytes.subarray(at, at + length)] });
    at += length;
  }
  return { format: view.getUint16(8), ticksPerQuarter: view.getUint16(12), events };
}

/** Notes from where they begin to where they end. */
function notesOf(events: readonly Event[]) {
  const open = new Map<number, number>();
  const found: { pitch: number; start: number; end: number }[] = [];
  for (const { time, status, data } of events) {
    const [pitch, velocity] = data as [number, number];
    if (status === 0x90 && velocity > 0) {
      expect(open.has(pitch)).toBe(false);
      open.set(pitch, time);
    } else if (status === 0x80 || status === 0x90) {
      found.push({ pitch, start: open.get(pitch) as number, end: time });
      open.delete(pitch);
    }
  }
  expect(open.size).toBe(0);
  return found;
}
