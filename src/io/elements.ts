import type { DType, HostArray } from '../core/dtype.ts';

/** A table of how elements lie in a safetensors file, and what they become. Numbers are little-endian. */
interface Decoder {
  /** Bytes of one element in the file. */
  readonly bytes: number;
  readonly dtype: DType;
  decode(buffer: ArrayBuffer, report: Report): HostArray;
}

/** Where a decoder reports problems and changes. */
export interface Report {
  /** Throws: the file breaks a rule of the format. */
  fail(problem: string): never;
  /** Leaves the tensor out: the file is right, but weft cannot hold what it says. */
  refuse(reason: string): never;
  /** Notes that values changed on the way. */
  note(change: string): void;
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
  F64: { bytes: 8, dtype: 'f32', decode: roundDoubles },
  I64: { bytes: 8, dtype: 'i32', decode: (buffer, to) => narrow(new BigInt64Array(buffer), Int32Array, 'I32', to) },
  U64: { bytes: 8, dtype: 'u32', decode: (buffer, to) => narrow(new BigUint64Array(buffer), Uint32Array, 'U32', to) },
};

/** The file's name of each dtype. */
export const fileTypes: Readonly<Record<DType, string>> = { f32: 'F32', i32: 'I32', u32: 'U32', bool: 'BOOL' };

/** The bytes of `data` in a file. */
export function encode(dtype: DType, data: HostArray): Uint8Array {
  if (dtype === 'bool') return Uint8Array.from(data, (value) => Number(value !== 0));
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function decodeBool(buffer: ArrayBuffer, { fail }: Report): HostArray {
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

/** F64 as F32: rounded, with a note of how far. A number beyond the largest F32 would be lost altogether. */
function roundDoubles(buffer: ArrayBuffer, { refuse, note }: Report): HostArray {
  const wide = new Float64Array(buffer);
  const narrowed = Float32Array.from(wide);
  let [largest, at] = [0, 0];
  for (let i = 0; i < wide.length; i++) {
    // Gives NaN for NaN and the infinities, which stay what they are.
    const change = Math.abs((wide[i] as number) - (narrowed[i] as number));
    if (change === Infinity)
      refuse(`holds ${wide[i]} at element ${i}, which F32 cannot hold: convert the tensor to F32 first`);
    if (change > largest) [largest, at] = [change, i];
  }
  if (largest > 0) note(`was rounded from F64 to F32, most at element ${at}: ${wide[at]} became ${narrowed[at]}`);
  return narrowed;
}

/** Takes eight-byte integers to four bytes where each keeps its value. */
function narrow(
  wide: BigInt64Array | BigUint64Array,
  Narrow: { from(values: Iterable<number>): HostArray },
  type: string,
  { refuse }: Report,
): HostArray {
  const narrowed = Narrow.from(Array.from(wide, Number));
  const at = wide.findIndex((value, i) => Number(value) !== narrowed[i]);
  if (at >= 0)
    refuse(`holds ${wide[at]} at element ${at}, which ${type} cannot hold: convert the tensor to ${type} first`);
  return narrowed;
}
