import { DTypeError, ValueError } from './errors.ts';
import { shown } from './options.ts';

/** Element types. `bool` is stored as u32 (0 or 1), so that every element takes four bytes until f16 arrives. */
export type DType = 'f32' | 'i32' | 'u32' | 'bool';

/** What a tensor's elements look like in host memory. */
export type HostArray = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Typed arrays whose elements are numbers: all but those of 64-bit integers. */
export type Numbers = ArrayBufferView & ArrayLike<number>;

/** Whether these are numbers in a typed array. */
export function isNumbers(value: unknown): value is Numbers {
  if (!ArrayBuffer.isView(value)) return false;
  return ![DataView, BigInt64Array, BigUint64Array].some((other) => value instanceof other);
}

/** Bytes of a word, which holds one element of any type; uniforms and status words are words, too. */
export const wordSize = 4;

interface DTypeInfo {
  /** Bytes of one element in GPU memory. */
  readonly bytes: number;
  /** The WGSL type that stores one element. */
  readonly wgsl: 'f32' | 'i32' | 'u32';
  /** The typed array that holds the same bytes on the host. */
  readonly array: Float32ArrayConstructor | Int32ArrayConstructor | Uint32ArrayConstructor;
}

/** How each type lies on the device and on the host. */
export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  f32: { bytes: wordSize, wgsl: 'f32', array: Float32Array },
  i32: { bytes: wordSize, wgsl: 'i32', array: Int32Array },
  u32: { bytes: wordSize, wgsl: 'u32', array: Uint32Array },
  bool: { bytes: wordSize, wgsl: 'u32', array: Uint32Array },
};

/** Throws a DTypeError unless `dtype` names a type: callers from JavaScript may pass anything. */
export function expectKnownDType(op: string, dtype: DType): void {
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypes, dtype))
    throw new DTypeError(`[${op}] there is no dtype ${shown(dtype)}; there are ${Object.keys(dtypes).join(', ')}`);
}

/** The type, which the caller knows to be one of these; throws where it is not. */
export function dtypeAmong<Known extends DType>(dtype: DType, known: readonly Known[]): Known {
  const found = known.find((each) => each === dtype);
  if (found === undefined) throw new DTypeError(`[dtypeAmong] ${dtype} is none of ${known.join(', ')}`);
  return found;
}

/** A zeroed host array for `length` elements of `dtype`. */
export function hostArray(dtype: DType, length: number): HostArray {
  return new dtypes[dtype].array(length) as HostArray;
}

/**
 * Values on the host. They are there, or a function makes them when they are first asked for: so initial weights are drawn
 * while shaders compile.
 */
export class HostValues {
  #values: HostArray | (() => HostArray);

  constructor(values: HostArray | (() => HostArray)) {
    this.#values = values;
  }

  /** The values, if they are there; null where the function would have to make them. */
  get inHand(): HostArray | null {
    return typeof this.#values === 'function' ? null : this.#values;
  }

  get array(): HostArray {
    if (typeof this.#values === 'function') this.#values = this.#values();
    return this.#values;
  }
}

/** The least and the greatest number of an integer type. */
export const integerRange: Readonly<Record<'i32' | 'u32', readonly [least: number, greatest: number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};

/**
 * Gives back `value` if a tensor of type `dtype` can hold it; throws a DTypeError on a fraction, a ValueError on a number
 * out of range.
 */
export function fitting(op: string, value: number, dtype: DType): number {
  if (dtype === 'f32') return value;
  if (!Number.isInteger(value))
    throw new DTypeError(
      `[${op}] ${shown(value)} is not a whole number, so ${dtype} can't hold it; use .cast('f32') first`,
    );
  const [least, greatest] = dtype === 'bool' ? [0, 1] : integerRange[dtype];
  if (value < least || value > greatest)
    throw new ValueError(`[${op}] ${shown(value)} is out of range for ${dtype}, which holds ${least} to ${greatest}`);
  return value;
}
