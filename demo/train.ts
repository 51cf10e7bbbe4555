import { readAll, type Tensor } from '../src/index.ts';
import { meanOf } from './chart.ts';
import { type Counts, countCalls } from './counts.ts';
import { type Host, JobError } from './host.ts';
import type { Training } from './training.ts';

/** The step of a run whose WebGPU calls are counted: the plan is warm by then. */
const countedStep = 6;
/** Losses are read together, so that a step seldom waits for a read. */
const secondsBetweenReads = 0.5;
const stepsBetweenReads = 50;
const stepsBetweenCheckpoints = 1000;

export interface TrainingReport {
  /** Tokens per second, without the steps in which kernels are compiled; null where there were no others. */
  readonly speed: number | null;
  /** WebGPU calls of one step, its loss read; null where there were too few steps. */
  readonly counts: Counts | null;
  /** False where the user or `stopAfter` ended the run early. */
  readonly finished: boolean;
}

export interface TrainingOptions {
  readonly host: Host;
  readonly stopAfter: number | null;
  /** Seconds after which the run saves again; it also does so every so many steps. */
  readonly saveEvery: number;
  readonly save: () => Promise<unknown>;
}

/** Trains until the last step, until step `stopAfter`, or until the user ends it. */
export async function trainSteps(
  training: Training,
  { host, stopAfter, saveEvery, save }: TrainingOptions,
): Promise<TrainingReport> {
  const { config, losses } = training;
  const first = losses.length;
  const last = Math.min(config.steps, stopAfter ?? Infinity);
  const clock = new Clock(config.batch * config.context);
  let counts: Counts | null = null;
  let unread: Tensor[] = [];
  let saved = performance.now();
  const read = async () => {
    for (const values of await readAll(unread)) losses.push(finite(values[0] as number, losses.length + 1));
    unread = [];
    clock.seen(losses.length - first);
    const tokensPerSecond = clock.speed ?? Number.NaN;
    const secondsLeft = ((config.steps - losses.length) * config.batch * config.context) / tokensPerSecond;
    const loss = losses.length > 0 ? meanOf(losses.slice(-10)) : Number.NaN;
    host.progress({
      model: config.model,
      step: losses.length,
      steps: config.steps,
      loss,
      tokensPerSecond,
      secondsLeft,
    });
  };

  for (let step = first; step < last && !host.interrupted; step++) {
    if (step - first === countedStep) {
      await read();
      const counted = await countCalls(async () => {
        const loss = await training.step();
        await loss.item();
        return loss;
      });
      counts = counted.counts;
      unread.push(counted.result);
    } else unread.push(await training.step());
    // The first steps compile: the clock starts when their results are there.
    if (step - first < 2 || unread.length >= stepsBetweenReads || clock.sinceSeen > secondsBetweenReads) await read();
    const isDue = (step + 1) % stepsBetweenCheckpoints === 0 || performance.now() - saved >= 1000 * saveEvery;
    if (isDue && step + 1 < last) {
      await read();
      await save();
      saved = performance.now();
    }
  }
  if (unread.length > 0) await read();
  return { speed: clock.speed, counts, finished: losses.length >= config.steps };
}

/** Weights that made such a loss are lost: better no checkpoint than one of them. */
function finite(loss: number, step: number): number {
  if (Number.isFinite(loss)) return loss;
  throw new JobError(
    `the loss of step ${step} is ${loss}: training went astray; try another --seed, and report it as a bug`,
  );
}

/** Measures the speed from the second read on. */
class Clock {
  readonly #tokensPerStep: number;
  #start: { readonly step: number; readonly time: number } | null = null;
  #last = { step: 0, time: performance.now() };

  constructor(tokensPerStep: number) {
    this.#tokensPerStep = tokensPerStep;
  }

  /** The results of `step` steps are there. */
  seen(step: number): void {
    this.#last = { step, time: performance.now() };
    if (step >= 2) this.#start ??= this.#last;
  }

  get sinceSeen(): number {
    return (performance.now() - this.#last.time) / 1000;
  }

  get speed(): number | null {
    if (!this.#start || this.#last.step === this.#start.step) return null;
    return ((this.#last.step - this.#start.step) * this.#tokensPerStep * 1000) / (this.#last.time - this.#start.time);
  }
}
