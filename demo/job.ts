import { init, text as language } from '../src/index.ts';
import { meanOf } from './chart.ts';
import { type Checkpoint, readCheckpoint, restoreModel, restoreTraining, writeCheckpoint } from './checkpoint.ts';
import { type Config, configOf, withSteps } from './configs.ts';
import { corpusOf, fingerprint } from './corpus.ts';
import { type Host, JobError } from './host.ts';
import { createModel, parameterCount } from './models.ts';
import type { Options } from './options.ts';
import { writeText } from './sample.ts';
import { trainSteps } from './train.ts';
import { Training, validationLoss } from './training.ts';

/** What `--json` prints. Losses are in nats per character. */
export interface Summary {
  readonly adapter: string;
  readonly runtime: string;
  /** V, the number of different characters. */
  readonly vocabulary: number;
  /** Validation loss of a model that counts pairs of characters. */
  readonly bigramLoss: number;
  readonly models: readonly ModelSummary[];
}

export interface ModelSummary {
  readonly model: string;
  readonly parameters: number;
  /** Steps done. */
  readonly steps: number;
  /** Training loss of the first step, and the mean over the last 20. */
  readonly firstLoss: number;
  readonly finalLoss: number;
  /** Null where the run was stopped early. */
  readonly valLoss: number | null;
  readonly tokensPerSecond: number | null;
  readonly dispatchesPerStep: number | null;
  readonly submitsPerStep: number | null;
  readonly sample: string | null;
  readonly checkpoint: string;
}

const defaultSeed = 1337;

/** A text in two parts, as ids. */
interface Data {
  readonly vocabulary: language.CharVocabulary;
  readonly train: Int32Array;
  readonly validation: Int32Array;
  readonly bigram: number;
  readonly fingerprint: string;
}

/** What `--json` prints where a trained model only was to write. */
export interface SampleSummary {
  readonly prompt: string;
  readonly sample: string;
  readonly checkpoint: string;
}

/** Does what the command line asks for. */
export async function runJob(options: Options, host: Host): Promise<Summary | SampleSummary> {
  const checkpointPath = options.resume ?? options.checkpoint;
  const checkpoint =
    checkpointPath === null ? null : readCheckpoint(await host.readFile(checkpointPath), checkpointPath);
  // The choice of kernels is part of a run that goes on to the bit.
  const device = await init(checkpoint ? { profile: checkpoint.info.profile } : {});
  if (options.sample.prompt !== null) {
    return sampleOnly(checkpoint as Checkpoint, options, host);
  }

  const data = await prepareData(await textOf(options, host), options, checkpoint);
  host.print(
    `Adapter     ${device.adapter}, ${host.runtime}, kernels for ${device.profile.selection === 'gpu' ? 'a GPU' : 'a software adapter'}`,
  );
  host.print(
    `Text        ${options.text ?? "weft's own source"}: ${number(data.train.length)} characters to learn from, ${number(data.validation.length)} to validate, ${data.vocabulary.size} different ones`,
  );
  host.print(
    `To beat     ${data.bigram.toFixed(3)} nats per character, by counting pairs; guessing gives ${Math.log(data.vocabulary.size).toFixed(3)}`,
  );
  if (checkpoint && checkpoint.info.text !== data.fingerprint) {
    host.print(
      `Note        the text is not the one that ${options.resume} was trained on: the run goes on, but not as if it had never stopped`,
    );
  }

  const configs = checkpoint
    ? [withSteps(checkpoint.info.config, options.steps)]
    : options.models.map((model) => configOf(options.config, model, options.steps));
  const seed = checkpoint?.info.seed ?? options.seed ?? defaultSeed;
  const models: ModelSummary[] = [];
  for (const config of configs) {
    if (!host.interrupted)
      models.push(await trainModel(config, seed, data, checkpoint, device.profile.selection, options, host));
  }
  return {
    adapter: device.adapter,
    runtime: host.runtime,
    vocabulary: data.vocabulary.size,
    bigramLoss: data.bigram,
    models,
  };
}

