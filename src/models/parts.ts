import { dtypes, type HostArray, hostArray } from '../core/dtype.ts';
import { nth } from '../core/lists.ts';
import type { Tensor } from '../graph/tensor.ts';
import { split } from '../ops/join.ts';
import { reshape } from '../ops/view.ts';
import { slotBytes } from '../runtime/results.ts';

/** More parts than these would cost a step more than the submit of a copy does. */
const mostParts = 128;

/**
 * A result of a compiled step in parts that come back with the step itself: reading them all is one mapping and no submit.
 * A larger one stays whole, and is read through a copy.
 */
export function inParts(x: Tensor): Tensor[] {
  const room = slotBytes / dtypes[x.dtype].bytes;
  const flat = reshape(x, [x.size]);
  return x.size <= room || x.size > mostParts * room ? [flat] : split(flat, room);
}

/** The values of a result that `inParts` has taken apart. */
export async function readParts(parts: readonly Tensor[]): Promise<HostArray> {
  const values = await Promise.all(parts.map((part) => part.data()));
  const whole = hostArray(
    nth(parts, 0).dtype,
    parts.reduce((sum, { size }) => sum + size, 0),
  );
  let start = 0;
  for (const part of values) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}

/**
 * What each of `count` submits gives. The next is made before one is handed out, so that the device goes on while the host
 * reads; who leaves early forgets that one.
 */
export async function* ahead<T>(count: number, submit: () => Promise<T>): AsyncGenerator<T, void> {
  let submitted = await submit();
  for (let left = count; left > 0; left--) {
    const current = submitted;
    if (left > 1) submitted = await submit();
    yield current;
  }
}
