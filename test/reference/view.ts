import type { Shape } from '../../src/core/shape.ts';
import { at, broadcastTo, build, type Ref, type Rules, reshape, sum } from './ref.ts';

type Numbers = readonly number[];

export const view = {
  reshape: ([x]: readonly [Ref], { shape }: { shape: Shape }): [Ref] => [reshape(x, shape)],

  expand: ([x]: readonly [Ref], { shape }: { shape: Shape }): [Ref] => [broadcastTo(x, shape)],

  /** Dimension i of the output is dimension order[i] of the input. */
  permute: ([x]: readonly [Ref], { order }: { order: Numbers }): [Ref] => [
    build(
      order.map((axis) => x.shape[axis] as number),
      (index) =>
        at(
          x,
          order.map((_, axis) => index[order.indexOf(axis)] as number),
        ),
    ),
  ],

  /** start, start + step, … below stop, in each dimension. */
  slice: ([x]: readonly [Ref], { start, stop, step }: { start: Numbers; stop: Numbers; step: Numbers }): [Ref] => [
    build(
      start.map((first, i) => Math.ceil(((stop[i] as number) - first) / (step[i] as number))),
      (index) =>
        at(
          x,
          index.map((i, axis) => (start[axis] as number) + i * (step[axis] as number)),
        ),
    ),
  ],

  flip: ([x]: readonly [Ref], { axes }: { axes: Numbers }): [Ref] => [
    build(x.shape, (index) =>
      at(
        x,
        index.map((i, axis) => (axes.includes(axis) ? (x.shape[axis] as number) - 1 - i : i)),
      ),
    ),
  ],

  pad: ([x]: readonly [Ref], { before, after, value }: { before: Numbers; after: Numbers; value: number }): [Ref] => [
    build(
      x.shape.map((extent, i) => (before[i] as number) + extent + (after[i] as number)),
      (index) => {
        const source = index.map((i, axis) => i - (before[axis] as number));
        const inside = source.every((i, axis) => i >= 0 && i < (x.shape[axis] as number));
        return inside ? at(x, source) : value;
      },
    ),
  ],

  concat: (inputs: readonly Ref[], { axis }: { axis: number }): [Ref] => {
    const extents = inputs.map((x) => x.shape[axis] as number);
    return [
      build((inputs[0] as Ref).shape.with(axis, sum(extents)), (index) => {
        let i = index[axis] as number;
        let which = 0;
        while (i >= (extents[which] as number)) i -= extents[which++] as number;
        return at(inputs[which] as Ref, index.with(axis, i));
      }),
    ];
  },

  /** Keeps the elements whose column − row ≤ diagonal, in the last two dimensions. */
  tril: ([x]: readonly [Ref], { diagonal = 0 }: { diagonal?: number }): [Ref] => [
    build(x.shape, (index) => (columnMinusRow(index) <= diagonal ? at(x, index) : 0)),
  ],

  /** Keeps the elements whose column − row ≥ diagonal, in the last two dimensions. */
  triu: ([x]: readonly [Ref], { diagonal = 0 }: { diagonal?: number }): [Ref] => [
    build(x.shape, (index) => (columnMinusRow(index) >= diagonal ? at(x, index) : 0)),
  ],
} satisfies Rules;

const columnMinusRow = (index: Numbers) => (index.at(-1) as number) - (index.at(-2) as number);
