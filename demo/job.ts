import { type Device, init, StoreError, type TuneProgress, UnsupportedError } from '../src/index.ts';
import { meanOf } from './chart.ts';
import { type Checkpoint, readCheckpoint, restoreModel, restoreTraining, writeCheckpoint } from './checkpoint.ts';
import { type Config, configOf, withSteps } from './configs.ts';
import { type Data, loadData } from './data.ts';
import type { Host } from './host.ts';
import { createModel, parameterCount } from './models.ts';
import type { Options } from './options.ts';
import {
  headline,
  introduction,
  type ModelSummary,
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
  const context = Math.max(...configs.map((config) => config.context));
  const data = await loadData(options.text, host, context, checkpoint?.info.vocabulary);
  host.print(introduction(data, device.adapter, host.runtime, device.profile.selection));
  if (checkpoint && checkpoint.info.text !== data.fingerprint) {
    host.print(`Note        ${path} was trained on another text: it goes on, but not as if it had never stopped`);
  }

  const models: ModelSummary[] = [];
  for (const config of configs) {
    if (!host.interrupted) models.push(await trainModel(config, data, checkpoint, device, options, host));
  }
  const { adapter } = device;
  return { adapter, runtime: host.runtime, vocabulary: data.vocabulary.size, bigramLoss: data.bigram, models };
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

  if (options.tune) await tuneKernels(training, host);
  const { choices } = device;
  const info = { config, profile: device.profile.selection, choices, seed, text: data.fingerprint, vocabulary };
  const save = async () =>
    host.writeFile(options.out, `${config.model}.safetensors`, await writeCheckpoint(training, info));
  const { speed, counts, finished } = await trainSteps(training, { host, stopAfter: options.stopAfter, save });
  const { losses } = training;
  const summary = {
    model: config.model,
    parameters,
    steps: losses.length,
    firstLoss: losses[0] ?? Number.NaN,
    finalLoss: meanOf(losses.slice(-20)),
    valLoss: null,
    tokensPerSecond: speed,
    dispatchesPerStep: counts?.dispatches ?? null,
    submitsPerStep: counts?.submits ?? null,
    sample: null,
    checkpoint: await save(),
  };
  if (!finished) {
    const text = options.text === null ? '' : ` --text ${options.text}`;
    host.print(`  saved after step ${losses.length}; go on with: npm start -- --resume ${summary.checkpoint}${text}`);
    return summary;
  }

  const valLoss = await validationLoss(model, data.validation, config.context);
  const title = `${config.model.toUpperCase()} on ${data.name}`;
  const curve = { title, losses, validation: valLoss, bigram };
  const curvePath = await host.showCurve(options.out, `${config.model}.svg`, curve);
  host.print(results({ ...summary, valLoss }, bigram, curvePath));
  const sample = await writeText(model, vocabulary, firstPrompt(data), options.sample, seed, host);
  host.print(quoted(sample));
  return { ...summary, valLoss, sample };
}

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
