import copy from '../../shaders/index/copy.wgsl' with { type: 'text' };
import destinations from '../../shaders/index/destinations.wgsl' with { type: 'text' };
import gatherSource from '../../shaders/index/gather.wgsl' with { type: 'text' };
import sources from '../../shaders/index/sources.wgsl' with { type: 'text' };
import { type DType, dtypes } from '../core/dtype.ts';
import { family } from './family.ts';
import type { DeviceProfile, Dispatch } from './kernel.ts';
import { grid, input, output, status } from './kernel.ts';
import { loop, type Range, ranges, timesIn } from './loops.ts';
import { roughly } from './rows.ts';

/** Indices [outer, m, inner] along the middle axis of [outer, n, inner]. */
export interface IndexProblem {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly m: number;
  readonly dtype: DType;
  readonly indexDType: 'i32' | 'u32';
}

const SIZE = 64;

const groups = (elements: number) => grid(Math.ceil(elements / SIZE));

const constants = ({ dtype, indexDType }: IndexProblem) => ({ Element: dtypes[dtype].wgsl, Index: indexDType, SIZE });

const uniforms = ({ outer, n, inner, m }: IndexProblem) => ({ outer, n, inner, m, statusCode: 0 });

/**
 * inputs x [outer, n, inner], index [outer, m, inner] → output(0) [outer, m, inner], as `torch.gather`.
 * An index outside [0, n) gives zero and sets the status word.
 */
export const gather = family<IndexProblem>({
  name: 'gather',
  variants: {
    elements: {
      call: (problem) => ({
        dispatches: [
          {
            kernel: 'gather/elements',
            source: gatherSource,
            constants: constants(problem),
            bindings: [input(0), input(1), output(0), status],
            uniforms: uniforms(problem),
            workgroups: groups(problem.outer * problem.m * problem.inner),
          },
        ],
      }),
    },
  },
  select: () => 'elements',
});

/**
 * inputs base [outer, n, inner], index [outer, m, inner], source [outer, m, inner] → output(0) [outer, n, inner], as
 * `torch.scatter_add`. What goes to one element is added in the order of the indices; an index outside [0, n) adds
 * nothing and sets the status word.
 */
export const scatterAdd = family<IndexProblem>({
  name: 'scatterAdd',
  variants: {
    /** One dispatch; reads n · m indices of each line. */
    destinations: {
      call: (problem, profile) => ({
        dispatches: pieces(problem, profile).map((piece) =>
          scatter(problem, 'destinations', destinations, problem.n, piece),
        ),
      }),
    },
    /** Two dispatches; reads about m² indices of each line. */
    sources: {
      call: (problem, profile) => {
        const count = problem.outer * problem.n * problem.inner;
        const copyBase: Dispatch = {
          kernel: 'scatterAdd/sources/copy',
          source: copy,
          constants: { Element: dtypes[problem.dtype].wgsl, SIZE },
          bindings: [input(0), output(0)],
          uniforms: { count },
          workgroups: groups(count),
        };
        const scatters = pieces(problem, profile).map((piece) =>
          scatter(problem, 'sources', sources, piece.end - piece.start, piece),
        );
        return { dispatches: [copyBase, ...scatters] };
      },
    },
  },
  select: ({ n, m }, { selection }) => (n <= 2 * m || (selection === 'gpu' && m <= 16) ? 'destinations' : 'sources'),
  shapeClass: ({ outer, n, inner, m }) => roughly(outer, n, inner, m),
});

/** Two loops meet at an invocation's own index, and lanes that run side by side count together: their indices lie this far apart. */
const skew = SIZE + 1;

/** Ranges of the indices along the axis, each for one dispatch. */
const pieces = ({ m }: IndexProblem, { loopLimit }: DeviceProfile) => ranges(m, timesIn(loopLimit - skew));

/** A later range adds to what stands in the result, not to the base. */
function scatter(problem: IndexProblem, name: string, source: string, extent: number, { start, end }: Range): Dispatch {
  return {
    kernel: `scatterAdd/${name}`,
    source,
    constants: constants(problem),
    functions: start > 0 ? { before: 'fn before(element: u32) -> Element { return result[element]; }' } : {},
    bindings: [input(0), input(1), input(2), output(0), status],
    uniforms: { ...uniforms(problem), start, end },
    workgroups: groups(problem.outer * extent * problem.inner),
    turns: loop(end - start) + skew,
  };
}
