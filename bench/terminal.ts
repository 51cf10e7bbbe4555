import process from 'node:process';
import cliProgress from 'cli-progress';
import type { Host, Progress } from './bench.ts';
import { cells, columns, digits, fastestFirst, type Row, tables } from './rows.ts';

/** Prints tables as they come, and progress as a bar on a terminal. */
export class TerminalHost implements Host {
  readonly runtime = `Deno ${process.versions.deno}`;
  readonly peers = { 'jax-js': () => import(new URL('peers/jax.ts', import.meta.url).href) };
  stopped = false;
  readonly all: Row[] = [];
  #bar: cliProgress.SingleBar | null = null;

  interrupt(): void {
    // The second one doesn't wait for the row that is under way.
    if (this.stopped) process.exit(130);
    this.stopped = true;
  }

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
    for (const group of tables(rows)) console.log(oneLine(group[0] as Row) ?? `${text(group)}\n`);
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

function oneLine({ suite, name, gflops, gbps, medianMs, shape, note }: Row): string | null {
  if (suite === 'memory') return `${name} ${shape}: ${note}`;
  if (suite !== 'limits') return null;
  const rate = gflops !== null ? `${digits(gflops)} GFLOP/s` : gbps !== null ? `${digits(gbps)} GB/s` : null;
  const value = rate ?? `${digits((medianMs ?? 0) * 1000)} µs`;
  return `${name}: ${value} (${shape})`;
}

/** A table in columns of equal width. */
function text(group: readonly Row[]): string {
  const [first] = group as [Row];
  const lines = [[...columns], ...fastestFirst(group).map((row) => cells(row, group))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] as string).length)));
  const last = columns.length - 1;
  const padded = lines.map((line) =>
    line.map((cell, i) =>
      i === 0 || i === last ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number),
    ),
  );
  return [`${first.name} ${first.shape}`, ...padded.map((line) => `  ${line.join('  ').trimEnd()}`)].join('\n');
}
