import {
  between,
  brief,
  briefly,
  countUpTo,
  integerFrom,
  type Kind,
  nullable,
  object,
  oneOf,
  pairOf,
  probability,
  text as string,
} from '../src/core/options.ts';
import {
  type Choices,
  type DType,
  io,
  randomVersion,
  readAll,
  type Tensor,
  tensor,
  text,
  WeftError,
} from '../src/index.ts';
import { type Config, modelNames } from './configs.ts';
import { JobError } from './host.ts';
import type { LanguageModel } from './models.ts';
import { type Content, conform, optional, type Schema, SchemaError, texts } from './schema.ts';
import { Training } from './training.ts';

/**
 * A checkpoint is a safetensors file: parameters under the names that PyTorch knows, the optimizer's states under
 * `optimizer.`, all losses so far under `losses`, and the rest as JSON in the metadata entry `weft`.
 */
const optimizerPrefix = 'optimizer.';
const lossesName = 'losses';
const metadataName = 'weft';

/** What a run is made of, besides tensors. */
export interface RunInfo {
  readonly config: Config;
  /** Which kernels were used: others would give other last bits. */
  readonly profile: 'gpu' | 'software';
  /** Those of them that were pinned, or measured with `--tune`. */
  readonly choices: Choices;
  readonly seed: number;
  /** Fingerprint of the text. */
  readonly text: string;
  /** Its name, those of earlier ones first; null in checkpoints of before there were names. */
  readonly textName: string | null;
  readonly vocabulary: text.CharVocabulary;
}

/** Where random numbers go on. */
interface Positions {
  readonly loader: ReturnType<Training['loader']['state']>;
  readonly random: ReturnType<Training['generator']['state']>;
}

export interface Checkpoint {
  readonly info: RunInfo;
  readonly positions: Positions;
  /** What the seed of the run gave its numbers: see `randomVersion`. */
  readonly randomVersion: number;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** The file's bytes. Throws JobError where a number is not finite: no run could go on from them. */
export async function writeCheckpoint(training: Training, info: RunInfo): Promise<Uint8Array<ArrayBuffer>> {
  const { model, optimizer, loader, generator, losses } = training;
  const tensors = new Map(model.stateDict());
  for (const [name, value] of optimizer.stateDict()) tensors.set(optimizerPrefix + name, value);
  if (losses.length > 0) tensors.set(lossesName, tensor(Float32Array.from(losses)));
  const json = JSON.stringify({
    version: 1,
    randomVersion,
    ...info,
    loader: loader.state(),
    random: generator.state(),
  });
  const values = await readAll([...tensors.values()]);
  const entries = [...tensors].map(([name, { dtype, shape }], i): [string, io.HostTensor] => {
    const data = values[i] as io.HostTensor['data'];
    const at = firstOdd(dtype, data);
    if (at >= 0)
      throw new JobError(
        `after step ${losses.length}, ${name} holds ${data[at]}: training went astray, and nothing was saved; go on from ` +
          'the checkpoint before, or try another --seed, and report it as a bug',
      );
    return [name, { dtype, shape, data }];
  });
  return io.writeSafetensors(new Map(entries), { [metadataName]: json });
}

/** Where the first number is that is not finite; -1 where all are. */
function firstOdd(dtype: DType, data: io.HostTensor['data']): number {
  return dtype === 'f32' ? data.findIndex((value) => !Number.isFinite(value)) : -1;
}

/** Bounds beyond what anybody means: a number in a spoiled file is to end in a message, not in a machine that hangs. */
const rate = between(0, 1000);
const size = countUpTo(2 ** 16);
const layers = countUpTo(1000);
const config = {
  model: oneOf(...modelNames),
  sizes: object,
  context: countUpTo(2 ** 14),
  batch: countUpTo(2 ** 12),
  steps: integerFrom(1),
  lr: between(1e-12, 1000),
  finalLr: rate,
  warmup: integerFrom(0),
  betas: pairOf(probability),
  weightDecay: rate,
  clip: between(1e-12, 1e9),
} satisfies Record<keyof Config, Kind<unknown>>;
const sizes = {
  gpt: { layers, heads: size, width: size },
  recurrent: { layers, embedding: size, hidden: size },
} satisfies Record<string, Schema>;
const generator = { seed: pairOf(integerFrom(0, 2 ** 32 - 1)), position: integerFrom(0) };

/** The JSON of a checkpoint. Optional is what the first checkpoints did not have. */
const description = {
  version: oneOf(1),
  randomVersion: optional(integerFrom(1)),
  config,
  profile: oneOf('gpu', 'software'),
  choices: optional(texts),
  seed: integerFrom(0),
  text: string,
  textName: optional(nullable(string)),
  vocabulary: { characters: string },
  loader: generator,
  random: generator,
} satisfies Schema;

/**
 * Reads a file's bytes, and checks that the run can go on from all that they say. Throws JobError where it can't, which
 * names what is wrong in them; `path` is for its message.
 */
export function readCheckpoint(bytes: io.ByteSource, path: string): Checkpoint {
  try {
    const file = io.readSafetensors(bytes, { strict: true });
    const { vocabulary, loader, random, randomVersion = 1, ...rest } = describedIn(file);
    const { choices = {}, textName = null, config, profile, seed, text: fingerprint } = rest;
    const checkpoint = {
      info: {
        config: withSizes(config),
        profile,
        choices,
        seed,
        text: fingerprint,
        textName,
        vocabulary: text.CharVocabulary.fromJSON(vocabulary),
      },
      positions: { loader, random },
      randomVersion,
      tensors: new Map(Object.entries(file.tensors).map(([name, each]) => [name, checkedTensor(name, each)])),
    };
    tryTraining(checkpoint);
    return checkpoint;
  } catch (error) {
    if (!(error instanceof WeftError || error instanceof SchemaError)) throw error;
    throw new JobError(`${brief(path, 200)} can't be used: ${error.message}`);
  }
}

function describedIn({ metadata }: io.SafetensorsFile): Content<typeof description> {
  const json = metadata[metadataName];
  if (json === undefined) throw new SchemaError('it is a safetensors file, but not one that `npm start` wrote');
  const value = parse(json);
  const version = (value as { version?: unknown } | null)?.version;
  if (Number.isInteger(version) && version !== 1)
    throw new SchemaError(`it is of version ${version}, and this program reads version 1`);
  return conform(description, value, metadataName);
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new SchemaError(`its description is no JSON: ${brief((error as Error).message, 120)}`);
  }
}

