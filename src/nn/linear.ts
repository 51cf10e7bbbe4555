import { ShapeError } from '../core/errors.ts';
import { declareOptions, flag } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parameter } from '../ops/create.ts';
import { matmul } from '../ops/matmul.ts';
import { transpose } from '../ops/view.ts';
import { kaimingUniform, uniform } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** x·Wᵀ + b for x [..., in], weight [out, in], bias [out]. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  const product = matmul(x, transpose(weight));
  return bias ? product.add(bias) : product;
}

/** Whether a `Linear` adds a bias. */
export interface LinearOptions {
  /** Whether there is a bias; default true. */
  bias?: boolean;
}
const linearOptions = declareOptions<LinearOptions>({ bias: flag });

/** y = x·Wᵀ + b, [..., in] → [..., out]. Both start uniform within ±1/√in, as in PyTorch. */
export class Linear extends Module {
  /** W, [out, in]. */
  readonly weight: Parameter;
  /** b, [out]; null without a bias. */
  readonly bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, options?: LinearOptions) {
    super();
    const { bias = true } = linearOptions('Linear', options);
    checkSizes('Linear', { inFeatures, outFeatures });
    const bound = 1 / Math.sqrt(inFeatures);
    this.weight = parameter(kaimingUniform([outFeatures, inFeatures], { gain: Math.sqrt(1 / 3) }), 'weight');
    this.bias = bias ? parameter(uniform([outFeatures], { low: -bound, high: bound }), 'bias') : null;
  }

  /** x [..., in] → [..., out]. Throws a ShapeError where the last dimension is another. */
  forward(x: Tensor): Tensor {
    expectTensor('Linear', 'the input', x);
    const width = this.weight.shape[1];
    if (x.shape.at(-1) !== width)
      throw new ShapeError(`[Linear] the last dimension of ${formatShape(x.shape)} must be inFeatures, ${width}`);
    return linear(x, this.weight, this.bias);
  }
}
