import { currentDevice, init } from '../../src/index.ts';
import { spreadOf } from '../measure.ts';
import { base, flops, type Sizes, type Sweep, trainingStep } from './sweeps.ts';

/** One size of a sweep. */
export interface Point extends Sizes {
  readonly model: Sweep['model'];
  readonly of: Sweep['of'];
  readonly medianMs: number;
  readonly p10Ms: number;
  readonly p90Ms: number;
  readonly rounds: number;
  readonly gflops: number;
  readonly dispatches: number;
  readonly peakBytes: number;
}

/** Rounds last about this long together, but there are at least three and at most 25. */
const secondsPerPoint = 1.5;

/** Opens the device that steps are timed on; gives its name. */
export async function open(): Promise<string> {
  return (await init()).adapter;
}

/** Times a training step of one size. */
export async function measure({ model, of }: Sweep, value: number): Promise<Point> {
  const sizes: Sizes = { ...base[model], [of]: value };
  const { run, plan } = await trainingStep(model, sizes);
  for (let i = 0; i < 2; i++) await run();
  await currentDevice().gpu.queue.onSubmittedWorkDone();
  const times: number[] = [];
  const start = performance.now();
  while (times.length < 3 || (times.length < 25 && performance.now() - start < 1000 * secondsPerPoint)) {
    const before = performance.now();
    await run();
    times.push(performance.now() - before);
  }
  const spread = spreadOf(times);
  const { dispatches, peakBytes } = plan.summary();
  plan.destroy();
  return {
    model,
    of,
    ...sizes,
    ...spread,
    rounds: times.length,
    gflops: flops(model, sizes) / spread.medianMs / 1e6,
    dispatches,
    peakBytes,
  };
}
