import {
  type DType,
  dtypes,
  expectKnownDType,
  type HostArray,
  HostValues,
  hostArray,
  isNumbers,
  type Numbers,
} from '../core/dtype.ts';
import { DTypeError, ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import {
  anyNumber,
  anything,
  brief,
  count,
  declareOptions,
  expectKind,
  finite,
  flag,
  shown,
  shownList,
  text,
} from '../core/options.ts';
import { checkShape, formatShape, type Shape, sizeOf } from '../core/shape.ts';
import type { Values } from '../core/types.ts';
import { fromHost } from '../graph/leaf.ts';
import { Parameter } from '../graph/parameter.ts';
import { apply, expectTensor } from '../graph/record.ts';
import { Tensor } from '../graph/tensor.ts';
import { full as constant, copy } from './elementwise.ts';

export interface TensorOptions {
  /** Extents, which the elements fill in row-major order; by default they follow from the values. */
  shape?: Shape;
  /** Type of the elements; by default it follows from the values. */
  dtype?: DType;
}
const tensorOptions = declareOptions<TensorOptions>({ shape: anything, dtype: anything });

/**
 * A tensor of the given values, which are copied: a number, nested arrays (f32, or bool where all are booleans), or a typed
 * array (i32 of an Int32Array, u32 of a Uint32Array, f32 of any other). `dtype` converts as `cast` does: fractions are cut
 * off for integers, and all but 0 is true. Throws a ValueError where an integer type can't hold a number, a ShapeError
 * where the arrays are ragged or don't fill `shape`, a DTypeError for what holds no numbers.
 */
export function tensor(values: Values, options?: TensorOptions): Tensor {
  const { shape: wanted, dtype: type } = tensorOptions('tensor', options);
  const given = elementsOf(values);
  const shape = checkShape('tensor', wanted ?? given.shape);
  const count = given.elements.length;
  if (sizeOf(shape) !== count)
    throw new ShapeError(
      `[tensor] ${count} values do not fill shape ${shownList(shape)}, which has ${sizeOf(shape)} elements`,
    );
  const dtype = type ?? given.dtype;
  return fromHost({ shape: [...shape], dtype }, converted('tensor', given.elements, dtype));
}

/**
 * The numbers start, start + step, … below stop, one dimension; the numbers from 0 where only `stop` is given. They are i32,
 * or f32 where one of the three is no integer. Throws a ValueError where there are none, or `dtype` can't hold them.
 */
export function arange(start: number, stop?: number, step = 1, dtype?: DType): Tensor {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  for (const [name, value] of Object.entries({ start: from, stop: to, step }))
    expectKind('arange', name, value, anyNumber);
  const count = Math.ceil((to - from) / step);
  if (!(count >= 1))
    throw new ValueError(
      `[arange] from ${shown(from)} to ${shown(to)} in steps of ${shown(step)} there are no numbers`,
    );
  if (!Number.isFinite(count))
    throw new ValueError(
      `[arange] from ${shown(from)} to ${shown(to)} in steps of ${shown(step)} there is no end of numbers`,
    );
  const shape = checkShape('arange', [count]);
  const type = dtype ?? ([from, to, step].every(Number.isInteger) ? 'i32' : 'f32');
  if ((type === 'i32' || type === 'u32') && !(Number.isInteger(from) && Number.isInteger(step)))
    throw new ValueError(
      `[arange] from ${from} in steps of ${step} the numbers are no integers, as ${type} wants; use f32`,
    );
  const numbers = Float64Array.from({ length: count }, (_, i) => from + i * step);
  return fromHost({ shape, dtype: type }, converted('arange', numbers, type));
}

/** A tensor of one repeated value. Numbers outside f32's range become its largest finite value. */
export function full(shape: Shape, value: number, dtype: DType = 'f32'): Tensor {
  const { op, attributes } = constant(shape, value, dtype).node;
  // Marks the value as a variable: its gradient may be asked for, so that no rule may take it for a number.
  return nth(apply(op, [], { ...attributes, isVariable: true }), 0);
}
/** A tensor of zeros. */
export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 0, dtype);
/** A tensor of ones. */
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 1, dtype);

/** Zeros of the shape and type of a tensor. */
export function zerosLike(x: Tensor): Tensor {
  expectTensor('zerosLike', 'the input', x);
  return full(x.shape, 0, x.dtype);
}
/** Ones of the shape and type of a tensor. */
export function onesLike(x: Tensor): Tensor {
  expectTensor('onesLike', 'the input', x);
  return full(x.shape, 1, x.dtype);
}
/** `steps` numbers (f32) at equal distances from `start` to `end`, both among them. */
export function linspace(start: number, end: number, steps: number): Tensor {
  for (const [name, value] of Object.entries({ start, end })) expectKind('linspace', name, value, finite);
  expectKind('linspace', 'steps', steps, count);
  const by = (end - start) / Math.max(1, steps - 1);
  // From either side, so that the end is met exactly.
  const at = (i: number) => (2 * i < steps ? start + i * by : end - (steps - 1 - i) * by);
  return fromHost(
    { shape: checkShape('linspace', [steps]), dtype: 'f32' },
    Float32Array.from({ length: steps }, (_, i) => at(i)),
  );
}

