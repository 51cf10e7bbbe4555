import { type Choices, io, randomVersion, type Tensor, tensor, text } from '../src/index.ts';
import { type Config, modelNames } from './configs.ts';
import { JobError } from './host.ts';
import type { LanguageModel } from './models.ts';
import type { Training } from './training.ts';

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

/** The file's bytes. */
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
  return io.save(tensors, undefined, { metadata: { [metadataName]: json } });
}

/** Reads a file's bytes. Throws JobError where they are no checkpoint; `path` is for its message. */
export function readCheckpoint(bytes: io.ByteSource, path: string): Checkpoint {
  try {
    const file = io.readSafetensors(bytes);
    const json = file.metadata[metadataName];
    if (json === undefined) throw new Error('it is a safetensors file, but not one that `npm start` wrote');
    const { version, vocabulary, loader, random, randomVersion = 1, ...rest } = JSON.parse(json);
    const { choices = {}, textName = null, ...info } = rest;
    if (version !== 1) throw new Error(`it is of version ${version}, and this program reads version 1`);
    if (!modelNames.includes(info.config?.model)) throw new Error('its model is none that this program knows');
    const tensors = Object.entries(file.tensors).map(([name, { data, ...type }]): [string, Tensor] => [
      name,
      tensor(data, type),
    ]);
    return {
      info: { ...info, choices, textName, vocabulary: text.CharVocabulary.fromJSON(vocabulary) },
      positions: { loader, random },
      randomVersion,
      tensors: new Map(tensors),
    };
  } catch (error) {
    throw new JobError(`${path} can't be used: ${error instanceof Error ? error.message : error}`);
  }
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
