import { expectKind, integer } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import {
  type EluOptions,
  eluOptions,
  type GeluOptions,
  geluOptions,
  type LeakyReluOptions,
  leakyReluOptions,
} from '../ops/activationOptions.ts';
import { elu, gelu, leakyRelu, relu, sigmoid, silu, softplus, tanh } from '../ops/elementwise.ts';
import { logSoftmax, softmax } from '../ops/softmax.ts';
import { Module } from './module.ts';

/** Elementwise functions as modules, for `Sequential`. Each takes x of any shape and gives the same shape. */

/** max(x, 0). */
export class ReLU extends Module {
  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return relu(x);
  }
}
/** x where positive, slope·x elsewhere. */
export class LeakyReLU extends Module {
  /** Slope for what is not positive, 0.01 by default. */
  readonly options: LeakyReluOptions;

  constructor(options?: LeakyReluOptions) {
    super();
    this.options = leakyReluOptions('LeakyReLU', options);
  }

  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.options);
  }
}
/** x where positive, α(eˣ − 1) elsewhere. */
export class ELU extends Module {
  /** α, 1 by default. */
  readonly options: EluOptions;

  constructor(options?: EluOptions) {
    super();
    this.options = eluOptions('ELU', options);
  }

  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return elu(x, this.options);
  }
}
/** x·Φ(x). */
export class GELU extends Module {
  /** Exact by default, or in the tanh form. */
  readonly options: GeluOptions;

  constructor(options?: GeluOptions) {
    super();
    this.options = geluOptions('GELU', options);
  }

  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return gelu(x, this.options);
  }
}
/** x·sigmoid(x). */
export class SiLU extends Module {
  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return silu(x);
  }
}
/** tanh(x). */
export class Tanh extends Module {
  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return tanh(x);
  }
}
/** 1/(1 + e⁻ˣ). */
export class Sigmoid extends Module {
  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}
/** ln(1 + eˣ). */
export class Softplus extends Module {
  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return softplus(x);
  }
}
/** eˣ/Σ eˣ along an axis, the last by default. */
export class Softmax extends Module {
  /** The dimension whose elements add up to 1. */
  readonly axis: number;

  constructor(axis = -1) {
    super();
    expectKind('Softmax', 'axis', axis, integer);
    this.axis = axis;
  }

  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return softmax(x, this.axis);
  }
}
/** The logarithm of `Softmax`. */
export class LogSoftmax extends Module {
  /** The dimension whose exponentials add up to 1. */
  readonly axis: number;

  constructor(axis = -1) {
    super();
    expectKind('LogSoftmax', 'axis', axis, integer);
    this.axis = axis;
  }

  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return logSoftmax(x, this.axis);
  }
}
/** x as it is: a place for what is switched off. */
export class Identity extends Module {
  /** x [...] → [...]. */
  forward(x: Tensor): Tensor {
    return x;
  }
}
