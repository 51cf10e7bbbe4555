import { State } from '../graph/state.ts';
import { Tensor } from '../tensor.ts';

/** A tensor that belongs to a module and to its `stateDict`, and that no gradient reaches: a table, a running average. */
export class Buffer extends Tensor {
  readonly state: State;

  constructor(initial: Tensor, name = 'buffer') {
    super(initial.node, initial.index, initial.shape, initial.dtype);
    this.state = new State(initial, name);
  }

  override get version(): Tensor {
    return this.state.value;
  }

  /** Makes `value` the next version; values computed before keep the old one. */
  assign(value: Tensor): void {
    this.state.assign(value);
  }
}
