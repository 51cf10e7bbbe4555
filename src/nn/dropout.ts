import type { Tensor } from '../graph/tensor.ts';
import { checkProbability, dropout } from '../ops/random.ts';
import { Module } from './module.ts';

/** In training, zeros elements with the given probability and scales the rest by 1/(1 − p) (Srivastava et al. 2014). */
export class Dropout extends Module {
  /** Probability of zeroing an element, p. */
  readonly probability: number;

  constructor(probability = 0.5) {
    super();
    checkProbability('Dropout', probability);
    this.probability = probability;
  }

  /** x of any shape → the same shape; x itself in evaluation. */
  forward(x: Tensor): Tensor {
    return this.probability > 0 && this.training ? dropout(x, this.probability) : x;
  }
}
