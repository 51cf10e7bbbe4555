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

/** A column of a table, and what a row says in it; `weftMs` is weft's time in the same table. */
interface Column {
  readonly title: string;
  readonly cell: (row: Row, weftMs: number | null) => string;
}

/** Stands where there is no time, so that a reader sees that it is missing. */
const nothing = '–';
const said = (value: number | null, text: (value: number) => string) => (value === null ? '' : text(value));
const ofStep = ({ suite }: Row, text: string) => (suite === 'training steps' ? text : '');

const columns: readonly Column[] = [
  { title: 'contender', cell: ({ contender }) => contender },
  { title: 'median', cell: ({ medianMs }) => (medianMs === null ? nothing : milliseconds(medianMs)) },
  {
    title: 'p10 – p90',
    cell: ({ p10Ms, p90Ms }) => (p10Ms === null || p90Ms === null ? '' : `${digits(p10Ms)} – ${digits(p90Ms)}`),
  },
  { title: '× weft', cell: ({ medianMs }, weftMs) => (medianMs && weftMs ? (medianMs / weftMs).toFixed(2) : '') },
  { title: 'GFLOP/s', cell: ({ gflops }) => said(gflops, digits) },
  { title: 'GB/s', cell: ({ gbps }) => said(gbps, digits) },
  { title: 'of limit', cell: ({ fractionOfLimit }) => said(fractionOfLimit, (part) => `${(100 * part).toFixed(0)} %`) },
  { title: 'dispatches', cell: ({ dispatches }) => said(dispatches, String) },
  { title: 'submits', cell: ({ submits }) => said(submits, String) },
  { title: 'buffers made', cell: (row) => ofStep(row, said(row.buffers, String)) },
  { title: 'their bytes', cell: (row) => ofStep(row, said(row.bufferBytes, bytes)) },
  { title: 'planned', cell: (row) => (row.suite === 'kernels' ? '' : said(row.planBytes, bytes)) },
  { title: 'max error', cell: ({ maxError }) => said(maxError, (error) => error.toExponential(1)) },
  { title: 'note', cell: ({ note }) => note },
];

/** A table of rows as text: titles, then a line of cells for each row, in the order given; without empty columns. */
export interface Table {
  readonly titles: readonly string[];
  readonly lines: readonly (readonly string[])[];
}

/** `groups` are tables of the same columns, one below the other. */
export function asText(groups: readonly (readonly Row[])[]): Table[] {
  const all = groups.map((group) => {
    const weftMs = group.find(({ contender }) => contender === 'weft')?.medianMs ?? null;
    return group.map((row) => columns.map(({ cell }) => cell(row, weftMs)));
  });
  const used = columns.map((_, i) => all.some((lines) => lines.some((line) => line[i] !== '' && line[i] !== nothing)));
  const kept = <Each>(list: readonly Each[]) => list.filter((_, i) => used[i]);
  const titles = kept(columns.map(({ title }) => title));
  return all.map((lines) => ({ titles, lines: lines.map(kept) }));
}

/** An adapter's name, with what newcomers can't know of it. */
export const adapterName = (name: string) =>
  /llvmpipe|swiftshader/i.test(name) ? `${name} (a driver that computes on the CPU)` : name;

/** What was measured of a device: `16.5 GFLOP/s`. */
export function limitOf({ gflops, gbps, medianMs }: Row): readonly [figure: string, unit: string] {
  if (gflops !== null) return [digits(gflops), 'GFLOP/s'];
  return gbps !== null ? [digits(gbps), 'GB/s'] : [digits(1000 * (medianMs ?? 0)), 'µs'];
}

/** All rows as Markdown: the device, then a table for each size, fastest first. */
export function markdown(rows: readonly Row[]): string {
  const limits = rows.filter(({ suite }) => suite === 'limits');
  const [first] = rows as [Row];
  const device = [
    `**${first.adapter}, ${first.runtime}**`,
    '',
    ...limits.map((row) => `- ${row.name}: ${limitOf(row).join(' ')} (${row.shape})`),
  ];
  const measured = tables(rows.filter(({ suite }) => suite !== 'limits')).map(markdownTable);
  return [device.join('\n').trim(), ...measured].join('\n\n');
}

function markdownTable(group: readonly Row[]): string {
  const [first] = group as [Row];
  const { titles, lines } = asText([fastestFirst(group)])[0] as Table;
  return [
    `#### ${first.name} ${first.shape}`,
    '',
    line(titles),
    line(titles.map(() => '---')),
    ...lines.map(line),
  ].join('\n');
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
