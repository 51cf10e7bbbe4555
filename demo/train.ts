import { DivergenceError, type Recovered, type Tensor, type text, train } from '../src/index.ts';
import { meanOf } from './chart.ts';
import { type Counts, countCalls } from './counts.ts';
import { type Host, JobError } from './host.ts';
import type { Training } from './training.ts';

/** The step of a run whose WebGPU calls are counted: the plan is warm by then. */
const countedStep = 6;
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

/** What to say of a run whose device was lost. */
function wentOn({ lostAt, from, adapter }: Recovered): string {
  const where = adapter ? `, on ${adapter}: losses may differ by about 1e-6 of their value from here on` : '';
  return `device lost at step ${lostAt}; went on from step ${from}${where}`;
}

/** Trains until the last step, until step `stopAfter`, or until the user ends it. Saves on the way, but not at the end. */
export async function trainSteps(
  training: Training,
  { host, stopAfter, saveEvery, save }: TrainingOptions,
): Promise<TrainingReport> {
  const { config, losses, loader, optimizer } = training;
  const { model, steps } = config;
  const tokens = config.batch * config.context;
  const stop = new AbortController();
  const heed = () => {
    if (host.interrupted) stop.abort();
  };
  let counts: Counts | null = null;
  const count = async (batch: text.Batch): Promise<Tensor> => {
    const counted = await countCalls(async () => {
      const loss = await training.step(batch);
      await loss.item();
      return loss;
    });
    counts = counted.counts;
    return counted.result;
  };
  let made = 0;
  const step = async (...batch: text.Batch): Promise<Tensor> => {
    const loss = await (made++ === countedStep ? count(batch) : training.step(batch));
    heed();
    return loss;
  };
  let speed: number | null = null;
  heed();
  try {
    for await (const metrics of train({
      step,
      batches: loader,
      start: losses.length,
      steps: Math.min(steps, stopAfter ?? Infinity),
      signal: stop.signal,
      recover: { model: training.model, optimizer },
      checkpoint: {
        save: async ({ isLast }) => {
          if (!isLast) await save();
          heed();
        },
        everySeconds: saveEvery,
        everySteps: stepsBetweenCheckpoints,
      },
    })) {
      losses.push(...metrics.losses);
      if (metrics.recovered) host.print(`Note        ${wentOn(metrics.recovered)}`);
      const { stepsPerSecond } = metrics;
      speed = stepsPerSecond && stepsPerSecond * tokens;
      host.progress({
        ...{ model, steps, step: losses.length, loss: meanOf(losses.slice(-10)) },
        tokensPerSecond: speed ?? Number.NaN,
        secondsLeft: (steps - losses.length) / (stepsPerSecond ?? Number.NaN),
      });
      heed();
    }
  } catch (error) {
    if (!(error instanceof DivergenceError)) throw error;
    const { step, loss, parameter } = error;
    const seen = parameter
      ? `step ${step} met a value that is not finite in ${parameter}`
      : `the loss of step ${step} is ${loss}`;
    throw new JobError(`${seen}: training went astray; try another --seed, and report it as a bug`);
  }
  return { speed, counts, finished: losses.length >= steps };
}
