import { ValueError } from '../core/errors.ts';
import { declareOptions, expectKind, flag } from '../core/options.ts';
import { sizeOf } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import type { Tensor } from '../graph/tensor.ts';
import {
  type Conv1dOptions as Conv1dSteps,
  type Conv2dOptions as Conv2dSteps,
  type ConvTranspose1dOptions as ConvTranspose1dSteps,
  type ConvTranspose2dOptions as ConvTranspose2dSteps,
  conv1d,
  conv1dKinds,
  conv2d,
  conv2dKinds,
  convTranspose1d,
  convTranspose1dKinds,
  convTranspose2d,
  convTranspose2dKinds,
  countOrPair,
  type NumberOrPair,
  pairOfBoth,
} from '../ops/conv.ts';
import { parameter } from '../ops/create.ts';
import { kaimingUniform, uniform } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Options of the function, and whether there is a bias. */
interface Biased {
  /** Whether there is a bias; default true. */
  bias?: boolean;
}
/** How the windows of a `Conv1d` lie, and whether it adds a bias. */
export interface Conv1dOptions extends Conv1dSteps, Biased {}
/** How the windows of a `Conv2d` lie, and whether it adds a bias. */
export interface Conv2dOptions extends Conv2dSteps, Biased {}
/** How the windows of a `ConvTranspose1d` lie, and whether it adds a bias. */
export interface ConvTranspose1dOptions extends ConvTranspose1dSteps, Biased {}
/** How the windows of a `ConvTranspose2d` lie, and whether it adds a bias. */
export interface ConvTranspose2dOptions extends ConvTranspose2dSteps, Biased {}
const conv1dOptions = declareOptions<Conv1dOptions>({ ...conv1dKinds, bias: flag });
const conv2dOptions = declareOptions<Conv2dOptions>({ ...conv2dKinds, bias: flag });
const convTranspose1dOptions = declareOptions<ConvTranspose1dOptions>({ ...convTranspose1dKinds, bias: flag });
const convTranspose2dOptions = declareOptions<ConvTranspose2dOptions>({ ...convTranspose2dKinds, bias: flag });

/** Checks channels and groups of a module. */
function checkGroups(module: string, inChannels: number, outChannels: number, groups: number): void {
  checkSizes(module, { inChannels, outChannels, groups });
  for (const [name, channels] of Object.entries({ inChannels, outChannels }))
    if (channels % groups !== 0)
      throw new ValueError(`[${module}] ${groups} groups do not divide ${name}, ${channels}`);
}

/** A weight, and a bias [outChannels] or null, both uniform within ±1/√(what meets an output), as in PyTorch. */
function initial(shape: readonly number[], outChannels: number, bias: boolean): [Parameter, Parameter | null] {
  const bound = 1 / Math.sqrt(sizeOf(shape.slice(1)));
  return [
    parameter(kaimingUniform(shape, { gain: Math.sqrt(1 / 3) }), 'weight'),
    bias ? parameter(uniform([outChannels], { low: -bound, high: bound }), 'bias') : null,
  ];
}

/** `conv1d` with a weight and a bias: [B, in, T] → [B, out, OT]. Both start uniform within ±1/√(in / groups · K), as in PyTorch. */
export class Conv1d extends Module {
  /** [out, in / groups, K]. */
  readonly weight: Parameter;
  /** [out]; null without a bias. */
  readonly bias: Parameter | null;
  readonly #steps: Conv1dSteps;

  constructor(inChannels: number, outChannels: number, kernelSize: number, options?: Conv1dOptions) {
    super();
    const { bias = true, ...steps } = conv1dOptions('Conv1d', options);
    checkSizes('Conv1d', { kernelSize });
    const { groups = 1 } = steps;
    checkGroups('Conv1d', inChannels, outChannels, groups);
    [this.weight, this.bias] = initial([outChannels, inChannels / groups, kernelSize], outChannels, bias);
    this.#steps = steps;
  }

