import { isNumbers } from '../core/dtype.ts';
import { ValueError } from '../core/errors.ts';
import { oneByOne } from '../core/oneByOne.ts';
import { type Kind, shown } from '../core/options.ts';

/** Samples that have numbers: an array, a typed array, or anything with a length whose `at`, if it has one, may be async. */
export type IndexedSamples<Sample> =
  | ArrayLike<Sample>
  | {
      /** Number of samples. */
      readonly length: number;
      /** Gives sample `index`, counted from 0, at once or later. */
      at(index: number): Sample | Promise<Sample> | undefined;
    };

/**
 * Where samples come from: something with a length, something to go through, or a function that gives such a thing anew for
 * each epoch.
 */
export type Samples<Sample> =
  | IndexedSamples<Sample>
  | Iterable<Sample>
  | AsyncIterable<Sample>
  | (() => Iterable<Sample> | AsyncIterable<Sample>);

/** Samples that follow one another, and the number that each has in the data. */
export interface Taken<Sample> {
  readonly samples: readonly Sample[];
  readonly numberOf: (i: number) => number;
}

/** Hands out the samples of an epoch. */
export interface Reader<Sample> {
  /** The next samples, `count` of them, fewer at the end; calls have their turns in order, whether they are waited for or not. */
  take(count: number): Promise<Taken<Sample>>;
  /** Ends the reading, and tells the source. */
  close(): Promise<void>;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Whether samples can be taken in any order. */
export function isIndexed<Sample>(data: Samples<Sample>): data is IndexedSamples<Sample> {
  return (
    isObject(data) &&
    Number.isInteger((data as { length?: unknown }).length) &&
    (data as { length: number }).length >= 0
  );
}

/** Data of a loader. A text is refused, since it is mostly a mistake. */
export const samplesKind: Kind<Samples<unknown>> = {
  wanted: 'an array or something else with a length, an iterable or async iterable, or a function that gives one',
  accepts: (value): value is Samples<unknown> =>
    typeof value === 'function' ||
    (isObject(value) &&
      (ArrayBuffer.isView(value)
        ? isNumbers(value)
        : isIndexed(value as Samples<unknown>) || Symbol.iterator in value || Symbol.asyncIterator in value)),
};

/** Reads samples in `order`, or in their own, from position `start` on. */
export class IndexedReader<Sample> implements Reader<Sample> {
  readonly #data: IndexedSamples<Sample>;
  readonly #order: ArrayLike<number> | null;
  #position: number;

  constructor(data: IndexedSamples<Sample>, order: ArrayLike<number> | null, start: number) {
    if (start > data.length)
      throw new ValueError(
        `[DataLoader] ${start} samples of the epoch were used before, but the data has ${data.length}: restore goes on over the same data`,
      );
    this.#data = data;
    this.#order = order;
    this.#position = start;
  }

  async take(count: number): Promise<Taken<Sample>> {
    const first = this.#position;
    const end = Math.min(first + count, this.#data.length);
    this.#position = end;
    const numberOf = (i: number) => this.#order?.[first + i] ?? first + i;
    const numbers = Array.from({ length: end - first }, (_, i) => numberOf(i));
    return { samples: await samplesAt(this.#data, numbers), numberOf };
  }

  async close(): Promise<void> {}
}

/** Asks for all samples at once, so that asynchronous ones load side by side. */
async function samplesAt<Sample>(data: IndexedSamples<Sample>, numbers: readonly number[]): Promise<readonly Sample[]> {
  const { at } = data as { at?: (index: number) => Sample | Promise<Sample> };
  if (Array.isArray(data) || ArrayBuffer.isView(data) || typeof at !== 'function') {
    const samples = numbers.map((i) => (data as ArrayLike<Sample>)[i] as Sample);
    return samples.some(isPromise) ? Promise.all(samples) : samples;
  }
  return Promise.all(numbers.map(async (i) => at.call(data, i)));
}

const isPromise = (value: unknown) => isObject(value) && typeof (value as { then?: unknown }).then === 'function';

/** Reads samples as an iterator gives them, after the first `skipped`. */
export class SequentialReader<Sample> implements Reader<Sample> {
  readonly #iterator: Iterator<Sample> | AsyncIterator<Sample>;
  readonly #turns = oneByOne();
  #toSkip: number;
  #position = 0;
  /** True once the iterator has said that it is over, or has thrown: it needs no `return` call. */
  #isOver = false;
  /** True once nothing more is read: the reader was closed, or a sample could not be had. */
  #isStopped = false;

  constructor(iterator: Iterator<Sample> | AsyncIterator<Sample>, skipped: number) {
    this.#iterator = iterator;
    this.#toSkip = skipped;
  }

  take(count: number): Promise<Taken<Sample>> {
    return this.#turns(async () => {
      while (this.#toSkip > 0) {
        await this.#next();
        if (this.#isOver)
          throw new ValueError(
            `[DataLoader] ${this.#position + this.#toSkip} samples of the epoch were used before, but the data has ended after ${this.#position}: restore goes on over the same data`,
          );
        this.#toSkip--;
      }
      const first = this.#position;
      const samples: Sample[] = [];
      while (samples.length < count) {
        const next = await this.#next();
        if (!next) break;
        samples.push(next.sample);
      }
      return { samples, numberOf: (i) => first + i };
    });
  }

  /** The next sample; null at the end, and after what has failed. */
  async #next(): Promise<{ readonly sample: Sample } | null> {
    if (this.#isOver || this.#isStopped) return null;
    const result = await this.#result();
    if (result.done) {
      this.#isOver = true;
      return null;
    }
    try {
      const sample = isPromise(result.value) ? await result.value : result.value;
      this.#position++;
      return { sample };
    } catch (error) {
      this.#isStopped = true;
      throw error;
    }
  }

  async #result(): Promise<IteratorResult<Sample>> {
    try {
      return await this.#iterator.next();
    } catch (error) {
      this.#isOver = true;
      throw error;
    }
  }

  close(): Promise<void> {
    this.#isStopped = true;
    return this.#turns(async () => {
      if (this.#isOver) return;
      this.#isOver = true;
      await this.#iterator.return?.();
    });
  }
}

/** Begins to go through data that is not indexed. */
export function iteratorOf<Sample>(
  data: Exclude<Samples<Sample>, IndexedSamples<Sample>>,
): Iterator<Sample> | AsyncIterator<Sample> {
  const source: unknown = typeof data === 'function' ? data() : data;
  if (isObject(source) && Symbol.asyncIterator in source)
    return (source as AsyncIterable<Sample>)[Symbol.asyncIterator]();
  if (isObject(source) && Symbol.iterator in source) return (source as Iterable<Sample>)[Symbol.iterator]();
  throw new ValueError(
    `[DataLoader] the function that is its data must give an iterable or async iterable, got ${shown(source)}`,
  );
}
