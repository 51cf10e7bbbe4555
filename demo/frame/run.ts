import { manualSeed } from '../../src/index.ts';
import type { Example, Figures, Sizes, Trial } from './example.ts';
import { Lab, type LabHost } from './lab.ts';
import { drawn } from './picture.ts';
import { type ExampleName, loadExample } from './registry.ts';
import { figureTable, misses } from './report.ts';

/** How an example is run. */
export interface RunOptions {
  readonly seed: number;
  /** Training steps of each model at most; null for those of the example. */
  readonly steps: number | null;
  /** The folder of pictures and other files. */
  readonly out: string;
  /** The picture's name without its ending. */
  readonly file: string;
  /** The text of the user's; null where there is none. */
  readonly text: string | null;
}

/** What `--json` prints of an example. */
export interface Result {
  readonly example: string;
  readonly claim: string;
  /** Whether all figures reached their bars. */
  readonly held: boolean;
  /** Figures of what the claim is about, by name. */
  readonly metrics: Figures;
  /** Figures to hold them against, by name. */
  readonly baseline: Figures;
  readonly seed: number;
  readonly seconds: number;
  /** The path of the picture. */
  readonly picture: string;
}

/** Runs an example and tells of it: claim, progress, table, picture, and whether the claim held. */
export async function runExample(name: ExampleName, options: RunOptions, host: LabHost): Promise<Result> {
  const example = await loadExample(name);
  host.print(`${name}: ${example.claim} (${example.paper})\n`);
  return runTrial(name, example, example.full, options, host);
}

/**
 * Runs an example with the settings of a trial, and holds what comes out against the bars of the trial, or those of a text of
 * the user's.
 */
export async function runTrial(
  name: string,
  example: Example,
  { settings, bars: trialBars }: Trial<Sizes>,
  { seed, steps, out, file, text }: RunOptions,
  host: LabHost,
): Promise<Result> {
  const begun = performance.now();
  const isShortened = settings.steps !== undefined && steps !== null && steps < settings.steps;
  const given = isShortened ? { ...settings, steps } : settings;
  const bars = (text === null ? undefined : example.text) ?? trialBars;
  manualSeed(seed);
  const outcome = await example.run(new Lab(host, { seed, folder: out, text }), given);
  const missed = misses(outcome, bars);
  const picture = await host.writeFile(out, `${file}.svg`, new TextEncoder().encode(await drawn(outcome.picture)));
  host.print(`\n${figureTable(outcome, bars)}\n\n  picture      ${picture}`);
  const held = missed.length === 0;
  const shortened = isShortened ? ` (trained for ${steps} steps instead of ${settings.steps})` : '';
  host.print(held ? '\nThe claim held.' : `\nThe claim did not hold${shortened}: ${missed.join('; ')}.`);
  const { metrics, baseline } = outcome;
  const seconds = (performance.now() - begun) / 1000;
  return { example: name, claim: example.claim, held, metrics, baseline, seed, seconds, picture };
}
