import gatherSource from '../../shaders/gather/elements.wgsl' with { type: 'text' };
import { type DType, dtypes } from '../core/dtype.ts';
import { family } from './family.ts';
import { grid, input, output, status } from './kernel.ts';

/** Indices [outer, m, inner] along the middle axis of [outer, n, inner]. */
export interface IndexProblem {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly m: number;
  readonly dtype: DType;
  readonly indexDType: 'i32' | 'u32';
}

export const SIZE = 64;

export const groups = (elements: number) => grid(Math.ceil(elements / SIZE));

export const constants = ({ dtype, indexDType }: IndexProblem) => ({
  Element: dtypes[dtype].wgsl,
  Index: indexDType,
  SIZE,
});

export const uniforms = ({ outer, n, inner, m }: IndexProblem) => ({ outer, n, inner, m, statusCode: 0 });

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
