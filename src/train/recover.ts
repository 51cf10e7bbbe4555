import { DeviceLostError, WeftError } from '../core/errors.ts';
import { count, declareOptions, type Kind, notNegative } from '../core/options.ts';
import { defaultGenerator, type GeneratorState } from '../core/random.ts';
import { currentDevice } from '../device/current.ts';
import type { Device, Recoverable } from '../device/device.ts';
import type { Staging } from '../device/readback.ts';
import type { State } from '../graph/state.ts';
import { Module } from '../nn/module.ts';
import type { CommonSettings } from '../optim/groups.ts';
import type { OptimizerPosition, StepListener } from '../optim/ledger.ts';
import { Optimizer } from '../optim/optimizer.ts';
import { forgetPending } from '../runtime/eager.ts';
import { areSettled, type Shadow, shadowOf, shadowOfRecorded, shadowStaging } from '../runtime/shadow.ts';

/** Something that has a position, such as a loader of batches or a `Generator`; the position survives JSON. */
export interface Positioned {
  /** Where it is, as something that survives JSON. */
  state(): unknown;
  /** Goes back to where `state()` was called. */
  restore(position: never): unknown;
}

/** An optimizer, whatever its settings. */
type AnyOptimizer = Pick<
  Optimizer<CommonSettings>,
  'groups' | 'states' | 'position' | 'steps' | 'watch' | 'diverged' | 'skipsNonFinite'
>;

/** What `recover` keeps on the host, and how often. */
export interface RecoverOptions {
  /** The model whose parameters and buffers are kept. */
  model: Module;
  /** The optimizer whose moments and steps are kept. */
  optimizer: AnyOptimizer;
  /** Where the batches come from: it goes back as well, and gives the same batches again. */
  loader?: Positioned;
  /** Steps from one shadow to the next; by default time alone counts. */
  every?: number;
  /** Seconds from one shadow to the next, 10 by default; without effect where `every` is given. */
  seconds?: number;
}

const instanceOf = (wanted: string, holds: (value: unknown) => boolean) =>
  ({ wanted, accepts: (value: unknown) => holds(value) }) as Kind<never>;
const isPositioned = (value: unknown) => {
  const { state, restore } = (value ?? {}) as Partial<Positioned>;
  return typeof state === 'function' && typeof restore === 'function';
};
export const recoverKinds = {
  model: instanceOf('a Module', (value) => value instanceof Module),
  optimizer: instanceOf('an optimizer', (value) => value instanceof Optimizer),
  loader: instanceOf('something with state() and restore(), such as a DataLoader', isPositioned),
  every: count,
  seconds: notNegative,
};
const recoverOptions = declareOptions<RecoverOptions>(recoverKinds, ['model', 'optimizer']);

const defaultSeconds = 10;

/** All that a run needs to go on from a step, on the host. */
interface Moment {
  /** Steps made until then, those that failed or were left out among them. */
  readonly step: number;
  readonly position: OptimizerPosition;
  readonly loader: unknown;
  readonly generator: GeneratorState;
}

/**
 * Keeps a shadow of a run on the host, from which it goes on when the device is lost:
 *
 *     await recover({ model, optimizer, loader });
 *     for (let i = 0; i < steps; i++) {
 *       try {
 *         await step(...loader.next().value);
 *       } catch (error) {
 *         if (!(error instanceof DeviceLostError)) throw error;
 *         i = (await device.recovered()) - 1; // the loop counts the optimizer's steps
 *       }
 *     }
 *
 * The shadow has parameters, buffers, moments, counts, the loader's position and that of the default generator: it takes as
 * many bytes of host memory as these (12 for each parameter with AdamW), twice as many, and as many on the device, while a
 * new one is being read. That happens after every `every` steps or `seconds`, without holding up the queue. The steps since
 * the last shadow are made again, with the same bits where the adapter is the same.
 *
 * Await each step: what the loader has given for steps that nobody has waited for is not given again. Tensors that a step uses
 * besides are computed anew where their graph is there; results of compiled functions are not.
 *
 * Resolves when the first shadow is there.
 */
export async function recover(options: RecoverOptions): Promise<Recovery> {
  const recovery = new Recovery(recoverOptions('recover', options));
  await recovery.begin();
  return recovery;
}

