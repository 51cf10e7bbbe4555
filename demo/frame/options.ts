import { briefly, nearest } from '../../src/core/options.ts';
import { installHelp, UsageError } from '../../tools/commandLine.mjs';
import { integer } from '../options.ts';
import { type ExampleName, exampleNames } from './registry.ts';

/** What the command line asks for. */
export interface Options {
  /** The examples to run; none where they are to be listed. */
  readonly names: readonly ExampleName[];
  readonly list: boolean;
  /** Each of these runs an example anew. */
  readonly seeds: readonly number[];
  /** Training steps of each model at most; null for those of the example. */
  readonly steps: number | null;
  /** A file to learn from; null for generated data. */
  readonly text: string | null;
  readonly out: string;
  /** Whether figures and pictures go to the table that is committed. */
  readonly record: boolean;
  readonly json: boolean;
  readonly browser: boolean;
}

export const help = `Examples of weft: each shows a claim about sequence models by training some,
and says whether the claim held.

  npm run example                      a list of all, with their claims
  npm run example NAME                 one of them: claim, progress, a table of
                                       figures against their baseline, a picture
  npm run example -- NAME [options]

What to run
  --seed N            seed of data and weights (default: 1); the same seed on the
                      same device gives the same figures, bit for bit
  --steps N           trains each model for N steps at most: a look, not a proof
  --text FILE         a text of yours, UTF-8, for the examples that learn one
  --seeds N           runs it N times, with N seeds from --seed on
  --all               runs all examples, and records what comes out
  --record            writes figures and pictures into the table that is
                      committed, demo/examples/results; not with --steps

How it runs
  --out DIR           folder for pictures and other files (default: weft-out)
  --browser           in headless Chrome; without it in Deno
${installHelp(22)}
  --json              the last line of standard output is a JSON object with what
                      came out, and a line for each run where there are several;
                      all else goes to standard error
  --list              lists the examples; their names, with --json
  --help              this text

Exit code 0 says that the claim held, 1 that it did not, or that something failed.`;

/** The options in the form that `parseArgs` of node:util takes. */
export const syntax = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  steps: { type: 'string' },
  text: { type: 'string' },
  out: { type: 'string' },
  all: { type: 'boolean' },
  record: { type: 'boolean' },
  list: { type: 'boolean' },
  json: { type: 'boolean' },
  browser: { type: 'boolean' },
} as const;

/** What stands on the command line, by name. */
export type Values = {
  readonly [Name in keyof typeof syntax]?:
    | ((typeof syntax)[Name] extends { type: 'string' } ? string : boolean)
    | undefined;
};

/** What names and values ask for, checked. Throws UsageError. */
export function optionsFrom(given: readonly string[], values: Values): Options {
  const all = values.all ?? false;
  if (all && given.length > 0)
    throw new UsageError(`--all runs all examples: leave out ${briefly(given[0] as string)}`);
  const names = all ? exampleNames : given.map(exampleName);
  const first = integer('--seed', values.seed, 0) ?? 1;
  const count = integer('--seeds', values.seeds, 1) ?? 1;
  if (first + count > 2 ** 32) throw new UsageError('--seed takes a whole number below 2^32');
  const options: Options = {
    names,
    list: (values.list ?? false) || names.length === 0,
    seeds: Array.from({ length: count }, (_, i) => first + i),
    steps: integer('--steps', values.steps, 1),
    text: values.text ?? null,
    out: values.out ?? 'weft-out',
    record: values.record ?? (all && values.steps === undefined),
    json: values.json ?? false,
    browser: values.browser ?? false,
  };
  if (options.record && options.steps !== null)
    throw new UsageError('--record takes figures of whole trainings: leave out --steps');
  if (options.record && options.text !== null)
    throw new UsageError('--record takes figures of data that is made: leave out --text');
  if (options.list) {
    const needing = (['seed', 'seeds', 'steps', 'text', 'record', 'browser'] as const).find((name) => values[name]);
    if (needing && !values.list)
      throw new UsageError(`--${needing} needs the name of an example; there are ${exampleNames.join(', ')}`);
  }
  return options;
}

function exampleName(given: string): ExampleName {
  const name = exampleNames.find((each) => each === given);
  if (name) return name;
  const near = nearest(given, exampleNames);
  throw new UsageError(
    `there is no example ${briefly(given)}${near ? `; is ${near} meant?` : ';'} There are ${exampleNames.join(', ')}`,
  );
}
