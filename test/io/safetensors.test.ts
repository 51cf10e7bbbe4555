import { describe, expect, it } from 'vitest';
import { DTypeError, FormatError, ShapeError, UnsupportedError, ValueError } from '../../src/core/errors.ts';
import { nn } from '../../src/index.ts';
import { type HostTensor, loadFile, readSafetensors, saveFile, writeSafetensors } from '../../src/io/index.ts';

const f32 = (...values: number[]): HostTensor => ({
  dtype: 'f32',
  shape: [values.length],
  data: Float32Array.from(values),
});

/** A file with this header (an object, or the text itself) and this data. */
function file(header: object | string, data: ArrayLike<number> | ArrayBuffer = [], headerLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(data);
  const all = new Uint8Array(8 + text.length + bytes.length);
  new DataView(all.buffer).setBigUint64(0, headerLength ?? BigInt(text.length), true);
  all.set(text, 8);
  all.set(bytes, 8 + text.length);
  return all;
}

/** A file with one tensor `a`. */
const one = (dtype: string, shape: unknown, data: ArrayLike<number> | ArrayBuffer) =>
  file({ a: { dtype, shape, data_offsets: [0, new Uint8Array(data).length] } }, data);

/** What is no set of tensors. */
const misfits: [what: string, given: unknown, message: string][] = [
  ['nothing', undefined, 'takes tensors by name, in a Map or a plain object; got undefined'],
  ['null', null, 'takes tensors by name, in a Map or a plain object; got null'],
  ['an empty object', {}, 'there are no tensors in what was given'],
  ['an empty Map', new Map(), 'there are no tensors in what was given'],
  ['a list', [f32(1)], 'takes tensors by name, in a Map or a plain object; got an object of class Array'],
  ['a Set', new Set([f32(1)]), 'takes tensors by name, in a Map or a plain object; got an object of class Set'],
  [
    'a promise',
    Promise.resolve({ a: f32(1) }),
    'takes tensors by name, in a Map or a plain object; got an object of class Promise: await it',
  ],
  ['a number for a tensor', { a: f32(1), b: 5 }, '"b" is number 5'],
  ['nothing for a tensor', new Map([['b', undefined]]), '"b" is undefined'],
  ['a list for a tensor', { b: [1, 2] }, '"b" is an object of class Array'],
  ['a typed array for a tensor', { b: Float32Array.of(1) }, '"b" is an object of class Float32Array'],
  ['tensors in groups', { model: { a: f32(1) } }, '"model" is a plain object'],
  ['a name that is no string', new Map([[1, f32(1)]]), 'names are strings; got number 1'],
];

