import backward from '../../shaders/softmax/backward.wgsl' with { type: 'text' };
import forward from '../../shaders/softmax/forward.wgsl' with { type: 'text' };
import { family } from './family.ts';
import type { BindingSource, Family, KernelCall } from './kernel.ts';
import { grid, input, output } from './kernel.ts';
import { elementsOf, fewLanes, manyLanes, roughly, rowsOf } from './lanes.ts';
import { loop } from './loopLimit.ts';

/** Along the middle axis of [outer, n, inner]. */
export interface SoftmaxProblem {
  /** log softmax */
  readonly log: boolean;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
}

function softmaxFamily(name: string, source: string, bindings: readonly BindingSource[]): Family<SoftmaxProblem> {
  const call = (
    { log, outer, n, inner }: SoftmaxProblem,
    variant: string,
    [lanes, size]: readonly [lanes: number, size: number],
  ): KernelCall => {
    const { constants, functions, workgroups, meeting, ...extents } = rowsOf(outer, n, inner, lanes, size);
    return {
      dispatches: [
        {
          kernel: `${name}/${variant}`,
          source,
          constants: { ...constants, LOG: log },
          functions,
          bindings,
          uniforms: extents,
          workgroups: grid(workgroups),
          turns: 2 * loop(extents.pieces) + meeting,
        },
      ],
    };
  };
  return family<SoftmaxProblem>({
    name,
    variants: {
      /** A lane for each row, along any axis; more only for long rows. */
      thread: { call: (problem) => call(problem, 'thread', fewLanes(elementsOf(problem.n, problem.inner))) },
      /** Up to a workgroup for each row. */
      rows: {
        call: (problem) => call(problem, 'rows', manyLanes(elementsOf(problem.n, problem.inner), problem.inner > 1)),
      },
    },
    select: (_, { selection }) => (selection === 'gpu' ? 'rows' : 'thread'),
    shapeClass: ({ outer, n, inner }) => roughly(outer, n, inner),
  });
}

/** input(0) x → output(0) softmax(x), or its logarithm. */
export const softmax = softmaxFamily('softmax', forward, [output(0), input(0)]);

/** input(0) y = softmax(x) or log softmax(x), input(1) dy → output(0) dx. */
export const softmaxBackward = softmaxFamily('softmaxBackward', backward, [output(0), input(0), input(1)]);
