import { type DType, dtypes, isNumbers, type Numbers } from '../core/dtype.ts';
import { ShapeError, ValueError } from '../core/errors.ts';
import {
  anyNumber,
  anything,
  callback,
  count,
  declareOptions,
  expectKind,
  array as listKind,
  oneOf,
  shown,
} from '../core/options.ts';
import { Generator, permutation } from '../core/random.ts';
import { checkShape, sizeOf } from '../core/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { tensor } from '../ops/create.ts';
import { dtypeOf } from './collate.ts';

/** Batches of sequences that are not of one length. */

/** How `padSequences` fills up sequences. */
export interface PadOptions {
  /** What stands behind the end of a sequence; default 0. */
  value?: number;
  /** How long all are, T; by default as long as the longest. */
  length?: number;
  /** Type of the numbers; by default that of typed arrays, else f32. */
  dtype?: DType;
}
const padOptions = declareOptions<PadOptions>({
  value: anyNumber,
  length: count,
  dtype: oneOf(...(Object.keys(dtypes) as DType[])),
});

/** Sequences of one length, and how long they were. */
export interface PaddedSequences {
  /** [B, T]. */
  readonly values: Tensor;
  /** i32 [B]. */
  readonly lengths: Tensor;
}

/**
 * Puts B sequences of numbers, arrays or typed arrays, one below another and fills them up, as PyTorch's `pad_sequence`; for
 * a `DataLoader`, `collate: (samples) => padSequences(samples, { dtype: 'i32' })`. Throws a ShapeError where there are none,
 * one is empty or longer than `length`, a ValueError for what is no sequence of numbers.
 */
export function padSequences(
  sequences: readonly (Numbers | readonly number[])[],
  options?: PadOptions,
): PaddedSequences {
  const { value = 0, length, dtype } = padOptions('padSequences', options);
  expectKind('padSequences', 'sequences', sequences, listKind);
  const wrong = sequences.findIndex(
    (each) => !isNumbers(each) && !(Array.isArray(each) && each.every(anyNumber.accepts)),
  );
  if (wrong >= 0)
    throw new ValueError(
      `[padSequences] sequence ${wrong} must be an array of numbers, got ${shown(sequences[wrong])}`,
    );
  const lengths = sequences.map((each) => each.length);
  if (lengths.length === 0) throw new ShapeError('[padSequences] there are no sequences; weft has no empty tensors');
  const empty = lengths.indexOf(0);
  if (empty >= 0)
    throw new ShapeError(`[padSequences] sequence ${empty} is empty; leave it out, or give it one element`);
  const T = length ?? Math.max(...lengths);
  const longer = lengths.findIndex((each) => each > T);
  if (longer >= 0)
    throw new ShapeError(
      `[padSequences] sequence ${longer} has ${lengths[longer]} elements, more than the length, ${T}; cut it`,
    );
  const first = sequences[0] as Numbers | readonly number[];
  const type = dtype ?? (isNumbers(first) ? dtypeOf(first) : 'f32');
  const shape = checkShape('padSequences', [lengths.length, T]);
  const padded = new Float64Array(sizeOf(shape)).fill(value);
  for (const [b, sequence] of sequences.entries()) padded.set(sequence, b * T);
  return {
    values: tensor(padded, { shape, dtype: type }),
    lengths: tensor(Int32Array.from(lengths)),
  };
}

/** How `bucketBatches` makes batches. */
export interface BucketOptions<Sample> {
  /** Samples in a batch, B; the last one may have fewer. */
  batchSize: number;
  /** How long a sample is; by default its `length`. */
  lengthOf?: (sample: Sample) => number;
  /** Decides which of the samples of one length are together; 0 by default. */
  seed?: number | bigint;
}
const bucketOptions = declareOptions<BucketOptions<never>>(
  // The generator checks the seed.
  { batchSize: count, lengthOf: callback, seed: anything },
  ['batchSize'],
);

/**
 * Samples in batches of B that are about equally long, so that little is filled up: sorted by length, those of one length in
 * random order. The batches are the samples of a loader: `new DataLoader(bucketBatches(samples, { batchSize: 32 }),
 * { shuffle: true, collate: ([batch]) => padSequences(batch) })`. Throws a ValueError where a length is not a number.
 */
export function bucketBatches<Sample>(samples: readonly Sample[], options: BucketOptions<Sample>): Sample[][] {
  const {
    batchSize,
    lengthOf = (sample) => (sample as { length?: number } | null)?.length ?? Number.NaN,
    seed = 0,
  } = bucketOptions('bucketBatches', options as BucketOptions<never>) as BucketOptions<Sample>;
  expectKind('bucketBatches', 'samples', samples, listKind);
  const lengths = samples.map(lengthOf);
  const wrong = lengths.findIndex((length) => !Number.isFinite(length));
  if (wrong >= 0)
    throw new ValueError(
      `[bucketBatches] the length of sample ${wrong} must be a finite number, got ${shown(lengths[wrong])}; say how long samples are with lengthOf`,
    );
  const order = [...permutation(samples.length, new Generator(seed))];
  order.sort((a, b) => (lengths[a] as number) - (lengths[b] as number));
  return Array.from({ length: Math.ceil(order.length / batchSize) }, (_, i) =>
    order.slice(i * batchSize, (i + 1) * batchSize).map((at) => samples[at] as Sample),
  );
}