describe('writing and reading', () => {
  it('brings back every dtype, shape and metadata', () => {
    const tensors: Record<string, HostTensor> = {
      mask: { dtype: 'bool', shape: [3], data: Uint32Array.of(1, 0, 1) },
      'layers.0.weight': { dtype: 'f32', shape: [2, 3], data: Float32Array.of(1, -2.5, 3e-40, -0, 1e38, 6) },
      ids: { dtype: 'i32', shape: [1, 2], data: Int32Array.of(-1, 2 ** 31 - 1) },
      count: { dtype: 'u32', shape: [], data: Uint32Array.of(2 ** 32 - 1) },
    };
    const read = readSafetensors(writeSafetensors(tensors, { format: 'pt', note: 'ünï "code"' }));
    expect({ ...read.tensors }).toEqual(tensors);
    expect({ ...read.metadata }).toEqual({ format: 'pt', note: 'ünï "code"' });
  });

  it('writes the bytes that the format asks for', () => {
    const bytes = writeSafetensors({ a: f32(1) });
    const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(56);
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(56n);
    expect(new TextDecoder().decode(bytes.subarray(8, 64))).toBe(header);
    expect([...bytes.subarray(64)]).toEqual([0, 0, 128, 63]);
  });

  it('writes bool last, so that every tensor is aligned', () => {
    const mask: HostTensor = { dtype: 'bool', shape: [1], data: Uint32Array.of(1) };
    const bytes = writeSafetensors({ mask, a: f32(1) });
    expect([...bytes.subarray(-5)]).toEqual([0, 0, 128, 63, 1]);
  });

  it('reads from the middle of a buffer, and keeps its own copy', () => {
    const inner = writeSafetensors({ a: f32(1, 2) });
    const outer = new Uint8Array(inner.length + 3);
    outer.set(inner, 3);
    const { tensors } = readSafetensors(outer.subarray(3));
    outer.fill(0);
    expect(tensors.a).toEqual(f32(1, 2));
  });

  it('writes a view of a larger array', () => {
    const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
    expect(readSafetensors(writeSafetensors({ a: { dtype: 'f32', shape: [2], data } })).tensors.a).toEqual(f32(1, 2));
  });

  it('takes tensors in a Map, too', () => {
    const map = new Map([['a', f32(1)]]);
    expect(writeSafetensors(map)).toEqual(writeSafetensors({ a: f32(1) }));
  });

  it('reads a file with no tensors', () => {
    expect(Object.keys(readSafetensors(file({})).tensors)).toEqual([]);
  });

  it('reads tensors in any order, and with a size of 0', () => {
    const header = {
      b: { dtype: 'U8', shape: [1], data_offsets: [2, 3] },
      empty: { dtype: 'F32', shape: [4, 0], data_offsets: [2, 2] },
      a: { dtype: 'U8', shape: [2], data_offsets: [0, 2] },
    };
    const { tensors } = readSafetensors(file(header, [1, 2, 3]));
    expect([tensors.a?.data, tensors.b?.data, tensors.empty?.data.length].map(String)).toEqual(['1,2', '3', '0']);
  });

  it.each(['__proto__', 'constructor', 'toString', '', 'ä\n"', '0'])('takes %j for a name like any other', (name) => {
    const tensors = Object.create(null);
    tensors[name] = f32(7);
    const metadata = Object.create(null);
    metadata[name] = 'x';
    const read = readSafetensors(writeSafetensors(tensors, metadata));
    expect(Object.keys(read.tensors)).toEqual([name]);
    expect(read.tensors[name]).toEqual(f32(7));
    expect(read.metadata[name]).toBe('x');
    expect(({} as Record<string, unknown>).data).toBeUndefined();
  });
});

describe('other element types', () => {
  const half = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x7c00, 0x3555);
  it.each([
    ['F16', half.buffer, 'f32', [1, -2, 2 ** -24, -0, 65504, Number.POSITIVE_INFINITY, 0.333251953125]],
    ['F16', Uint16Array.of(0x7e00).buffer, 'f32', [Number.NaN]],
    [
      'BF16',
      Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x7f80).buffer,
      'f32',
      [1, -2, 2 ** -133, Number.POSITIVE_INFINITY],
    ],
    [
      'F64',
      Float64Array.of(0.5, -3, Number.NaN, Number.NEGATIVE_INFINITY).buffer,
      'f32',
      [0.5, -3, Number.NaN, Number.NEGATIVE_INFINITY],
    ],
    ['I8', Int8Array.of(-128, 127).buffer, 'i32', [-128, 127]],
    ['I16', Int16Array.of(-32768, 32767).buffer, 'i32', [-32768, 32767]],
    ['I64', BigInt64Array.of(-(2n ** 31n), 5n).buffer, 'i32', [-(2 ** 31), 5]],
    ['U8', [0, 255], 'u32', [0, 255]],
    ['U16', Uint16Array.of(65535).buffer, 'u32', [65535]],
    ['U64', BigUint64Array.of(2n ** 32n - 1n).buffer, 'u32', [2 ** 32 - 1]],
    ['BOOL', [0, 1], 'bool', [0, 1]],
  ])('%s is read exactly', (type, data, dtype, values) => {
    const tensor = readSafetensors(one(type, [values.length], data)).tensors.a;
    expect(tensor?.dtype).toBe(dtype);
    expect(Array.from(tensor?.data ?? [])).toEqual(values);
  });

  it('F64 is rounded to f32, with a note of where it changed the most', () => {
    const read = readSafetensors(one('F64', [3], Float64Array.of(1, 0.1, 100.1).buffer));
    expect(read.tensors.a).toEqual(f32(1, 0.1, 100.1));
    expect({ ...read.notes }).toEqual({
      a: 'was rounded from F64 to F32, most at element 2: 100.1 became 100.0999984741211',
    });
    const exact = readSafetensors(one('F64', [2], Float64Array.of(0.5, Number.NaN).buffer));
    expect(Object.keys(exact.notes)).toEqual([]);
  });

  const convert = 'cannot hold: convert the tensor to';
  it.each([
    ['F64', Float64Array.of(1, 1e300).buffer, `holds 1e+300 at element 1, which F32 ${convert} F32 first`],
    ['I64', BigInt64Array.of(0n, 2n ** 31n).buffer, `holds 2147483648 at element 1, which I32 ${convert} I32 first`],
    ['I64', BigInt64Array.of(0n, 2n ** 60n + 1n).buffer, 'holds 1152921504606846977 at element 1'],
    ['U64', BigUint64Array.of(0n, 2n ** 32n).buffer, `holds 4294967296 at element 1, which U32 ${convert} U32 first`],
    ['F8_E4M3', [1, 2], 'has dtype "F8_E4M3": weft reads F32, I32, U32, BOOL, F16'],
    ['F8_E5M2', [1, 2], 'has dtype "F8_E5M2": weft reads F32'],
    ['C64', Float64Array.of(1, 2).buffer, 'has dtype "C64": weft reads F32'],
    ['toString', [1, 2], 'has dtype "toString": weft reads F32'],
  ])('%s that weft cannot hold is refused by name, and the other tensors are read', (type, data, reason) => {
    const end = new Uint8Array(data).length;
    const header = {
      bad: { dtype: type, shape: [2], data_offsets: [0, end] },
      good: { dtype: 'F32', shape: [1], data_offsets: [end, end + 4] },
    };
    const bytes = file(header, [...new Uint8Array(data), 0, 0, 128, 63]);
    const { tensors, refused } = readSafetensors(bytes);
    expect({ ...tensors }).toEqual({ good: f32(1) });
    expect(Object.keys(refused)).toEqual(['bad']);
    expect(refused.bad).toContain(reason);
    expect(() => readSafetensors(bytes, { strict: true })).toThrow(FormatError);
    expect(() => readSafetensors(bytes, { strict: true })).toThrow(`[readSafetensors] tensor "bad" ${reason}`);
  });
});

