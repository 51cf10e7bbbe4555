/** `npm run counts`: prints how many WebGPU calls small training steps take. */

import { runInDeno } from './deno.mjs';

await runInDeno('bench/counts.ts', { vulkan: true });
