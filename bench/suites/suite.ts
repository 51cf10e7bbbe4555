import { fillNormal, Generator } from '../../src/core/random.ts';
import type { Problem } from './index.ts';

export const rowNames = [
  'matmul',
  'attention forward',
  'attention forward+backward',
  'conv forward',
  'conv forward+backward',
  'softmax',
  'layer norm',
  'cross-entropy',
  'lstm cell',
  'lstm sequence forward',
  'lstm sequence forward+backward',
  'gru sequence forward',
  'gru sequence forward+backward',
  'rnn sequence forward',
  'rnn sequence forward+backward',
  'adamw',
  'elementwise chain',
  'gpt step',
  'lstm step',
  'nanogpt-cpu step',
] as const;
export type RowName = (typeof rowNames)[number];

/** One thing that is measured, on one size. */
export interface Case {
  /** Of `memory`, nothing is run: it shows what weft's plan takes. */
  readonly suite: 'kernels' | 'training steps' | 'memory';
  readonly name: RowName;
  /** Sizes as they are printed; name and shape together are unique. */
  readonly shape: string;
  /** Part of a quick run. */
  readonly quick: boolean;
  /** Floating-point operations that the definition asks for; recomputation does not count. Null where that says nothing. */
  readonly flops: number | null;
  /** Bytes that have to be read and written at least once. */
  readonly bytes: number | null;
  /** Which limit of the device the fraction refers to. */
  readonly bound: 'arithmetic' | 'bandwidth';
  /** Largest `maxError` of a right result. */
  readonly tolerance: number;
  /** Runs before the results are compared: those of a training step show what the steps before it have done. Default 1. */
  readonly runsToCheck?: number;
  /** Of `memory`: what intermediate values take where the weights of attention are kept, by computation. */
  readonly unfusedBytes?: number;
  /** Draws the inputs, the same ones in every run. */
  problem(): Problem;
  /** Some of the results, in float64. */
  expected(problem: Problem): readonly Expected[];
}

/** What elements `indices` of result `output` should be. */
export interface Expected {
  readonly output: string;
  readonly indices: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

export type Inputs<Name extends string> = Readonly<Record<Name, Float32Array<ArrayBuffer>>>;

/** Normal numbers from a stream of their own for each seed. */
export function normal(length: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  return fillNormal(new Float32Array(length), 0, scale, new Generator(seed));
}

/** [rows, columns] → [columns, rows] */
export function transposed(data: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number);
}

/** [a, b, c, d] → [a, c, b, d] */
export function swapped(data: Float32Array, a: number, b: number, c: number, d: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(data.length);
  for (let i = 0; i < a * b * c; i++) {
    const to = (Math.floor(i / (b * c)) * c + (i % c)) * b + (Math.floor(i / c) % b);
    result.set(data.subarray(i * d, (i + 1) * d), to * d);
  }
  return result;
}

/** [..., b, c] → [..., c, b] */
export function turned(data: Float32Array, b: number, c: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(data, (_, i) => {
    const [outer, rest] = [Math.floor(i / (b * c)), i % (b * c)];
    return data[(outer * b + (rest % b)) * c + Math.floor(rest / b)] as number;
  });
}

/** At most `count` of the numbers below `n`, evenly spread, the first and the last among them. */
export function spread(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i);
  return Array.from({ length: count }, (_, i) => Math.round((i * (n - 1)) / (count - 1)));
}

/** Whole rows of a result [rows, width], each computed by `row`. */
export function expectRows(
  output: string,
  rows: readonly number[],
  width: number,
  row: (row: number) => ArrayLike<number>,
): Expected {
  const indices = new Uint32Array(rows.length * width);
  const values = new Float64Array(rows.length * width);
  for (const [i, r] of rows.entries()) {
    for (let c = 0; c < width; c++) indices[i * width + c] = r * width + c;
    values.set(row(r), i * width);
  }
  return { output, indices, values };
}

/** The rounding unit of float32. */
export const unit = 2 ** -24;
