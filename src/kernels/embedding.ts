import chains from '../../shaders/embedding/chains.wgsl' with { type: 'text' };
import forward from '../../shaders/embedding/forward.wgsl' with { type: 'text' };
import links from '../../shaders/embedding/links.wgsl' with { type: 'text' };
import rows from '../../shaders/embedding/rows.wgsl' with { type: 'text' };
import type { BindingSource, Family, KernelCall, StoreHook } from './kernel.ts';
import { grid, input, output, scratch, status } from './kernel.ts';
import { tooManyIterations } from './loops.ts';
import { roughly } from './rows.ts';
import { noSideSum } from './sideSum.ts';

/** `count` ids into a table [V, E]. */
export interface EmbeddingProblem {
  readonly count: number;
  readonly V: number;
  readonly E: number;
  readonly indexDType: 'i32' | 'u32';
  /** A tail fused into `store` of output 0. */
  readonly store?: StoreHook;
}

const SIZE = 64;

/** inputs weight [V, E], ids [count] → output(0) [count, E]. An id outside [0, V) gives zeros and sets the status word. */
export const embedding: Family<EmbeddingProblem> = {
  name: 'embedding',
  variants: {
    elements: {
      call: ({ count, V, E, indexDType, store }) => ({
        dispatches: [
          {
            kernel: 'embedding/elements',
            source: forward,
            constants: { Index: indexDType, E, SIZE },
            ...withTail(store, [input(0), input(1), output(0), status]),
            uniforms: { count, V, statusCode: 0 },
            workgroups: grid(Math.ceil((count * E) / SIZE)),
          },
        ],
      }),
    },
  },
  select: () => 'elements',
};

function withTail(store: StoreHook | undefined, bindings: readonly BindingSource[]) {
  if (!store) return { bindings };
  const { functions, library } = store;
  const declarations = store.declarations(bindings.length + 1);
  return { functions, library, declarations, bindings: [...bindings, ...store.bindings] };
}

/**
 * inputs dOut [count, E], ids [count] → output(0) dWeight [V, E], all of it written. Gradients of equal ids are added in
 * the order of their positions; ids outside [0, V) are left out (the forward kernel reports them). A tail may run twice for
 * an element, the first time on 0.
 */
export const embeddingBackward: Family<EmbeddingProblem> = {
  name: 'embeddingBackward',
  variants: {
    /** One dispatch; reads V · count ids. */
    rows: { unsupported: ({ count }, profile) => tooManyIterations(count, profile), call: byRows },
    /** Two dispatches; reads about count² ids. */
    chains: { unsupported: ({ count }, profile) => tooManyIterations(count, profile), call: byChains },
  },
  select: ({ V, count }, { selection }) => (selection === 'gpu' && V * count <= 2 ** 20 ? 'rows' : 'chains'),
  shapeClass: ({ V, E, count }) => roughly(V, E, count),
};

function byRows(problem: EmbeddingProblem): KernelCall {
  const { count, V, store } = problem;
  const { Index, Vector, E } = layout(problem);
  return {
    dispatches: [
      {
        kernel: 'embeddingBackward/rows',
        source: rows,
        constants: { Index, Vector, E, SIZE },
        ...withTail(store, [input(0), input(1), output(0)]),
        uniforms: { count, V, ...noSideSum },
        workgroups: grid(Math.ceil((V * E) / SIZE)),
        sideThreads: SIZE,
      },
    ],
  };
}

function byChains(problem: EmbeddingProblem): KernelCall {
  const { count, V, store } = problem;
  const { Index, Vector, E } = layout(problem);
  return {
    dispatches: [
      {
        kernel: 'embeddingBackward/chains/links',
        source: links,
        constants: { Index, Vector, SIZE },
        ...withTail(store, [input(1), scratch(0), output(0)]),
        uniforms: { count, V, elements: V * E, ...noSideSum },
        workgroups: grid(Math.ceil(Math.max(count, V * E) / SIZE)),
        sideThreads: SIZE,
      },
      {
        kernel: 'embeddingBackward/chains',
        source: chains,
        constants: { Index, Vector, E, SIZE },
        ...withTail(store, [input(0), input(1), scratch(0), output(0)]),
        uniforms: { count },
        workgroups: grid(Math.ceil((count * E) / SIZE)),
      },
    ],
    scratch: [count * 4],
  };
}

/** Rows in vectors of four where their width allows it. A tail takes elements one by one. */
function layout({ E, indexDType, store }: EmbeddingProblem) {
  const vector = E % 4 === 0 && !store;
  return { Index: indexDType, Vector: vector ? 'vec4<f32>' : 'f32', E: vector ? E / 4 : E };
}
