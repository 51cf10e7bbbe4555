import { declareOptions, finite, oneOf } from '../core/options.ts';

/** Options of activations, as functions and as modules. */

/** Options of `leakyRelu`. */
export interface LeakyReluOptions {
  /** Factor where x is not positive; 0.01 by default. */
  slope?: number;
}
/** Options of `elu`. */
export interface EluOptions {
  /** α, the distance of the lower bound from 0; 1 by default. */
  alpha?: number;
}
/** Options of `gelu`. */
export interface GeluOptions {
  /** `none`, the default, takes Φ itself; `tanh` takes ½(1 + tanh(√(2/π)·(x + 0.044715x³))) in its place. */
  approximate?: 'none' | 'tanh';
}
export const leakyReluOptions = declareOptions<LeakyReluOptions>({ slope: finite });
export const eluOptions = declareOptions<EluOptions>({ alpha: finite });
export const geluOptions = declareOptions<GeluOptions>({ approximate: oneOf('none', 'tanh') });
