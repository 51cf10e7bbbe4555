import MidiWriter from 'midi-writer-js';
import { DataLoader, models, optim, padSequences, type Tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, Plot, samples } from '../frame/index.ts';

/** A note: its pitch as MIDI counts them, 60 being middle C, and its duration in eighths. */
interface Note {
  readonly pitch: number;
  readonly duration: number;
}

/** Steps of a scale above its tonic, in semitones. */
const scales = { major: [0, 2, 4, 5, 7, 9, 11], minor: [0, 2, 3, 5, 7, 8, 10] } as const;
type Mode = keyof typeof scales;
const [lowest, highest] = [55, 87];
const durations = [1, 2, 4];
/** Behind the ids of all notes stands that of the end. */
const end = (highest - lowest + 1) * durations.length;
/** Durations of the notes in a bar of eight eighths, and in one that ends a phrase. */
const rhythms = [
  [2, 2, 2, 2],
  [4, 2, 2],
  [2, 1, 1, 2, 2],
  [2, 2, 1, 1, 2],
  [1, 1, 2, 2, 2],
];
const cadences = [
  [2, 2, 4],
  [1, 1, 2, 4],
];
/** Notes and end of a melody of 8 bars, at most. */
const longest = 4 * (5 + 4) + 1;
const [batch, embedding] = [32, 32];

export default example({
  claim: 'One note sets off a melody that stays in its key: what was long ago decides what fits now',
  paper: 'Mozer 1994; Eck and Schmidhuber 2002',
  full: {
    settings: { steps: 1000, hidden: 96, melodies: 240 },
    bars: { 'in key, GRU': atLeast(0.93), 'in key, notes at random': atMost(0.7), 'in key, bigram': atMost(0.85) },
  },
  reduced: {
    settings: { steps: 150, hidden: 64, melodies: 60 },
    bars: { 'in key, GRU': atLeast(0.75), 'in key, notes at random': atMost(0.7) },
  },
  async run(lab, { steps, hidden, melodies }) {
    const draw = lab.draw();
    const model = new models.CharRNN({ cell: 'gru', vocabularySize: end + 1, embedding, hidden });
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const loss = (ids: Tensor, targets: Tensor) => model.loss(ids, targets);
    const batches = new DataLoader(() => samples(melody, draw), { batchSize: batch, collate });
    await lab.train('GRU', {
      step: { loss, optimizer, clip: 1 },
      ...{ batches, steps, schedule: optim.cosine({ steps }) },
    });

    // Each of the twelve tonics as often as another.
    const seeds = Array.from({ length: melodies }, (_, i) => ({ pitch: 60 + (i % 12), duration: 2 }));
    const prompt = seeds.map((seed) => [idOf(seed)]);
    const written: Note[][] = seeds.map((seed) => [seed]);
    const choices = { maxTokens: longest, stop: end, seed: lab.seed };
    for await (const chunk of models.generate(model, { prompt, ...choices }))
      for (const [i, ids] of chunk.entries()) written[i]?.push(...ids.filter((id) => id !== end).map(noteOf));

    const known = [...samples(melody, lab.draw(), 1000)];
    const ways = [
      { way: 'GRU', melodies: written, colour: colours.blue },
      { way: 'bigram', melodies: imitated(written, known, lab.draw(), ({ pitch }) => pitch), colour: colours.green },
      { way: 'notes at random', melodies: imitated(written, known, lab.draw(), () => 0), colour: colours.grey },
    ].map(({ melodies, ...way }) => ({ ...way, melodies, share: inKey(melodies) }));
    const figures = (some: typeof ways) =>
      Object.fromEntries(
        some.flatMap(({ way, melodies, share }) => [
          [`in key, ${way}`, share],
          [`bars that begin with a note, ${way}`, inTime(melodies)],
        ]),
      );
    const shown = written[0] as Note[];
    await lab.save('melody.mid', midi(shown));
    return {
      metrics: figures(ways.slice(0, 1)),
      baseline: figures(ways.slice(1)),
      picture: {
        title: 'A melody from one note',
        description:
          `The share of notes that are in the key of the first one: ${ways.map(({ way, share }) => `${share.toFixed(2)} with ${way}`).join(', ')}. ` +
          `On the right a melody that the GRU has made of ${nameOf((shown[0] as Note).pitch)}, pitch against time, on the rows of its key: ${shown.map(({ pitch }) => nameOf(pitch)).join(' ')}.`,
        legend: { ...Object.fromEntries(ways.map(({ way, colour }) => [way, colour])), 'out of key': colours.orange },
        charts: [
          {
            width: 320,
            x: { label: null, domain: ways.map(({ way }) => way) },
            y: { label: 'in key', domain: [0, 1], grid: true },
            marks: [
              Plot.barY(ways, { x: 'way', y: 'share', fill: 'colour' }),
              Plot.text(ways, { x: 'way', y: 'share', text: ({ share }) => share.toFixed(2), dy: 10, fill: 'white' }),
            ],
          },
          pianoRoll(shown),
        ],
      },
    };
  },
});

