import { DTypeError, ShapeError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import type { TensorType } from './node.ts';
import { currentTrace, noteChange, type Trace, withTrace } from './record.ts';
import { formatShape, sameShape } from './shape.ts';

/** Which state a leaf tensor is a version of. */
const owners = new WeakMap<Tensor, State>();
export function stateOf(tensor: Tensor): State | undefined {
  return owners.get(tensor);
}
export function markVersion(tensor: Tensor, state: State): Tensor {
  owners.set(tensor, state);
  return tensor;
}

/** Reads a segment of a flat pack as a leaf of its own; made by ops/view.ts, which this layer must not import. */
type Segment = (flat: Tensor, offset: number, type: TensorType) => Tensor;
type Place = (flat: Tensor, value: Tensor, offset: number) => Tensor;
let segment: Segment;
let place: Place;
export function providePacking(operations: { segment: Segment; place: Place }): void {
  ({ segment, place } = operations);
}

/** Eager assignments whose value has not been computed yet, in program order. */
export const pendingStates = new Set<State>();

/**
 * A slot with versions: a parameter, an optimizer moment, a carried hidden state. `assign` makes the next version;
 * values read before keep the old one.
 */
export class State {
  readonly type: TensorType;
  readonly label: string;
  /** True for parameters: `backward` gives them a gradient. */
  readonly trainable: boolean;
  /** The pack this state lies in, since an optimizer or a module gathered it there. */
  home: { readonly pack: State; readonly offset: number } | null = null;
  /** The accumulated gradient, once there has been one. */
  gradient: State | null = null;
  #hasGradient = false;
  /** Null once the state lies in a pack. */
  #current: Tensor | null;
  readonly #views = new WeakMap<Tensor, Tensor>();

  constructor(initial: Tensor, label: string, trainable = false) {
    this.type = { shape: initial.shape, dtype: initial.dtype };
    this.label = label;
    this.trainable = trainable;
    this.#current = markVersion(initial, this);
  }

  /** True between `backward` and `zeroGrad`. */
  get hasGradient(): boolean {
    return this.#hasGradient;
  }
  set hasGradient(present: boolean) {
    if (present !== this.#hasGradient) noteChange();
    this.#hasGradient = present;
  }

  /** The version that is current at this point of the program, or of the trace. */
  get value(): Tensor {
    const trace = currentTrace();
    trace?.locate(this);
    if (this.home) {
      const flat = this.home.pack.value;
      let view = this.#views.get(flat);
      if (!view) {
        const { offset } = this.home;
        // Recorded where the pack's value is: the body of a scan may ask first, and others later.
        view = withTrace(flat.node.trace as Trace | null, () => markVersion(segment(flat, offset, this.type), this));
        this.#views.set(flat, view);
      }
      return view;
    }
    if (trace) return trace.read(this);
    // Whoever asks may keep it, computed or not: the next compiled step must then not write over it.
    this.committed.observed = true;
    return this.committed;
  }

  /** The current version outside any trace: what plans read at replay. */
  get committed(): Tensor {
    return this.#current as Tensor;
  }

  /** Makes `value` the next version. Throws where shape or dtype differ. */
  assign(value: Tensor): void {
    if (!sameShape(value.shape, this.type.shape)) {
      throw new ShapeError(
        `[assign] ${this.label} has shape ${formatShape(this.type.shape)}, the value ${formatShape(value.shape)}; they must be equal`,
      );
    }
    if (value.dtype !== this.type.dtype)
      throw new DTypeError(`[assign] ${this.label} is ${this.type.dtype}, the value ${value.dtype}; cast it first`);
    if (this.home) {
      const { pack, offset } = this.home;
      pack.assign(place(pack.value, value, offset));
      return;
    }
    const trace = currentTrace();
    if (trace) trace.assign(this, value);
    else {
      this.#current = value.asVersion(this);
      pendingStates.add(this);
    }
  }

  /** Puts a finished tensor in place of the current version: the end of a plan, or loading. */
  commit(version: Tensor): void {
    this.#current = markVersion(version, this);
  }

  /** The slot of the accumulated gradient; `zeros` makes its first version. */
  gradientSlot(zeros: () => Tensor): State {
    this.gradient ??= new State(zeros(), `gradient of ${this.label}`);
    return this.gradient;
  }

  /** Forgets the accumulated gradient. */
  dropGradient(): void {
    this.hasGradient = false;
    if (this.gradient) pendingStates.delete(this.gradient);
  }

  /** Moves the state into a pack: from now on its value is a segment of the pack's. */
  moveTo(pack: State, offset: number): void {
    this.home = { pack, offset };
    noteChange();
    this.#current = null;
    pendingStates.delete(this);
  }
}
