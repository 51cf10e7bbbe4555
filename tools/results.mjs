/** `npm run results`: puts tables of the files in bench/results/ into the README. */

import { runInDeno } from './deno.mjs';

await runInDeno('bench/results.ts', { vulkan: false });
