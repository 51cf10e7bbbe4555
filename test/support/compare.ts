import { expect } from 'vitest';
import { profile, runtime, seed } from './environment.ts';

/** Half the distance from 1 to the next f32: the relative error of one rounding. */
export const unit = 2 ** -24;

/** Smaller numbers are subnormal, which a GPU may take as 0. */
const smallestNormal = 2 ** -126;

/**
 * How far a sum of `terms` products or numbers may come out from the exact one, in whatever order a kernel adds: each of
 * its roundings is relative to a partial sum, and no partial sum exceeds Σ|terms|, so the error is at most n·u·Σ|terms|
 * (Higham, "Accuracy and stability of numerical algorithms", 4.2). Roundings of many terms cancel: beyond 8·√n·u it is with a
 * probability of less than 2n·e⁻³² (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019).
 */
export function sumError(terms: number, magnitude: number): number {
  return Math.min(terms, 8 * Math.sqrt(terms)) * unit * magnitude;
}

/** A bound for each element, or what bounds all elements of a plain sum: the number of terms and the sum of their sizes. */
export type Bound = ArrayLike<number> | { readonly terms: number; readonly magnitude: number };

/** Fails where an element is further from the exact value than its bound; the message shows the worst one. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  bound: Bound,
  what = 'result',
): void {
  expect(actual.length, `${what}: number of elements`).toBe(expected.length);
  const boundAt = 'terms' in bound ? () => sumError(bound.terms, bound.magnitude) : (i: number) => bound[i] as number;
  let worst = { excess: 1, i: -1 };
  for (let i = 0; i < expected.length; i++) {
    const [got, want] = [actual[i] as number, expected[i] as number];
    const error = Math.abs(got - want);
    // Written so that NaN counts as wrong.
    if (got === want || error <= boundAt(i) + smallestNormal) continue;
    const excess = Number.isNaN(error) ? Infinity : error / (boundAt(i) + smallestNormal);
    if (excess > worst.excess) worst = { excess, i };
  }
  if (worst.i < 0) return;
  const [got, want] = [actual[worst.i] as number, expected[worst.i] as number];
  const absolute = Math.abs(got - want);
  expect.fail(
    `${what}[${worst.i}] of ${expected.length} is ${got}, exactly ${want}: off by ${absolute.toExponential(2)} absolute, ` +
      `${(absolute / Math.abs(want)).toExponential(2)} relative, allowed ${boundAt(worst.i).toExponential(2)} ` +
      `(${runtime}, ${profile}, WEFT_SEED=${seed})`,
  );
}
