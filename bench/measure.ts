import { type Counts, countCalls } from '../demo/counts.ts';
import type { Work } from './peers/library.ts';
import type { Expected } from './suites/index.ts';

/**
 * Waits until a device has done all it was given. Everyone is waited for in this way, on the device of its own. It needs
 * no command of its own, so it adds nothing to what is measured but a delay that does not depend on the work (about 2 ms
 * in Chromium; 11 ms in Deno, which looks every 10 ms): what a wait with nothing to do takes is taken off each sample, and
 * samples are made many times as long.
 */
export async function idle(gpu: GPUDevice): Promise<void> {
  await gpu.queue.onSubmittedWorkDone();
}

/** Milliseconds of a wait with nothing to do: the median of some. */
export async function idleCost(gpu: GPUDevice): Promise<number> {
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    await idle(gpu);
    waits.push(performance.now() - start);
  }
  return spreadOf(waits).medianMs;
}

/** What is timed, on its device. */
export interface Timed {
  readonly name: string;
  readonly gpu: GPUDevice;
  readonly work: Pick<Work, 'run' | 'flush'>;
  /** Takes turns with the contenders, in all rounds, and is compared with none of them. */
  readonly yardstick?: boolean;
}

/** A contender that is ready. */
export interface Prepared extends Timed {
  readonly work: Work;
}

export interface Settings {
  readonly rounds: number;
  /** A sample lasts about this long at least: short work is repeated. */
  readonly sampleMs: number;
  /** A contender that is no match gets fewer rounds, as many as fit into this time. */
  readonly slowMs: number;
}

/** Milliseconds of one run, round by round. */
export interface Timing {
  readonly samples: readonly number[];
  /** Runs per sample. */
  readonly repeats: number;
}

/** Slower than the fastest by more than this, and not the best of another library: no match. */
const noMatch = 2;
const fewestRounds = 3;
const mostRepeats = 500;
/** Short work has rounds that don't count before those that do: its first ones find caches and processors unprepared. */
const warmUpRounds = 2;

const libraryOf = (contender?: Timed) => contender?.name.split(':', 1)[0];

/** The largest difference from the reference, as a part of the largest magnitude in it. */
export async function check(work: Work, expected: readonly Expected[]): Promise<number> {
  const results = await work.results();
  let worst = 0;
  for (const { output, indices, values } of expected) {
    const result = results[output];
    if (!result) throw new Error(`there is no result ${output}`);
    let [difference, magnitude] = [0, 0];
    for (let i = 0; i < indices.length; i++) {
      const value = values[i] as number;
      const off = Math.abs((result[indices[i] as number] as number) - value);
      // A comparison with NaN is false, and NaN is as wrong as can be.
      difference = off <= difference ? difference : Number.isNaN(off) ? Infinity : off;
      magnitude = Math.max(magnitude, Math.abs(value));
    }
    worst = Math.max(worst, difference / magnitude);
  }
  return worst;
}

/** WebGPU calls of one run. */
export async function count({ work, gpu }: Prepared): Promise<Counts> {
  const { counts } = await countCalls(async () => {
    await work.run();
    work.flush?.();
  });
  await idle(gpu);
  return counts;
}

/**
 * Times contenders in turns: in every round each gives one sample, and the order moves on by one. There are no timings
 * where `progress` says not to go on: what was begun would have fewer rounds.
 */
export async function measure(
  contenders: readonly Timed[],
  { rounds, sampleMs, slowMs }: Settings,
  progress: (done: number, all: number) => Promise<boolean> | boolean = () => true,
): Promise<Timing[]> {
  const plans: { repeats: number; rounds: number; ms: number; wait: number }[] = [];
  for (const contender of contenders) {
    const wait = await idleCost(contender.gpu);
    const first = await sample(contender, 1, wait);
    // What takes long has been warmed up by the check, and is not run once more than it must.
    const once = first > slowMs / 3 ? first : await sample(contender, 1, wait);
    // What is short is told apart from the noise of waiting by repetition.
    const ms = once > sampleMs ? once : await sample(contender, 10, wait);
    plans.push({ repeats: Math.min(mostRepeats, Math.max(1, Math.ceil(sampleMs / ms))), rounds, ms, wait });
  }
  const order = plans
    .map((plan, i) => ({ plan, library: libraryOf(contenders[i]), yardstick: contenders[i]?.yardstick }))
    .filter(({ yardstick }) => !yardstick)
    .sort((a, b) => a.plan.ms - b.plan.ms);
  const [first] = order;
  const second = order.find(({ library }) => library !== first?.library);
  for (const { plan } of order) {
    const affordable = Math.max(fewestRounds, Math.floor(slowMs / (plan.ms * plan.repeats)));
    const match = plan === second?.plan || plan.ms <= noMatch * (first?.plan.ms ?? 0);
    if (!match) plan.rounds = Math.min(rounds, affordable);
  }
  const timed = (which: number) => {
    const { repeats, wait } = plans[which] as (typeof plans)[number];
    return sample(contenders[which] as Timed, repeats, wait);
  };
  for (let round = 0; round < warmUpRounds; round++) {
    for (const [which, { repeats }] of plans.entries()) if (repeats > 1) await timed(which);
  }
  const all = plans.reduce((sum, plan) => sum + plan.rounds, 0);
  const samples: number[][] = contenders.map(() => []);
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const which = (i + round) % contenders.length;
      const some = (plans[which] as (typeof plans)[number]).rounds;
      // Fewer rounds are spread evenly over all of them.
      if (Math.floor(((round + 1) * some) / rounds) === Math.floor((round * some) / rounds)) continue;
      samples[which]?.push(await timed(which));
      if (!(await progress(++done, all))) return [];
    }
  }
  return samples.map((list, i) => ({ samples: list, repeats: plans[i]?.repeats ?? 1 }));
}

/** Milliseconds of one of `repeats` runs that follow each other; `wait` is what waiting for them adds. */
async function sample({ work, gpu }: Timed, repeats: number, wait: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await work.run();
  work.flush?.();
  await idle(gpu);
  return Math.max(1e-3, performance.now() - start - wait) / repeats;
}

/** The median of samples, and how far they spread: a tenth and nine tenths of the way. */
export function spreadOf(samples: readonly number[]): { medianMs: number; p10Ms: number; p90Ms: number } {
  const sorted = [...samples].sort((a, b) => a - b);
  return { medianMs: quantile(sorted, 0.5), p10Ms: quantile(sorted, 0.1), p90Ms: quantile(sorted, 0.9) };
}

/** The value below which `fraction` of sorted samples lie, between neighbours in proportion. */
export function quantile(sorted: readonly number[], fraction: number): number {
  const position = fraction * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(position)] as number, sorted[Math.ceil(position)] as number];
  return low + (high - low) * (position - Math.floor(position));
}
