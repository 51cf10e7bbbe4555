import { ShapeError } from './errors.ts';
import { nth } from './lists.ts';
import { axesLike, expectKind, shown, shownList } from './options.ts';

/** Extents of a tensor, outermost first. `[]` is a scalar. */
export type Shape = readonly number[];

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, i) => extent === b[i]);
}

/** `[3, 4]`, as shapes stand in messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Throws where an extent is not a positive integer: weft has no empty tensors. */
export function checkShape(op: string, shape: Shape): Shape {
  if (!Array.isArray(shape))
    throw new ShapeError(`[${op}] a shape is an array of extents like [2, 3], got ${shown(shape)}`);
  for (const extent of shape) {
    if (!Number.isInteger(extent) || extent < 1) {
      throw new ShapeError(
        `[${op}] every extent must be a positive integer, got ${shownList(shape)}; weft has no empty tensors`,
      );
    }
  }
  if (sizeOf(shape) > 2 ** 32 - 1) throw new ShapeError(`[${op}] ${shownList(shape)} has more than 2³²−1 elements`);
  return shape;
}

/** An axis counted from the front; negative axes count from the back. */
export function normaliseAxis(op: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new ShapeError(
      `[${op}] axis ${shown(axis)} is out of range for a tensor of rank ${rank}; it must be in [${-rank}, ${rank - 1}]`,
    );
  }
  return axis < 0 ? axis + rank : axis;
}

/** Axes counted from the front, ascending, without repeats; all axes where none are given. */
export function normaliseAxes(op: string, axes: number | readonly number[] | null | undefined, rank: number): number[] {
  expectKind(op, 'axes', axes, axesLike);
  if (axes === null || axes === undefined) return Array.from({ length: rank }, (_, i) => i);
  const list = (typeof axes === 'number' ? [axes] : axes)
    .map((axis) => normaliseAxis(op, axis, rank))
    .sort((a, b) => a - b);
  if (new Set(list).size !== list.length) throw new ShapeError(`[${op}] an axis is named twice in ${shownList(list)}`);
  return list;
}

/** NumPy broadcasting: trailing dimensions must be equal or 1. */
export function broadcastShapes(op: string, shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    let extent = 1;
    for (const shape of shapes) {
      const own = shape[i - rank + shape.length] ?? 1;
      if (own === 1 || own === extent) continue;
      if (extent !== 1) {
        throw new ShapeError(
          `[${op}] shapes ${shapes.map(shownList).join(' and ')} do not broadcast: dimension ${i - rank} has extents ${extent} and ${own}, which must be equal or 1`,
        );
      }
      extent = own;
    }
    return extent;
  });
}

/** A shape and one of its axes as [outer, n, inner]. */
export function around(shape: Shape, axis: number): { outer: number; n: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), n: nth(shape, axis), inner: sizeOf(shape.slice(axis + 1)) };
}