  /** x [B, in, T] → [B, out, OT]. Throws a ShapeError for another rank, other channels, or an input shorter than the kernel. */
  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.#steps);
  }
}

/**
 * `conv2d` with a weight and a bias: [B, in, H, W] → [B, out, OH, OW]. Both start uniform within ±1/√(in / groups · KH · KW),
 * as in PyTorch.
 */
export class Conv2d extends Module {
  /** [out, in / groups, KH, KW]. */
  readonly weight: Parameter;
  /** [out]; null without a bias. */
  readonly bias: Parameter | null;
  readonly #steps: Conv2dSteps;

  constructor(inChannels: number, outChannels: number, kernelSize: NumberOrPair, options?: Conv2dOptions) {
    super();
    const { bias = true, ...steps } = conv2dOptions('Conv2d', options);
    expectKind('Conv2d', 'kernelSize', kernelSize, countOrPair);
    const { groups = 1 } = steps;
    checkGroups('Conv2d', inChannels, outChannels, groups);
    const shape = [outChannels, inChannels / groups, ...pairOfBoth(kernelSize)];
    [this.weight, this.bias] = initial(shape, outChannels, bias);
    this.#steps = steps;
  }

  /** x [B, in, H, W] → [B, out, OH, OW]. Throws a ShapeError for another rank, other channels, or an input smaller than the kernel. */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.#steps);
  }
}

/**
 * `convTranspose1d` with a weight and a bias: [B, in, T] → [B, out, OT]. Both start uniform within ±1/√(out / groups · K), as in
 * PyTorch.
 */
export class ConvTranspose1d extends Module {
  /** [in, out / groups, K]. */
  readonly weight: Parameter;
  /** [out]; null without a bias. */
  readonly bias: Parameter | null;
  readonly #steps: ConvTranspose1dSteps;

  constructor(inChannels: number, outChannels: number, kernelSize: number, options?: ConvTranspose1dOptions) {
    super();
    const { bias = true, ...steps } = convTranspose1dOptions('ConvTranspose1d', options);
    checkSizes('ConvTranspose1d', { kernelSize });
    const { groups = 1 } = steps;
    checkGroups('ConvTranspose1d', inChannels, outChannels, groups);
    [this.weight, this.bias] = initial([inChannels, outChannels / groups, kernelSize], outChannels, bias);
    this.#steps = steps;
  }

  /** x [B, in, T] → [B, out, OT]. Throws a ShapeError for another rank, other channels, or where nothing would be left. */
  forward(x: Tensor): Tensor {
    return convTranspose1d(x, this.weight, this.bias, this.#steps);
  }
}

/**
 * `convTranspose2d` with a weight and a bias: [B, in, H, W] → [B, out, OH, OW]. Both start uniform within
 * ±1/√(out / groups · KH · KW), as in PyTorch.
 */
export class ConvTranspose2d extends Module {
  /** [in, out / groups, KH, KW]. */
  readonly weight: Parameter;
  /** [out]; null without a bias. */
  readonly bias: Parameter | null;
  readonly #steps: ConvTranspose2dSteps;

  constructor(inChannels: number, outChannels: number, kernelSize: NumberOrPair, options?: ConvTranspose2dOptions) {
    super();
    const { bias = true, ...steps } = convTranspose2dOptions('ConvTranspose2d', options);
    expectKind('ConvTranspose2d', 'kernelSize', kernelSize, countOrPair);
    const { groups = 1 } = steps;
    checkGroups('ConvTranspose2d', inChannels, outChannels, groups);
    const shape = [inChannels, outChannels / groups, ...pairOfBoth(kernelSize)];
    [this.weight, this.bias] = initial(shape, outChannels, bias);
    this.#steps = steps;
  }

  /** x [B, in, H, W] → [B, out, OH, OW]. Throws a ShapeError for another rank, other channels, or where nothing would be left. */
  forward(x: Tensor): Tensor {
    return convTranspose2d(x, this.weight, this.bias, this.#steps);
  }
}
