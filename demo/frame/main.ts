/** `npm run example`: lists examples, or runs some in Deno or in Chrome. */

import { join } from 'node:path';
import process from 'node:process';
import { init } from '../../src/index.ts';
import { runProgram, UsageError } from '../../tools/commandLine.mjs';
import { complain, say, visible } from '../console.ts';
import { decode } from '../data.ts';
import { DenoHost } from '../deno.ts';
import { terminal } from '../terminal.ts';
import { columnsOf, wrap } from '../wrap.ts';
import { runInChrome } from './chrome.ts';
import { help, type Options, optionsFrom, syntax } from './options.ts';
import { record } from './record.ts';
import { type ExampleName, exampleNames, loadExample } from './registry.ts';
import { type Result, type RunOptions, runExample } from './run.ts';

/** What is committed. */
const recordFolder = join(import.meta.dirname, '../examples/results');

const columns = columnsOf(process.stderr, process.env) ?? Infinity;
await runProgram(
  {
    ...{ command: 'npm run example', usage: help, options: syntax, allowPositionals: true, say },
    complain: (text) => complain(process.env.WEFT_DEBUG ? text : wrap(visible(text), columns)),
  },
  async (values, names) => {
    const options = optionsFrom(names, values);
    await (options.list ? list(options) : run(options));
  },
);
// Chrome's pipes or a pending GPU callback must not keep the process.
process.exit();

async function list({ json }: Options): Promise<void> {
  if (json) return say(JSON.stringify(exampleNames));
  const width = Math.max(...exampleNames.map(({ length }) => length)) + 2;
  const out = terminal(false);
  for (const name of exampleNames) out.print(`  ${name.padEnd(width)}${(await loadExample(name)).claim}`);
  out.print('\nnpm run example NAME runs one; npm run example -- --help says more.');
}

async function run(options: Options): Promise<void> {
  const host = new DenoHost(terminal(options.json));
  const text = options.text === null ? null : decode(await host.readFile(options.text), options.text);
  if (text !== null) await expectLearners(options.names);
  await host.tryFolder(options.out);
  const place = options.browser ? inChrome(host) : await inDeno(host);
  for (const name of options.names) {
    const results: Result[] = [];
    for (const seed of options.seeds) {
      const isShown = options.record && seed === options.seeds[0];
      const out = isShown ? recordFolder : options.out;
      const file = options.seeds.length > 1 && !isShown ? `${name}-${seed}` : name;
      const result = await place.run(name, { seed, steps: options.steps, out, file, text });
      results.push(result);
      if (!result.held) process.exitCode = 1;
      if (options.json) say(JSON.stringify(result));
      host.print();
    }
    if (options.record) host.print(`  recorded     ${await record(recordFolder, name, place.name(), results)}\n`);
  }
}

/** Where examples run. */
interface Place {
  /** Adapter and runtime. */
  name(): string;
  run(name: ExampleName, options: RunOptions): Promise<Result>;
}

async function inDeno(host: DenoHost): Promise<Place> {
  const { adapter } = await init();
  host.print(`Adapter      ${adapter}, ${host.runtime}`);
  return { name: () => `${adapter}, ${host.runtime}`, run: (name, options) => runExample(name, options, host) };
}

function inChrome(host: DenoHost): Place {
  return { name: () => 'headless Chrome', run: (name, options) => runInChrome(name, options, host) };
}

/** Throws where an example learns no text. */
async function expectLearners(names: readonly ExampleName[]): Promise<void> {
  for (const name of names) {
    const { text } = await loadExample(name);
    if (text === undefined) throw new UsageError(`${name} makes its own data: leave out --text`);
  }
}
