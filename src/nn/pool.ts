import { count, expectKind } from '../core/options.ts';
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

/** The greatest of each window: [B, C, T] → [B, C, OT], as `maxPool1d`. */
export class MaxPool1d extends Module {
  /** Length of a window. */
  readonly kernelSize: number;
  /** How the windows lie. */
  readonly options: MaxPool1dOptions;

  constructor(kernelSize: number, options?: MaxPool1dOptions) {
    super();
    this.options = maxPool1dOptions('MaxPool1d', options);
    expectKind('MaxPool1d', 'kernelSize', kernelSize, count);
    this.kernelSize = kernelSize;
  }

  /** x [B, C, T] → [B, C, OT]. Throws a ShapeError for another rank, or where the windows are longer than the padded input. */
  forward(x: Tensor): Tensor {
    return maxPool1d(x, this.kernelSize, this.options);
  }
}

/** The greatest of each window: [B, C, H, W] → [B, C, OH, OW], as `maxPool2d`. */
export class MaxPool2d extends Module {
  /** Length of a window, or rows and columns. */
  readonly kernelSize: NumberOrPair;
  /** How the windows lie. */
  readonly options: MaxPool2dOptions;

  constructor(kernelSize: NumberOrPair, options?: MaxPool2dOptions) {
    super();
    this.options = maxPool2dOptions('MaxPool2d', options);
    expectKind('MaxPool2d', 'kernelSize', kernelSize, countOrPair);
    this.kernelSize = kernelSize;
  }

  /** x [B, C, H, W] → [B, C, OH, OW]. Throws a ShapeError for another rank, or where the windows are longer than the padded input. */
  forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window: [B, C, T] → [B, C, OT], as `avgPool1d`. */
export class AvgPool1d extends Module {
  /** Length of a window. */
  readonly kernelSize: number;
  /** How the windows lie. */
  readonly options: AvgPool1dOptions;

  constructor(kernelSize: number, options?: AvgPool1dOptions) {
    super();
    this.options = avgPool1dOptions('AvgPool1d', options);
    expectKind('AvgPool1d', 'kernelSize', kernelSize, count);
    this.kernelSize = kernelSize;
  }

  /** x [B, C, T] → [B, C, OT]. Throws a ShapeError for another rank, or where the windows are longer than the padded input. */
  forward(x: Tensor): Tensor {
    return avgPool1d(x, this.kernelSize, this.options);
  }
}

/** The mean of each window: [B, C, H, W] → [B, C, OH, OW], as `avgPool2d`. */
export class AvgPool2d extends Module {
  /** Length of a window, or rows and columns. */
  readonly kernelSize: NumberOrPair;
  /** How the windows lie. */
  readonly options: AvgPool2dOptions;

  constructor(kernelSize: NumberOrPair, options?: AvgPool2dOptions) {
    super();
    this.options = avgPool2dOptions('AvgPool2d', options);
    expectKind('AvgPool2d', 'kernelSize', kernelSize, countOrPair);
    this.kernelSize = kernelSize;
  }

  /** x [B, C, H, W] → [B, C, OH, OW]. Throws a ShapeError for another rank, or where the windows are longer than the padded input. */
  forward(x: Tensor): Tensor {
    return avgPool2d(x, this.kernelSize, this.options);
  }
}

/** The mean of each of some windows that cover the input evenly: [B, C, T] → [B, C, outputSize], as `adaptiveAvgPool1d`. */
export class AdaptiveAvgPool1d extends Module {
  /** How many windows. */
  readonly outputSize: number;

  constructor(outputSize: number) {
    super();
    expectKind('AdaptiveAvgPool1d', 'outputSize', outputSize, count);
    this.outputSize = outputSize;
  }

  /** x [B, C, T] → [B, C, outputSize]. Throws a ShapeError for another rank. */
  forward(x: Tensor): Tensor {
    return adaptiveAvgPool1d(x, this.outputSize);
  }
}

/** The mean of each of some windows that cover the input evenly: [B, C, H, W] → [B, C, OH, OW], as `adaptiveAvgPool2d`. */
export class AdaptiveAvgPool2d extends Module {
  /** Rows and columns of windows. */
  readonly outputSize: NumberOrPair;

  constructor(outputSize: NumberOrPair) {
    super();
    expectKind('AdaptiveAvgPool2d', 'outputSize', outputSize, countOrPair);
    this.outputSize = outputSize;
  }

  /** x [B, C, H, W] → [B, C, OH, OW]. Throws a ShapeError for another rank. */
  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }
}

/** The greatest of each of some windows that cover the input evenly: [B, C, T] → [B, C, outputSize], as `adaptiveMaxPool1d`. */
export class AdaptiveMaxPool1d extends Module {
  /** How many windows. */
  readonly outputSize: number;

  constructor(outputSize: number) {
    super();
    expectKind('AdaptiveMaxPool1d', 'outputSize', outputSize, count);
    this.outputSize = outputSize;
  }

  /** x [B, C, T] → [B, C, outputSize]. Throws a ShapeError for another rank. */
  forward(x: Tensor): Tensor {
    return adaptiveMaxPool1d(x, this.outputSize);
  }
}

/** The greatest of each of some windows that cover the input evenly: [B, C, H, W] → [B, C, OH, OW], as `adaptiveMaxPool2d`. */
export class AdaptiveMaxPool2d extends Module {
  /** Rows and columns of windows. */
  readonly outputSize: NumberOrPair;

  constructor(outputSize: NumberOrPair) {
    super();
    expectKind('AdaptiveMaxPool2d', 'outputSize', outputSize, countOrPair);
    this.outputSize = outputSize;
  }

  /** x [B, C, H, W] → [B, C, OH, OW]. Throws a ShapeError for another rank. */
  forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize);
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
