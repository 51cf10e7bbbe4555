import process from 'node:process';
import cliProgress from 'cli-progress';
import { complain, say, visible } from '../demo/console.ts';
import { columnsOf, wrap } from '../demo/wrap.ts';
import type { Host, Progress } from './bench.ts';
import { adapterName, asText, bytes, fastestFirst, limitOf, type Row, type Table, tables } from './rows.ts';

/** Prints tables as they come, and progress as a bar on a terminal. */
export class TerminalHost implements Host {
  readonly runtime = `Deno ${process.versions.deno}`;
  readonly peers = { 'jax-js': () => import(new URL('peers/jax.ts', import.meta.url).href) };
  stopped = false;
  readonly all: Row[] = [];
  #bar: cliProgress.SingleBar | null = null;

  progress({ done, all, now }: Progress): void {
    if (!process.stderr.isTTY) return;
    const details = visible(now).slice(0, Math.max(20, (columnsOf(process.stderr, process.env) ?? 80) - 40));
    if (this.#bar) this.#bar.update(done, { details });
    else {
      this.#bar = new cliProgress.SingleBar({
        stream: process.stderr,
        format: '{bar} {value}/{total}  {details}',
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: 20,
        hideCursor: true,
        linewrap: false,
        clearOnComplete: true,
        gracefulExit: false,
      });
      this.#bar.start(all, done, { details });
    }
  }

  rows(rows: readonly Row[]): void {
    this.end();
    const columns = columnsOf(process.stdout, process.env) ?? 80;
    if (this.all.length === 0 && rows[0]) say(`${wrap(heading(rows[0]), columns)}\n`);
    this.all.push(...rows);
    for (const group of tables(rows)) {
      const line = oneLine(group);
      say(line === null ? `${text(group, columns)}\n` : wrap(line, columns));
    }
    if (rows[0]?.suite === 'limits') say();
  }

  message(message: string): void {
    this.end();
    complain(wrap(message, columnsOf(process.stderr, process.env) ?? Infinity));
  }

  end(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}

/** Where the figures are from, and what those mean that have no unit. */
export const heading = ({ runtime, adapter }: Row) =>
  `${runtime}, ${adapterName(adapter)}\n` +
  'Medians; p10 – p90: what four of five rounds lie between; of limit: of what the device can do at most; ' +
  'dispatches: kernels (programs of the GPU) that are started; submits: how often work is handed to the device.';

function oneLine(group: readonly Row[]): string | null {
  const [first] = group as [Row];
  const { suite, name, shape } = first;
  if (suite === 'memory') {
    const each = group.map(({ contender, planBytes, note }) => `${contender} ${bytes(planBytes ?? 0)} (${note})`);
    return `${name} ${shape}: ${each.join('; ')}`;
  }
  if (suite !== 'limits') return null;
  return `${name}: ${limitOf(first).join(' ')} (${shape})`;
}

/**
 * A table in columns of equal width. Where it is wider than `columns`, notes go below their rows, and figures that don't
 * fit beside the others into further blocks, each of which begins with the contenders.
 */
export function text(group: readonly Row[], columns: number): string {
  const [first] = group as [Row];
  const { titles, lines } = asText([fastestFirst(group)])[0] as Table;
  const widths = titles.map((title, i) => Math.max(title.length, ...lines.map((line) => (line[i] as string).length)));
  const isText = (i: number) => i === 0 || titles[i] === 'note';
  const wholeRow = (shown: readonly number[]) => (line: readonly string[]) => {
    const cells = shown.map((i) => {
      const [cell, width] = [line[i] as string, widths[i] as number];
      return isText(i) ? cell.padEnd(width) : cell.padStart(width);
    });
    return `  ${cells.join('  ').trimEnd()}`;
  };

  const all = titles.map((_, i) => i);
  const widthOf = (shown: readonly number[]) => shown.reduce((sum, i) => sum + 2 + (widths[i] as number), 0);
  if (widthOf(all) <= columns) return [titleOf(first), ...[titles, ...lines].map(wholeRow(all))].join('\n');

  const note = titles.indexOf('note');
  const blocks: number[][] = [];
  for (const i of all.slice(1).filter((i) => i !== note)) {
    const last = blocks.at(-1);
    if (last && widthOf([...last, i]) <= columns) last.push(i);
    else blocks.push([0, i]);
  }
  const parts = blocks.map((shown, block) => {
    const rowOf = wholeRow(shown);
    const rows = lines.map((line) => {
      const said = block === 0 && note >= 0 ? (line[note] as string) : '';
      return said === '' ? rowOf(line) : `${rowOf(line)}\n${wrap(`    ${said}`, columns)}`;
    });
    return [rowOf(titles), ...rows].join('\n');
  });
  return [titleOf(first), ...parts].join('\n');
}

const titleOf = ({ name, shape }: Row) => `${name} ${shape}`;
