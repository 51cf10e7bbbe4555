/** `npm run dev`: serves the pages, as they are in the working tree. Options are Vite's. */

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { root } from './machine.mjs';
import { installPeers } from './peers.mjs';

try {
  await installPeers();
} catch (error) {
  const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
  console.error(`The benchmark page will measure weft alone, since other libraries can't be installed: ${reason}`);
}
const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js');
const server = spawn(process.execPath, [vite, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => server.kill(signal));
server.on('close', (code) => {
  process.exitCode = code ?? 0;
});
