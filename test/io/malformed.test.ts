import { describe, expect, it } from 'vitest';
import { FormatError, WeftError } from '../../src/core/errors.ts';
import { brief } from '../../src/core/options.ts';
import { Generator, randomIntegers } from '../../src/core/random.ts';
import {
  type HostTensor,
  load,
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
} from '../../src/files/index.ts';
import { seed, soak } from '../support/environment.ts';
import { longest } from '../support/long.ts';

/** Files that anybody may have made: each is read, or refused with a FormatError that is short enough to be read. */

const encoder = new TextEncoder();

/** A file with this text for a header. */
function fileOf(header: string | object, data = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  const text = encoder.encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** What became of a file: null where it was read. Anything but a FormatError is thrown on. */
async function fateOf(bytes: Uint8Array<ArrayBuffer>): Promise<string | null> {
  let message: string | null = null;
  try {
    checkWhole(readSafetensors(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    ({ message } = error);
  }
  try {
    await load(bytes);
    expect(message).toBeNull();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    expect(error.message.length, brief(error.message, 300)).toBeLessThan(longest);
    // A tensor without elements is right in a file, and none that weft can hold.
    expect([message, 'no empty tensors'].some((said) => said !== null && error.message.includes(said))).toBe(true);
  }
  return message;
}

function checkWhole({ tensors, notes, refused }: SafetensorsFile): void {
  for (const { shape, data } of Object.values(tensors)) expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
  for (const text of [...Object.values(notes), ...Object.values(refused)]) expect(text.length).toBeLessThan(longest);
}

const tensors: Record<string, HostTensor> = {
  'layer.weight': { dtype: 'f32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  ids: { dtype: 'i32', shape: [2], data: Int32Array.of(-1, 1) },
  count: { dtype: 'u32', shape: [], data: Uint32Array.of(7) },
  mask: { dtype: 'bool', shape: [3], data: Uint32Array.of(1, 0, 1) },
};
const whole = writeSafetensors(tensors, { format: 'pt', 'a "key"': '\\ and "quotes" \n' });

const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
const long = 'x'.repeat(1e6);
/** Values in JSON that are wrong almost anywhere. */
const odd: readonly string[] = [
  ...['null', 'true', '0', '-1', '0.5', '1e9', '1e999', '-0', '9007199254740993', '"F32"', '""', '"x"', '"\\ud800"'],
  ...['[]', '{}', '[0]', '[[0]]', '[null]', '["1"]', '[1,2,3]', '[-1,-1]', '[1e300]', '{"dtype":"F32"}', '[4,0]'],
  ...[deep(90), deep(1e5), `"${long}"`, `"${'\\"'.repeat(5e5)}"`, `[${'1,'.repeat(1e5)}1]`, `{"${long}":0}`],
];

describe('a malformed safetensors file', () => {
  const entry = { dtype: '"U8"', shape: '[2]', data_offsets: '[0,2]' };
  const data = Uint8Array.of(1, 0);
  const described = (fields: Readonly<Record<string, string>>) =>
    `{${Object.entries(fields).map(([name, value]) => `"${name}":${value}`)}}`;
  const places: Readonly<Record<string, (value: string) => string>> = {
    dtype: (value) => `{"a":${described({ ...entry, dtype: value })}}`,
    shape: (value) => `{"a":${described({ ...entry, shape: value })}}`,
    data_offsets: (value) => `{"a":${described({ ...entry, data_offsets: value })}}`,
    'a field more': (value) => `{"a":${described({ ...entry, more: value })}}`,
    'a tensor': (value) => `{"a":${value}}`,
    'the second tensor': (value) => `{"a":${described(entry)},"b":${value}}`,
    metadata: (value) => `{"__metadata__":${value},"a":${described(entry)}}`,
    'a text of the metadata': (value) => `{"__metadata__":{"k":${value}},"a":${described(entry)}}`,
    'a key': (value) => `{${value}:${described(entry)}}`,
    'a key, twice': (value) => `{${value}:${described(entry)},${value}:0}`,
    'a key of the metadata': (value) => `{"__metadata__":{${value}:"v"},"a":${described(entry)}}`,
  };

  it.each(Object.entries(places))('is read or refused whatever stands for %s', async (_, put) => {
    let refused = 0;
    for (const value of odd) if ((await fateOf(fileOf(put(value), data))) !== null) refused++;
    // Where anything may stand, hardly anything is refused; all else has a few values that are right.
    expect(refused).toBeGreaterThan(0);
  });

  it('is refused wherever its header is cut, and whatever length it claims', async () => {
    const header = `{"__metadata__":{"a":"\\"b\\\\"},"a":${described(entry)}}`;
    for (let end = 0; end < header.length; end++) {
      expect(await fateOf(fileOf(header.slice(0, end), data)), header.slice(0, end)).not.toBeNull();
      const claimed = fileOf(header, data);
      new DataView(claimed.buffer).setBigUint64(0, BigInt(end), true);
      expect(await fateOf(claimed)).not.toBeNull();
    }
    for (const length of [header.length + 1, header.length + 3, 1e8, 2 ** 32, 2 ** 53]) {
      const claimed = fileOf(header, data);
      new DataView(claimed.buffer).setBigUint64(0, BigInt(length), true);
      expect(await fateOf(claimed)).not.toBeNull();
    }
  });

  it('may have texts of ten megabytes, many tensors and many axes', async () => {
    const none = { dtype: 'F32', shape: [0], data_offsets: [0, 0] };
    const one = { ...entry, dtype: 'U8', shape: [2], data_offsets: [0, 2] };
    const many = Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`t${i}`, none]));
    const axes = { ...one, shape: [2, ...new Array(1e5).fill(1)] };
    const huge = 'x'.repeat(1e7);
    const escaped = '\\"'.repeat(5e6);
    const read = [
      { [huge]: one },
      { __metadata__: { [huge]: huge }, a: one },
      { __metadata__: { k: '"{[\\'.repeat(2e6) }, a: one },
      { a: { ...one, dtype: huge } },
      { ...many, a: one },
      { a: axes },
      `{"__metadata__":{"${escaped}":"${escaped}"},"a":${described(entry)}}${' '.repeat(1e7)}`,
    ];
    for (const header of read) {
      const { tensors, refused, metadata } = readSafetensors(fileOf(header, data));
      expect(Object.keys(tensors).length + Object.keys(refused).length).toBeGreaterThan(0);
      for (const reason of Object.values(refused)) expect(reason.length).toBeLessThan(longest);
      for (const text of Object.values(metadata)) expect([1e7, 8e6, 5e6]).toContain(text.length);
    }
  });
});

it('a safetensors file with bytes changed, lost, added and moved is read or refused', async () => {
  const generator = new Generator(seed);
  const below = (bound: number) => randomIntegers(1, Math.max(1, bound), generator)[0] as number;
  const header = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true));
  // Most changes within the header, where there is more to break.
  const place = (length: number) => below(below(4) > 0 ? Math.min(header, length) : length);
  const marks = encoder.encode('{}[]",:\\0123456789eE.-+ntfu\n ');
  const changes: readonly ((bytes: Uint8Array) => ArrayLike<number>)[] = [
    (bytes) => bytes.map((byte, i) => (i === at(bytes) ? byte ^ (1 << below(8)) : byte)),
    (bytes) => bytes.with(at(bytes), below(256)),
    (bytes) => bytes.with(at(bytes), marks[below(marks.length)] as number),
    (bytes) => bytes.slice(0, below(bytes.length)),
    (bytes) => remove(bytes, place(bytes.length), 1 + below(8)),
    (bytes) => insert(bytes, place(bytes.length), bytes.slice(place(bytes.length)).slice(0, below(40))),
    (bytes) => insert(bytes, place(bytes.length), marks.slice(below(marks.length)).slice(0, 1 + below(3))),
    (bytes) => insert(bytes, bytes.length, bytes.slice(below(bytes.length))),
  ];
  const at = (bytes: Uint8Array) => Math.min(bytes.length - 1, place(bytes.length));
  let refused = 0;
  const files = soak ? 60_000 : 3000;
  for (let i = 0; i < files; i++) {
    let bytes: Uint8Array<ArrayBuffer> = whole.slice();
    for (let n = below(4); n >= 0 && bytes.length > 0; n--)
      bytes = Uint8Array.from(changes[below(changes.length)]?.(bytes) ?? bytes);
    // A header whose length is right is looked into.
    if (below(2) === 0 && bytes.length > header) {
      const lost = whole.length - bytes.length;
      new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.max(0, header - 8 - lost)), true);
    }
    try {
      if ((await fateOf(bytes)) !== null) refused++;
    } catch (error) {
      throw new Error(`file ${i} of WEFT_SEED=${seed}, [${bytes}]: ${error}`);
    }
  }
  expect(refused).toBeGreaterThan(files / 2);
  expect(refused).toBeLessThan(files);
});

const remove = (bytes: Uint8Array, at: number, count: number) =>
  Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + count));
const insert = (bytes: Uint8Array, at: number, more: Uint8Array) =>
  Uint8Array.of(...bytes.subarray(0, at), ...more, ...bytes.subarray(at));
