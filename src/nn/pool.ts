import { count, expectKind, type Kind } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { countOrPair, type NumberOrPair } from '../ops/conv.ts';
import {
  type AvgPool1dOptions,
  type AvgPool2dOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  avgPool1d,
  avgPool1dOptions,
  avgPool2d,
  avgPool2dOptions,
  type MaxPool1dOptions,
  type MaxPool2dOptions,
  maxPool1d,
  maxPool1dOptions,
  maxPool2d,
  maxPool2dOptions,
} from '../ops/pool.ts';
import { type InterpolateOptions, interpolate, interpolateOptions } from '../ops/resample.ts';
import { Module } from './module.ts';

/** A pool over windows of one size. */
abstract class WindowPool<Size extends NumberOrPair, Options extends object> extends Module {
  /** Length of a window, or rows and columns. */
  readonly kernelSize: Size;
  /** How the windows lie. */
  readonly options: Options;
  readonly #pool: (x: Tensor, kernelSize: Size, options: Options) => Tensor;

  constructor(
    pool: (x: Tensor, kernelSize: Size, options: Options) => Tensor,
    kernelSize: Size,
    kind: Kind<Size>,
    options: Options,
  ) {
    super();
    expectKind(new.target.name, 'kernelSize', kernelSize, kind);
    this.kernelSize = kernelSize;
    this.options = options;
    this.#pool = pool;
  }

  /**
   * x [B, C, T] → [B, C, OT], or [B, C, H, W] → [B, C, OH, OW]. Throws a ShapeError for another rank, or where the windows are
   * longer than the padded input.
   */
  forward(x: Tensor): Tensor {
    return this.#pool(x, this.kernelSize, this.options);
  }
}

/** A pool over some windows that cover the input evenly. */
abstract class AdaptivePool<Size extends NumberOrPair> extends Module {
  /** How many windows, or rows and columns of them. */
  readonly outputSize: Size;
  readonly #pool: (x: Tensor, outputSize: Size) => Tensor;

  constructor(pool: (x: Tensor, outputSize: Size) => Tensor, outputSize: Size, kind: Kind<Size>) {
    super();
    expectKind(new.target.name, 'outputSize', outputSize, kind);
    this.outputSize = outputSize;
    this.#pool = pool;
  }

  /** x [B, C, T] → [B, C, outputSize], or [B, C, H, W] → [B, C, OH, OW]. Throws a ShapeError for another rank. */
  forward(x: Tensor): Tensor {
    return this.#pool(x, this.outputSize);
  }
}

/** The greatest of each window: [B, C, T] → [B, C, OT], as `maxPool1d`. */
export class MaxPool1d extends WindowPool<number, MaxPool1dOptions> {
  constructor(kernelSize: number, options?: MaxPool1dOptions) {
    super(maxPool1d, kernelSize, count, maxPool1dOptions('MaxPool1d', options));
  }
}

/** The greatest of each window: [B, C, H, W] → [B, C, OH, OW], as `maxPool2d`. */
export class MaxPool2d extends WindowPool<NumberOrPair, MaxPool2dOptions> {
  constructor(kernelSize: NumberOrPair, options?: MaxPool2dOptions) {
    super(maxPool2d, kernelSize, countOrPair, maxPool2dOptions('MaxPool2d', options));
  }
}

/** The mean of each window: [B, C, T] → [B, C, OT], as `avgPool1d`. */
export class AvgPool1d extends WindowPool<number, AvgPool1dOptions> {
  constructor(kernelSize: number, options?: AvgPool1dOptions) {
    super(avgPool1d, kernelSize, count, avgPool1dOptions('AvgPool1d', options));
  }
}

/** The mean of each window: [B, C, H, W] → [B, C, OH, OW], as `avgPool2d`. */
export class AvgPool2d extends WindowPool<NumberOrPair, AvgPool2dOptions> {
  constructor(kernelSize: NumberOrPair, options?: AvgPool2dOptions) {
    super(avgPool2d, kernelSize, countOrPair, avgPool2dOptions('AvgPool2d', options));
  }
}

/** The mean of each of some windows that cover the input evenly: [B, C, T] → [B, C, outputSize], as `adaptiveAvgPool1d`. */
export class AdaptiveAvgPool1d extends AdaptivePool<number> {
  constructor(outputSize: number) {
    super(adaptiveAvgPool1d, outputSize, count);
  }
}

/** The mean of each of some windows that cover the input evenly: [B, C, H, W] → [B, C, OH, OW], as `adaptiveAvgPool2d`. */
export class AdaptiveAvgPool2d extends AdaptivePool<NumberOrPair> {
  constructor(outputSize: NumberOrPair) {
    super(adaptiveAvgPool2d, outputSize, countOrPair);
  }
}

/** The greatest of each of some windows that cover the input evenly: [B, C, T] → [B, C, outputSize], as `adaptiveMaxPool1d`. */
export class AdaptiveMaxPool1d extends AdaptivePool<number> {
  constructor(outputSize: number) {
    super(adaptiveMaxPool1d, outputSize, count);
  }
}

/** The greatest of each of some windows that cover the input evenly: [B, C, H, W] → [B, C, OH, OW], as `adaptiveMaxPool2d`. */
export class AdaptiveMaxPool2d extends AdaptivePool<NumberOrPair> {
  constructor(outputSize: NumberOrPair) {
    super(adaptiveMaxPool2d, outputSize, countOrPair);
  }
}

/** Pictures or sequences made larger, or smaller: [B, C, H, W] → [B, C, OH, OW] or [B, C, T] → [B, C, OT], as `interpolate`. */
export class Upsample extends Module {
  /** `size` or `scale`, and how. */
  readonly options: InterpolateOptions;

  constructor(options: InterpolateOptions) {
    super();
    this.options = interpolateOptions('Upsample', options);
  }

  /** x [B, C, H, W] → [B, C, OH, OW], or [B, C, T] → [B, C, OT]. Throws a ShapeError for another rank, or where nothing is left. */
  forward(x: Tensor): Tensor {
    return interpolate(x, this.options);
  }
}
