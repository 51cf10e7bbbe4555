import { type DType, dtypes, type Numbers } from './dtype.ts';
import { type Shape, sizeOf } from './shape.ts';

/** What an op needs besides its inputs: plain values, part of the identity of a node. */
export type Attribute = number | boolean | string | null | readonly Attribute[];
/** Attributes of a node, by name. */
export type Attributes = { readonly [name: string]: Attribute };

/** What a shape rule knows of a tensor: everything but its values. */
export interface TensorType {
  /** Extents, outermost first. */
  readonly shape: Shape;
  /** Type of the elements. */
  readonly dtype: DType;
}

/** Bytes that the elements take. */
export function byteSize({ shape, dtype }: TensorType): number {
  return sizeOf(shape) * dtypes[dtype].bytes;
}

/** Nested arrays of one shape, with a number or a boolean for each element; a scalar is one of these alone. */
export type NestedArray = number | boolean | NestedArray[];

/** Values on the host, as `tensor` takes them: a number, nested arrays, or a typed array of numbers. */
export type Values = NestedArray | Numbers;
