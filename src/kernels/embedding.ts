import links from '../../shaders/embedding/backward.chains.links.wgsl' with { type: 'text' };
import chains from '../../shaders/embedding/backward.chains.wgsl' with { type: 'text' };
import rows from '../../shaders/embedding/backward.rows.wgsl' with { type: 'text' };
import forward from '../../shaders/embedding/forward.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import { family } from './family.ts';
import type { BindingSource, DeviceProfile, Dispatch, KernelCall, StoreHook } from './kernel.ts';
import { grid, input, output, scratch, status } from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop, ranges, timesIn } from './loopLimit.ts';
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
export const embedding = family<EmbeddingProblem>({
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
});

type Tailed = Pick<Dispatch, 'bindings' | 'functions' | 'library' | 'declarations'>;

function withTail(store: StoreHook | undefined, bindings: readonly BindingSource[]): Tailed {
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
export const embeddingBackward = family<EmbeddingProblem>({
  name: 'embeddingBackward',
  variants: {
    /** One dispatch; reads V · count ids. */
    rows: { call: byRows },
    /** Two dispatches; reads about count² ids. */
    chains: {
      unsupported: (problem, profile) =>
        problem.store && positions(problem, profile, skew).length > 1
          ? 'a tail needs the sums of all positions at once'
          : null,
      call: byChains,
    },
  },
  select: ({ V, count }, { selection }) => (selection === 'gpu' && V * count <= 2 ** 20 ? 'rows' : 'chains'),
  shapeClass: ({ V, E, count }) => roughly(V, E, count),
});

/** Two loops meet at an invocation's own position, and lanes that run side by side count together: their positions lie this far apart. */
const skew = SIZE + 1;

/** Ranges of the positions, each for dispatches of its own. */
const positions = ({ count }: EmbeddingProblem, { loopLimit }: DeviceProfile, apart = 0) =>
  ranges(count, timesIn(loopLimit - apart));

/** A later range adds to what earlier ones have left in scratch; the last one, which has the tail, reads it there. */
function byRows(problem: EmbeddingProblem, profile: DeviceProfile): KernelCall {
  const { V, store } = problem;
  const { Index, Vector, E } = layout(problem);
  const parts = positions(problem, profile);
  const dispatches = parts.map(({ start, end }, i): Dispatch => {
    const isLast = i === parts.length - 1;
    const { functions, declarations, ...rest } = withTail(isLast ? store : undefined, [
      ...[input(0), input(1), isLast ? output(0) : scratch(0)],
      ...(isLast && i > 0 ? [scratch(0)] : []),
    ]);
    const earlier = isLast ? 'earlier' : 'output';
    return {
      kernel: 'embeddingBackward/rows',
      source: rows,
      constants: { Index, Vector, E, SIZE },
      ...rest,
      functions: {
        ...functions,
        ...(i > 0 && { before: `fn before(index: u32) -> Vector { return ${earlier}[index]; }` }),
      },
      declarations: [isLast && i > 0 && bindingText(4, 'read', 'earlier', 'array<Vector>'), declarations]
        .filter(Boolean)
        .join('\n'),
      uniforms: { start, end, V, ...noSideSum },
      workgroups: grid(Math.ceil((V * E) / SIZE)),
      turns: loop(end - start),
      ...(i === 0 && { sideThreads: SIZE }),
    };
  });
  return { dispatches, ...(parts.length > 1 && { scratch: [V * problem.E * wordSize] }) };
}

/** A later range adds to what stands in the result. */
function byChains(problem: EmbeddingProblem, profile: DeviceProfile): KernelCall {
  const { count, V, store } = problem;
  const { Index, Vector, E } = layout(problem);
  const dispatches = positions(problem, profile, skew).flatMap(({ start, end }): Dispatch[] => {
    const elements = start === 0 ? V * E : 0;
    const chain = withTail(store, [input(0), input(1), scratch(0), output(0)]);
    const before = 'fn before(index: u32) -> Vector { return output[index]; }';
    return [
      {
        kernel: 'embeddingBackward/chains/links',
        source: links,
        constants: { Index, Vector, SIZE },
        ...withTail(store, [input(1), scratch(0), output(0)]),
        uniforms: { start, end, V, elements, ...noSideSum },
        workgroups: grid(Math.ceil(Math.max(end - start, elements) / SIZE)),
        turns: loop(end - start) + skew,
        ...(start === 0 && { sideThreads: SIZE }),
      },
      {
        kernel: 'embeddingBackward/chains',
        source: chains,
        constants: { Index, Vector, E, SIZE },
        ...chain,
        functions: { ...chain.functions, ...(start > 0 && { before }) },
        uniforms: { start, end },
        workgroups: grid(Math.ceil(((end - start) * E) / SIZE)),
        turns: loop(end - start),
      },
    ];
  });
  return { dispatches, scratch: [count * wordSize] };
}

/** Rows in vectors of four where their width allows it. A tail takes elements one by one. */
function layout({ E, indexDType, store }: EmbeddingProblem) {
  const vector = E % 4 === 0 && !store;
  return { Index: indexDType, Vector: vector ? 'vec4<f32>' : 'f32', E: vector ? E / 4 : E };
}
