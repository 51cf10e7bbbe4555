import { flatIndex, indices, logSumExp, mapLines, maximum, type Ref, type Rules, ref, sum } from './ref.ts';

const mean = (values: readonly number[]) => sum(values) / values.length;
const minimum = (values: readonly number[]) => -maximum(values.map((value) => -value));

/** One number from many, which come in row-major order. Of equal elements the first is the largest or smallest, NaN before all. */
const kinds = {
  sum,
  mean,
  sumSquares: (values: readonly number[]) => sum(values.map((value) => value * value)),
  max: maximum,
  min: minimum,
  logSumExp,
  argMax: (values: readonly number[]) => values.findIndex((value) => Object.is(value + 0, maximum(values) + 0)),
  argMin: (values: readonly number[]) => values.findIndex((value) => Object.is(value + 0, minimum(values) + 0)),
};

export type ReduceKind = keyof typeof kinds;

export interface ReduceAttributes {
  readonly kind: ReduceKind;
  readonly axes: readonly number[];
  readonly keepDims?: boolean;
}

function runningSums(values: readonly number[]): number[] {
  let total = 0;
  return values.map((value) => {
    total += value;
    return total;
  });
}

export const reduce = {
  reduce: ([x]: readonly [Ref], { kind, axes, keepDims = false }: ReduceAttributes): [Ref] => {
    const kept = x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
    const groups = Array.from(ref(kept).data, (): number[] => []);
    let flat = 0;
    for (const index of indices(x.shape)) {
      const target = index.map((i, axis) => (axes.includes(axis) ? 0 : i));
      groups[flatIndex(kept, target)]?.push(x.data[flat++] as number);
    }
    const shape = keepDims ? kept : kept.filter((_, axis) => !axes.includes(axis));
    return [ref(shape, groups.map(kinds[kind]))];
  },

  /** Sums of everything up to and including an element, or from it on. */
  cumsum: ([x]: readonly [Ref], { axis, reverse = false }: { axis: number; reverse?: boolean }): [Ref] => [
    mapLines(x, axis, (line) => (reverse ? runningSums(line.toReversed()).toReversed() : runningSums(line))),
  ],
} satisfies Rules;
