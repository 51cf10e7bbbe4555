import { ShapeError } from '../core/errors.ts';
import { declareOptions, expectKind, flag, integer } from '../core/options.ts';
import { formatShape, normaliseAxis, sizeOf } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parameter } from '../ops/create.ts';
import { add, mul } from '../ops/elementwise.ts';
import { matmul } from '../ops/matmul.ts';
import { sum } from '../ops/reduce.ts';
import { reshape, unsqueeze } from '../ops/view.ts';
import { uniform } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Dimensions from `start` to `end`, both among them, as one; all but the first by default. */
export class Flatten extends Module {
  /** The first dimension of those that become one. */
  readonly start: number;
  /** The last of them. */
  readonly end: number;

  constructor(start = 1, end = -1) {
    super();
    for (const [name, axis] of Object.entries({ start, end })) expectKind('Flatten', name, axis, integer);
    this.start = start;
    this.end = end;
  }

  /** x [B, ...] → [B, …·…]. Throws a ShapeError where there are no such dimensions. */
  forward(x: Tensor): Tensor {
    expectTensor('Flatten', 'the input', x);
    const [from, to] = [this.start, this.end].map((axis) => normaliseAxis('Flatten', axis, x.rank)) as [number, number];
    if (from > to) throw new ShapeError(`[Flatten] dimension ${from} of ${formatShape(x.shape)} lies behind ${to}`);
    return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);
  }
}

/** Whether a `Bilinear` adds a bias. */
export interface BilinearOptions {
  /** Whether there is a bias; default true. */
  bias?: boolean;
}
const bilinearOptions = declareOptions<BilinearOptions>({ bias: flag });

/** yₖ = x₁ᵀ Wₖ x₂ + bₖ, [..., in1] and [..., in2] → [..., out]. Both start uniform within ±1/√in1, as in PyTorch. */
export class Bilinear extends Module {
  /** W, [out, in1, in2]. */
  readonly weight: Parameter;
  /** b, [out]; null without a bias. */
  readonly bias: Parameter | null;

  constructor(in1Features: number, in2Features: number, outFeatures: number, options?: BilinearOptions) {
    super();
    const { bias = true } = bilinearOptions('Bilinear', options);
    checkSizes('Bilinear', { in1Features, in2Features, outFeatures });
    const bound = 1 / Math.sqrt(in1Features);
    const initial = (shape: readonly number[]) => uniform(shape, { low: -bound, high: bound });
    this.weight = parameter(initial([outFeatures, in1Features, in2Features]), 'weight');
    this.bias = bias ? parameter(initial([outFeatures]), 'bias') : null;
  }

  /** x1 [..., in1], x2 [..., in2] → [..., out]. Throws a ShapeError where a last dimension is another, or the others differ. */
  forward(x1: Tensor, x2: Tensor): Tensor {
    expectTensor('Bilinear', 'the first input', x1);
    expectTensor('Bilinear', 'the second input', x2);
    const [out, in1, in2] = this.weight.shape as [number, number, number];
    const rows = x1.shape.slice(0, -1);
    if (x1.shape.at(-1) !== in1 || formatShape(x2.shape) !== formatShape([...rows, in2]))
      throw new ShapeError(
        `[Bilinear] the inputs must be [..., ${in1}] and [..., ${in2}], got ${formatShape(x1.shape)} and ${formatShape(x2.shape)}`,
      );
    const flat = reshape(x1, [1, -1, in1]);
    // [out, rows, in2]: the first input through each Wₖ.
    const through = matmul(flat, this.weight);
    const y = reshape(sum(mul(through, unsqueeze(reshape(x2, [-1, in2]), 0)), -1).transpose(), [...rows, out]);
    return this.bias ? add(y, this.bias) : y;
  }
}