export interface ParameterOptions {
  /** Names the parameter in messages. */
  name?: string;
  /** Whether it is trained: see `Parameter.requiresGrad`. Default true. */
  requiresGrad?: boolean;
}
const parameterOptions = declareOptions<ParameterOptions>({ name: text, requiresGrad: flag });
/** A parameter that starts with the values of `initial`, a tensor or whatever `tensor` takes. */
export function parameter(initial: Tensor | Values, options?: ParameterOptions | string): Parameter {
  const given = typeof options === 'string' ? { name: options } : options;
  const { name, requiresGrad = true } = parameterOptions('parameter', given);
  const values = asTensor(initial);
  if (values.dtype !== 'f32') throw new DTypeError(`[parameter] must be f32, got ${values.dtype}; use .cast('f32')`);
  const made = new Parameter(fresh(values), name);
  made.requiresGrad = requiresGrad;
  return made;
}

/** The value as a tensor of its own, for a state to start with: a step writes over it. */
export function fresh(value: Tensor): Tensor {
  const { source } = value.version;
  return source ? fromHost(value, source) : copy(value);
}

/** Returns a tensor as it is, and makes one of whatever else `tensor` takes. */
export function asTensor(values: Tensor | Values): Tensor {
  return values instanceof Tensor ? values : tensor(values);
}

/** A tensor that `fill` fills when its values are first needed. */
export function filled(op: string, shape: Shape, fill: (values: Float32Array<ArrayBuffer>) => void): Tensor {
  const size = sizeOf(checkShape(op, shape));
  const values = new HostValues(() => {
    const values = new Float32Array(size);
    fill(values);
    return values;
  });
  return fromHost({ shape: [...shape], dtype: 'f32' }, values);
}

/** The elements of host values in order, and the shape and type that follow from them. */
interface Elements {
  readonly elements: Numbers | readonly number[];
  readonly shape: Shape;
  readonly dtype: DType;
}

function elementsOf(values: Values): Elements {
  if (ArrayBuffer.isView(values)) {
    if (!isNumbers(values)) {
      const name = Object.prototype.toString.call(values).slice(8, -1);
      throw new DTypeError(
        `[tensor] a ${brief(name)} holds no numbers of a type that weft has; ${alternatives[name] ?? hint}`,
      );
    }
    const dtype = values instanceof Int32Array ? 'i32' : values instanceof Uint32Array ? 'u32' : 'f32';
    return { elements: values, shape: [values.length], dtype };
  }
  const shape = extentsOf(values);
  const elements: number[] = [];
  const booleans = flatten(values, shape, [], elements);
  return { elements, shape, dtype: booleans === elements.length ? 'bool' : 'f32' };
}

const hint = 'give numbers, nested arrays of them, or a typed array';
const alternatives: Readonly<Record<string, string>> = {
  BigInt64Array: 'make 32-bit integers of it, Int32Array.from(values, Number)',
  BigUint64Array: 'make 32-bit integers of it, Uint32Array.from(values, Number)',
  DataView: 'make a typed array of its buffer, new Float32Array(buffer)',
};

/** Extents of nested arrays, by their first items. */
function extentsOf(values: unknown): number[] {
  const shape: number[] = [];
  for (let item = values; Array.isArray(item); item = item[0]) {
    shape.push(item.length);
    if (shape.length > deepest) throw new ShapeError(`[tensor] the arrays are nested more than ${deepest} deep`);
  }
  return shape;
}
const deepest = 64;

/** Collects the elements, and tells how many are booleans. */
function flatten(item: unknown, shape: Shape, at: number[], into: number[]): number {
  if (at.length < shape.length) {
    if (!Array.isArray(item) || item.length !== shape[at.length]) throw ragged(item, shape, at);
    let booleans = 0;
    for (let i = 0; i < item.length; i++) {
      at.push(i);
      booleans += flatten(item[i], shape, at, into);
      at.pop();
    }
    return booleans;
  }
  if (Array.isArray(item)) throw ragged(item, shape, at);
  if (typeof item !== 'number' && typeof item !== 'boolean')
    throw new DTypeError(`[tensor] the value${place(at)} is ${described(item)}; ${hint}`);
  into.push(Number(item));
  return Number(typeof item === 'boolean');
}

const place = (at: readonly number[]) => (at.length > 0 ? ` at [${at.join(', ')}]` : '');

function described(item: unknown): string {
  if (item === null || item === undefined) return String(item);
  if (item instanceof Tensor) return 'a tensor, which stack() and concat() take';
  return typeof item === 'object' ? `a ${brief(item.constructor?.name ?? 'object')}` : `a ${typeof item}`;
}

function ragged(item: unknown, shape: Shape, at: readonly number[]): ShapeError {
  return new ShapeError(
    `[tensor] ragged arrays: one row has shape ${formatShape(shape.slice(at.length))}, another ${formatShape(extentsOf(item))},${place(at)}`,
  );
}

/** The elements as `dtype` holds them, in memory of their own. Throws a ValueError where an integer type can't hold one. */
function converted(op: string, elements: Numbers | readonly number[], dtype: DType): HostArray {
  expectKnownDType(op, dtype);
  const range = ranges[dtype];
  if (dtype === 'bool') return Uint32Array.from<number>(elements, (value) => Number(value !== 0));
  if (range && !(elements instanceof dtypes[dtype].array)) {
    for (let i = 0; i < elements.length; i++) {
      const value = Math.trunc(Number(elements[i]));
      if (!(value >= range[0] && value <= range[1]))
        throw new ValueError(
          `[${op}] ${dtype} can't hold ${Number(elements[i])}, the value at position ${i}; it holds ${range.join(' to ')}`,
        );
    }
  }
  const array = hostArray(dtype, elements.length);
  array.set(elements);
  return array;
}

/** The integers that a type holds. */
const ranges: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
};
