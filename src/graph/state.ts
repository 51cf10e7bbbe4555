import { DTypeError, ShapeError } from '../core/errors.ts';
import type { OutcomeListener } from '../core/outcome.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { fromHost, versionOp, zeroLeaf } from './leaf.ts';
import { place, segment } from './packing.ts';
import { applyOne, currentTrace, noteChange, type Trace, withTrace } from './record.ts';
import type { Tensor } from './tensor.ts';

/** The state of which a leaf tensor is a version. */
const owners = new WeakMap<Tensor, State>();
export function stateOf(tensor: Tensor): State | undefined {
  return owners.get(tensor);
}
export function markVersion(tensor: Tensor, state: State): Tensor {
  owners.set(tensor, state);
  return tensor;
}

/** A leaf with the value, for a state to hold. */
function versionFor(state: State, value: Tensor): Tensor {
  if (value.source && !stateOf(value)) return markVersion(fromHost(value, value.source), state);
  return markVersion(applyOne(versionOp, [value]), state);
}

/** States with eager assignments that have not been computed yet, in program order. */
export const pendingStates = new Set<State>();

/** Eager assignments of a state, as the flush that computes them takes them. */
export interface Assignment {
  readonly state: State;
  /** The last version; those between are on the way to it. */
  readonly version: Tensor;
  /** The version until then, to which the state goes back where this one can't be computed; null where that was nothing. */
  readonly before: Tensor | null;
}

/** The tensors that take the place of versions which could not be computed. */
const standIns = new WeakMap<Tensor, Tensor>();

/** Takes all assignments that are pending. */
export function takeAssignments(): Assignment[] {
  const taken = [...pendingStates].map((state) => state.takeAssignment());
  pendingStates.clear();
  return taken;
}

/**
 * A slot with versions: a parameter, an optimizer moment, a carried hidden state. `assign` makes the next version;
 * values read before keep the old one.
 */
export class State {
  readonly type: TensorType;
  readonly label: string;
  /** True for parameters: `backward` gives them a gradient. */
  readonly trainable: boolean;
  /** The pack that this state lies in, once an optimizer has gathered it there. */
  home: { readonly pack: State; readonly offset: number } | null = null;
  /** The slot of the accumulated gradient, once there has been one. */
  gradient: State | null = null;
  /** The parameter whose gradient this is the slot of. */
  readonly owner: State | null;
  #hasGradient = false;
  /** Who has last set `hasGradient`. */
  #saidBy: object | null = null;
  #frozen = false;
  /** Null once the state lies in a pack. */
  #current: Tensor | null;
  /** The version before those that are pending. */
  #before: Tensor | null = null;
  /** The version of a gradient that was the last when it was forgotten. */
  #dropped: Tensor | null = null;
  readonly #views = new WeakMap<Tensor, Tensor>();
  readonly #listeners = new WeakMap<Tensor, OutcomeListener>();

  constructor(initial: Tensor, label: string, trainable = false, owner: State | null = null) {
    this.type = { shape: initial.shape, dtype: initial.dtype };
    this.label = label;
    this.trainable = trainable;
    this.owner = owner;
    this.#current = markVersion(initial, this);
  }

  /** Whether `backward` gives the state a gradient now: it is a parameter, and not frozen. A trace depends on it. */
  get requiresGrad(): boolean {
    const read = () => this.trainable && !this.#frozen;
    return currentTrace()?.guard(read) ?? read();
  }
  set requiresGrad(wanted: boolean) {
    if (wanted === this.#frozen) noteChange();
    this.#frozen = !wanted;
  }

  /** True between `backward` and `zeroGrad`. */
  get hasGradient(): boolean {
    return this.#hasGradient;
  }
  set hasGradient(present: boolean) {
    this.settleGradient(present, null);
  }

  /** Sets, in the name of `by`, whether there is a gradient; does nothing where another than `after` has set it since. */
  settleGradient(present: boolean, by: object | null, after: object | null = this.#saidBy): void {
    if (after !== this.#saidBy) return;
    if (present !== this.#hasGradient) noteChange();
    this.#hasGradient = present;
    this.#saidBy = by;
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
      if (!pendingStates.has(this)) this.#before = this.isVoid ? null : this.#current;
      this.#current = versionFor(this, value);
      pendingStates.add(this);
    }
  }

  /** True for the slot of a gradient that is not there. */
  get isVoid(): boolean {
    return this.owner !== null && !this.owner.hasGradient;
  }

  takeAssignment(): Assignment {
    const before = this.#before;
    this.#before = null;
    return { state: this, version: this.committed, before };
  }

  /** Takes back an assignment that could not be computed: what was recorded on top of it stands on the version before. */
  revert(assignment: Assignment): void {
    const { version, before } = assignment;
    const kept = before ? (standIns.get(before) ?? before) : zeroLeaf(this.type);
    kept.observed = true;
    version.node = { ...version.node, op: versionOp, attributes: {}, inputs: [kept] };
    standIns.set(version, kept);
    this.restorePresence(assignment);
    if (this.#current === version) this.#current = markVersion(kept, this);
  }

  /** Restores `hasGradient` to what it was before an assignment to the gradient that came to nothing. */
  restorePresence({ version, before }: Assignment): void {
    this.listenerOf(version)?.failed();
    if (!this.owner || this.#current !== version) return;
    if (before === null) this.owner.hasGradient = false;
    else if (this.#dropped === version) this.owner.hasGradient = true;
  }

  /** Tells `listener` what becomes of the pending assignment: where it comes to nothing, the host takes back what it has counted. */
  onOutcome(listener: OutcomeListener): void {
    this.#listeners.set(this.committed, listener);
  }

  /** The listeners for the outcome of the version. */
  listenerOf(version: Tensor): OutcomeListener | undefined {
    return this.#listeners.get(version);
  }

  /** Puts a finished tensor in place of the current version: the end of a plan, or loading. */
  commit(version: Tensor): void {
    this.#current = markVersion(version, this);
  }

  /** The slot of the accumulated gradient, which starts with zeros. */
  gradientSlot(): State {
    this.gradient ??= new State(zeroLeaf(this.type), `gradient of ${this.label}`, false, this);
    return this.gradient;
  }

  /** Forgets the accumulated gradient. */
  dropGradient(): void {
    if (this.gradient && this.hasGradient) this.gradient.#dropped = this.gradient.#current;
    this.hasGradient = false;
    if (this.gradient) pendingStates.delete(this.gradient);
  }

  /** Forgets the accumulated gradient, and the slot, which lies on a device that was lost. */
  loseGradient(): void {
    this.dropGradient();
    this.gradient = null;
  }

  /** Moves the state into a pack: from now on its value is a segment of the pack's. */
  moveTo(pack: State, offset: number): void {
    this.home = { pack, offset };
    noteChange();
    this.#current = null;
    pendingStates.delete(this);
  }
}
