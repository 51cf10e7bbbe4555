import { DeviceLostError, ValueError } from '../core/errors.ts';
import type { Kind } from '../core/options.ts';
import { defaultGenerator } from '../core/random.ts';

/**
 * Batches to train on: a `DataLoader`, `text.batches(…)`, an array, or anything else to go through, at once or later. What
 * has `state` and `restore` can tell where it is, and go on there: its state is part of a checkpoint.
 */
export type Batches<Batch> = (Iterable<Batch> | AsyncIterable<Batch>) & {
  /** Where the source is, as something that survives JSON. */
  state?(): unknown;
  /** Goes back to where `state()` was called. */
  restore?(state: never): unknown;
};

export const batchesKind: Kind<Batches<unknown>> = {
  wanted: 'an iterable or async iterable of batches, such as a DataLoader or text.batches(…)',
  accepts: (value): value is Batches<unknown> =>
    typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value),
};

/** The batches that a step was given. */
interface Given<Batch> {
  readonly batches: readonly Batch[];
  /** Where the source was afterwards, for a checkpoint; null where it can't tell. */
  readonly place: unknown;
  /** Positions of the default generator that the source took meanwhile. */
  readonly drawn: number;
}

/** Gives each step of a run its batches; those of the last steps can be given again. */
export class Feed<Batch> {
  readonly #batches: Batches<Batch>;
  readonly #length: number;
  readonly #again: boolean;
  #source: AsyncGenerator<Batch, void, undefined>;
  /** What the steps after step `#first` were given. */
  #kept: Given<Batch>[] = [];
  #first: number;
  #step: number;
  #place: unknown;

  /** `length` batches a step, after step `start`; `again`: begins anew where the batches end. */
  constructor(batches: Batches<Batch>, length: number, start: number, again: boolean) {
    this.#batches = batches;
    this.#length = length;
    this.#again = again;
    this.#source = walk(batches, again);
    this.#first = start;
    this.#step = start;
    this.#place = placeOf(batches);
  }

  /** Where the batches are after the last step that was given some. */
  get place(): unknown {
    return this.#place;
  }

  /** The batches of the next step; null where there are not so many. */
  async take(): Promise<readonly Batch[] | null> {
    const given = this.#kept[this.#step - this.#first] ?? (await this.#fetch());
    if (!given) return null;
    this.#step++;
    this.#place = given.place;
    return given.batches;
  }

  /** Forgets the batches of steps up to this one: they are not made again. */
  forget(step: number): void {
    this.#kept.splice(0, step - this.#first);
    this.#first = Math.max(this.#first, step);
  }

  /** Goes back, so that the step after this one is the next. */
  rewind(step: number): void {
    const again = this.#kept.slice(step - this.#first, this.#step - this.#first);
    // Takes their part of the generator's numbers again, since these batches are not drawn anew.
    for (const { drawn } of again) defaultGenerator.take(drawn);
    this.#step = step;
  }

  /** Leaves the batches where the last step was. */
  async close(): Promise<void> {
    await this.#source.return();
    const { restore } = this.#batches;
    if (this.#place !== null && restore) restore.call(this.#batches, this.#place as never);
  }

  async #fetch(): Promise<Given<Batch> | null> {
    const { position } = defaultGenerator;
    try {
      const batches = await take(this.#source, this.#length);
      if (!batches) return null;
      const given = { batches, place: placeOf(this.#batches), drawn: defaultGenerator.position - position };
      this.#kept.push(given);
      return given;
    } catch (error) {
      // Starts another walk where the batches are: one is over once it has failed.
      if (error instanceof DeviceLostError && this.#batches.restore) this.#source = walk(this.#batches, this.#again);
      throw error;
    }
  }
}

/** Where batches are, for a checkpoint; null where they can't tell. */
function placeOf(batches: Batches<unknown>): unknown {
  return batches.state?.() ?? null;
}

/**
 * Goes through the batches once, or, where `again`, for ever: throws a ValueError then where they don't begin anew. The next
 * walk goes on where this one was left.
 */
async function* walk<Batch>(batches: Batches<Batch>, again: boolean): AsyncGenerator<Batch, void, undefined> {
  try {
    // Allows an empty first walk: what was restored may have nothing left of its epoch.
    for (let isFirst = true; ; isFirst = false) {
      let isEmpty = true;
      for await (const batch of batches) {
        isEmpty = false;
        yield batch;
      }
      if (!again) return;
      if (isEmpty && !isFirst)
        throw new ValueError(
          '[train] batches has nothing more to give, though there are steps to do: give what can be gone through again, like an array or a DataLoader, or fewer steps',
        );
    }
  } finally {
    if (batches.state && batches.restore) batches.restore(batches.state() as never);
  }
}

/** The next `length` batches; null where there are not so many. */
async function take<Batch>(source: AsyncIterator<Batch>, length: number): Promise<Batch[] | null> {
  const taken: Batch[] = [];
  while (taken.length < length) {
    const { done, value } = await source.next();
    if (done) return null;
    taken.push(value);
  }
  return taken;
}
