/**
 * `npm run dev` serves the pages as they are in the working tree, `npm run site` builds them into site/, to be served from any
 * folder. Options are Vite's.
 */

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { takeInstallOptions } from './commandLine.mjs';
import { ensurePackages, root } from './machine.mjs';

const args = takeInstallOptions(process.argv.slice(2));
try {
  await ensurePackages('bench');
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  if (args[0] === 'build') {
    console.error(`weft: ${message}`);
    process.exit(1);
  }
  const [reason] = message.split('\n');
  console.error(`The benchmark page will measure weft alone, since other libraries can't be installed: ${reason}`);
}
const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js');
const child = spawn(process.execPath, [vite, ...args], { cwd: root, stdio: 'inherit' });
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
child.on('close', (code) => {
  process.exitCode = code ?? 0;
});
