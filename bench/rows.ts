import type { Case } from './suites/index.ts';

/** One line of the results. */
export interface Row {
  readonly suite: Case['suite'] | 'limits';
  readonly name: string;
  readonly shape: string;
  readonly dtype: 'f32';
  readonly runtime: string;
  readonly adapter: string;
  readonly contender: string;
  /** Null where the contender failed; `note` says why. */
  readonly medianMs: number | null;
  readonly p10Ms: number | null;
  readonly p90Ms: number | null;
  readonly gflops: number | null;
  readonly gbps: number | null;
  /** Of the peak arithmetic or of the copy bandwidth, whichever bounds this work. */
  readonly fractionOfLimit: number | null;
  readonly dispatches: number | null;
  readonly submits: number | null;
  /** Buffers created in a run, once everything has been run a few times, and their bytes. */
  readonly buffers: number | null;
  readonly bufferBytes: number | null;
  /** Bytes of the buffers for intermediate values, where a library plans them ahead: weft. */
  readonly planBytes: number | null;
  /** Largest difference from a float64 reference, as a part of the largest magnitude in it. */
  readonly maxError: number | null;
  /** Samples that the median is taken from, and calls in each. */
  readonly rounds: number | null;
  readonly calls: number | null;
  readonly note: string;
}

/** Rows of one table: the same work on the same size. */
export function tables(rows: readonly Row[]): Row[][] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.suite}/${row.name}/${row.shape}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()];
}

export const columns = [
  'contender',
  'median',
  'p10 – p90',
  '× weft',
  'GFLOP/s',
  'GB/s',
  'of limit',
  'dispatches',
  'submits',
  'max error',
  'note',
] as const;

/** The cells of a row in the order of `columns`; `group` is the table that it stands in. */
export function cells(row: Row, group: readonly Row[]): string[] {
  const weft = group.find(({ contender }) => contender === 'weft')?.medianMs;
  return [
    row.contender,
    row.medianMs === null ? '–' : milliseconds(row.medianMs),
    row.p10Ms === null || row.p90Ms === null ? '' : `${digits(row.p10Ms)} – ${digits(row.p90Ms)}`,
    row.medianMs === null || !weft ? '' : (row.medianMs / weft).toFixed(2),
    row.gflops === null ? '' : digits(row.gflops),
    row.gbps === null ? '' : digits(row.gbps),
    row.fractionOfLimit === null ? '' : `${(100 * row.fractionOfLimit).toFixed(0)} %`,
    row.dispatches === null ? '' : String(row.dispatches),
    row.submits === null ? '' : String(row.submits),
    row.maxError === null ? '' : row.maxError.toExponential(1),
    row.note,
  ];
}

/** All rows as Markdown: a table for each size, fastest first. */
export function markdown(rows: readonly Row[]): string {
  return tables(rows)
    .map((group) => {
      const [first] = group as [Row];
      const lines = fastestFirst(group).map((row) => line(cells(row, group)));
      return [`#### ${first.name} ${first.shape}`, '', line(columns), line(columns.map(() => '---')), ...lines].join(
        '\n',
      );
    })
    .join('\n\n');
}

export function fastestFirst(rows: readonly Row[]): Row[] {
  return [...rows].sort((a, b) => (a.medianMs ?? Infinity) - (b.medianMs ?? Infinity));
}

const line = (cells: readonly string[]) =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;

/** Three digits that say something. */
export function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toPrecision(3);
}

export const milliseconds = (value: number) => `${digits(value)} ms`;

export function bytes(count: number): string {
  if (count < 1e3) return `${count} B`;
  return count < 1e6 ? `${digits(count / 1e3)} kB` : `${digits(count / 1e6)} MB`;
}