async function trainModel(
  config: Config,
  seed: number,
  data: Data,
  checkpoint: Checkpoint | null,
  profile: 'gpu' | 'software',
  options: Options,
  host: Host,
): Promise<ModelSummary> {
  checkLength(data, config);
  const training = new Training(config, data.vocabulary.size, data.train, seed);
  if (checkpoint) restoreTraining(training, checkpoint);
  const { model } = training;
  const parameters = parameterCount(model);
  const title = config.model.toUpperCase();
  host.print();
  host.print(`${title}  ${describe(config)}; ${number(parameters)} parameters`);

  const save = async () => {
    const bytes = await writeCheckpoint(training, {
      config,
      profile,
      seed,
      text: data.fingerprint,
      vocabulary: data.vocabulary,
    });
    return host.writeFile(options.out, `${config.model}.safetensors`, bytes);
  };
  const { speed, counts, finished } = await trainSteps(training, { host, stopAfter: options.stopAfter, save });
  const path = await save();
  const { losses } = training;
  const summary = {
    model: config.model,
    parameters,
    steps: losses.length,
    firstLoss: losses[0] as number,
    finalLoss: meanOf(losses.slice(-20)),
    tokensPerSecond: speed,
    dispatchesPerStep: counts?.dispatches ?? null,
    submitsPerStep: counts?.submits ?? null,
    checkpoint: path,
  };
  if (!finished) {
    host.print(`  saved after step ${losses.length}; go on with: npm start -- --resume ${path}`);
    return { ...summary, valLoss: null, sample: null };
  }

  const valLoss = await validationLoss(model, data.validation, config.context);
  const curve = await host.showCurve(options.out, `${config.model}.svg`, {
    title: `${title} on ${options.text ?? "weft's own source"}`,
    losses,
    validation: valLoss,
    bigram: data.bigram,
  });
  host.print(
    `  loss         ${summary.finalLoss.toFixed(3)} in training, ${valLoss.toFixed(3)} in validation (${verdict(valLoss, data.bigram)})`,
  );
  if (counts)
    host.print(
      `  a step       ${counts.dispatches} dispatches, ${counts.submits} submit${counts.submits === 1 ? '' : 's'}${speed === null ? '' : `, ${number(Math.round(speed))} tokens per second`}`,
    );
  host.print(`  checkpoint   ${path}`);
  host.print(`  loss curve   ${curve}`);
  const sample = await writeText(model, data.vocabulary, '\n', options.sample, seed, host);
  host.print('  sample');
  host.print(sample.trimEnd().replaceAll(/^/gm, '    │ '));
  return { ...summary, valLoss, sample };
}

async function sampleOnly(
  { info, tensors }: Checkpoint,
  { sample: settings, seed, checkpoint }: Options,
  host: Host,
): Promise<SampleSummary> {
  const model = createModel(info.config, info.vocabulary.size);
  restoreModel(model, tensors);
  const prompt = settings.prompt as string;
  const sample = await writeText(model, info.vocabulary, prompt, settings, seed ?? info.seed, host);
  host.print(prompt + sample);
  return { prompt, sample, checkpoint: checkpoint as string };
}

async function textOf(options: Options, host: Host): Promise<string> {
  if (options.text === null) return corpusOf(await host.sources());
  const bytes = await host.readFile(options.text);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n');
  } catch {
    throw new JobError(`${options.text} is not a text in UTF-8: convert it, for example with iconv`);
  }
}

async function prepareData(text: string, options: Options, checkpoint: Checkpoint | null): Promise<Data> {
  if (text.length < 2)
    throw new JobError(`${options.text ?? 'the embedded text'} is empty: give a text of some thousand characters`);
  const vocabulary = checkpoint?.info.vocabulary ?? new language.CharVocabulary(text);
  const { train, validation } = language.trainValidationSplit(vocabulary.encode(text), 0.1);
  if (validation.length < 2)
    throw new JobError(
      `${options.text ?? 'the embedded text'} is too short: its last tenth, ${validation.length} characters, is to validate; give a longer text`,
    );
  return {
    vocabulary,
    train,
    validation,
    bigram: language.bigramLoss(train, validation, vocabulary.size),
    fingerprint: await fingerprint(text),
  };
}

function checkLength({ train, validation }: Data, { context }: Config): void {
  const shorter = Math.min(train.length, validation.length);
  if (shorter > context) return;
  throw new JobError(
    `the text is too short: its last tenth has ${number(validation.length)} characters, a window and its targets need ${context + 1}; give a text of at least ${number(10 * (context + 1))} characters`,
  );
}

function describe({ sizes, context, batch, steps, lr }: Config): string {
  const shape =
    'heads' in sizes
      ? `${sizes.heads} heads, width ${sizes.width}`
      : `embedding ${sizes.embedding}, hidden ${sizes.hidden}`;
  return `${sizes.layers} layers, ${shape}, context ${context}, batch ${batch}, ${number(steps)} steps, learning rate ${lr}`;
}

function verdict(loss: number, bigram: number): string {
  return loss < bigram
    ? `${(bigram - loss).toFixed(3)} below the bigram counts`
    : `not below the bigram counts, ${bigram.toFixed(3)}`;
}

const number = (value: number) => value.toLocaleString('en');
