/** `npm run scaling`: how the time of a training step grows with T, B, layers and width, beside what the operations say. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import cliProgress from 'cli-progress';
import { currentDevice, init } from '../../src/index.ts';
import { spreadOf } from '../measure.ts';
import { fit, pointsOf } from './fit.ts';
import { plots } from './plot.ts';
import { base, flops, type Sizes, type Sweep, sweeps, trainingStep } from './sweeps.ts';

const usage = `npm run scaling -- [--only PATTERN] [--out DIR]

Trains a small GPT and a small LSTM in Deno while one of T, B, layers and width grows, and writes the time of a step to
scaling-DEVICE-DATE.json and .svg in DIR (default bench/results), beside the line that a fixed cost and the number of
operations give. One to two minutes on two cores without a GPU.

  --only PATTERN  only sweeps whose name ('gpt T', 'lstm width', …) the regular expression matches
  --out DIR       where the two files go`;

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

try {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, out: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const { only = '', out = join(import.meta.dirname, '../results') } = values;
  if (values.help) console.log(usage);
  else await main(new RegExp(only, 'i'), resolve(out));
} catch (error) {
  console.error(`weft: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
process.exit();

async function main(pattern: RegExp, folder: string): Promise<void> {
  const chosen = sweeps.filter(({ model, of }) => pattern.test(`${model} ${of}`));
  if (chosen.length === 0)
    throw new Error("--only: no sweep matches; there are 'gpt' and 'lstm', each by T, B, layers, width");
  const { adapter } = await init();
  console.log(`Adapter: ${adapter}\n`);
  const count = chosen.reduce((sum, { values }) => sum + values.length, 0);
  const bar = new cliProgress.SingleBar({ format: '{bar} {value}/{total}  {now}', clearOnComplete: true });
  bar.start(count, 0, { now: '' });
  const points: Point[] = [];
  for (const sweep of chosen) {
    for (const value of sweep.values) {
      bar.update(points.length, { now: `${sweep.model} ${sweep.of} ${value}` });
      points.push(await measure(sweep, value));
    }
  }
  bar.stop();
  for (const { model, of, ...point } of points) {
    const { medianMs, gflops, dispatches, peakBytes } = point;
    console.log(
      `${`${model} ${of} ${point[of]}`.padEnd(18)}${medianMs.toFixed(2).padStart(10)} ms${gflops.toFixed(2).padStart(8)} GFLOP/s` +
        `${String(dispatches).padStart(6)} dispatches${(peakBytes / 2 ** 20).toFixed(2).padStart(9)} MiB`,
    );
  }
  console.log();
  const fits = chosen.map((sweep) => ({ ...fit(sweep, pointsOf(sweep, points)) }));
  for (const { model, of, fixedMs, gflops, worst } of fits) {
    console.log(
      `${`${model} ${of}`.padEnd(18)}${fixedMs.toFixed(2).padStart(10)} ms + operations at${gflops.toFixed(2).padStart(6)} GFLOP/s; ` +
        `${worst.ratio.toFixed(2)} × that at ${of} ${worst.value}`,
    );
  }
  const day = new Date().toISOString().slice(0, 10);
  const name = `scaling-${/\w+/.exec(adapter)?.[0] ?? 'device'}-${day}`;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify({ adapter, points, fits }, null, 1)}\n`);
  await writeFile(join(folder, `${name}.svg`), plots(chosen, points, `${adapter}, ${day}`));
  console.log(`\nWritten: ${join(folder, name)}.json and .svg`);
}

async function measure({ model, of }: Sweep, value: number): Promise<Point> {
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
