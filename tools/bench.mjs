/** `npm run bench`: compares weft with other libraries. */

import { runInDeno } from './deno.mjs';
import { installPeers } from './peers.mjs';

const has = (/** @type {string[]} */ ...options) => process.argv.some((argument) => options.includes(argument));

if (!has('--help', '-h')) installPeers();
await runInDeno('bench/main.ts', { vulkan: has('--deno') });
