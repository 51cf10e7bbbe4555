import { WeftError } from '../core/errors.ts';
import type { Choices } from '../kernels/kernel.ts';

/** What was found for one choice. */
export interface Tuned {
  /** A family of kernels and a class of shapes. */
  readonly choice: string;
  /** Kernels of the step that go by it. */
  readonly count: number;
  /** The variant that the rule of the family takes. */
  readonly favourite: string;
  /** The variant that is used from now on. */
  readonly winner: string;
  /** Median milliseconds of a run, by variant; none where only one can do it. */
  readonly times: Readonly<Record<string, number>>;
  /** Why the other variants can't do it. */
  readonly failed: Readonly<Record<string, string>>;
}

/** What `tune` found. */
export class TuneReport {
  /** Vendor, architecture and description of the adapter, as far as the browser tells. */
  readonly adapter: string;
  /** What was found, choice by choice. */
  readonly results: readonly Tuned[];

  constructor(adapter: string, results: readonly Tuned[]) {
    this.adapter = adapter;
    this.results = results;
  }

  /** The winners, to be pinned: `init({ choices })`, `device.choose(choices)`. A favourite that none ran against is no finding. */
  get choices(): Choices {
    const found = this.results.filter(({ winner, favourite, times }) => winner !== favourite || winner in times);
    return Object.fromEntries(found.map(({ choice, winner }) => [choice, winner]));
  }

  /** A line for each choice: its winner, what the rule would have taken, and the median times of all variants. */
  table(): string {
    const rows = this.results.map((each) => {
      const times = Object.entries(each.times).sort(([, a], [, b]) => a - b);
      const list = times.map(([name, ms]) => `${name} ${ms.toPrecision(3)} ms`).join(', ');
      return [each.choice, `× ${each.count}`, each.winner, verdict(each, times[0]?.[0]), list];
    });
    const widths = [0, 1, 2, 3].map((i) => Math.max(0, ...rows.map((row) => (row[i] as string).length)));
    return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n');
  }

  /** The adapter, how many choices differ from the rules, and `table()`. */
  toString(): string {
    const changed = this.results.filter(({ winner, favourite }) => winner !== favourite).length;
    return `${this.adapter}: ${this.results.length} choices, ${changed} other than by rule\n${this.table()}`;
  }
}

/** The store can't keep what was found. The choices are in use, and lost with the device; they are in the report. */
export class StoreError extends WeftError {
  override readonly name = 'StoreError';
  /** What was found, and could not be stored. */
  readonly report: TuneReport;

  constructor(message: string, report: TuneReport, options: ErrorOptions) {
    super(message, options);
    this.report = report;
  }
}

function verdict({ winner, favourite, times }: Tuned, fastest: string | undefined): string {
  if (winner !== favourite) {
    const gain = (times[favourite] ?? Number.NaN) / (times[winner] ?? Number.NaN);
    return `${gain.toFixed(2)} × as fast as ${favourite}`;
  }
  return fastest === undefined || fastest === winner ? 'as before' : 'as before: none is clearly faster';
}
