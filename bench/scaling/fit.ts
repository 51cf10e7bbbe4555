import type { Point } from './point.ts';
import { flops, type Sweep } from './sweeps.ts';

/** What a sweep looks like where a step costs something fixed (dispatches, reading the loss) and its operations. */
export interface Fit extends Pick<Sweep, 'model' | 'of'> {
  readonly fixedMs: number;
  /** The rate at which operations are done. */
  readonly gflops: number;
  /** Where the measured time is furthest from this, and how many times as long it is. */
  readonly worst: { readonly value: number; readonly ratio: number };
}

export const pointsOf = ({ model, of }: Pick<Sweep, 'model' | 'of'>, points: readonly Point[]) =>
  points.filter((point) => point.model === model && point.of === of);

/** Milliseconds by a fit. */
export const fitted = ({ model, fixedMs, gflops }: Fit, point: Point): number =>
  fixedMs + flops(model, point) / gflops / 1e6;

/** Least squares of relative differences: a point counts as much as another, however long it takes. */
export function fit({ model, of }: Pick<Sweep, 'model' | 'of'>, points: readonly Point[]): Fit {
  // Σ (a/t + b·w/t − 1)² is least where its derivatives by a and b are zero: two linear equations.
  let [aa, ab, bb, a1, b1] = [0, 0, 0, 0, 0];
  for (const point of points) {
    const [one, work] = [1 / point.medianMs, flops(model, point) / point.medianMs];
    aa += one * one;
    ab += one * work;
    bb += work * work;
    a1 += one;
    b1 += work;
  }
  const determinant = aa * bb - ab * ab;
  const fixed = (a1 * bb - b1 * ab) / determinant;
  // Nothing takes less than no time.
  const [fixedMs, perFlop] = fixed > 0 ? [fixed, (b1 * aa - a1 * ab) / determinant] : [0, b1 / bb];
  const line = { model, of, fixedMs, gflops: 1 / perFlop / 1e6, worst: { value: 0, ratio: 1 } };
  for (const point of points) {
    const ratio = point.medianMs / fitted(line, point);
    if (Math.abs(Math.log(ratio)) >= Math.abs(Math.log(line.worst.ratio))) line.worst = { value: point[of], ratio };
  }
  return line;
}
