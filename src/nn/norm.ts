import { declareOptions, flag, positive } from '../core/options.ts';
import type { Parameter } from '../graph/parameter.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parameter } from '../ops/create.ts';
import { layerNorm, rmsNorm } from '../ops/norm.ts';
import { ones, zeros } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** What an `RMSNorm` learns, and what keeps it from dividing by 0. */
export interface RMSNormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number;
  /** Whether there is a weight; default true. */
  affine?: boolean;
}
/** What a `LayerNorm` learns, and what keeps it from dividing by 0. */
export interface LayerNormOptions extends RMSNormOptions {
  /** Whether there is a bias beside the weight; default true. */
  bias?: boolean;
}
const rmsNormOptions = declareOptions<RMSNormOptions>({ eps: positive, affine: flag });
const layerNormOptions = declareOptions<LayerNormOptions>({
  eps: positive,
  affine: flag,
  bias: flag,
});

/** Layer norm over the last dimension, [..., E] (Ba et al. 2016). */
export class LayerNorm extends Module {
  /** Factor of each element, [E]; null without `affine`. */
  readonly weight: Parameter | null;
  /** Added to each element, [E]; null without `affine` or without a bias. */
  readonly bias: Parameter | null;
  /** Added to the variance. */
  readonly eps: number;

  constructor(width: number, options?: LayerNormOptions) {
    super();
    const { eps = 1e-5, affine = true, bias = true } = layerNormOptions('LayerNorm', options);
    checkSizes('LayerNorm', { width });
    this.eps = eps;
    this.weight = affine ? parameter(ones([width]), 'weight') : null;
    this.bias = affine && bias ? parameter(zeros([width]), 'bias') : null;
  }

  /** x [..., E] → [..., E]. Throws a ShapeError where the weight has another width. */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { eps: this.eps });
  }
}

/** RMS norm over the last dimension, [..., E] (Zhang and Sennrich 2019). */
export class RMSNorm extends Module {
  /** Factor of each element, [E]; null without `affine`. */
  readonly weight: Parameter | null;
  /** Added to the mean of the squares. */
  readonly eps: number;

  constructor(width: number, options?: RMSNormOptions) {
    super();
    const { eps = 1e-5, affine = true } = rmsNormOptions('RMSNorm', options);
    checkSizes('RMSNorm', { width });
    this.eps = eps;
    this.weight = affine ? parameter(ones([width]), 'weight') : null;
  }

  /** x [..., E] → [..., E]. Throws a ShapeError where the weight has another width. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps });
  }
}
