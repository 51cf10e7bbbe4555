/** `npm run bench`: compares weft with other libraries. */

import { runInDeno } from './deno.mjs';
import { installPeers } from './peers.mjs';

const has = (/** @type {string[]} */ ...options) => process.argv.some((argument) => options.includes(argument));

const help = has('--help', '-h');
await runInDeno('bench/main.ts', { vulkan: !help && has('--deno'), prepare: () => help || installPeers() });
