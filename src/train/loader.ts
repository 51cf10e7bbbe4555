import type { DType } from '../core/dtype.ts';
import { ValueError } from '../core/errors.ts';
import {
  anything,
  callback,
  count,
  countOrNone,
  declareOptions,
  expectKind,
  flag,
  type Kind,
  pairOf,
} from '../core/options.ts';
import { Generator, type GeneratorState, permutation } from '../core/random.ts';
import { type Collated, collateNumbered, dtypeOf } from './collate.ts';
import {
  IndexedReader,
  isIndexed,
  iteratorOf,
  type Reader,
  type Samples,
  SequentialReader,
  samplesKind,
  type Taken,
} from './source.ts';

/** How a `DataLoader` makes batches of samples. */
export interface LoaderOptions<Sample, Batch> {
  /** Samples in a batch, B; 1 by default. The last batch of an epoch may have fewer. */
  batchSize?: number;
  /** Whether each epoch has the samples in an order of its own. Needs data with a length. Default false. */
  shuffle?: boolean;
  /** Makes a batch of samples, at once or later; by default `collate`. */
  collate?: (samples: readonly Sample[]) => Batch | Promise<Batch>;
  /**
   * Batches that are made ahead, side by side, while the last one is used: for data or a collate function that has to wait.
   * Default 0.
   */
  prefetch?: number;
  /** Repeats the orders; 0 by default. */
  seed?: number | bigint;
  /** Whether the samples that don't fill a last batch are left out. Default false. */
  dropLast?: boolean;
}

/** The limit of `prefetch`: nobody has the memory for more, or a use. */
const mostAhead = 1000;
const ahead: Kind<number> = {
  wanted: `an integer from 0 to ${mostAhead}`,
  accepts: (value): value is number => countOrNone.accepts(value) && value <= mostAhead,
};

const loaderOptions = declareOptions<LoaderOptions<never, unknown>>({
  batchSize: count,
  shuffle: flag,
  collate: callback,
  prefetch: ahead,
  // The generator checks the seed.
  seed: anything,
  dropLast: flag,
});

/** Where a loader is; survives JSON. */
export interface LoaderState {
  /** Epochs before this one. */
  readonly epoch: number;
  /** Samples of this epoch that are in batches which the loop has had. */
  readonly position: number;
  /** The seed of the orders of all epochs. */
  readonly seed: GeneratorState['seed'];
}

const loaderState = declareOptions<LoaderState>(
  { epoch: countOrNone, position: countOrNone, seed: pairOf(countOrNone) },
  ['epoch', 'position', 'seed'],
);

/** Where a pass over the data is. */
interface Place {
  epoch: number;
  position: number;
  seed: GeneratorState['seed'];
  /** Whether a loop has begun with it: the next loop then begins an epoch of its own. */
  isTaken: boolean;
}

/**
 * Batches of samples, as PyTorch's class of that name: `for await (const batch of loader)` goes through the data once, an
 * epoch, and the next loop through the next. `state()` tells where it is, and `restore(state)` goes on there.
 *
 * Errors of the data or of `collate` end the loop at the batch that they belong to; a loop that is left early ends the
 * iterator of its data.
 */
export class DataLoader<Sample, Batch = Collated<Sample>> implements AsyncIterable<Batch> {
  readonly #data: Samples<Sample>;
  readonly #collate: (taken: Taken<Sample>) => Batch | Promise<Batch>;
  readonly #batchSize: number;
  readonly #shuffle: boolean;
  readonly #prefetch: number;
  readonly #dropLast: boolean;
  /** The pass that `state` tells of: the latest one. */
  #place: Place;
  /** What the last pass has gone through. */
  #iterator: object | null = null;

