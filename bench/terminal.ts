import process from 'node:process';
import cliProgress from 'cli-progress';
import type { Host, Progress } from './bench.ts';
import { asText, bytes, fastestFirst, limitOf, type Row, type Table, tables } from './rows.ts';

/** Prints tables as they come, and progress as a bar on a terminal. */
export class TerminalHost implements Host {
  readonly runtime = `Deno ${process.versions.deno}`;
  readonly peers = { 'jax-js': () => import(new URL('peers/jax.ts', import.meta.url).href) };
  stopped = false;
  readonly all: Row[] = [];
  #bar: cliProgress.SingleBar | null = null;

  progress({ done, all, now }: Progress): void {
    if (!process.stderr.isTTY) return;
    const details = now.slice(0, Math.max(20, (process.stderr.columns || 80) - 40));
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
    if (this.all.length === 0 && rows[0]) console.log(`${rows[0].runtime}, ${rows[0].adapter}\n`);
    this.all.push(...rows);
    for (const group of tables(rows)) console.log(oneLine(group) ?? `${text(group)}\n`);
    if (rows[0]?.suite === 'limits') console.log();
  }

  message(message: string): void {
    this.end();
    console.error(message);
  }

  end(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}

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

/** A table in columns of equal width. */
function text(group: readonly Row[]): string {
  const [first] = group as [Row];
  const { titles, lines } = asText([fastestFirst(group)])[0] as Table;
  const widths = titles.map((title, i) => Math.max(title.length, ...lines.map((line) => (line[i] as string).length)));
  const isText = (i: number) => i === 0 || titles[i] === 'note';
  const padded = [titles, ...lines].map((line) =>
    line.map((cell, i) => (isText(i) ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))),
  );
  return [`${first.name} ${first.shape}`, ...padded.map((line) => `  ${line.join('  ').trimEnd()}`)].join('\n');
}
