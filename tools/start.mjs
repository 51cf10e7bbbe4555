/** `npm start`: runs the demo on the command line, in Deno. Arguments go to the demo. */

import { spawnSync } from 'node:child_process';
import { denoEnvironment, denoFlags, ensureVulkan, findDeno, root } from './machine.mjs';

ensureVulkan();
const { status } = spawnSync(findDeno(), ['run', ...denoFlags, 'demo/main.ts', ...process.argv.slice(2)], {
  cwd: root,
  env: denoEnvironment,
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
