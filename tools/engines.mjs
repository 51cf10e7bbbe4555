/** `npm run engines`: trains the same models on all engines, and holds their losses against each other. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installHelp, runProgram, UsageError } from './commandLine.mjs';
import {
  denoEnvironment,
  denoFlags,
  ensureBrowser,
  ensureFirefox,
  ensureNodeGpu,
  ensureVulkan,
  findDeno,
  nodeEnvironment,
  root,
} from './machine.mjs';
import { callExport, withPage } from './page.mjs';

/**
 * What an engine needs from the machine, and how to train there.
 * @typedef {import('../test/engines/trajectories.ts').Trajectories} Trajectories
 * @typedef {{ needs: () => Promise<unknown>, train: () => Promise<Trajectories> }} Engine
 */

const run = promisify(execFile);

/**
 * @param {'chrome' | 'firefox'} browser
 * @param {string} module
 * @param {string} name what it exports
 * @returns {Engine}
 */
const inBrowser = (browser, module, name) => ({
  needs: browser === 'chrome' ? ensureBrowser : ensureFirefox,
  train: () =>
    withPage({ browser }, async (page, url) => {
      await page.goto(`${url}demo/job.html`);
      return callExport(page, `/test/engines/${module}`, name);
    }),
});
const page = /** @type {const} */ (['trajectories.ts', 'trajectories']);
const worker = /** @type {const} */ (['inWorker.ts', 'trajectoriesInWorker']);

/**
 * @param {string[]} args
 * @returns {Engine}
 */
const inDeno = (...args) => ({
  needs: ensureVulkan,
  train: async () => {
    const file = join(root, 'test/engines/deno.ts');
    const { stdout } = await run(await findDeno(), ['run', ...denoFlags, file, ...args], { env: denoEnvironment });
    return JSON.parse(stdout);
  },
});

/** @type {Engine} */
const inNode = {
  needs: ensureNodeGpu,
  train: async () => {
    const { stdout } = await run(process.execPath, [join(root, 'test/engines/node.mjs')], {
      env: await nodeEnvironment(),
    });
    return JSON.parse(stdout);
  },
};

/** @type {Readonly<Record<string, Engine>>} */
const engines = {
  chrome: inBrowser('chrome', ...page),
  'chrome-worker': inBrowser('chrome', ...worker),
  firefox: inBrowser('firefox', ...page),
  'firefox-worker': inBrowser('firefox', ...worker),
  deno: inDeno(),
  'deno-worker': inDeno('worker'),
  node: inNode,
};

const usage = `npm run engines -- [ENGINE ...]

Trains a small GPT and a small LSTM for ten steps on each engine, prints their losses side by side, and fails where they
disagree. All of them: ${Object.keys(engines).join(', ')}. A minute or two without a GPU.
What is missing is installed; an engine that can't be had is left out, and the reason said.

${installHelp(16)}`;

/**
 * Losses may differ by so much of their size, as those of the same kind of model may from PyTorch's in test/models: sums are
 * taken in another order on each engine, and normal random numbers may differ by 1e-6.
 */
const tolerance = 1e-5;

await runProgram({ command: 'npm run engines', usage, options: {}, allowPositionals: true }, async (_, names) => {
  const wrong = names.find((name) => !Object.hasOwn(engines, name));
  if (wrong) throw new UsageError(`there is no engine ${wrong}; there are ${Object.keys(engines).join(', ')}`);
  /** @type {{ name: string, result: Trajectories }[]} */
  const all = [];
  for (const name of names.length > 0 ? names : Object.keys(engines)) {
    const { needs, train } = /** @type {Engine} */ (engines[name]);
    try {
      await needs();
    } catch (error) {
      console.log(`${name.padEnd(15)} is left out: ${error instanceof Error ? error.message : error}`);
      continue;
    }
    const result = await train();
    all.push({ name, result });
    console.log(`${name.padEnd(15)} ${result.profile.padEnd(8)} ${result.adapter}`);
  }
  for (const model of /** @type {const} */ (['gpt', 'lstm'])) {
    console.log(`\nLosses of the ${model}, steps 1 to 10`);
    for (const { name, result } of all)
      console.log(`${name.padEnd(15)} ${result.losses[model].map((loss) => loss.toFixed(5)).join(' ')}`);
  }
  const { most, notes } = compare(all);
  if (notes.length > 0) throw new Error(`engines disagree:\n${notes.join('\n')}`);
  console.log(`\n${all.length} agree: losses differ by at most ${most.toExponential(1)} of their size.`);
});
process.exit();

/**
 * How far losses are from those of the first engine, and which are too far.
 * @param {readonly { name: string, result: Trajectories }[]} all
 */
function compare(all) {
  const first = all[0];
  let most = 0;
  /** @type {string[]} */
  const notes = [];
  for (const { name, result } of all) {
    for (const model of /** @type {const} */ (['gpt', 'lstm'])) {
      for (const [step, loss] of result.losses[model].entries()) {
        const wanted = first?.result.losses[model][step] ?? Number.NaN;
        const apart = Math.abs(loss - wanted) / Math.abs(wanted);
        most = Math.max(most, apart);
        // A NaN is within nothing.
        if (!(apart <= tolerance))
          notes.push(`${name}, ${model}, step ${step + 1}: ${loss}; ${first?.name}: ${wanted}`);
      }
    }
  }
  return { most, notes };
}
