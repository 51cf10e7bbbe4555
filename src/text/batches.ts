import { ShapeError, ValueError } from '../core/errors.ts';
import { anything, count, declareOptions, shown } from '../core/options.ts';
import { Generator, type GeneratorState, randomIntegers } from '../core/random.ts';
import { expectIds } from './ids.ts';

/** Token ids [B, T] and, as targets, the ids that follow each of them [B, T]; flat, row-major. */
export type Batch = [inputs: Int32Array<ArrayBuffer>, targets: Int32Array<ArrayBuffer>];

/** Cuts a text or its ids in two: the last `fraction` of it for validation, what comes before for training. */
export function trainValidationSplit<Data extends string | Int32Array>(
  data: Data,
  fraction = 0.1,
): { readonly train: Data; readonly validation: Data } {
  if (!(fraction > 0 && fraction < 1)) {
    throw new ValueError(
      `[trainValidationSplit] fraction is the share of validation, between 0 and 1, not ${shown(fraction)}`,
    );
  }
  if (typeof data !== 'string') expectIds('trainValidationSplit', data);
  let cut = Math.floor(data.length * (1 - fraction));
  // Does not cut between the two halves of a character.
  if (typeof data === 'string' && (data.codePointAt(cut - 1) ?? 0) > 0xffff) cut--;
  if (cut <= 0 || cut >= data.length) {
    throw new ShapeError(
      `[trainValidationSplit] ${data.length} elements leave one part empty at fraction ${fraction}: use a longer text`,
    );
  }
  return { train: data.slice(0, cut) as Data, validation: data.slice(cut) as Data };
}

/** Sizes of a batch of windows. */
export interface WindowOptions {
  /** Windows in a batch, B. */
  readonly batch: number;
  /** Ids in a window, T. */
  readonly length: number;
}
/** How batches of windows are drawn: their sizes, and a seed. */
export interface BatchOptions extends WindowOptions {
  /** Repeats the batches; 0 by default. */
  readonly seed?: number | bigint;
}
const windowOptions = declareOptions<WindowOptions>({ batch: count, length: count }, ['batch', 'length']);
// The generator checks the seed.
const batchOptions = declareOptions<BatchOptions>({ batch: count, length: count, seed: anything }, ['batch', 'length']);

/** Batches of windows that begin at random places of the data, without end. */
export class BatchIterator implements IterableIterator<Batch> {
  /** The shape [B, T] of inputs and of targets. */
  readonly shape: readonly [number, number];
  readonly #data: Int32Array;
  readonly #generator: Generator;

  constructor(data: Int32Array, options: BatchOptions) {
    const { batch, length, seed } = batchOptions('batches', options);
    checkWindow('batches', data, length);
    this.#data = data;
    this.#generator = new Generator(seed);
    this.shape = [batch, length];
  }

  /** The next batch; there is always one. */
  next(): { done: false; value: Batch } {
    const [batch, length] = this.shape;
    const starts = randomIntegers(batch, this.#data.length - length, this.#generator);
    return { done: false, value: cut(this.#data, starts, length) };
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** Where the iterator is, for a checkpoint; survives JSON. */
  state(): GeneratorState {
    return this.#generator.state();
  }

  /** Goes on from a saved state, over the same data with the same options. */
  restore(state: GeneratorState): this {
    this.#generator.restore(state);
    return this;
  }
}

/** Random batches for training: windows of `length` ids, `batch` at a time. Throws ShapeError where the data is too short. */
export function batches(data: Int32Array, options: BatchOptions): BatchIterator {
  return new BatchIterator(data, options);
}

/**
 * The data from start to end in windows of `length` ids that do not overlap, for validation; every id is a target once,
 * but for the first and a rest shorter than a window. The last batch may have fewer rows.
 */
export function windows(data: Int32Array, options: WindowOptions): Iterable<Batch> {
  const { length, batch } = windowOptions('windows', options);
  checkWindow('windows', data, length);
  const count = Math.floor((data.length - 1) / length);
  return {
    *[Symbol.iterator]() {
      for (let first = 0; first < count; first += batch) {
        const rows = Math.min(batch, count - first);
        yield cut(
          data,
          Array.from({ length: rows }, (_, row) => (first + row) * length),
          length,
        );
      }
    },
  };
}

function cut(data: Int32Array, starts: readonly number[], length: number): Batch {
  const inputs = new Int32Array(starts.length * length);
  const targets = new Int32Array(starts.length * length);
  for (const [row, start] of starts.entries()) {
    inputs.set(data.subarray(start, start + length), row * length);
    targets.set(data.subarray(start + 1, start + length + 1), row * length);
  }
  return [inputs, targets];
}

function checkWindow(op: string, data: Int32Array, length: number): void {
  expectIds(op, data);
  if (data.length > length) return;
  throw new ShapeError(
    `[${op}] the text has ${data.length} tokens, but a window of length ${length} and its targets need ${length + 1}: ` +
      (data.length > 1 ? `use a longer text, or a length of at most ${data.length - 1}` : 'use a longer text'),
  );
}
