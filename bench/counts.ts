/** `npm run counts`: WebGPU calls of small workloads, per call after warm-up. */

import process from 'node:process';
import { complain, say } from '../demo/console.ts';
import { type Counts, countCalls } from '../demo/counts.ts';
import { init } from '../src/index.ts';
import { runProgram } from '../tools/commandLine.mjs';
import { adapterName } from './rows.ts';
import { workloads } from './workloads.ts';

const columns = ['dispatches', 'submits', 'buffers', 'bindGroups', 'pipelines'] as const;
/** Calls before the count: pipelines, bind groups and pools are made by then, and every ring has come round. */
const warmUp = 6;

const usage = `npm run counts [-- --json]

Counts the WebGPU calls of small workloads by wrapping WebGPU's prototypes: first
with the kernels that a GPU gets, then with those that are chosen for this
adapter. A dispatch starts a kernel, a submit hands a list of them to the device.
--json: the last line is a JSON object of the first table.`;

type Row = Pick<Counts, (typeof columns)[number]>;
type Table = Record<string, Row>;

await runProgram(
  { command: 'npm run counts', usage, options: { json: { type: 'boolean' } }, say, complain },
  ({ json = false }) => main(json),
);
process.exit();

async function main(json: boolean): Promise<void> {
  const own = await init();
  const adapter = own.adapter;
  const selection = own.profile.selection;
  own.destroy();
  say(`Adapter: ${adapterName(adapter)}\n`);
  const pinned = await tableOf('gpu');
  print('Kernels for a GPU (profile gpu)', pinned);
  print(`Kernels for this adapter (profile ${selection})`, selection === 'gpu' ? pinned : await tableOf(selection));
  if (json) say(JSON.stringify(pinned));
}

async function tableOf(profile: 'gpu' | 'software'): Promise<Table> {
  const device = await init({ profile });
  const table: Table = {};
  for (const [name, prepare] of Object.entries(workloads)) {
    const work = await prepare();
    for (let i = 0; i < warmUp; i++) await work();
    const { counts } = await countCalls(work);
    table[name] = Object.fromEntries(columns.map((column) => [column, counts[column]])) as unknown as Row;
  }
  device.destroy();
  return table;
}

function print(title: string, table: Table): void {
  say(title);
  say(['', ...columns].map((name, i) => (i === 0 ? name.padEnd(18) : name.padStart(12))).join(''));
  for (const [name, counts] of Object.entries(table)) {
    say(name.padEnd(18) + columns.map((column) => String(counts[column]).padStart(12)).join(''));
  }
  say();
}
