import { DeviceLostError } from '../core/errors.ts';
import { declareOptions } from '../core/options.ts';
import { currentDevice } from '../device/current.ts';
import type { Device } from '../device/device.ts';
import { type RecoverOptions, Recovery, recoverKinds } from './recover.ts';

/**
 * Options of a run that survives its device: those of `recover`, except that the run knows its batches, and mostly its
 * optimizer.
 */
export type RescueOptions = Omit<RecoverOptions, 'loader' | 'optimizer'> & Partial<Pick<RecoverOptions, 'optimizer'>>;

const { loader: _, ...kinds } = recoverKinds;
export const rescueOptions = declareOptions<RescueOptions>(kinds, ['model']);

/** How a run has survived the loss of its device. */
export interface Recovered {
  /** The step that had been made when the loss was noticed. */
  readonly lostAt: number;
  /** The step after which the run goes on; those since are made again. */
  readonly from: number;
  /** The adapter that it goes on with, where that is another one: its last bits may differ from here on. */
  readonly adapter: string | null;
}

/**
 * Losses of the device in a row, without a step between them whose loss is known, that a run survives: after one more, a
 * step is to blame.
 */
const mostInVain = 3;

interface Rewindable {
  rewind(step: number): void;
}
interface Steps extends Rewindable {
  readonly step: number;
  readonly known: number;
  whenKnown(step: number): Promise<void>;
}

/** Brings a run to another device when its own is lost. */
export class Rescue {
  readonly #recovery: Recovery;
  readonly #run: Steps;
  readonly #feed: Rewindable;
  /** Steps of the run less those of the optimizer. */
  readonly #offset: number;
  #device: Device = currentDevice();
  #inVain = 0;
  #known = -1;

  private constructor(options: RecoverOptions, run: Steps, feed: Rewindable) {
    this.#run = run;
    this.#feed = feed;
    this.#offset = run.step - options.optimizer.steps;
    // Waits for the losses: steps whose losses nobody has read would not be made again.
    this.#recovery = new Recovery(options, (steps) => run.whenKnown(steps + this.#offset));
  }

  /** Keeps the run from now on. */
  static async begin(
    options: RescueOptions,
    optimizer: RecoverOptions['optimizer'] | undefined,
    run: Steps,
    feed: Rewindable,
  ): Promise<Rescue> {
    const rescue = new Rescue({ ...options, optimizer } as RecoverOptions, run, feed);
    await rescue.#recovery.begin();
    return rescue;
  }

  /** The step from which the run would go on. */
  get from(): number {
    return this.#recovery.step + this.#offset;
  }

  /** Where the run goes on after an error; null where it doesn't. */
  async after(error: unknown): Promise<Recovered | null> {
    if (!(error instanceof DeviceLostError)) return null;
    this.#inVain = this.#run.known > this.#known ? 1 : this.#inVain + 1;
    this.#known = this.#run.known;
    if (this.#inVain > mostInVain) return null;
    const lost = this.#device;
    const lostAt = this.#run.step;
    const from = (await lost.recovered()) + this.#offset;
    this.#device = currentDevice();
    this.#run.rewind(from);
    this.#feed.rewind(from);
    const { adapter } = this.#device;
    return { lostAt, from, adapter: adapter === lost.adapter ? null : adapter };
  }

  end(): void {
    this.#recovery.stop();
  }
}
