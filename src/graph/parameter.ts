import type { HostArray } from '../core/dtype.ts';
import { expectKind, flag } from '../core/options.ts';
import { currentTrace, expectTensor } from './record.ts';
import { State } from './state.ts';
import { Tensor } from './tensor.ts';

/** A tensor whose value has versions: it stands for the current one, and `assign` makes the next. */
export class Stateful extends Tensor {
  override readonly state: State;

  constructor(initial: Tensor, name: string, trainable = false) {
    super(initial.node, initial.index, initial.shape, initial.dtype);
    this.state = new State(initial, name, trainable);
  }

  override get version(): Tensor {
    return this.state.value;
  }

  /** Of the current version, of which a state takes no notice here. */
  protected override get inHand(): HostArray | null {
    const { state } = this;
    return state.home || currentTrace() ? null : (state.committed.source?.inHand ?? null);
  }
}

/** A trained leaf: a tensor whose value has versions. `grad` accumulates until `zeroGrad()`. */
export class Parameter extends Stateful {
  constructor(initial: Tensor, name = 'parameter') {
    super(initial, name, true);
  }

  override get [Symbol.toStringTag](): string {
    return 'Parameter';
  }

  /** The accumulated gradient, or null. */
  override get grad(): Tensor | null {
    return gradientOf(this.state);
  }
  override set grad(value: Tensor | null) {
    setGradient(this.state, value);
  }

  /**
   * Whether `backward` gives it a gradient, and optimizers change it; false for a frozen parameter, for whose sake nothing is
   * computed. A compiled step has a plan for each choice. PyTorch's `requires_grad`.
   */
  get requiresGrad(): boolean {
    return this.state.requiresGrad;
  }
  set requiresGrad(wanted: boolean) {
    expectKind('parameter', 'requiresGrad', wanted, flag);
    this.state.requiresGrad = wanted;
  }
}

/** The accumulated gradient of a trainable state, as the program or the trace sees it here. */
export function gradientOf(state: State): Tensor | null {
  const trace = currentTrace();
  if (trace) return trace.gradient(state);
  return state.hasGradient ? (state.gradient as State).value : null;
}
export function setGradient(state: State, value: Tensor | null): void {
  if (value !== null) expectTensor('grad', 'a gradient', value);
  const trace = currentTrace();
  if (trace) trace.setGradient(state, value);
  else if (value === null) state.dropGradient();
  else {
    state.gradientSlot().assign(value);
    state.hasGradient = true;
  }
}
