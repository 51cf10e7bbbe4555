import { brief } from '../src/core/options.ts';
import { type Device, init, StoreError, type TuneProgress, UnsupportedError } from '../src/index.ts';
import { meanOf } from './chart.ts';
import {
  type Checkpoint,
  lossesOf,
  randomNote,
  readCheckpoint,
  restoreModel,
  restoreTraining,
  writeCheckpoint,
} from './checkpoint.ts';
import { type Config, configOf, withSteps } from './configs.ts';
import { type Data, embeddedName, loadData } from './data.ts';
import { type Host, JobError } from './host.ts';
import { createModel, parameterCount } from './models.ts';
import type { Options } from './options.ts';
import {
  headline,
  introduction,
  type ModelSummary,
  nothingLeft,
  quoted,
  results,
  type SampleSummary,
  type Summary,
} from './report.ts';
import { writeText } from './sample.ts';
import { trainSteps } from './train.ts';
import { Training, validationLoss } from './training.ts';

const defaultSeed = 1337;

/** Does what the command line asks for: trains models one after another, or lets one write. */
export async function runJob(options: Options, host: Host): Promise<Summary | SampleSummary> {
  const path = options.resume ?? options.checkpoint;
  const checkpoint = path === null ? null : readCheckpoint(await host.readFile(path), path);
  // The choice of kernels is part of a run that goes on to the bit.
  const device = await init(checkpoint ? { profile: checkpoint.info.profile } : {});
  if (checkpoint) pinKernels(device, checkpoint, host);
  if (checkpoint && options.sample.prompt !== null) return writeOnly(checkpoint, options.sample.prompt, options, host);

  const configs = checkpoint
    ? [withSteps(checkpoint.info.config, options.steps)]
    : options.models.map((model) => configOf(options.config, model, options.steps));
  if (checkpoint) {
    const [config] = configs as [Config];
    if (lossesOf(checkpoint).length >= config.steps) return leaveAsItIs(checkpoint, config, device, options, host);
    checkTextName(checkpoint, options);
  }
  const context = Math.max(...configs.map((config) => config.context));
  const data = await loadData(options.text, host, context, checkpoint?.info.vocabulary);
  const { adapter } = device;
  host.print(introduction(data, adapter, host.runtime, device.profile.selection));
  if (checkpoint && checkpoint.info.text !== data.fingerprint) {
    host.print(`Note        ${otherText(checkpoint, options)}: it goes on, but not as if it had never stopped`);
  }
  const note = checkpoint && randomNote(checkpoint, path as string);
  if (note) host.print(`Note        ${note}`);

  const models: ModelSummary[] = [];
  for (const config of configs) {
    if (!host.interrupted) models.push(await trainModel(config, data, checkpoint, device, options, host));
  }
  return { adapter, runtime: host.runtime, vocabulary: data.vocabulary.size, bigramLoss: data.bigram, models };
}

/** How the command line names the text of a run that is to go on. */
function textOption({ text }: Options, checkpoint: Checkpoint | null): string {
  if (text !== null) return ` --text ${text}`;
  const name = checkpoint?.info.textName ?? embeddedName;
  return name === embeddedName ? '' : ' --text FILE';
}

/** Throws JobError where a run on a file is to go on without it: with the embedded text it would learn something else. */
function checkTextName({ info: { textName } }: Checkpoint, { text, resume }: Options): void {
  if (text !== null || textName === null || textName === embeddedName) return;
  throw new JobError(
    `${brief(resume as string, 200)} was trained on ${brief(textName, 200)}: add --text FILE with that text, or another to go on with`,
  );
}

/** Why the text is not the one that the run has learned from so far. */
function otherText({ info: { textName } }: Checkpoint, { text, resume }: Options): string {
  if (text === null && textName === embeddedName) return `${embeddedName} has changed since ${resume} was saved`;
  if (text === null) return `${resume} was trained on another text, which --text FILE names`;
  return `${brief(resume as string, 200)} was trained on ${brief(textName ?? 'another text', 200)}`;
}

/** Says that a run has no steps left to do, and gives what is known of it. */
function leaveAsItIs(checkpoint: Checkpoint, config: Config, device: Device, options: Options, host: Host): Summary {
  const losses = lossesOf(checkpoint);
  host.print(nothingLeft(losses.length, config, options.resume as string, textOption(options, checkpoint)));
  const { size } = checkpoint.info.vocabulary;
  const parameters = parameterCount(createModel(config, size));
  return {
    adapter: device.adapter,
    runtime: host.runtime,
    vocabulary: size,
    bigramLoss: null,
    models: [summaryOf(config.model, parameters, losses)],
  };
}

function summaryOf(model: string, parameters: number, losses: readonly number[]): ModelSummary {
  return {
    model,
    parameters,
    steps: losses.length,
    firstLoss: losses[0] ?? Number.NaN,
    finalLoss: meanOf(losses.slice(-20)),
    valLoss: null,
    tokensPerSecond: null,
    dispatchesPerStep: null,
    submitsPerStep: null,
    sample: null,
    checkpoint: null,
  };
}