/**
 * Melodies with the first notes of others and as many in all, each note drawn from those that come, in the known melodies,
 * after one of which `key` gives the same as of the note before.
 */
function imitated(
  melodies: readonly (readonly Note[])[],
  known: readonly (readonly Note[])[],
  draw: Draw,
  key: (note: Note) => number,
): Note[][] {
  const pairs = known.flatMap((notes) => notes.slice(1).map((next, i) => ({ note: notes[i] as Note, next })));
  const followers = Map.groupBy(pairs, ({ note }) => key(note));
  return melodies.map(([first, ...others]) => {
    const made = [first as Note];
    for (const _ of others) made.push(draw.pick(followers.get(key(made.at(-1) as Note)) ?? pairs).next);
    return made;
  });
}

/** Pitch against time; rows of the key are tinted. */
function pianoRoll(notes: readonly Note[]): Plot.PlotOptions {
  const [{ pitch: tonic }] = notes as [Note];
  const mode = modeOf(notes);
  let time = 0;
  const bars = notes.map(({ pitch, duration }) => {
    const start = time;
    time += duration;
    return { pitch, start, end: time - 0.1, colour: isIn(tonic, mode, pitch) ? colours.blue : colours.orange };
  });
  const pitches = bars.map(({ pitch }) => pitch);
  const [low, high] = [Math.min(...pitches) - 1, Math.max(...pitches) + 1];
  const rows = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter((pitch) => isIn(tonic, mode, pitch));
  const row = { y1: (pitch: number) => pitch - 0.5, y2: (pitch: number) => pitch + 0.5 };
  return {
    ...{ width: 760, marginLeft: 50 },
    x: {
      label: 'bar',
      ticks: Array.from({ length: Math.ceil(time / 8) }, (_, i) => 8 * i),
      tickFormat: (t: number) => `${t / 8 + 1}`,
    },
    y: { label: null, ticks: rows, tickFormat: nameOf },
    marks: [
      Plot.rect(rows, { ...row, x1: 0, x2: time, fill: '#eef4f8' }),
      Plot.ruleX(
        Array.from({ length: Math.ceil(time / 8) }, (_, i) => 8 * i),
        { stroke: '#cccccc' },
      ),
      Plot.rect(bars, {
        ...{ x1: 'start', x2: 'end', fill: 'colour', rx: 2 },
        ...{ y1: ({ pitch }) => pitch - 0.5, y2: ({ pitch }) => pitch + 0.5 },
      }),
    ],
  };
}

/** C4 for 60. */
const nameOf = (pitch: number) =>
  `${['C', 'C♯', 'D', 'D♯', 'E', 'F', 'F♯', 'G', 'G♯', 'A', 'A♯', 'B'][pitch % 12]}${Math.floor(pitch / 12) - 1}`;

const idOf = ({ pitch, duration }: Note) => (pitch - lowest) * durations.length + durations.indexOf(duration);
const noteOf = (id: number): Note => ({
  pitch: lowest + Math.floor(id / durations.length),
  duration: durations[id % durations.length] as number,
});

