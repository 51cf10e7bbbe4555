import type { Values } from '../core/types.ts';
import { Stateful } from '../graph/parameter.ts';
import type { Tensor } from '../graph/tensor.ts';
import { asTensor, fresh } from '../ops/create.ts';

/** A tensor that belongs to a module and to its `stateDict`, and that no gradient reaches: a table, a running average. */
export class Buffer extends Stateful {
  /** A buffer that starts with the given values, a tensor or whatever `tensor` takes. */
  constructor(values: Tensor | Values, name = 'buffer') {
    super(fresh(asTensor(values)), name);
  }

  override get [Symbol.toStringTag](): string {
    return 'Buffer';
  }
}