/** What sizes there are depends on the model. */
function withSizes(config: Content<typeof description>['config']): Config {
  const own = config.model === 'gpt' ? sizes.gpt : sizes.recurrent;
  const checked: Record<string, unknown> = conform(own as Schema, config.sizes, `${metadataName}.config.sizes`);
  return { ...config, sizes: checked as unknown as Config['sizes'] };
}

function checkedTensor(name: string, { data, ...type }: io.HostTensor): Tensor {
  const at = firstOdd(type.dtype, data);
  if (at >= 0) throw new SchemaError(`tensor ${briefly(name)} holds ${data[at]} at element ${at}: all must be finite`);
  return tensor(data, type);
}

/** Makes a training as `restoreTraining` will, on no text and without the device: what does not fit together is known now. */
function tryTraining(checkpoint: Checkpoint): void {
  const { config, seed, vocabulary } = checkpoint.info;
  const losses = checkpoint.tensors.get(lossesName);
  if (losses && (losses.dtype !== 'f32' || losses.rank !== 1))
    throw new SchemaError(`tensor "${lossesName}" must be f32 of rank 1, got ${losses.dtype} of rank ${losses.rank}`);
  const done = losses?.size ?? 0;
  const training = new Training(config, vocabulary.size, new Int32Array(config.context + 1), seed);
  restoreTraining(training, checkpoint);
  if (training.optimizer.steps !== done)
    throw new SchemaError(
      `tensor "${optimizerPrefix}step" must be ${done}, the number of losses, got ${training.optimizer.steps}`,
    );
}

/** What to say of a run whose random numbers came from another generator than this version's; null where they did not. */
export function randomNote({ randomVersion: own }: Checkpoint, path: string): string | null {
  if (own === randomVersion) return null;
  const which = own < randomVersion ? 'an older' : 'a newer';
  return `${path} was made with ${which} random generator: it goes on, but its run can't be repeated bit for bit`;
}

/** The training loss of each step that the run has done. */
export const lossesOf = ({ tensors }: Checkpoint): number[] => Array.from(tensors.get(lossesName)?.host ?? []);

/** Puts a run back where it was, to the bit. */
export function restoreTraining(training: Training, checkpoint: Checkpoint): void {
  const { positions, tensors } = checkpoint;
  restoreModel(training.model, tensors);
  const states = [...tensors].filter(([name]) => name.startsWith(optimizerPrefix));
  training.optimizer.loadStateDict(new Map(states.map(([name, value]) => [name.slice(optimizerPrefix.length), value])));
  training.losses = lossesOf(checkpoint);
  training.loader.restore(positions.loader);
  training.generator.restore(positions.random);
}

/** Gives the model the parameters of a checkpoint. */
export function restoreModel(model: LanguageModel, tensors: ReadonlyMap<string, Tensor>): void {
  const own = [...tensors].filter(([name]) => !name.startsWith(optimizerPrefix) && name !== lossesName);
  model.loadStateDict(new Map(own));
}
