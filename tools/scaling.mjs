/** `npm run scaling`: how the time of a training step grows with its sizes. */

import { runInDeno } from './deno.mjs';
import { installPeers } from './peers.mjs';

// What draws the plots is installed beside the libraries that weft is compared with.
await runInDeno('bench/scaling/main.ts', { vulkan: !process.argv.includes('--browser'), prepare: installPeers });
