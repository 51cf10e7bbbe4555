/** `npm run results`: puts tables of the files in bench/results/ into the README, between its two marks. */

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { complain, say } from '../demo/console.ts';
import { runProgram } from '../tools/commandLine.mjs';
import { type Standing, standings } from './page/summary.ts';
import { adapterName, bytes, milliseconds, type Row } from './rows.ts';

const [begin, end] = ['<!-- results: made by `npm run results` -->', '<!-- end of results -->'];
const folder = join(import.meta.dirname, 'results');
const readme = join(import.meta.dirname, '../README.md');

const usage = `npm run results

Puts tables of the files in bench/results/, which \`npm run bench -- --json FILE\` writes, into README.md.`;

await runProgram({ command: 'npm run results', usage, options: {}, say, complain }, async () => {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json') && !file.startsWith('scaling')).sort();
  const parts: string[] = [];
  for (const file of files) parts.push(partOf(file, JSON.parse(await readFile(join(folder, file), 'utf8'))));
  const text = await readFile(readme, 'utf8');
  const [before, after] = [text.indexOf(begin), text.indexOf(end)];
  if (before < 0 || after < before) throw new Error(`README.md lacks the marks ${begin} and ${end}`);
  await writeFile(readme, `${text.slice(0, before)}${begin}\n\n${parts.join('\n\n')}\n\n${text.slice(after)}`);
  say(`README.md shows ${files.length} ${files.length === 1 ? 'file' : 'files'} of bench/results.`);
});
process.exit();

/** One device: its limits, weft against the best of the others, and what attention keeps in memory. */
function partOf(file: string, rows: readonly Row[]): string {
  const [{ adapter, runtime }] = rows as [Row];
  const limits = rows.filter(({ suite }) => suite === 'limits');
  const most = (of: (row: Row) => number | null) => Math.max(...limits.map((row) => of(row) ?? 0)).toFixed(1);
  return [
    `**${adapterName(adapter)}, ${runtime}** ([all figures](bench/results/${file}))`,
    '',
    `Limits, measured in the same run: ${most(({ gflops }) => gflops)} GFLOP/s of multiply-adds for products, attention, LSTMs and steps;`,
    `copies, at up to ${most(({ gbps }) => gbps)} GB/s and in turns with what they bound, for the rest. Of the layouts of a product, the worst is shown.`,
    '',
    '| work | size | weft | best peer | weft is faster by | share of limit |',
    '|---|---|---:|---:|---:|---:|',
    ...worstLayouts(standings(rows)).map((each) => line(each, rows)),
    ...memoryOf(rows),
  ].join('\n');
}

function line({ name, shape, peer, ratio }: Standing, rows: readonly Row[]): string {
  const of = (contender: string) =>
    rows.find((row) => row.name === name && row.shape === shape && row.contender === contender) as Row;
  const [weft, best] = [of('weft'), of(peer)];
  const share = weft.fractionOfLimit === null ? '' : `${(100 * weft.fractionOfLimit).toFixed(0)} %`;
  const times = [weft, best].map(({ medianMs }) => milliseconds(medianMs ?? 0));
  return `| ${name} | ${shape} | ${times[0]} | ${times[1]} (${peer}) | **${ratio.toFixed(1)} ×** | ${share} |`;
}

/** Of the layouts of one matrix product, the one where weft is least ahead. */
function worstLayouts(all: readonly Standing[]): Standing[] {
  const sizes = Map.groupBy(all, ({ name, shape }) => `${name} ${shape.replace(/ (NN|NT|TN)$/, '')}`);
  return [...sizes.values()].map((layouts) =>
    layouts.reduce((worst, each) => (each.ratio < worst.ratio ? each : worst)),
  );
}

/** What attention keeps while it runs, forward and backward. */
function memoryOf(rows: readonly Row[]): string[] {
  const memory = rows.filter(({ suite, name }) => suite === 'memory' && name === 'attention forward+backward');
  const of = (contender: string) => memory.filter((row) => row.contender === contender);
  const lengths = of('weft').map(({ shape }) => /T(\d+)/.exec(shape)?.[1]);
  if (of('unfused').length === 0) return [];
  const cells = (contender: string) => of(contender).map(({ planBytes }) => bytes(planBytes ?? 0));
  return [
    '',
    'Intermediate values of attention forward+backward (B 1, H 4, D 64, causal):',
    '',
    `| T | ${lengths.join(' | ')} |`,
    `|---|${'---:|'.repeat(lengths.length)}`,
    `| weft, planned | ${cells('weft').join(' | ')} |`,
    `| T×T weights and their gradient, by computation | ${cells('unfused').join(' | ')} |`,
  ];
}
