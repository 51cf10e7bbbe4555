import { type Case, type Inputs, normal, spread, unit } from './suite.ts';

/**
 * x, gate, residual [rows, width]; scale and shift [width]:
 * affine: relu(x · scale + shift) · gate + residual, which memory bounds; gelu: gelu(x + shift) + residual, in its tanh form.
 */
export interface ElementwiseProblem extends Inputs<'x' | 'gate' | 'residual' | 'scale' | 'shift'> {
  readonly kind: 'elementwise chain';
  readonly rows: number;
  readonly width: number;
  readonly chain: 'affine' | 'gelu';
}

/** One step of AdamW (Loshchilov and Hutter 2019) on N parameters, with the moments that many steps before have left. */
export interface AdamwProblem extends Inputs<'parameters' | 'gradients' | 'mean' | 'square'>, AdamwSettings {
  readonly kind: 'adamw';
  readonly N: number;
}
export interface AdamwSettings {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** This is the how-manieth step. */
  readonly step: number;
}

const sizes: readonly (readonly [rows: number, width: number])[] = [
  [1024, 1024],
  [4096, 1024],
];

export const elementwiseCases: readonly Case[] = (['affine', 'gelu'] as const).flatMap((chain) =>
  sizes.map(([rows, width]) => ({
    suite: 'kernels',
    name: 'elementwise chain',
    shape: `${rows}x${width} ${chain === 'affine' ? 'relu(x·a+b)·g+r' : 'gelu(x+b)+r'}`,
    quick: rows === 1024,
    flops: rows * width * (chain === 'affine' ? 5 : 10),
    bytes: 4 * (rows * width * (chain === 'affine' ? 4 : 3) + width * (chain === 'affine' ? 2 : 1)),
    bound: 'bandwidth',
    // A few roundings; the exponential's are at most 3 + 2|x| ulp (WGSL), x below 12.
    tolerance: unit * 64,
    problem: (): ElementwiseProblem => ({
      kind: 'elementwise chain',
      rows,
      width,
      chain,
      x: normal(rows * width, 1),
      gate: normal(rows * width, 2),
      residual: normal(rows * width, 3),
      scale: normal(width, 4),
      shift: normal(width, 5),
    }),
    expected: (problem) => {
      const { x, gate, residual, scale, shift } = problem as ElementwiseProblem;
      const indices = spread(rows * width, 4096);
      const values = indices.map((i) => {
        const at = (data: Float32Array, index = i) => data[index] as number;
        const column = i % width;
        if (chain === 'affine') {
          return Math.max(0, at(x) * at(scale, column) + at(shift, column)) * at(gate) + at(residual);
        }
        const u = at(x) + at(shift, column);
        return 0.5 * u * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (u + 0.044715 * u ** 3))) + at(residual);
      });
      return [{ output: 'y', indices, values }];
    },
  })),
);

export const adamwCases = [2 ** 20, 2 ** 22].map(
  (N): Case => ({
    suite: 'kernels',
    name: 'adamw',
    shape: `${N / 2 ** 20} Mi parameters`,
    quick: N === 2 ** 20,
    flops: 14 * N,
    // Four numbers read, three written.
    bytes: 28 * N,
    bound: 'bandwidth',
    tolerance: unit * 16,
    problem: (): AdamwProblem => ({
      kind: 'adamw',
      N,
      lr: 0.01,
      betas: [0.9, 0.95],
      eps: 1e-8,
      weightDecay: 0.1,
      step: 10,
      parameters: normal(N, 1),
      gradients: normal(N, 2),
      mean: normal(N, 3, 0.3),
      square: normal(N, 4).map((value) => value * value),
    }),
    expected: (problem) => {
      const { parameters, gradients, mean, square, lr, betas, eps, weightDecay, step } = problem as AdamwProblem;
      const [beta1, beta2] = betas;
      const indices = spread(N, 4096);
      const updated = indices.map((i) => {
        const g = gradients[i] as number;
        const m = beta1 * (mean[i] as number) + (1 - beta1) * g;
        const v = beta2 * (square[i] as number) + (1 - beta2) * g * g;
        const direction = m / (1 - beta1 ** step) / (Math.sqrt(v / (1 - beta2 ** step)) + eps);
        return { parameters: (parameters[i] as number) * (1 - lr * weightDecay) - lr * direction, mean: m, square: v };
      });
      return (['parameters', 'mean', 'square'] as const).map((output) => ({
        output,
        indices,
        values: updated.map((each) => each[output]),
      }));
    },
  }),
);