/** Notes [B, T], and as targets the note after each of them, or the end. */
function collate(melodies: readonly (readonly Note[])[]): [ids: Tensor, targets: Tensor] {
  const all = melodies.map((notes) => [...notes.map(idOf), end]);
  const padded = (rows: readonly (readonly number[])[], value: number) =>
    padSequences(rows, { length: longest - 1, dtype: 'i32', value }).values;
  const ignored = -100;
  return [
    padded(
      all.map((ids) => ids.slice(0, -1)),
      end,
    ),
    padded(
      all.map((ids) => ids.slice(1)),
      ignored,
    ),
  ];
}

/** Four phrases of two bars: one, the same with another end, a second one, and the first again. */
export function melody(draw: Draw): Note[] {
  const tonic = 60 + draw.below(12);
  const mode = draw.pick(Object.keys(scales) as Mode[]);
  const first = phrase(draw, 0);
  const second = phrase(draw, draw.pick([2, 4, 7]));
  const ending = (degrees: readonly Step[], degree: number) =>
    degrees.with(-1, { ...(degrees.at(-1) as Step), degree });
  const form = [ending(first, 4), ending(first, 0), ending(second, draw.pick([1, 4])), ending(first, 0)].flat();
  return form.map(({ degree, duration }) => ({ pitch: pitchOf(tonic, mode, degree), duration }));
}

/** A degree of the scale, counted from 0, and a duration. */
interface Step {
  readonly degree: number;
  readonly duration: number;
}

/** Two bars that walk up and down the scale. */
function phrase(draw: Draw, start: number): Step[] {
  let degree = start;
  return [...draw.pick(rhythms), ...draw.pick(cadences)].map((duration, i) => {
    if (i > 0) degree = Math.max(-3, Math.min(9, degree + draw.pick([-2, -1, -1, 1, 1, 2])));
    return { degree, duration };
  });
}

const pitchOf = (tonic: number, mode: Mode, degree: number) =>
  tonic + 12 * Math.floor(degree / 7) + (scales[mode][(degree + 7) % 7] as number);

const isIn = (tonic: number, mode: Mode, pitch: number) =>
  (scales[mode] as readonly number[]).includes((((pitch - tonic) % 12) + 12) % 12);

/** The mode of the first note's key that has more of the notes. */
const modeOf = ([first, ...others]: readonly Note[]) => {
  const count = (mode: Mode) => others.filter(({ pitch }) => isIn((first as Note).pitch, mode, pitch)).length;
  return count('major') >= count('minor') ? 'major' : 'minor';
};

/** The share of notes, but for the first of each melody, that are in its key, major or minor, whichever has more of them. */
export function inKey(melodies: readonly (readonly Note[])[]): number {
  const marks = melodies.flatMap((notes) => {
    const mode = modeOf(notes);
    return notes.slice(1).map(({ pitch }) => isIn((notes[0] as Note).pitch, mode, pitch));
  });
  return marks.filter((isIn) => isIn).length / marks.length;
}

/** The share of bars that begin with a note. */
export function inTime(melodies: readonly (readonly Note[])[]): number {
  let [bars, begun] = [0, 0];
  for (const notes of melodies) {
    const starts = new Set<number>();
    let time = 0;
    for (const { duration } of notes) {
      starts.add(time);
      time += duration;
    }
    for (let bar = 8; bar < time; bar += 8) {
      bars++;
      if (starts.has(bar)) begun++;
    }
  }
  return begun / bars;
}

/** A Standard MIDI File of one track. */
export function midi(notes: readonly Note[]): Uint8Array<ArrayBuffer> {
  const track = new MidiWriter.Track();
  track.addTrackName('melody');
  track.setTempo(120);
  track.setTimeSignature(4, 4);
  for (const { pitch, duration } of notes)
    track.addEvent(new MidiWriter.NoteEvent({ pitch: [pitch], duration: `T${64 * duration}`, velocity: 80 }));
  return new MidiWriter.Writer(track).buildFile();
}
