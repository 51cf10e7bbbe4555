import type { Tensor } from '../graph/tensor.ts';
import { type Layer, Module } from './module.ts';

/** Layers one after another; their parameters are named `0.weight`, `1.weight`, … as in PyTorch. */
export class Sequential extends Module {
  readonly #layers: readonly Layer[];

  constructor(...layers: Layer[]) {
    super();
    this.#layers = layers;
    Object.assign(this, layers);
  }

  /** Runs the layers in order, each on what the one before gave. */
  forward(x: Tensor): Tensor {
    return this.#layers.reduce((value, layer) => layer.forward(value), x);
  }
}
