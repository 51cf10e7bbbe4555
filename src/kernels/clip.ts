import clip from '../../shaders/clip/norm.wgsl' with { type: 'text' };
import squares from '../../shaders/clip/squares.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import { family } from './family.ts';
import type { BindingSource, Dispatch } from './kernel.ts';
import { input, output, scratch, status } from './kernel.ts';
import { rowsOf } from './lanes.ts';
import { loop, timesIn } from './loopLimit.ts';

interface ClipProblem {
  readonly maxNorm: number;
  /** Whether a norm that is not finite sets the status word, so that no state changes. */
  readonly strict: boolean;
}

export interface ClipScaleProblem extends ClipProblem {
  /** Number of partial sums of squares. */
  readonly count: number;
}

/** input(0) sums of squares [count] → output(0) norm [1], output(1) scale [1]: min(1, maxNorm / (norm + 1e-6)), NaN where the norm is. */
export const clipScale = family<ClipScaleProblem>({
  name: 'clipScale',
  variants: {
    sum: { call: (problem) => ({ dispatches: [clipDispatch('clipScale/sum', input(0), problem.count, problem)] }) },
  },
  select: () => 'sum',
});

export interface ClipNormProblem extends ClipProblem {
  readonly N: number;
}

/** input(0) gradients [N] → output(0) norm [1], output(1) scale [1], as `clipScale`: the whole of clipping in two passes. */
export const clipNorm = family<ClipNormProblem>({
  name: 'clipNorm',
  variants: {
    twoPasses: {
      call: ({ N, ...problem }, { selection, loopLimit }) => {
        const [lanes, wanted] = selection === 'software' ? [8, 64] : [256, 512];
        const { constants, functions, n, meeting } = rowsOf(1, N, 1, lanes, lanes);
        const most = Math.max(wanted, Math.ceil(n / (4 * lanes * timesIn(loopLimit - meeting))));
        const groups = Math.min(most, Math.ceil(n / (4 * lanes)));
        const pieces = n / (4 * lanes * groups);
        const partial: Dispatch = {
          kernel: 'clipNorm/squares',
          source: squares,
          constants: { ...constants, WHOLE: Number.isInteger(pieces) },
          functions,
          bindings: [input(0), scratch(0)],
          uniforms: { n, groups, pieces: Math.ceil(pieces) },
          workgroups: [groups, 1, 1],
          turns: loop(Math.ceil(pieces)) + meeting,
        };
        return {
          dispatches: [partial, clipDispatch('clipNorm/norm', scratch(0), groups, problem)],
          scratch: [groups * wordSize],
        };
      },
    },
  },
  select: () => 'twoPasses',
});

const reporting = {
  declarations: bindingText(4, 'read_write', 'status', 'array<atomic<u32>>'),
  library: ['status'],
  functions: { reportNonfinite: 'fn reportNonfinite() { reportBadData(params.statusCode); }' },
};

function clipDispatch(
  kernel: string,
  squaresFrom: BindingSource,
  count: number,
  { maxNorm, strict }: ClipProblem,
): Dispatch {
  return {
    kernel,
    source: clip,
    ...(strict ? reporting : {}),
    bindings: [squaresFrom, output(0), output(1), ...(strict ? [status] : [])],
    uniforms: { count, maxNorm, statusCode: 0 },
    workgroups: [1, 1, 1],
    turns: loop(Math.ceil(count / 64)) + loop(6),
  };
}
