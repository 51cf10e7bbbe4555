import { State } from '../graph/state.ts';
import { asTensor, fresh } from '../ops/create.ts';
import { Tensor, type Values } from '../tensor.ts';

/** A tensor that belongs to a module and to its `stateDict`, and that no gradient reaches: a table, a running average. */
export class Buffer extends Tensor {
  override readonly state: State;

  /** A buffer that starts with the given values, a tensor or whatever `tensor` takes. */
  constructor(values: Tensor | Values, name = 'buffer') {
    const initial = fresh(asTensor(values));
    super(initial.node, initial.index, initial.shape, initial.dtype);
    this.state = new State(initial, name);
  }

  override get [Symbol.toStringTag](): string {
    return 'Buffer';
  }

  override get version(): Tensor {
    return this.state.value;
  }

  /** Makes `value`, a tensor or whatever `tensor` takes, the next version; values computed before keep the old one. */
  assign(value: Tensor | Values): void {
    this.state.assign(asTensor(value));
  }
}