describe('files that break a rule', () => {
  const a = { dtype: 'U8', shape: [2], data_offsets: [0, 2] };
  it.each<[string, Uint8Array, string]>([
    [
      'fewer than 8 bytes',
      Uint8Array.of(1, 2, 3),
      'the file has 3 bytes: a safetensors file begins with 8 bytes of header length',
    ],
    ['no bytes', new Uint8Array(0), 'the file has 0 bytes'],
    [
      'a header over 100 MB',
      file('{}', [], 100_000_001n),
      'the header would take 100000001 bytes, more than the 100000000 allowed: this is no safetensors file',
    ],
    ['a header of 2^64 - 1', file('{}', [], 2n ** 64n - 1n), 'the header would take 18446744073709551615 bytes'],
    ['a cut header', file('{}', [], 3n), 'the file is cut short: its header takes 3 bytes, and 2 are there'],
    ['an empty header', file('', [0x7b]), 'the header does not begin with {'],
    ['a header with space in front', file(' {}'), 'the header does not begin with {: this is no safetensors file'],
    ['a list for a header', file('[]'), 'the header does not begin with {'],
    ['a byte order mark', file('\ufeff{}'), 'the header does not begin with {'],
    [
      'bad UTF-8',
      file('{"\u0000"}'.replace('\u0000', 'a'), [], undefined).map((byte, i) => (i === 10 ? 0xff : byte)),
      'the header is not valid UTF-8',
    ],
    ['bad JSON', file('{"a":}'), 'the header is not valid JSON: '],
    ['two headers', file('{}{}'), 'the header is not valid JSON: '],
    [
      'a name twice',
      file(`{"a":${JSON.stringify(a)},"a":${JSON.stringify(a)}}`, [1, 2]),
      'the header has the name "a" twice',
    ],
    [
      'a name twice, once escaped',
      file(`{"a":${JSON.stringify(a)},"\\u0061" :${JSON.stringify(a)}}`, [1, 2]),
      'the header has the name "a" twice',
    ],
    [
      'a field twice',
      file('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'),
      'the header has the name "dtype" twice',
    ],
    ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}'), 'the header has the name "__metadata__" twice'],
    ['metadata that is no object', file({ __metadata__: ['x'] }), '__metadata__ is not an object'],
    ['metadata that is no string', file({ __metadata__: { step: 5 } }), '__metadata__: "step" is not a string'],
    ['a tensor that is no object', file({ a: null }), 'tensor "a" is described by null, not by an object'],
    [
      'no dtype',
      file({ a: { shape: [0], data_offsets: [0, 0] } }),
      'tensor "a" has dtype undefined: expected a name such as "F32"',
    ],
    ['no shape', one('U8', undefined, [1, 2]), 'tensor "a" has shape undefined: expected a list of sizes below 2^53'],
    ['a negative size', one('U8', [-2, -1], [1, 2]), 'tensor "a" has shape [-2, -1]'],
    ['a broken size', one('U8', [0.5, 4], [1, 2]), 'tensor "a" has shape [0.5, 4]'],
    [
      'a size of 2^53',
      file('{"a":{"dtype":"U8","shape":[9007199254740992,0],"data_offsets":[0,0]}}'),
      'tensor "a" has shape [9007199254740992, 0]: expected a list of sizes below 2^53',
    ],
    [
      'sizes that overflow',
      file('{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
      'tensor "a" has 0 bytes, but U8 [4294967296, 4294967296] takes 18446744073709552000',
    ],
    [
      'three offsets',
      file({ a: { ...a, data_offsets: [0, 1, 2] } }, [1, 2]),
      'tensor "a" has data_offsets [0, 1, 2]: expected [begin, end], below 2^53',
    ],
    [
      'offsets that go back',
      file({ a: { ...a, data_offsets: [2, 0] } }, [1, 2]),
      'tensor "a" has data_offsets that go back: [2, 0]',
    ],
    [
      'a size that is not the shape',
      one('F32', [2, 1], [1, 2, 3, 4]),
      'tensor "a" has 4 bytes, but F32 [2, 1] takes 8',
    ],
    [
      'a hole at the start',
      file({ a: { ...a, data_offsets: [1, 3] } }, [1, 2, 3]),
      'bytes 0 to 1 of the data, before tensor "a", belong to no tensor',
    ],
    [
      'a hole between',
      file({ a, b: { ...a, data_offsets: [3, 5] } }, [1, 2, 3, 4, 5]),
      'bytes 2 to 3 of the data, before tensor "b", belong to no tensor',
    ],
    [
      'an overlap',
      file({ a, b: { ...a, data_offsets: [1, 3] } }, [1, 2, 3]),
      'tensor "b" begins at byte 1, within another tensor that ends at 2',
    ],
    [
      'the same bytes twice',
      file({ a, b: a }, [1, 2]),
      'tensor "b" begins at byte 0, within another tensor that ends at 2',
    ],
    ['cut data', file({ a }, [1]), 'the file is cut short: its tensors take 2 bytes, and 1 are there'],
    ['data of no tensor', file({ a }, [1, 2, 3, 4]), '2 bytes at the end of the file belong to no tensor'],
    ['a BOOL of 2', one('BOOL', [2], [1, 2]), 'tensor "a" is BOOL, but element 1 is 2: expected 0 or 1'],
  ])('%s', (_, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(FormatError);
    expect(() => readSafetensors(bytes)).toThrow(`[readSafetensors] ${message}`);
  });

  it('throws nothing but FormatError, wherever a file is cut or a byte changed', () => {
    const whole = writeSafetensors(
      { a: f32(1, 2), b: { dtype: 'bool', shape: [2], data: Uint32Array.of(1, 0) } },
      { x: 'y' },
    );
    for (let i = 0; i < whole.length; i++) {
      expect(() => readSafetensors(whole.slice(0, i))).toThrow(FormatError);
      for (const bits of [1, 4, 32, 128, 255]) {
        const changed = whole.slice();
        changed[i] = (changed[i] as number) ^ bits;
        try {
          readSafetensors(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }
    }
  });
});

describe('tensors that cannot be written', () => {
  it.each<[string, () => unknown, new (message?: string) => Error, string]>([
    [
      'a shape that does not fit',
      () => writeSafetensors({ a: { ...f32(1, 2), shape: [3] } }),
      ShapeError,
      '[writeSafetensors] tensor "a": 2 elements do not fit shape [3]',
    ],
    [
      'a negative shape',
      () => writeSafetensors({ a: { ...f32(1, 2), shape: [-1, -2] } }),
      ShapeError,
      'do not fit shape [-1, -2]',
    ],
    [
      'an array of another kind',
      () => writeSafetensors({ a: { ...f32(1), dtype: 'i32' } }),
      DTypeError,
      '[writeSafetensors] tensor "a": data of dtype i32 is a Int32Array',
    ],
    [
      'an unknown dtype',
      () => writeSafetensors({ a: { ...f32(1), dtype: 'f16' as 'f32' } }),
      DTypeError,
      'tensor "a" has dtype \'f16\': expected f32, i32, u32, bool',
    ],
    [
      'the name of the metadata',
      () => writeSafetensors({ __metadata__: f32(1) }),
      FormatError,
      '__metadata__ is no name for a tensor',
    ],
    [
      'metadata that is no string',
      () => writeSafetensors({ a: f32(1) }, { step: 5 as unknown as string }),
      FormatError,
      'metadata "step" is no string: use JSON.stringify for other values',
    ],
    [
      'half a character in a name',
      () => writeSafetensors({ 'a\ud83d': f32(1) }),
      FormatError,
      'tensor "a\\ud83d" has half a character',
    ],
    [
      'half a character in metadata',
      () => writeSafetensors({ a: f32(1) }, { text: '\ude00' }),
      FormatError,
      'metadata "text" has half a character, a lone surrogate: use toWellFormed()',
    ],
  ])('%s', (_, write, kind, message) => {
    expect(write).toThrow(kind);
    expect(write).toThrow(message);
  });

  it.each(misfits)('%s', (_, given, message) => {
    const write = () => writeSafetensors(given as Record<string, HostTensor>);
    expect(write).toThrow(ValueError);
    expect(write).toThrow(`[writeSafetensors] ${message}`);
  });

  it('a model, and what it has on the device', async () => {
    const model = new nn.Linear(1, 1);
    const write = (given: unknown) => () => writeSafetensors(given as Record<string, HostTensor>);
    expect(write(model)).toThrow(
      'got an object of class Linear: `await io.save(…)` takes it as it is, or pass its stateDict()',
    );
    for (const given of [model.stateDict(), Object.fromEntries(model.stateDict())])
      expect(write(given)).toThrow(
        '"weight" is a Tensor, whose values are to be read first: `await io.save(…)` does that',
      );
    expect(write(model.weight)).toThrow(': give it a name, { name: tensor }');
  });
});

describe('files', () => {
  interface Modules {
    getBuiltinModule?(name: 'node:os'): typeof import('node:os');
    getBuiltinModule?(name: 'node:fs/promises'): typeof import('node:fs/promises');
  }
  const { process } = globalThis as { process?: Modules };
  const bytes = writeSafetensors({ a: f32(1, 2, 3) });

  it('are saved and loaded, or the error says what to do in a browser', async () => {
    if (!process?.getBuiltinModule) {
      await expect(saveFile('a', bytes)).rejects.toThrow(UnsupportedError);
      await expect(saveFile('a', bytes)).rejects.toThrow(
        '[io.saveFile] this runtime has no files: in a browser, offer the bytes as a download',
      );
      await expect(loadFile('a')).rejects.toThrow(
        '[io.loadFile] this runtime has no files: in a browser, use `io.load(await fetch(url))`',
      );
      return;
    }
    const files = process.getBuiltinModule('node:fs/promises');
    const folder = await files.mkdtemp(`${process.getBuiltinModule('node:os').tmpdir()}/weft-`);
    try {
      await saveFile(`${folder}/a`, Uint8Array.of(1));
      await saveFile(`${folder}/a`, bytes);
      expect(await loadFile(`${folder}/a`)).toEqual(bytes);
      // A folder cannot be replaced; nothing half-written stays behind.
      await files.mkdir(`${folder}/b`);
      await expect(saveFile(`${folder}/b`, bytes)).rejects.toThrow();
      await expect(saveFile(`${folder}/none/c`, bytes)).rejects.toThrow();
      await expect(loadFile(`${folder}/none/c`)).rejects.toThrow();
      expect((await files.readdir(folder)).sort()).toEqual(['a', 'b']);
    } finally {
      await files.rm(folder, { recursive: true });
    }
  });
});
