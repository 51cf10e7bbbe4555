import { WeftError } from '../core/errors.ts';
import { alignment } from '../core/layout.ts';
import type { TensorType } from '../core/types.ts';
import { leaf, versionOp } from './leaf.ts';
import { applyOne, changeCount, type KeySource, nestTrace, type Streams, type Trace, withTrace } from './record.ts';
import { markVersion, type State } from './state.ts';
import type { Tensor } from './tensor.ts';

/** The random streams that a trace hands out: a key for each source, which stands for the positions of one run. */
class RandomStreams {
  readonly #keyOf: () => Tensor;
  readonly #sources = new Map<KeySource, { readonly key: Tensor; streams: number }>();

  constructor(keyOf: () => Tensor) {
    this.#keyOf = keyOf;
  }

  next(source: KeySource, count: number): Streams {
    const known = this.#sources.get(source) ?? { key: this.#keyOf(), streams: 0 };
    this.#sources.set(source, known);
    const stream = known.streams;
    known.streams += count;
    return { key: known.key, stream };
  }

  /** The keys, and how many streams each has given. */
  keys(): { readonly source: KeySource; readonly key: Tensor; readonly streams: number }[] {
    return [...this.#sources].map(([source, given]) => ({ source, ...given }));
  }
}

/** Records one run of a user's function: which states it reads and assigns, which host values it depends on. */
export class StepTrace implements Trace {
  readonly label = 'a compiled function';
  /** States in the order of their first read, with the leaf that stands for the version at the start. */
  readonly reads = new Map<State, Tensor>();
  /** The last version of each assigned state. */
  readonly writes = new Map<State, Tensor>();
  readonly dynamics: { readonly leaf: Tensor; readonly values: () => readonly number[] }[] = [];
  readonly #guards: { readonly read: () => unknown; readonly expected: unknown }[] = [];
  /** The place of each state at its first read: a state that moves into a pack meanwhile makes the trace void. */
  readonly #homes = new Map<State, State['home']>();
  #heldAt = -1;
  /** Accumulated gradients at this point, of the parameters that were asked about. */
  readonly #gradients = new Map<State, Tensor | null>();
  /** Whether they had one at the start. */
  readonly #present = new Map<State, boolean>();
  /** Parameters that got a gradient. */
  readonly #reached = new Set<State>();
  readonly randoms = new RandomStreams(() => this.leaf('dynamic', { shape: [4], dtype: 'u32' }));

  run<T>(body: () => T): T {
    nestTrace(this);
    return withTrace(this, body);
  }

  read(state: State): Tensor {
    const written = this.writes.get(state);
    if (written) return written;
    let tensor = this.reads.get(state);
    if (!tensor) {
      tensor = markVersion(this.leaf('state', state.type), state);
      this.reads.set(state, tensor);
    }
    return tensor;
  }

  assign(state: State, value: Tensor): void {
    this.read(state);
    this.writes.set(state, markVersion(applyOne(versionOp, [value]), state));
  }

  dynamic(values: () => readonly number[], length: number): Tensor {
    const tensor = this.leaf('dynamic', { shape: length === 1 ? [] : [length], dtype: 'f32' });
    this.dynamics.push({ leaf: tensor, values });
    return tensor;
  }

  random(source: KeySource, count: number): Streams {
    return this.randoms.next(source, count);
  }

  gradient(state: State): Tensor | null {
    if (!this.#gradients.has(state)) {
      const present = this.guard(() => state.hasGradient);
      this.#present.set(state, present);
      this.#gradients.set(state, present ? this.read(state.gradient as State) : null);
    }
    return this.#gradients.get(state) ?? null;
  }

  setGradient(state: State, value: Tensor | null): void {
    this.gradient(state);
    // A leaf, as an eager gradient is: what is made of it is differentiated through `grad`.
    this.#gradients.set(state, value && applyOne(versionOp, [value]));
    if (value) this.#reached.add(state);
  }

  /** Parameters that got a gradient, were given no value, and lie in no optimizer's pack. */
  get unheld(): State[] {
    return [...this.#reached].filter((state) => !state.home && !this.writes.has(state));
  }

  /** True while the same parameters have a gradient, and all states lie where they lay. */
  get statesHold(): boolean {
    for (const [state, present] of this.#present) if (state.hasGradient !== present) return false;
    for (const [state, home] of this.#homes) if (state.home !== home) return false;
    return true;
  }

  /** Keeps the gradients that exist at the end in their slots; returns which parameters then have one. */
  settleGradients(): Map<State, boolean> {
    const present = new Map<State, boolean>();
    for (const [state, gradient] of this.#gradients) {
      present.set(state, gradient !== null);
      if (gradient) this.run(() => this.assign(state.gradientSlot(), gradient));
    }
    return present;
  }

  guard<T>(read: () => T): T {
    const expected = read();
    this.#guards.push({ read, expected });
    return expected;
  }

  locate(state: State): void {
    if (!this.#homes.has(state)) this.#homes.set(state, state.home);
  }

  /** True while everything that the trace took for granted is still so. */
  get holds(): boolean {
    if (this.#heldAt === changeCount()) return true;
    for (const { read, expected } of this.#guards) if (read() !== expected) return false;
    if (!this.statesHold) return false;
    this.#heldAt = changeCount();
    return true;
  }

  private leaf(kind: 'state' | 'dynamic', type: TensorType): Tensor {
    return withTrace(this, () => leaf(kind, type));
  }
}

/** Elements from the key of one turn of a scan to that of the next, so that each can be bound where it lies. */
export const keyStride = alignment;

/** Records the body of a scan. It sees the values of the trace around it, and may change nothing outside. */
export class BodyTrace implements Trace {
  readonly label = 'the body of a scan';
  /** Their keys are slices of what the scan is given for all turns. */
  readonly randoms = new RandomStreams(() =>
    withTrace(this, () => leaf('input', { shape: [keyStride], dtype: 'u32' })),
  );
  readonly #around: Trace | null;

  constructor(around: Trace | null) {
    this.#around = around;
  }

  run<T>(body: () => T): T {
    nestTrace(this);
    return withTrace(this, body);
  }

  read(state: State): Tensor {
    return withTrace(this.#around, () => state.value);
  }

  assign(state: State): void {
    throw new WeftError(`[scan] the body assigns ${state.label}; return the value as a carry instead`);
  }

  gradient(): Tensor | null {
    throw new WeftError('[scan] the body asks for a gradient; differentiate outside of the scan');
  }

  setGradient(): void {
    this.gradient();
  }

  dynamic(): Tensor {
    throw new WeftError('[scan] the body asks for a number that changes from step to step; pass it in xs instead');
  }

  random(source: KeySource, count: number): Streams {
    return this.randoms.next(source, count);
  }

  guard<T>(read: () => T): T {
    return this.#around ? this.#around.guard(read) : read();
  }

  locate(state: State): void {
    this.#around?.locate(state);
  }
}
