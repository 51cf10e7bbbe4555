import type { Bar, Bars, Outcome } from './example.ts';

type Measured = Pick<Outcome, 'metrics' | 'baseline'>;

/** The figure as people read it: four digits, or a power of ten. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(4)));
  return value.toExponential(2);
}

/** `≥ 0.97`, `≤ 0.6`, or both ends. */
export function barText({ least, most }: Bar): string {
  if (most === Infinity) return `≥ ${figure(least)}`;
  return least === -Infinity ? `≤ ${figure(most)}` : `${figure(least)} to ${figure(most)}`;
}

/** A number that is none reaches nothing. */
const reaches = (value: number, { least, most }: Bar) => value >= least && value <= most;

/** What did not reach its bar, each in words. Throws where a bar has no figure, or two figures have one name. */
export function misses({ metrics, baseline }: Measured, bars: Bars): string[] {
  const figures = { ...metrics, ...baseline };
  const twice = Object.keys(metrics).find((name) => Object.hasOwn(baseline, name));
  if (twice) throw new Error(`two figures have the name "${twice}"`);
  return Object.entries(bars).flatMap(([name, bar]) => {
    const value = figures[name];
    if (value === undefined) throw new Error(`the bar "${name}" has no figure; there are ${Object.keys(figures)}`);
    return reaches(value, bar) ? [] : `${name} is ${figure(value)}, not ${barText(bar)}`;
  });
}

/** All figures, those of the baseline below, beside their bars. */
export function figureTable({ metrics, baseline }: Measured, bars: Bars): string {
  const rows = [
    ...Object.entries(metrics).map(([name, value]) => [name, name, value] as const),
    ...Object.entries(baseline).map(([name, value]) => [`${name} (baseline)`, name, value] as const),
  ].map(([label, name, value]) => {
    const bar = bars[name];
    return [label, figure(value), bar ? barText(bar) : '', bar ? (reaches(value, bar) ? 'yes' : 'NO') : ''];
  });
  const table = [['', 'reached', 'bar', 'held'], ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...table.map((cells) => (cells[i] as string).length)));
  return table
    .map((cells) =>
      `  ${cells.map((cell, i) => (i === 1 ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number))).join('  ')}`.trimEnd(),
    )
    .join('\n');
}
