import { ValueError } from '../errors.ts';
import type { Kind } from '../options.ts';

/**
 * Batches to train on: a `DataLoader`, `text.batches(…)`, an array, or anything else to go through, at once or later. What
 * has `state` and `restore` can tell where it is, and go on there: its state is part of a checkpoint.
 */
export type Batches<Batch> = (Iterable<Batch> | AsyncIterable<Batch>) & {
  state?(): unknown;
  restore?(state: never): unknown;
};

export const batchesKind: Kind<Batches<unknown>> = {
  wanted: 'an iterable or async iterable of batches, such as a DataLoader or text.batches(…)',
  accepts: (value): value is Batches<unknown> =>
    typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value),
};

/** Where batches are, for a checkpoint; null where they can't tell. */
export function placeOf(batches: Batches<unknown>): unknown {
  return batches.state?.() ?? null;
}

/**
 * Goes through the batches once, or, where `again`, for ever: throws a ValueError then where they don't begin anew. The next
 * walk goes on where this one was left.
 */
export async function* walk<Batch>(batches: Batches<Batch>, again: boolean): AsyncGenerator<Batch, void, undefined> {
  try {
    // What was restored may have nothing left of its epoch.
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
export async function take<Batch>(source: AsyncIterator<Batch>, length: number): Promise<Batch[] | null> {
  const taken: Batch[] = [];
  while (taken.length < length) {
    const { done, value } = await source.next();
    if (done) return null;
    taken.push(value);
  }
  return taken;
}
