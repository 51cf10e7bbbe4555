/** `npm start`: runs the demo on the command line, in Deno. Arguments go to the demo. */

import { runInDeno } from './deno.mjs';

// Chrome brings a software adapter of its own, and help needs none.
const elsewhere = process.argv.some((argument) => ['--browser', '--help', '-h'].includes(argument));
await runInDeno('demo/main.ts', { vulkan: !elsewhere });
