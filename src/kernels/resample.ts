import resampleText from '../../shaders/resample/elements.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { family } from './family.ts';
import type { Dispatch, StoreHook } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { loop } from './loopLimit.ts';
import { withStore } from './storeTail.ts';

/** y = R·x·Cᵀ of planes, with R [OH, H] and C [OW, W] whose rows have few numbers that are not 0, next to each other. */
export interface ResampleProblem {
  readonly planes: number;
  /** H and W of x, and OH and OW of y. */
  readonly from: readonly [rows: number, columns: number];
  readonly to: readonly [rows: number, columns: number];
  /** The most numbers of a row of R, and of C. */
  readonly taps: readonly [rows: number, columns: number];
  /** A tail fused into `store` of output 0. */
  readonly store?: StoreHook;
}

const SIZE = 64;

/** One dispatch: from a buffer of planes to another, along the rows, the columns, or both. */
function pass(
  kernel: string,
  { planes, from: [H, W], to: [OH, OW], taps: [rows, columns] }: ResampleProblem,
  along: { readonly rows: boolean; readonly columns: boolean; readonly columnTable: number },
): Pick<Dispatch, 'kernel' | 'source' | 'constants' | 'uniforms' | 'workgroups' | 'turns'> {
  const inside = along.columns ? loop(columns) : 0;
  return {
    kernel,
    source: resampleText,
    constants: { ROWS: along.rows, COLUMNS: along.columns, SIZE },
    uniforms: {
      ...{ planes, H, W, OH, OW },
      ...{ rowLine: rows + 2, columnTable: along.columnTable, columnLine: columns + 2 },
    },
    workgroups: grid(Math.ceil((planes * OH * OW) / SIZE)),
    turns: along.rows ? loop(rows, inside) : inside,
  };
}

/** inputs x [planes, H, W], table (see shaders/resample/elements.wgsl) → output(0) [planes, OH, OW]. */
export const resample = family<ResampleProblem>({
  name: 'resample',
  variants: {
    elements: {
      call(problem) {
        const columnTable = problem.to[0] * (problem.taps[0] + 2);
        const dispatch = pass('resample/elements', problem, { rows: true, columns: true, columnTable });
        return { dispatches: [withStore({ ...dispatch, bindings: [input(0), input(1), output(0)] }, problem.store)] };
      },
    },
    /** Along each row, then along the columns of what that leaves: rows + columns of a window, and not rows · columns. */
    axes: {
      unsupported({ planes, from: [H], to: [, OW] }, { bindingBytes }) {
        const bytes = wordSize * planes * H * OW;
        return bytes > bindingBytes ? `rows in between take ${bytes} bytes, a binding has ${bindingBytes}` : null;
      },
      call(problem) {
        const { planes, from, to, taps } = problem;
        const between = [from[0], to[1]] as const;
        const columnTable = to[0] * (taps[0] + 2);
        const across = pass(
          'resample/axes/elements',
          { ...problem, to: between },
          { rows: false, columns: true, columnTable },
        );
        const down = pass(
          'resample/axes/elements',
          { ...problem, from: between },
          { rows: true, columns: false, columnTable },
        );
        return {
          dispatches: [
            { ...across, bindings: [input(0), input(1), scratch(0)] },
            withStore({ ...down, bindings: [scratch(0), input(1), output(0)] }, problem.store),
          ],
          scratch: [wordSize * planes * between[0] * between[1]],
        };
      },
    },
  },
  // A dispatch more is worth it where windows are large.
  select: ({ taps: [rows, columns] }) => (rows * columns > 64 && Math.min(rows, columns) > 1 ? 'axes' : 'elements'),
});