/** Kernels that this version of weft has not don't keep a run from going on. */
function pinKernels(device: Device, { info }: Checkpoint, host: Host): void {
  try {
    device.choose(info.choices);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    host.print(`Note        kernels of the checkpoint are gone, so that last bits will differ: ${error.message}`);
  }
}

/** Measures the kernels of the training step, until the user ends the run. */
async function tuneKernels(training: Training, host: Host): Promise<void> {
  host.print('  tuning       tries the variants of each kernel (a program of the GPU) on this device');
  const stop = new AbortController();
  const onProgress = ({ done, all, choice }: TuneProgress) => {
    host.print(`  tuning    ${done + 1} of ${all}: ${choice}`);
    if (host.interrupted) stop.abort();
  };
  try {
    host.print(`\n${await training.tune({ onProgress, signal: stop.signal })}\n`);
  } catch (error) {
    if (error instanceof StoreError) host.print(`\n${error.report}\n\nNote        ${error.message}\n`);
    else if (!stop.signal.aborted) throw error;
  }
}

async function trainModel(
  config: Config,
  data: Data,
  checkpoint: Checkpoint | null,
  device: Device,
  options: Options,
  host: Host,
): Promise<ModelSummary> {
  const { vocabulary, bigram } = data;
  const seed = checkpoint?.info.seed ?? options.seed ?? defaultSeed;
  const training = new Training(config, vocabulary.size, data.train, seed);
  if (checkpoint) restoreTraining(training, checkpoint);
  const { model } = training;
  const parameters = parameterCount(model);
  host.print(`\n${headline(config, parameters)}`);

  // Better known now than when there is something to lose.
  await host.tryFolder(options.out);
  if (options.tune) await tuneKernels(training, host);
  const { choices } = device;
  const { selection } = device.profile;
  const textName = namesOf(data, checkpoint);
  const info = { config, profile: selection, choices, seed, text: data.fingerprint, textName, vocabulary };
  const file = options.resume === null ? config.model : stemOf(options.resume);
  const save = async () => host.writeFile(options.out, `${file}.safetensors`, await writeCheckpoint(training, info));
  const before = training.losses.length;
  const { speed, counts, finished } = await trainSteps(training, { ...options, host, save });
  const { losses } = training;
  // A run without a step leaves the records as they are.
  if (losses.length === before) {
    host.print(`  ended before another step: nothing was changed`);
    return summaryOf(config.model, parameters, losses);
  }
  const summary = {
    ...summaryOf(config.model, parameters, losses),
    tokensPerSecond: speed,
    dispatchesPerStep: counts?.dispatches ?? null,
    submitsPerStep: counts?.submits ?? null,
    checkpoint: await save(),
  };
  if (!finished) {
    const command = `npm start -- --resume ${summary.checkpoint}${textOption(options, checkpoint)}`;
    host.print(`  saved after step ${losses.length}; go on with: ${command}`);
    return summary;
  }

  const valLoss = await validationLoss(model, data.validation, config.context);
  const title = `${config.model.toUpperCase()} on ${textName}`;
  const curve = { title, losses, validation: valLoss, bigram };
  const curvePath = await host.showCurve(options.out, `${file}.svg`, curve);
  host.print(results({ ...summary, valLoss }, bigram, curvePath));
  const sample = await writeText(model, vocabulary, firstPrompt(data), options.sample, seed, host);
  host.print(quoted(sample));
  return { ...summary, valLoss, sample };
}

/** What the run has learned from: this text, after those before it. */
function namesOf({ name, fingerprint }: Data, checkpoint: Checkpoint | null): string {
  if (!checkpoint) return name;
  const { text, textName } = checkpoint.info;
  if (text === fingerprint) return textName ?? name;
  // Each run on another text adds a name.
  return brief(`${textName ?? 'another text'}, then ${name}`, 300);
}

/** A run that goes on keeps the name of its file, so that it writes over no other run's. */
const stemOf = (path: string) => path.replace(/^.*[\\/]/, '').replace(/\.safetensors$/, '');

/** A new line is where most texts can begin. */
function firstPrompt({ vocabulary: { characters } }: Data): string {
  return characters.includes('\n') ? '\n' : (characters[0] as string);
}

async function writeOnly(
  { info, tensors }: Checkpoint,
  prompt: string,
  options: Options,
  host: Host,
): Promise<SampleSummary> {
  const model = createModel(info.config, info.vocabulary.size);
  restoreModel(model, tensors);
  const sample = await writeText(model, info.vocabulary, prompt, options.sample, options.seed ?? info.seed, host);
  host.print(prompt + sample);
  return { prompt, sample, checkpoint: options.checkpoint as string };
}
