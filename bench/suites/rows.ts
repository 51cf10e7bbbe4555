import { Generator, randomIntegers } from '../../src/core/random.ts';
import { type Case, type Expected, expectRows, type Inputs, normal, spread, unit } from './suite.ts';

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

/**
 * logits [rows, width], a target for each row → the mean loss [1] and, where wanted, dLogits.
 */
export interface CrossEntropyProblem extends Inputs<'logits'> {
  readonly kind: 'cross-entropy';
  readonly rows: number;
  readonly width: number;
  readonly targets: Int32Array<ArrayBuffer>;
  readonly gradient: boolean;
}

const sizes: readonly (readonly [rows: number, width: number])[] = [
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

const crossEntropy = (gradient: boolean, rows: number, width: number): Case => ({
  ...common(rows, width),
  name: 'cross-entropy',
  shape: `${rows}x${width} ${gradient ? 'loss and gradient' : 'loss'}`,
  // Maximum, difference, exponential, sum; then quotient and difference.
  flops: (gradient ? 7 : 4) * rows * width,
  bytes: (gradient ? 8 : 4) * rows * width,
  // Sums of `width` and of `rows` terms, and an exponential of a number below 10.
  tolerance: unit * (width + rows + 60),
  problem: (): CrossEntropyProblem => ({
    kind: 'cross-entropy',
    rows,
    width,
    logits: normal(rows * width, 1),
    targets: Int32Array.from(randomIntegers(rows, width, new Generator(2))),
    gradient,
  }),
  expected: (problem) => {
    const { logits, targets } = problem as CrossEntropyProblem;
    const probabilities = (r: number) => {
      const line = Float64Array.from(logits.subarray(r * width, (r + 1) * width));
      const largest = line.reduce((a, b) => Math.max(a, b), -Infinity);
      const logSum = largest + Math.log(line.reduce((sum, value) => sum + Math.exp(value - largest), 0));
      return line.map((value) => Math.exp(value - logSum));
    };
    const row = (r: number) =>
      probabilities(r).map((p, column) => (p - Number(column === (targets[r] as number))) / rows);
    let loss = 0;
    for (let r = 0; r < rows; r++) loss -= Math.log(probabilities(r)[targets[r] as number] as number) / rows;
    const mean: Expected = { output: 'loss', indices: [0], values: [loss] };
    return gradient ? [mean, expectRows('dLogits', spread(rows, 16), width, row)] : [mean];
  },
});

export const crossEntropyCases = [false, true].flatMap((gradient) =>
  sizes.map((size) => crossEntropy(gradient, ...size)),
);
export const softmaxCases = sizes.map((size) => softmax(...size));
export const layerNormCases = sizes.map((size) => layerNorm(...size));
