/** `npm run scaling`: how the time of a training step grows with T, B, layers and width, beside what the operations say. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import process from 'node:process';
import cliProgress from 'cli-progress';
import { complain, say } from '../../demo/console.ts';
import { runProgram } from '../../tools/commandLine.mjs';
import { callExport, withPage } from '../../tools/page.mjs';
import { fit, pointsOf } from './fit.ts';
import { plots } from './plot.ts';
import * as here from './point.ts';
import { sweeps } from './sweeps.ts';

const usage = `npm run scaling -- [--browser] [--only PATTERN] [--out DIR]

Trains a small GPT and a small LSTM in Deno while one of T, B, layers and width grows, and writes the time of a step to
scaling-DEVICE-DATE.json and .svg in DIR (default bench/results), beside the line that a fixed cost and the number of
operations give. Some minutes on two cores without a GPU.

  --browser       in headless Chrome instead of Deno
  --only PATTERN  only sweeps whose name ('gpt T', 'lstm width', …) the regular expression matches
  --out DIR       where the two files go`;

await runProgram(
  {
    ...{ command: 'npm run scaling', usage, say, complain },
    options: { browser: { type: 'boolean' }, only: { type: 'string' }, out: { type: 'string' } },
  },
  async ({ browser, only = '', out = join(import.meta.dirname, '../results') }) => {
    const [pattern, folder] = [new RegExp(only, 'i'), resolve(out)];
    if (browser) await inChrome((place) => main(place, pattern, folder));
    else await main(here, pattern, folder);
  },
);
process.exit();

/** Where steps are timed: in this process, or in a page. */
type Place = Pick<typeof here, 'open' | 'measure'>;

function inChrome(use: (place: Place) => Promise<void>): Promise<void> {
  return withPage({}, async (page, url) => {
    await page.goto(`${url}demo/job.html`);
    const call = (name: keyof Place, ...args: unknown[]) => callExport(page, '/bench/scaling/point.ts', name, ...args);
    return use({ open: () => call('open'), measure: (sweep, value) => call('measure', sweep, value) });
  });
}

async function main({ open, measure }: Place, pattern: RegExp, folder: string): Promise<void> {
  const chosen = sweeps.filter(({ model, of }) => pattern.test(`${model} ${of}`));
  if (chosen.length === 0)
    throw new Error("--only: no sweep matches; there are 'gpt' and 'lstm', each by T, B, layers, width");
  const adapter = await open();
  say(`Adapter: ${adapter}\n`);
  const count = chosen.reduce((sum, { values }) => sum + values.length, 0);
  const bar = new cliProgress.SingleBar({ format: '{bar} {value}/{total}  {now}', clearOnComplete: true });
  bar.start(count, 0, { now: '' });
  const points: here.Point[] = [];
  for (const sweep of chosen) {
    for (const value of sweep.values) {
      bar.update(points.length, { now: `${sweep.model} ${sweep.of} ${value}` });
      points.push(await measure(sweep, value));
    }
  }
  bar.stop();
  for (const { model, of, ...point } of points) {
    const { medianMs, gflops, dispatches, peakBytes } = point;
    say(
      `${`${model} ${of} ${point[of]}`.padEnd(18)}${medianMs.toFixed(2).padStart(10)} ms${gflops.toFixed(2).padStart(8)} GFLOP/s` +
        `${String(dispatches).padStart(6)} dispatches${(peakBytes / 2 ** 20).toFixed(2).padStart(9)} MiB`,
    );
  }
  say();
  const fits = chosen.map((sweep) => ({ ...fit(sweep, pointsOf(sweep, points)) }));
  for (const { model, of, fixedMs, gflops, worst } of fits) {
    say(
      `${`${model} ${of}`.padEnd(18)}${fixedMs.toFixed(2).padStart(10)} ms + operations at${gflops.toFixed(2).padStart(6)} GFLOP/s; ` +
        `${worst.ratio.toFixed(2)} × that at ${of} ${worst.value}`,
    );
  }
  const day = new Date().toISOString().slice(0, 10);
  const [device = ''] = adapter.toLowerCase().split(' (');
  const name = `scaling-${device.replace(/\W+/g, '-')}-${day}`;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify({ adapter, points, fits }, null, 1)}\n`);
  await writeFile(join(folder, `${name}.svg`), plots(chosen, points, `${adapter}, ${day}`));
  say(`\nWritten: ${join(folder, name)}.json and .svg`);
}
