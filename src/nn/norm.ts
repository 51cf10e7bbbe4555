import { ShapeError, ValueError } from '../core/errors.ts';
import { declareOptions, flag, positive, share } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parameter, tensor } from '../ops/create.ts';
import { add, mul, rsqrt, sub } from '../ops/elementwise.ts';
import { layerNorm, rmsNorm } from '../ops/norm.ts';
import { mean, sumSquares } from '../ops/reduce.ts';
import { detach, reshape } from '../ops/view.ts';
import { Buffer } from './buffer.ts';
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

/** Groups of channels of x [B, C, ...], each normalised by itself, sample by sample (Wu and He 2018). */
export class GroupNorm extends Module {
  /** Factor of each channel, [C]; null without `affine`. */
  readonly weight: Parameter | null;
  /** Added to each channel, [C]; null without `affine` or without a bias. */
  readonly bias: Parameter | null;
  /** Groups of as many channels each. */
  readonly groups: number;
  /** Channels, C. */
  readonly channels: number;
  /** Added to the variance. */
  readonly eps: number;

  constructor(groups: number, channels: number, options?: LayerNormOptions) {
    super();
    const { eps = 1e-5, affine = true, bias = true } = layerNormOptions('GroupNorm', options);
    checkSizes('GroupNorm', { groups, channels });
    if (channels % groups !== 0)
      throw new ValueError(`[GroupNorm] ${groups} groups do not divide ${channels} channels`);
    this.groups = groups;
    this.channels = channels;
    this.eps = eps;
    this.weight = affine ? parameter(ones([channels]), 'weight') : null;
    this.bias = affine && bias ? parameter(zeros([channels]), 'bias') : null;
  }

  /** x [B, C, ...] → [B, C, ...]. Throws a ShapeError where there are other channels. */
  forward(x: Tensor): Tensor {
    const B = batchOf('GroupNorm', x, this.channels);
    const normal = layerNorm(reshape(x, [B, this.groups, -1]), null, null, { eps: this.eps });
    return ofChannels(reshape(normal, x.shape), this.weight, this.bias);
  }
}

/** What a `BatchNorm` learns, and how it remembers. */
export interface BatchNormOptions extends RMSNormOptions {
  /** Share of the present batch in the running mean and variance; default 0.1. */
  momentum?: number;
  /** Whether running mean and variance are kept, which evaluation then uses; default true. */
  trackRunningStats?: boolean;
}
const batchNormOptions = declareOptions<BatchNormOptions>({
  eps: positive,
  affine: flag,
  momentum: share,
  trackRunningStats: flag,
});

/**
 * Each channel of x [B, C, ...] normalised over the batch (Ioffe and Szegedy 2015): in training by the mean and variance of
 * the batch, in evaluation by running ones, which training updates, those of the variance with Bessel's correction, as
 * PyTorch's.
 */
class BatchNorm extends Module {
  /** Factor of each channel, [C]; null without `affine`. */
  readonly weight: Parameter | null;
  /** Added to each channel, [C]; null without `affine`. */
  readonly bias: Parameter | null;
  /** Running mean, [C]; null where it is not kept. */
  readonly running_mean: Buffer | null;
  /** Running variance, [C]; null where it is not kept. */
  readonly running_var: Buffer | null;
  /** Batches seen, a number, for PyTorch's files; null where nothing is kept. */
  readonly num_batches_tracked: Buffer | null;
  /** Channels, C. */
  readonly channels: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Share of the present batch in the running values. */
  readonly momentum: number;
  readonly #ranks: readonly number[];

  constructor(name: string, ranks: readonly number[], channels: number, options: BatchNormOptions | undefined) {
    super();
    const { eps = 1e-5, affine = true, momentum = 0.1, trackRunningStats = true } = batchNormOptions(name, options);
    checkSizes(name, { channels });
    this.#ranks = ranks;
    this.channels = channels;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? parameter(ones([channels]), 'weight') : null;
    this.bias = affine ? parameter(zeros([channels]), 'bias') : null;
    this.running_mean = trackRunningStats ? new Buffer(zeros([channels]), 'running_mean') : null;
    this.running_var = trackRunningStats ? new Buffer(ones([channels]), 'running_var') : null;
    this.num_batches_tracked = trackRunningStats
      ? new Buffer(tensor(0, { dtype: 'i32' }), 'num_batches_tracked')
      : null;
  }

  /** x [B, C, ...] → [B, C, ...]. Throws a ShapeError for another rank or other channels. */
  forward(x: Tensor): Tensor {
    const { name } = this.constructor;
    batchOf(name, x, this.channels);
    if (!this.#ranks.includes(x.rank))
      throw new ShapeError(
        `[${name}] the input must have ${this.#ranks.join(' or ')} dimensions, got ${formatShape(x.shape)}`,
      );
    const [center, spread] = this.#statistics(x);
    const scale = rsqrt(add(spread, this.eps));
    return ofChannels(mul(sub(x, alongChannels(center, x)), alongChannels(scale, x)), this.weight, this.bias);
  }

  /** Mean and variance of each channel, [C], that this batch is normalised by. */
  #statistics(x: Tensor): [mean: Tensor, variance: Tensor] {
    const [runningMean, runningVariance] = [this.running_mean, this.running_var];
    if (!this.training && runningMean && runningVariance) return [runningMean.version, runningVariance.version];
    const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
    const n = x.size / this.channels;
    if (this.training && n === 1)
      throw new ValueError(
        `[${this.constructor.name}] one value per channel has no variance, got ${formatShape(x.shape)}`,
      );
    const center = mean(x, axes);
    const squares = sumSquares(sub(x, alongChannels(center, x)), axes);
    if (this.training && runningMean && runningVariance) {
      const share = this.momentum;
      runningMean.assign(add(mul(runningMean.version, 1 - share), mul(detach(center), share)));
      runningVariance.assign(add(mul(runningVariance.version, 1 - share), mul(detach(squares), share / (n - 1))));
      this.num_batches_tracked?.assign(add(this.num_batches_tracked.version, 1));
    }
    return [center, mul(squares, 1 / n)];
  }
}

/** Batch norm of vectors [B, C] and of sequences [B, C, T]: each channel normalised over batch and time. */
export class BatchNorm1d extends BatchNorm {
  constructor(channels: number, options?: BatchNormOptions) {
    super('BatchNorm1d', [2, 3], channels, options);
  }
}
/** Batch norm of pictures [B, C, height, width]: each channel normalised over batch and places. */
export class BatchNorm2d extends BatchNorm {
  constructor(channels: number, options?: BatchNormOptions) {
    super('BatchNorm2d', [4], channels, options);
  }
}

/** The batch of x [B, C, ...]. */
function batchOf(name: string, x: Tensor, channels: number): number {
  expectTensor(name, 'the input', x);
  if (x.rank < 2 || x.shape[1] !== channels)
    throw new ShapeError(`[${name}] the input must be [B, ${channels}, ...], got ${formatShape(x.shape)}`);
  return x.shape[0] as number;
}
/** Numbers of channels [C], so that they broadcast to x [B, C, ...]. */
const alongChannels = (numbers: Tensor, x: Tensor) => reshape(numbers, [-1, ...x.shape.slice(2).map(() => 1)]);
function ofChannels(x: Tensor, weight: Tensor | null, bias: Tensor | null): Tensor {
  const scaled = weight ? mul(x, alongChannels(weight, x)) : x;
  return bias ? add(scaled, alongChannels(bias, x)) : scaled;
}