/** A run that survives its device, until `stop()`. */
export class Recovery implements Recoverable {
  readonly #options: RecoverOptions;
  #shadow: { readonly values: Shadow; readonly moment: Moment } | null = null;
  /** A buffer to copy the next shadow to. */
  #staging: Staging | null = null;
  /** True while a shadow is on its way. */
  #busy = false;
  #warned = false;
  /** Steps made so far. */
  #made: number;
  #last = { step: 0, time: 0 };
  readonly #unwatch: () => void;
  readonly #mayGoBackTo: (step: number) => Promise<void>;

  /** `mayGoBackTo` resolves when nothing is needed any more of what came before a step. */
  constructor(options: RecoverOptions, mayGoBackTo: (step: number) => Promise<void> = async () => {}) {
    this.#options = options;
    this.#mayGoBackTo = mayGoBackTo;
    this.#made = options.optimizer.steps;
    this.#unwatch = options.optimizer.watch((how) => this.#afterStep(how));
  }

  /** The step after which the last shadow was taken: from there the run would go on. */
  get step(): number {
    return this.#shadow?.moment.step ?? 0;
  }

  /** Bytes of host memory that the shadow takes. */
  get bytes(): number {
    return this.#shadow?.values.bytes ?? 0;
  }

  /** Takes the first shadow. @internal */
  async begin(): Promise<void> {
    currentDevice().keep(this);
    await this.#take(() => shadowOfRecorded(this.#states()));
  }

  /** Keeps the run no longer. */
  stop(): void {
    this.#unwatch();
    currentDevice().forgo(this);
    this.#staging?.destroy();
    this.#staging = null;
    this.#shadow = null;
  }

  /** Puts everything back as it was at the last shadow. @internal */
  restore(): number {
    if (!this.#shadow) throw new WeftError('[recovered] the device was lost before anything could be kept; start anew');
    const { values, moment } = this.#shadow;
    const { model, optimizer, loader } = this.#options;
    forgetPending();
    this.#staging = null;
    this.#busy = false;
    const trained = [...model.parameters(), ...optimizer.groups.flatMap(({ params }) => params)];
    for (const { state } of trained) state.loseGradient();
    values.restore();
    optimizer.position = moment.position;
    loader?.restore(moment.loader as never);
    defaultGenerator.restore(moment.generator);
    this.#made = moment.step;
    this.#last = { step: this.#made, time: performance.now() };
    return this.#made;
  }

  #afterStep(how: Parameters<StepListener>[0]): void {
    this.#made++;
    if (this.#busy || !this.#isDue) return;
    const states = this.#states();
    if (how === 'recorded') {
      this.#report(this.#take(() => shadowOfRecorded(states)));
      return;
    }
    const device = currentDevice();
    if (!areSettled(states)) return;
    const staging = this.#staging;
    this.#staging = null;
    if (staging) this.#report(this.#take(() => shadowOf(device, states, staging)));
    // Makes a buffer, which the next step finds.
    else this.#report(this.#prepare(device, states));
  }

  get #isDue(): boolean {
    const { every, seconds = defaultSeconds } = this.#options;
    if (every !== undefined) return this.#made - this.#last.step >= every;
    return performance.now() - this.#last.time >= 1000 * seconds;
  }

  async #prepare(device: Device, states: readonly State[]): Promise<void> {
    this.#busy = true;
    try {
      const staging = await shadowStaging(device, states);
      // Keeps the buffer unless the run has gone on elsewhere meanwhile.
      if (!device.isLost) this.#staging = staging;
    } finally {
      this.#busy = false;
    }
  }

  /** Keeps what `shadow` copies, with where the host is now. */
  async #take(shadow: () => Promise<Shadow>): Promise<void> {
    const { optimizer, loader } = this.#options;
    const { position } = optimizer;
    const step = this.#made;
    const moment = { step, position, loader: loader?.state(), generator: defaultGenerator.state() };
    this.#last = { step, time: performance.now() };
    this.#busy = true;
    try {
      const values = await shadow();
      await this.#mayGoBackTo(step);
      this.#shadow = { values, moment };
    } finally {
      this.#busy = false;
    }
  }

  /** Keeps the last shadow where a new one can't be had. */
  #report(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (error instanceof DeviceLostError || this.#warned) return;
      this.#warned = true;
      console.warn(
        `[recover] step ${this.#last.step} could not be kept: ${error instanceof Error ? error.message : error}; after a loss, the run goes on from step ${this.step}`,
      );
    });
  }

  /** All states that a step may change: the packs in which parameters and buffers lie. */
  #states(): State[] {
    const { model, optimizer } = this.#options;
    return [...new Set([...model.states, ...optimizer.states])];
  }
}
