import destinations from '../../shaders/scatterAdd/destinations.wgsl' with { type: 'text' };
import copy from '../../shaders/scatterAdd/sources.copy.wgsl' with { type: 'text' };
import sources from '../../shaders/scatterAdd/sources.wgsl' with { type: 'text' };
import { dtypes } from '../core/dtype.ts';
import { family } from './family.ts';
import { constants, groups, type IndexProblem, SIZE, uniforms } from './gather.ts';
import type { DeviceProfile, Dispatch } from './kernel.ts';
import { input, output, status } from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop, type Range, ranges, timesIn } from './loopLimit.ts';

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
