import { type Case, expectRows, type Inputs, normal, spread, unit } from './suite.ts';

/** x [rows, width] → y of the same shape. */
export interface SoftmaxProblem extends Inputs<'x'> {
  readonly kind: 'softmax';
  readonly rows: number;
  readonly width: number;
}

/** x [rows, width], gain and shift [width] → y of x's shape; eps is 1e-5. */
export interface LayerNormProblem extends Inputs<'x' | 'weight' | 'bias'> {
  readonly kind: 'layer norm';
  readonly rows: number;
  readonly width: number;
}

export const sizes: readonly (readonly [rows: number, width: number])[] = [
  [1024, 1024],
  [4096, 1024],
];

const common = (rows: number, width: number) =>
  ({
    suite: 'kernels',
    shape: `${rows}x${width}`,
    quick: rows === 1024,
    bound: 'bandwidth',
  }) as const;

const softmax = (rows: number, width: number): Case => ({
  ...common(rows, width),
  name: 'softmax',
  // Maximum, difference, exponential, sum, quotient.
  flops: 5 * rows * width,
  bytes: 8 * rows * width,
  // A sum of `width` terms, and an exponential of a number below 10.
  tolerance: unit * (width + 60),
  problem: (): SoftmaxProblem => ({ kind: 'softmax', rows, width, x: normal(rows * width, 1) }),
  expected: (problem) => {
    const { x } = problem as SoftmaxProblem;
    const row = (r: number) => {
      const line = Float64Array.from(x.subarray(r * width, (r + 1) * width));
      const largest = line.reduce((a, b) => Math.max(a, b), -Infinity);
      const exponentials = line.map((value) => Math.exp(value - largest));
      const sum = exponentials.reduce((a, b) => a + b, 0);
      return exponentials.map((e) => e / sum);
    };
    return [expectRows('y', spread(rows, 16), width, row)];
  },
});

const layerNorm = (rows: number, width: number): Case => ({
  ...common(rows, width),
  name: 'layer norm',
  // Mean, deviation, its square and sum, scale, gain and shift.
  flops: 7 * rows * width,
  bytes: 8 * rows * width,
  // Two sums of `width` terms, for mean and variance.
  tolerance: unit * 2 * width,
  problem: (): LayerNormProblem => ({
    kind: 'layer norm',
    rows,
    width,
    x: normal(rows * width, 1),
    weight: normal(width, 2),
    bias: normal(width, 3),
  }),
  expected: (problem) => {
    const { x, weight, bias } = problem as LayerNormProblem;
    const row = (r: number) => {
      const line = Float64Array.from(x.subarray(r * width, (r + 1) * width));
      const mean = line.reduce((a, b) => a + b, 0) / width;
      const variance = line.reduce((a, b) => a + (b - mean) ** 2, 0) / width;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      return line.map((value, i) => (value - mean) * scale * (weight[i] as number) + (bias[i] as number));
    };
    return [expectRows('y', spread(rows, 16), width, row)];
  },
});

export const softmaxCases = sizes.map((size) => softmax(...size));
export const layerNormCases = sizes.map((size) => layerNorm(...size));
