import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type ExampleName, exampleNames, loadExample } from './registry.ts';
import { barText, figure } from './report.ts';
import type { Result } from './run.ts';

/** What is kept of an example: where it ran, and what came out with each seed; pictures are files beside the table. */
interface Entry {
  readonly place: string;
  readonly results: readonly Result[];
}
type Entries = Partial<Record<ExampleName, Entry>>;

/** Puts what came out of an example into results.json of the folder, and writes the table anew. Gives the table's path. */
export async function record(
  folder: string,
  name: ExampleName,
  place: string,
  results: readonly Result[],
): Promise<string> {
  const [data, table] = [join(folder, 'results.json'), join(folder, 'README.md')];
  const entries: Entries = JSON.parse(await readFile(data, 'utf8').catch(() => '{}'));
  const [first] = results as [Result];
  // The pictures of other seeds stay where they are.
  entries[name] = { place, results: results.map((each) => ({ ...each, picture: relative(folder, first.picture) })) };
  const ordered = exampleNames.flatMap((each) => (entries[each] ? [[each, entries[each]] as const] : []));
  await writeFile(data, `${JSON.stringify(Object.fromEntries(ordered), null, 1)}\n`);
  await writeFile(table, await page(ordered));
  return table;
}

/** The table as a page of Markdown. */
async function page(entries: readonly (readonly [ExampleName, Entry])[]): Promise<string> {
  const parts = await Promise.all(entries.map(([name, entry]) => section(name, entry)));
  return [
    '# What the examples show',
    '',
    'Made by `npm run example -- --all --seeds 3`; `npm run example NAME` runs one. A figure stands in bold where it missed its bar.',
    '',
    '| example | claim | held | seconds |',
    '|---|---|---|---:|',
    ...entries.map(([name, { results }]) => {
      const held = results.filter((result) => result.held).length;
      return `| [${name}](#${name}) | ${results[0]?.claim} | ${held} of ${results.length} seeds | ${secondsOf(results)} |`;
    }),
    '',
    ...parts,
  ].join('\n');
}

async function section(name: ExampleName, { place, results }: Entry): Promise<string> {
  const { paper, full } = await loadExample(name);
  const [first] = results as [Result];
  const row = (kind: 'metrics' | 'baseline', label: string) => (figureName: string) => {
    const bar = full.bars[figureName];
    const cells = results.map((result) => {
      const value = result[kind][figureName] ?? Number.NaN;
      const missed = bar && !(value >= bar.least && value <= bar.most);
      return missed ? `**${figure(value)}**` : figure(value);
    });
    return `| ${figureName}${label} | ${[...cells, bar ? barText(bar) : ''].join(' | ')} |`;
  };
  return [
    `## ${name}`,
    '',
    `${first.claim} (${paper}).`,
    '',
    `| | ${results.map(({ seed }) => `seed ${seed}`).join(' | ')} | bar |`,
    `|---|${'---:|'.repeat(results.length)}---|`,
    ...Object.keys(first.metrics).map(row('metrics', '')),
    ...Object.keys(first.baseline).map(row('baseline', ' (baseline)')),
    '',
    `![${first.claim}](${first.picture})`,
    '',
    `${place}.`,
    '',
  ].join('\n');
}

const secondsOf = (results: readonly Result[]) => {
  const seconds = results.map((result) => Math.round(result.seconds));
  const [least, most] = [Math.min(...seconds), Math.max(...seconds)];
  return least === most ? String(least) : `${least} – ${most}`;
};
