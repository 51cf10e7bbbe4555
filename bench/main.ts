/** `npm run bench`: the benchmark on the command line, in headless Chrome or in Deno. */

import { closeSync, existsSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { complain, say } from '../demo/console.ts';
import { wrap } from '../demo/wrap.ts';
import { installHelp, runProgram } from '../tools/commandLine.mjs';
import { type Options, runBench, select } from './bench.ts';
import { runInChrome } from './chrome.ts';
import { peerNames } from './peers/library.ts';
import { rowNames } from './suites/index.ts';
import { TerminalHost } from './terminal.ts';

const usage = `npm run bench -- [options]

Compares weft's kernels and training steps with those of other libraries, in
headless Chrome. Every result is checked against a float64 reference; contenders
take turns, and the median of at least 15 rounds counts (fewer for a contender
that is more than twice as slow as the fastest and beaten by another peer too).

  --deno           in Deno: weft and jax-js
  --only PATTERN   only rows where the regular expression matches
                   "name shape contender"; can be repeated
  --variants       every variant of weft's kernels, and what tune() finds; so does
                   a pattern with weft: in it
  --quick          fewer rounds, and, without --only, fewer sizes
  --json FILE      writes the rows to FILE
${installHelp(19)}
  --help           this text

${wrap(`Names:       ${rowNames.join(', ')}`, 80)}
${wrap(
  `Contenders:  weft, ${peerNames.join(', ')}; weft:counted (software adapters, which compute on the CPU: the kernels ` +
    'of a GPU, which `npm run counts` counts), weft:VARIANT, weft:tuned',
  80,
)}

Examples
  npm run bench -- --quick
  npm run bench -- --deno --only 'matmul 512x512x512 NN'
  npm run bench -- --only '^softmax.* (weft:|weft$)'`;

await runProgram(
  {
    ...{ command: 'npm run bench', usage, say, complain },
    options: {
      deno: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      variants: { type: 'boolean' },
      quick: { type: 'boolean' },
      json: { type: 'string' },
    },
  },
  ({ deno = false, only = [], quick = false, variants = false, json }) => main({ only, quick, variants }, deno, json),
);
// Chrome's pipes or a pending GPU callback must not keep the process.
process.exit();

async function main(options: Options, inDeno: boolean, json: string | undefined): Promise<void> {
  // What is wrong with the options is said before minutes are spent on them.
  const host = new TerminalHost();
  select(options, inDeno ? Object.keys(host.peers) : peerNames);
  if (json !== undefined) checkWritable(json);
  const save = () => {
    host.end();
    if (json !== undefined && host.all.length > 0) writeFileSync(json, `${JSON.stringify(host.all, null, 1)}\n`);
  };
  listenForInterrupts(host, save);
  try {
    await (inDeno ? runBench(options, host) : runInChrome(options, host));
  } finally {
    // A crash, too, leaves what was measured before it.
    save();
  }
}

/** The first Ctrl-C ends the run after the current sample; a later one ends it at once. Whole cases are saved by both. */
function listenForInterrupts(host: TerminalHost, save: () => void): void {
  let first = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // One Ctrl-C can arrive twice: from the terminal, and passed on by npm.
      if (host.stopped && performance.now() - first < 1000) return;
      if (host.stopped) {
        save();
        process.exit(130);
      }
      first = performance.now();
      host.stopped = true;
      host.message('Stopping; Ctrl-C again ends at once.');
    });
  }
}

/** Throws where no file can be written. What is in it stays until there are results. */
function checkWritable(file: string): void {
  const isNew = !existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
    if (isNew) unlinkSync(file);
  } catch (error) {
    throw new Error(`--json: ${(error as Error).message}; name a file in a folder that exists and can be written to`);
  }
}
