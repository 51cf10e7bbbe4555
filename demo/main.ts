/** `npm start`: the main job on the command line. Reads the options, runs the job in Deno or in Chrome, prints results. */

import process from 'node:process';
import { runProgram } from '../tools/commandLine.mjs';
import { runInChrome } from './chrome.ts';
import { complain, say, visible } from './console.ts';
import { DenoHost } from './deno.ts';
import { runJob } from './job.ts';
import { help, type Options, optionsFrom, syntax } from './options.ts';
import { terminal } from './terminal.ts';
import { columnsOf, wrap } from './wrap.ts';

// Whole where it goes to a file, for others to search.
const columns = columnsOf(process.stderr, process.env) ?? Infinity;
await runProgram(
  {
    ...{ command: 'npm start', usage: help, options: syntax, say },
    complain: (text) => complain(process.env.WEFT_DEBUG ? text : wrap(visible(text), columns)),
  },
  (values) => run(optionsFrom(values)),
);
// Chrome's pipes or a pending GPU callback must not keep the process.
process.exit();

async function run(options: Options): Promise<void> {
  const host = new DenoHost(terminal(options.json));
  listenForInterrupts(host);
  const summary = await (options.browser ? runInChrome(options, host) : runJob(options, host));
  if (options.json) say(JSON.stringify(summary));
}

/** The first Ctrl-C ends the run after the current step; a later one, or one with nothing to save, ends it at once. */
function listenForInterrupts(host: DenoHost): void {
  let first = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // One Ctrl-C can arrive twice: from the terminal, and passed on by npm.
      if (host.interrupted && performance.now() - first > 1000) process.exit(130);
      if (host.interrupted) return;
      first = performance.now();
      host.interrupted = true;
      host.print('\nStopping after this step; Ctrl-C again ends at once, and nothing is saved.');
    });
  }
}
