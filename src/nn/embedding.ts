import type { Parameter } from '../graph/parameter.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parameter } from '../ops/create.ts';
import { embedding } from '../ops/embedding.ts';
import { normal } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** A row of `weight` [V, E] for each id: ids [...] → [..., E]. Rows start as N(0, 1), as in PyTorch. */
export class Embedding extends Module {
  /** A row for each id, [V, E]. */
  readonly weight: Parameter;

  constructor(count: number, width: number) {
    super();
    checkSizes('Embedding', { count, width });
    this.weight = parameter(normal([count, width]), 'weight');
  }

  /** ids [...] (i32 or u32) → [..., E]. An id outside [0, V) throws a ValueError at the next read. */
  forward(ids: Tensor): Tensor {
    return embedding(ids, this.weight);
  }
}