  /**
   * `data`: an array, typed array or anything else with a length (its `at(i)` may be async); an iterable or async iterable;
   * or a function that gives one anew for each epoch. Throws a ValueError where there is nothing to go through, or `shuffle`
   * is asked of data without a length.
   */
  constructor(data: Samples<Sample>, options?: LoaderOptions<Sample, Batch>) {
    const {
      batchSize = 1,
      shuffle = false,
      prefetch = 0,
      dropLast = false,
      ...others
    } = loaderOptions('DataLoader', options) as LoaderOptions<Sample, Batch>;
    expectKind('DataLoader', 'data', data, samplesKind);
    if (shuffle && !isIndexed(data))
      throw new ValueError(
        '[DataLoader] shuffle needs data with a length, such as an array; shuffle what the iterable goes through',
      );
    const { collate } = others;
    const dtype: DType = ArrayBuffer.isView(data) ? dtypeOf(data as never) : 'f32';
    this.#data = data;
    this.#collate = collate
      ? ({ samples }) => collate(samples)
      : ({ samples, numberOf }) => collateNumbered(samples, numberOf, dtype) as Batch;
    this.#batchSize = batchSize;
    this.#shuffle = shuffle;
    this.#prefetch = prefetch;
    this.#dropLast = dropLast;
    this.#place = { epoch: 0, position: 0, seed: new Generator(others.seed).state().seed, isTaken: false };
  }

  /** Batches in an epoch; null where the data has no length. */
  get size(): number | null {
    if (!isIndexed(this.#data)) return null;
    const batches = this.#data.length / this.#batchSize;
    return this.#dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /**
   * Where the loader is, for a checkpoint; survives JSON. A batch counts once the loop has it: what was made ahead does not.
   */
  state(): LoaderState {
    const { epoch, position, seed } = this.#place;
    return { epoch, position, seed };
  }

  /**
   * Goes on from a saved state, over the same data with the same options: the next loop gives the rest of that epoch, in the
   * same order, which may be nothing. Samples without numbers are skipped by going through them. Throws a ValueError where
   * it is no state of a loader; that there are fewer samples shows in the loop.
   */
  restore(state: LoaderState): this {
    const { epoch, position, seed } = loaderState('DataLoader.restore', state);
    this.#place = { epoch, position, seed: [...seed], isTaken: false };
    return this;
  }

  /** An epoch: the rest of the one that was restored, else the next one from its beginning. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    const place = this.#begin();
    const reader = this.#read(place);
    const underWay: Promise<{ batch: Batch; length: number } | null>[] = [];
    try {
      for (;;) {
        while (underWay.length <= this.#prefetch) {
          const made = this.#make(reader);
          // Handles the rejection here; whoever takes this batch gets the error.
          made.catch(() => {});
          underWay.push(made);
        }
        const next = await underWay.shift();
        if (!next) break;
        place.position += next.length;
        yield next.batch;
      }
      Object.assign(place, { epoch: place.epoch + 1, position: 0, isTaken: false });
    } catch (error) {
      // Drops errors of closing: the loop has ended for another reason.
      await reader.close().catch(() => {});
      throw error;
    } finally {
      await reader.close();
    }
  }

  #begin(): Place {
    const { epoch, position, seed, isTaken } = this.#place;
    // Gives each loop a place of its own, since loops may overlap.
    this.#place = { seed, isTaken: true, ...(isTaken ? { epoch: epoch + 1, position: 0 } : { epoch, position }) };
    return this.#place;
  }

  #read({ epoch, position, seed }: Place): Reader<Sample> {
    const data = this.#data;
    if (isIndexed(data)) {
      const draw = () => permutation(data.length, new Generator().restore({ seed, position: epoch }));
      return new IndexedReader(data, this.#shuffle ? draw() : null, position);
    }
    const iterator = iteratorOf(data);
    if (iterator === this.#iterator)
      throw new ValueError(
        '[DataLoader] its data is an iterator, which can be gone through only once; for more epochs give a function that makes one, like () => samples()',
      );
    this.#iterator = iterator;
    return new SequentialReader(iterator, position);
  }

  /** The next batch; null at the end. */
  async #make(reader: Reader<Sample>): Promise<{ batch: Batch; length: number } | null> {
    const taken = await reader.take(this.#batchSize);
    const { length } = taken.samples;
    if (length === 0 || (this.#dropLast && length < this.#batchSize)) return null;
    return { batch: await this.#collate(taken), length };
  }
}
