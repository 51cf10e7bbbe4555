/** `npm run host`: prints what weft costs the processor that it runs on. */

import { runInDeno } from './deno.mjs';

await runInDeno('bench/host/main.ts', { vulkan: process.argv.includes('--deno') });
