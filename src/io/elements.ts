import type { DType, HostArray } from '../graph/dtype.ts';

/** How elements lie in a safetensors file, and what they become: all in this table. Numbers are little-endian. */
interface Decoder {
  /** Bytes of one element in the file. */
  readonly bytes: number;
  readonly dtype: DType;
  /** `fail` is called with what is wrong with the data. */
  decode(buffer: ArrayBuffer, fail: (problem: string) => never): HostArray;
}

export const decoders: Readonly<Record<string, Decoder>> = {
  F32: { bytes: 4, dtype: 'f32', decode: (buffer) => new Float32Array(buffer) },
  I32: { bytes: 4, dtype: 'i32', decode: (buffer) => new Int32Array(buffer) },
  U32: { bytes: 4, dtype: 'u32', decode: (buffer) => new Uint32Array(buffer) },
  BOOL: { bytes: 1, dtype: 'bool', decode: decodeBool },
  F16: { bytes: 2, dtype: 'f32', decode: (buffer) => Float32Array.from(new Uint16Array(buffer), fromHalf) },
  BF16: { bytes: 2, dtype: 'f32', decode: decodeBFloat },
  I8: { bytes: 1, dtype: 'i32', decode: (buffer) => new Int32Array(new Int8Array(buffer)) },
  I16: { bytes: 2, dtype: 'i32', decode: (buffer) => new Int32Array(new Int16Array(buffer)) },
  U8: { bytes: 1, dtype: 'u32', decode: (buffer) => new Uint32Array(new Uint8Array(buffer)) },
  U16: { bytes: 2, dtype: 'u32', decode: (buffer) => new Uint32Array(new Uint16Array(buffer)) },
  F64: {
    bytes: 8,
    dtype: 'f32',
    decode: (buffer, fail) => narrow(new Float64Array(buffer), Float32Array, 'F32', fail),
  },
  I64: { bytes: 8, dtype: 'i32', decode: (buffer, fail) => narrow(new BigInt64Array(buffer), Int32Array, 'I32', fail) },
  U64: {
    bytes: 8,
    dtype: 'u32',
    decode: (buffer, fail) => narrow(new BigUint64Array(buffer), Uint32Array, 'U32', fail),
  },
};

/** The file's name of each dtype. */
export const fileTypes: Readonly<Record<DType, string>> = { f32: 'F32', i32: 'I32', u32: 'U32', bool: 'BOOL' };

/** The bytes of `data` in a file. */
export function encode(dtype: DType, data: HostArray): Uint8Array {
  if (dtype === 'bool') return Uint8Array.from(data, (value) => Number(value !== 0));
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function decodeBool(buffer: ArrayBuffer, fail: (problem: string) => never): HostArray {
  const values = new Uint32Array(new Uint8Array(buffer));
  const at = values.findIndex((value) => value > 1);
  if (at >= 0) fail(`is BOOL, but element ${at} is ${values[at]}: expected 0 or 1`);
  return values;
}

/** A half-precision number from its bits: sign, five bits of exponent, ten of fraction. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 1024 + fraction : fraction) * 2 ** (Math.max(exponent, 1) - 25);
}

/** bfloat16 is the upper half of a float32. */
function decodeBFloat(buffer: ArrayBuffer): HostArray {
  return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
}

/** Takes eight-byte numbers to four bytes where each keeps its value. */
function narrow(
  wide: Float64Array | BigInt64Array | BigUint64Array,
  Narrow: { from(values: Iterable<number>): HostArray },
  type: string,
  fail: (problem: string) => never,
): HostArray {
  const narrowed = Narrow.from(Array.from(wide, Number));
  for (let i = 0; i < wide.length; i++) {
    // NaN differs from itself, and stays NaN.
    const value = wide[i];
    if (!(Number(value) === narrowed[i] || Number.isNaN(value)))
      fail(`holds ${value} at element ${i}, which ${type} cannot hold: convert the tensor to ${type} first`);
  }
  return narrowed;
}
