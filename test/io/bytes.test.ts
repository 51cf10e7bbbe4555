import { describe, expect, it } from 'vitest';
import { readCheckpoint } from '../../demo/checkpoint.ts';
import { ValueError } from '../../src/core/errors.ts';
import { type ByteSource, load, loadFile, readSafetensors, saveFile, writeSafetensors } from '../../src/files/index.ts';
import { runtime } from '../support/environment.ts';

/** `bytes`, a multiple of 8 of them, in every kind of thing that holds bytes: at odd offsets, among other bytes, in shared memory. */
function kindsOf(bytes: Uint8Array): [kind: string, source: ByteSource][] {
  const around = (buffer: ArrayBufferLike, offset: number) => {
    const all = new Uint8Array(buffer).fill(0xaa);
    all.set(bytes, offset);
    return buffer;
  };
  const [size, room] = [bytes.length, bytes.length + 16];
  const { Buffer } = globalThis as { Buffer?: { from(bytes: Iterable<number>): Uint8Array } };
  const kinds: [kind: string, source: ByteSource][] = [
    ['ArrayBuffer', around(new ArrayBuffer(size), 0)],
    ['ArrayBuffer that can be resized', around(new ArrayBuffer(size, { maxByteLength: room }), 0)],
    ['Uint8Array', bytes.slice()],
    ['Uint8Array at an odd offset', new Uint8Array(around(new ArrayBuffer(room), 3), 3, size)],
    ['Uint8ClampedArray', new Uint8ClampedArray(around(new ArrayBuffer(room), 5), 5, size)],
    ['Int8Array', new Int8Array(around(new ArrayBuffer(room), 1), 1, size)],
    ['Float64Array', new Float64Array(around(new ArrayBuffer(room), 8), 8, size / 8)],
    ['DataView', new DataView(around(new ArrayBuffer(room), 7), 7, size)],
  ];
  if (Buffer)
    kinds.push(
      ['Buffer, in a pool', Buffer.from(bytes)],
      ['Buffer within a Buffer', Buffer.from([0xaa, ...bytes, 0xaa]).subarray(1, size + 1)],
    );
  // Pages have it where they are isolated from other origins.
  if ('SharedArrayBuffer' in globalThis)
    kinds.push(
      ['SharedArrayBuffer', around(new SharedArrayBuffer(size), 0)],
      ['Uint8Array of shared memory', new Uint8Array(around(new SharedArrayBuffer(room), 3), 3, size)],
      ['DataView of shared memory', new DataView(around(new SharedArrayBuffer(room), 9), 9, size)],
    );
  return kinds;
}

const tensors = { a: { dtype: 'f32', shape: [2], data: Float32Array.of(1, -2.5) } } as const;
const file = writeSafetensors(tensors);

describe('bytes are taken from', () => {
  it.each(kindsOf(file))('%s: readSafetensors, io.load', async (_, source) => {
    expect({ ...readSafetensors(source).tensors }).toEqual(tensors);
    expect((await load(source)).get('a')?.host).toEqual(tensors.a.data);
  });

  it.each(kindsOf(writeSafetensors(tensors, { weft: '{"version":7}' })))('%s: a checkpoint', (_, source) => {
    expect(() => readCheckpoint(source, 'a')).toThrow('it is of version 7');
  });

  it.each(runtime === 'deno' ? kindsOf(file) : [])('%s: saveFile', async (_, source) => {
    const { mkdtemp, rm } = await import('node:fs/promises');
    const folder = await mkdtemp('/tmp/weft-bytes-');
    try {
      await saveFile(`${folder}/a`, source);
      expect(await loadFile(`${folder}/a`)).toEqual(file);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is said of one who gives something else', () => {
    const wrong: [unknown, string][] = [
      ['model.safetensors', 'got the string "model.safetensors"; io.load(path) reads a file'],
      [[1, 2], 'got an object of class Array'],
      [new Blob([]), 'got an object of class Blob: pass its `await x.arrayBuffer()`'],
      [Promise.resolve(file), 'got an object of class Promise: await it first'],
      [undefined, 'got undefined'],
      [5, 'got number 5'],
    ];
    for (const [given, message] of wrong) {
      const read = () => readSafetensors(given as ByteSource);
      expect(read).toThrow(ValueError);
      expect(read).toThrow(
        `[readSafetensors] takes bytes: an ArrayBuffer, or a view of one such as Uint8Array; ${message}`,
      );
    }
  });
});
