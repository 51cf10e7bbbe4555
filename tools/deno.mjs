/**
 * `npm start` and its like: runs a script of this project in Deno, as a child that gets the terminal, signals and all other
 * arguments. What the script needs from the machine is looked for first.
 */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { takeInstallOptions } from './commandLine.mjs';
import { denoEnvironment, denoFlags, ensurePackages, ensureVulkan, findDeno, root } from './machine.mjs';

/**
 * What a script needs, unless it only prints its help: a Vulkan driver, since Chrome brings a software adapter of its own,
 * and the packages of a folder: the libraries that weft is compared with, or Dawn.
 * @type {Record<string, { vulkan: (has: (option: string) => boolean, given: readonly string[]) => boolean, packages?: 'bench' | 'bench/static' }>}
 */
const needs = {
  'demo/main.ts': { vulkan: (has) => !has('--browser') },
  // Without an example's name it lists them.
  'demo/frame/main.ts': { vulkan: (has, given) => given.length > 0 && !has('--browser') && !has('--list') },
  'bench/main.ts': { vulkan: (has) => has('--deno'), packages: 'bench' },
  'bench/counts.ts': { vulkan: () => true },
  'bench/host/main.ts': { vulkan: (has) => has('--deno') },
  'bench/results.ts': { vulkan: () => false },
  'bench/static/main.ts': { vulkan: () => true, packages: 'bench/static' },
  'bench/scaling/main.ts': { vulkan: (has) => !has('--browser') },
};

try {
  const [script = '', ...args] = takeInstallOptions(process.argv.slice(2));
  const need = needs[script];
  if (!need) throw new Error(`tools/deno.mjs runs ${Object.keys(needs).join(', ')}, not ${script || 'nothing'}`);
  const has = (/** @type {string} */ option) => args.includes(option);
  if (!has('--help') && !has('-h')) {
    if (need.packages) await ensurePackages(need.packages);
    if (need.vulkan(has, args)) await ensureVulkan();
  }
  const parameters = ['run', ...denoFlags, join(root, script), ...args];
  // npm changes to the project's root; paths on the command line are meant from where the user is.
  const cwd = process.env.INIT_CWD ?? process.cwd();
  process.exitCode = await follow(spawn(await findDeno(), parameters, { cwd, env: denoEnvironment, stdio: 'inherit' }));
} catch (error) {
  console.error(`weft: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

/**
 * Passes signals on to the child, which decides how to end, and waits for it.
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<number>} its exit code
 */
function follow(child) {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}
