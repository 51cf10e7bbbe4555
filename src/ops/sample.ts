import { count, declareOptions, generatorLike, type Kinds, notNegative, share } from '../core/options.ts';
import { fromHost } from '../graph/leaf.ts';
import type { OpDef } from '../graph/op.ts';
import { applyOne, type Streams } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { sample as sampleFamily } from '../kernels/sample.ts';
import { drawOp, expectLogits } from './categorical.ts';
import { nextRandom, type RandomOptions } from './random.ts';

const sampleOp = drawOp<[settings: Tensor, key: Tensor]>(sampleFamily);

/** How the next token is chosen. */
export interface SamplingSettings {
  /** Divides the logits; below 1 sharpens. 0 takes the best. */
  temperature?: number;
  /** Keeps the k best; of equals the first. */
  topK?: number;
  /** Keeps the least set of best tokens whose probabilities, among the k best, reach p (Holtzman et al. 2020). */
  topP?: number;
}
/** Options of `sample`: how the distribution is cut, and the generator to draw from. */
export interface SampleOptions extends SamplingSettings, RandomOptions {}

export const samplingKinds: Kinds<SamplingSettings> = { temperature: notNegative, topK: count, topP: share };
const sampleOptions = declareOptions<SampleOptions>({ ...samplingKinds, generator: generatorLike });

/** The settings as the op takes them: f32 [4]. */
export function settingsTensor({ temperature = 1, topK = Infinity, topP = 1 }: SamplingSettings): Tensor {
  // Limits the settings: larger ones change nothing, and none overflows.
  const values = Float32Array.of(Math.min(temperature, 1e36), Math.min(topK, 2 ** 24), topP, 0);
  return fromHost({ shape: [4], dtype: 'f32' }, values);
}

/**
 * The next token of each row of logits [..., V] → i32 [...], whatever the size of V; entries ≤ −1e30 are never drawn. A row
 * that holds NaN or +infinity, or nothing to draw from, is a ValueError at the next read.
 */
export function sample(logits: Tensor, options?: SampleOptions): Tensor {
  expectLogits('sample', logits);
  const { generator, ...settings } = sampleOptions('sample', options);
  return sampleWith(logits, settingsTensor(settings), nextRandom(generator));
}

/** Samples with settings and key as tensors, so that a compiled step takes them as arguments. */
export function sampleWith(logits: Tensor, settings: Tensor, { key, stream }: Streams): Tensor {
  return applyOne(sampleOp, [logits, settings, key], { stream });
}

/** For the registry. */
export const sampleOps = { sample: sampleOp } satisfies Readonly<Record<string, OpDef>>;
