import { parameter } from '../ops/create.ts';
import { layerNorm, rmsNorm } from '../ops/norm.ts';
import type { Parameter, Tensor } from '../tensor.ts';
import { ones, zeros } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './options.ts';

/** Layer norm over the last dimension, [..., E] (Ba et al. 2016). */
export class LayerNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly eps: number;

  constructor(
    width: number,
    { eps = 1e-5, affine = true, bias = true }: { eps?: number; affine?: boolean; bias?: boolean } = {},
  ) {
    super();
    checkSizes('LayerNorm', { width });
    this.eps = eps;
    this.weight = affine ? parameter(ones([width]), 'weight') : null;
    this.bias = affine && bias ? parameter(zeros([width]), 'bias') : null;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { eps: this.eps });
  }
}

/** RMS norm over the last dimension, [..., E] (Zhang and Sennrich 2019). */
export class RMSNorm extends Module {
  readonly weight: Parameter | null;
  readonly eps: number;

  constructor(width: number, { eps = 1e-5, affine = true }: { eps?: number; affine?: boolean } = {}) {
    super();
    checkSizes('RMSNorm', { width });
    this.eps = eps;
    this.weight = affine ? parameter(ones([width]), 'weight') : null;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps });
  }
}
