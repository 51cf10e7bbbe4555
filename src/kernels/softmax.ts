import backward from '../../shaders/softmax/backward.wgsl' with { type: 'text' };
import forward from '../../shaders/softmax/forward.wgsl' with { type: 'text' };
import type { BindingSource, Family, KernelCall } from './kernel.ts';
import { grid, input, output } from './kernel.ts';
import { fewThreads, rowLanes, vectors } from './reduce.ts';

/** Along the middle axis of [outer, n, inner]. */
export interface SoftmaxProblem {
  /** log softmax */
  readonly log: boolean;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
}

/** Folds of a vec4 accumulator; the shaders declare the ones for f32. */
export const foldVector = {
  sumOf: 'fn sumOf(v: Element) -> f32 { return (v.x + v.y) + (v.z + v.w); }',
  maxOf: 'fn maxOf(v: Element) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }',
};

type Call = (problem: SoftmaxProblem, variant: string, lanes: number, size: number) => KernelCall;

const dispatch =
  (name: string, source: string, bindings: readonly BindingSource[], folds: Readonly<Record<string, string>>): Call =>
  ({ log, outer, n, inner }, variant, lanes, size) => {
    const vector = inner === 1 && n % 4 === 0;
    return {
      dispatches: [
        {
          kernel: `${name}/${variant}`,
          source,
          constants: { Element: vector ? 'vec4<f32>' : 'f32', SIZE: size, LANES: lanes, LOG: log },
          functions: vector ? folds : {},
          bindings,
          uniforms: { rows: outer * inner, n: vector ? n / 4 : n, inner },
          workgroups: grid(Math.ceil((outer * inner * lanes) / size)),
        },
      ],
    };
  };

const family = (name: string, call: Call): Family<SoftmaxProblem> => ({
  name,
  variants: {
    /** A thread for each row, along any axis. */
    thread: {
      call: (problem) =>
        call(problem, 'thread', ...fewThreads(3 * (problem.inner === 1 ? vectors(problem.n) : problem.n))),
    },
    /** Contiguous rows, up to a workgroup for each. */
    rows: {
      unsupported: ({ inner }) => (inner === 1 ? null : 'inner > 1: a row is not contiguous'),
      call: (problem) => call(problem, 'rows', rowLanes(problem.n), 256),
    },
  },
  select: ({ n, inner }, { selection }) => (selection === 'gpu' && inner === 1 && n > 8 ? 'rows' : 'thread'),
});

/** input(0) x → output(0) softmax(x), or its logarithm. */
export const softmax = family('softmax', dispatch('softmax', forward, [output(0), input(0)], foldVector));

/** input(0) y = softmax(x) or log softmax(x), input(1) dy → output(0) dx. */
export const softmaxBackward = family(
  'softmaxBackward',
  dispatch('softmaxBackward', backward, [output(0), input(0), input(1)], { sumOf: foldVector.sumOf }),
);
