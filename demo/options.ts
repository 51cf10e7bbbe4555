import { briefly } from '../src/core/options.ts';
import { installHelp, UsageError } from '../tools/commandLine.mjs';
import { configNames, type ModelName, modelNames } from './configs.ts';

/** What the command line asks for. */
export interface Options {
  /** The text to learn; null for the embedded one. */
  readonly text: string | null;
  readonly models: readonly ModelName[];
  readonly config: string;
  /** Steps of the whole training, over which the learning rate decays; null for the configuration's. */
  readonly steps: number | null;
  /** Step after which the run saves and ends, as on Ctrl-C. */
  readonly stopAfter: number | null;
  /** Null for 1337, or the checkpoint's. */
  readonly seed: number | null;
  readonly out: string;
  /** Seconds after which the run saves again. */
  readonly saveEvery: number;
  readonly resume: string | null;
  readonly sample: SampleSettings & { readonly prompt: string | null };
  readonly checkpoint: string | null;
  readonly tune: boolean;
  readonly json: boolean;
  readonly browser: boolean;
}

export interface SampleSettings {
  readonly tokens: number;
  readonly temperature: number;
  readonly topK: number | null;
}

export const help = `weft trains a Transformer and an LSTM on text, character by character, on
WebGPU.

  npm start                     GPT, then LSTM, on weft's own source code
  npm start -- [options]

What to learn
  --text FILE         a text of yours, UTF-8; without it weft's own source code
  --model NAME        ${modelNames.join(', ')}; repeat it for several (default: gpt,
                      then lstm)
  --config NAME       sizes of model and training: ${configNames.join(' or ')}
                      (default: default)
  --steps N           training steps, over which the learning rate decays
  --seed N            seed of weights and batches (default: 1337); the same seed
                      on the same device gives the same losses, bit for bit

Stop and go on
  --out DIR           folder for checkpoints and loss curves (default: weft-out,
                      or the folder of the checkpoint that --resume names)
  --save-every N      saves every N seconds (default: 30), and every 1000 steps
  --stop-after N      saves after step N and ends; Ctrl-C does so after the
                      current step
  --resume FILE       goes on from a checkpoint, to the bit as if it had never
                      stopped; a run on a text of yours needs its --text again

Write text with a trained model
  --sample "PROMPT"   writes on from the prompt and trains nothing; needs
                      --checkpoint
  --checkpoint FILE   the model that writes
  --tokens N          characters to write (default: 400)
  --temperature X     below 1 plays safe, above 1 takes risks, 0 always takes
                      the likeliest (default: 0.8)
  --top-k N           draws among the N likeliest only

How it runs
  --tune              measures first which kernels (programs of the GPU) are the
                      fastest on this device, and trains with them; the
                      checkpoint records them, so that --resume goes on with the
                      same
  --browser           in headless Chrome; without it in Deno
${installHelp(22)}
  --json              the last line of standard output is a JSON object with all
                      results; all else goes to standard error
  --help              this text

Examples
  npm start -- --text shakespeare.txt --config nanogpt-cpu --model gpt
  npm start -- --resume weft-out/gpt.safetensors
  npm start -- --sample "export function " --tokens 300 --top-k 20 \\
    --checkpoint weft-out/gpt.safetensors`;

/** The options in the form that `parseArgs` of node:util takes. */
export const syntax = {
  text: { type: 'string' },
  model: { type: 'string', multiple: true },
  config: { type: 'string' },
  steps: { type: 'string' },
  'stop-after': { type: 'string' },
  seed: { type: 'string' },
  out: { type: 'string' },
  'save-every': { type: 'string' },
  resume: { type: 'string' },
  sample: { type: 'string' },
  checkpoint: { type: 'string' },
  tokens: { type: 'string' },
  temperature: { type: 'string' },
  'top-k': { type: 'string' },
  tune: { type: 'boolean' },
  json: { type: 'boolean' },
  browser: { type: 'boolean' },
} as const;

type Value<Option> = Option extends { multiple: true }
  ? string[]
  : Option extends { type: 'string' }
    ? string
    : boolean;
/** What stands on the command line, by name. */
export type Values = { readonly [Name in keyof typeof syntax]?: Value<(typeof syntax)[Name]> | undefined };

/** What the values ask for, checked. Throws UsageError. */
export function optionsFrom(values: Values): Options {
  const options: Options = {
    text: values.text ?? null,
    models: (values.model ?? ['gpt', 'lstm']).map((name) => oneOf('--model', name, modelNames)),
    config: oneOf('--config', values.config ?? 'default', configNames),
    steps: integer('--steps', values.steps, 1),
    stopAfter: integer('--stop-after', values['stop-after'], 1),
    seed: integer('--seed', values.seed, 0),
    out: values.out ?? folderOf(values.resume) ?? 'weft-out',
    saveEvery: integer('--save-every', values['save-every'], 1) ?? 30,
    resume: values.resume ?? null,
    sample: {
      prompt: values.sample ?? null,
      tokens: integer('--tokens', values.tokens, 1) ?? 400,
      temperature: temperature(values.temperature),
      topK: integer('--top-k', values['top-k'], 1),
    },
    checkpoint: values.checkpoint ?? null,
    tune: values.tune ?? false,
    json: values.json ?? false,
    browser: values.browser ?? false,
  };
  checkTogether(options, values);
  return options;
}

/** A run that goes on writes where it wrote before. */
function folderOf(path: string | undefined): string | undefined {
  return path?.includes('/') ? path.slice(0, path.lastIndexOf('/')) : path && '.';
}

function checkTogether(options: Options, values: Values): void {
  if (options.sample.prompt !== null && options.checkpoint === null) {
    throw new UsageError('--sample needs a trained model: add --checkpoint FILE, which `npm start` writes');
  }
  if (options.checkpoint !== null && options.sample.prompt === null) {
    throw new UsageError(
      '--checkpoint names the model that writes for --sample "PROMPT"; to train on, use --resume FILE',
    );
  }
  if (options.tune && options.sample.prompt !== null) {
    throw new UsageError('--tune measures the kernels of training, and --sample trains nothing: leave one of them out');
  }
  if (options.resume !== null) {
    const fixed = (['model', 'config', 'seed', 'tune', 'sample'] as const).find((name) => values[name] !== undefined);
    if (fixed)
      throw new UsageError(
        `--resume takes model, configuration, seed and kernels from the checkpoint: leave out --${fixed}`,
      );
  }
}

function oneOf<Name extends string>(option: string, value: string, names: readonly Name[]): Name {
  const name = names.find((each) => each === value);
  if (name === undefined) throw new UsageError(`${option} takes ${names.join(', ')}, not ${briefly(value)}`);
  return name;
}

/** The whole number that an option says, from `least` on; null where it is left out. */
export function integer(option: string, value: string | undefined, least: number): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (value.trim() === '' || !Number.isSafeInteger(number) || number < least) {
    throw new UsageError(`${option} takes a whole number from ${least} on, not ${briefly(value)}`);
  }
  return number;
}

function temperature(value: string | undefined): number {
  const number = Number(value ?? 0.8);
  if (value?.trim() === '' || !(number >= 0 && number < Infinity)) {
    throw new UsageError(`--temperature takes a number of at least 0, not ${briefly(value as string)}`);
  }
  return number;
}
