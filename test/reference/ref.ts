import { rowMajorStrides } from '../../src/core/layout.ts';
import { broadcastShapes, type Shape, sameShape, sizeOf } from '../../src/core/shape.ts';

/** A value of the reference: float64, dense, row-major. Integers are numbers too, booleans are 0 and 1. */
export interface Ref {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** What computes an op: its inputs and attributes in, its outputs out. */
export type Rule = (inputs: never, attributes: never) => readonly Ref[];
export type Rules = Readonly<Record<string, Rule>>;

/** A value from numbers, or zeros where none are given. */
export function ref(shape: Shape, values?: ArrayLike<number>): Ref {
  const data = values === undefined ? new Float64Array(sizeOf(shape)) : Float64Array.from(values);
  if (data.length !== sizeOf(shape)) throw new RangeError(`shape [${shape}] does not hold ${data.length} elements`);
  return { shape, data };
}

/** The element at a flat, row-major index. */
export function get(x: Ref, flat: number): number {
  const value = x.data[flat];
  if (value === undefined) throw new RangeError(`element ${flat} of a value of shape [${x.shape}]`);
  return value;
}

/** The element at an index of one number for each dimension. */
export function at(x: Ref, index: readonly number[]): number {
  return get(x, flatIndex(x.shape, index));
}

export function flatIndex(shape: Shape, index: readonly number[]): number {
  return shape.reduce((flat, extent, dimension) => flat * extent + (index[dimension] as number), 0);
}

/** Every index of a shape, in row-major order. The array is the same one each time: copy it to keep it. */
export function* indices(shape: Shape): Generator<number[]> {
  const index = shape.map(() => 0);
  for (let count = sizeOf(shape); count > 0; count--) {
    yield index;
    for (let dimension = shape.length - 1; dimension >= 0; dimension--) {
      index[dimension] = (index[dimension] as number) + 1;
      if ((index[dimension] as number) < (shape[dimension] as number)) break;
      index[dimension] = 0;
    }
  }
}

/** A value whose elements are computed from their indices. */
export function build(shape: Shape, element: (index: readonly number[]) => number): Ref {
  const data = new Float64Array(sizeOf(shape));
  let flat = 0;
  for (const index of indices(shape)) data[flat++] = element(index);
  return { shape, data };
}

/** `x` stretched to a larger shape by NumPy's rule: its shape is aligned at the end, extents of 1 repeat. */
export function broadcastTo(x: Ref, shape: Shape): Ref {
  if (sameShape(x.shape, shape)) return x;
  const missing = shape.length - x.shape.length;
  const strides = rowMajorStrides(x.shape).map((stride, dimension) => (x.shape[dimension] === 1 ? 0 : stride));
  return build(shape, (index) =>
    get(
      x,
      strides.reduce((flat, stride, dimension) => flat + stride * (index[dimension + missing] as number), 0),
    ),
  );
}

/** Element by element over inputs that broadcast against each other. */
export function map(inputs: readonly Ref[], element: (...values: number[]) => number): Ref {
  const shape = broadcastShapes(
    'reference',
    inputs.map((x) => x.shape),
  );
  const stretched = inputs.map((x) => broadcastTo(x, shape).data);
  return {
    shape,
    data: Float64Array.from({ length: sizeOf(shape) }, (_, i) =>
      element(...stretched.map((data) => data[i] as number)),
    ),
  };
}

/** Replaces each line of `x` along `axis` by `line` of it, which may have another length. */
export function mapLines(x: Ref, axis: number, line: (values: readonly number[]) => readonly number[]): Ref {
  const n = extent(x, axis);
  const outer = sizeOf(x.shape.slice(0, axis));
  const inner = sizeOf(x.shape.slice(axis + 1));
  const lines = Array.from({ length: outer * inner }, (_, i) => {
    const start = Math.floor(i / inner) * n * inner + (i % inner);
    return line(Array.from({ length: n }, (_, k) => get(x, start + k * inner)));
  });
  const length = (lines[0] as readonly number[]).length;
  return build(x.shape.with(axis, length), (index) => {
    const o = flatIndex(x.shape.slice(0, axis), index.slice(0, axis));
    const i = flatIndex(x.shape.slice(axis + 1), index.slice(axis + 1));
    return (lines[o * inner + i] as readonly number[])[index[axis] as number] as number;
  });
}

/** The extent of an axis; negative axes count from the back. */
export function extent(x: Ref, axis: number): number {
  const result = x.shape.at(axis);
  if (result === undefined) throw new RangeError(`axis ${axis} of a value of shape [${x.shape}]`);
  return result;
}

/** Number of rows when all dimensions but the last `dimensions` are flattened. */
export function leading(x: Ref, dimensions = 1): number {
  return sizeOf(x.shape.slice(0, x.shape.length - dimensions));
}

export function reshape(x: Ref, shape: Shape): Ref {
  return ref(shape, x.data);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** log Σ exp(x), safe from overflow. */
export function logSumExp(values: readonly number[]): number {
  const largest = maximum(values);
  if (Math.abs(largest) === Infinity) return largest;
  return largest + Math.log(sum(values.map((value) => Math.exp(value - largest))));
}

export function maximum(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}
