/** Runs a script of this project in Deno, as a child that gets this process's arguments, terminal and signals. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { takeInstallOptions } from './install.mjs';
import { denoEnvironment, denoFlags, ensureVulkan, findDeno, root } from './machine.mjs';

/**
 * @param {string} script path below the project's root
 * @param {object} needs
 * @param {boolean} needs.vulkan the script uses the GPU in Deno, so a driver is looked for, and fetched if possible
 * @param {() => unknown} [needs.prepare] what is done before
 * @returns {Promise<void>} sets the exit code
 */
export async function runInDeno(script, { vulkan, prepare }) {
  try {
    const args = takeInstallOptions(process.argv.slice(2));
    await prepare?.();
    if (vulkan) await ensureVulkan();
    const parameters = ['run', ...denoFlags, join(root, script), ...args];
    // npm changes to the project's root; paths on the command line are meant from where the user is.
    const cwd = process.env.INIT_CWD ?? process.cwd();
    process.exitCode = await follow(
      spawn(await findDeno(), parameters, { cwd, env: denoEnvironment, stdio: 'inherit' }),
    );
  } catch (error) {
    console.error(`weft: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
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
