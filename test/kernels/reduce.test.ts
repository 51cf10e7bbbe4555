import { type ReduceKind, type ReduceProblem, reduce } from '../../src/kernels/reduce.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, type Expected, exact, magnitudes, near, summed } from './conformance.ts';
import { biasGelu, geluTanh, productOfInputs } from './hooks.ts';

type Size = readonly [kind: ReduceKind, dtype: ReduceProblem['dtype'], outer: number, n: number, inner: number];

// Each kind on rows and on columns, each type; extents around lanes, blocks, vectors, and where sums are split.
const sizes: readonly Size[] = [
  ['sum', 'f32', 1, 1, 1],
  ['mean', 'f32', 3, 7, 1],
  ['max', 'f32', 257, 8, 1],
  ['argMin', 'f32', 5, 33, 1],
  ['logSumExp', 'f32', 31, 64, 1],
  ['sumSquares', 'f32', 3, 257, 1],
  ['sum', 'f32', 2, 2048, 1],
  ['argMax', 'f32', 1, 4099, 1],
  ['logSumExp', 'f32', 2, 8204, 1],
  ['min', 'u32', 3, 129, 1],
  ['sum', 'i32', 2, 1028, 1],
  ['sum', 'f32', 2, 3, 5],
  ['argMax', 'i32', 3, 65, 7],
  ['max', 'u32', 1, 9, 33],
  ['min', 'f32', 2, 31, 64],
  ['logSumExp', 'f32', 1, 127, 129],
  ['mean', 'f32', 1, 5000, 3],
  ['argMin', 'f32', 1, 4099, 2],
  ['sum', 'f32', 1, 33000, 1],
  ['sumSquares', 'f32', 3, 130, 8],
  ['max', 'i32', 1, 2064, 36],
];

function answer({ kind, dtype, outer, n, inner }: ReduceProblem, x: Ref): Expected {
  const [y] = evaluate('reduce', [x], { kind, axes: [1] }) as [Ref];
  if (kind === 'argMax' || kind === 'argMin') return exact('i32', y.data);
  if (dtype !== 'f32') return exact(dtype, dtype === 'i32' ? Int32Array.from(y.data) : Uint32Array.from(y.data));
  if (kind === 'max' || kind === 'min') return exact('f32', y.data);
  if (kind === 'logSumExp') return near(y, 2e-6, 2e-6);
  const magnitude = evaluate('reduce', [magnitudes(x)], { kind, axes: [1] })[0] ?? ref([outer, inner]);
  return summed(y, magnitude, n);
}

const plain = ([kind, dtype, outer, n, inner]: Size): Case<ReduceProblem> => {
  const problem = { kind, dtype, outer, n, inner };
  return {
    name: `${kind} of ${dtype} [${outer}, ${n}, ${inner}]`,
    problem,
    prepare(draw) {
      const size = outer * n * inner;
      // Few different numbers, so that the first of equal ones must win; large ones for log Σ exp.
      const few = kind === 'argMax' || kind === 'argMin' ? 5 : 1000;
      const x =
        dtype === 'f32'
          ? few === 5
            ? Float32Array.from(draw.i32(size, -few, few))
            : draw.f32(size, kind === 'logSumExp' ? 90 : 2)
          : dtype === 'i32'
            ? draw.i32(size, -few, few)
            : draw.u32(size, 0, few);
      return { inputs: [x], expected: [answer(problem, ref([outer, n, inner], x))] };
    },
  };
};

/** gelu(Σ + bias): an epilogue, on rows and on columns. */
const stored = [
  ['sum', 'f32', 33, 257, 1] as const,
  ['sum', 'f32', 3, 1029, 31] as const,
  ['mean', 'f32', 2, 65, 20] as const,
].map(([kind, dtype, outer, n, inner]): Case<ReduceProblem> => {
  const columns = inner > 1 ? inner : outer;
  return {
    name: `${kind} of [${outer}, ${n}, ${inner}] with an epilogue`,
    problem: {
      kind,
      dtype,
      outer,
      n,
      inner,
      store: biasGelu([outer * inner, 1].with(1, columns).with(0, (outer * inner) / columns), 1),
    },
    prepare(draw) {
      const [x, bias] = [draw.f32(outer * n * inner, 0.1), draw.f32(columns)];
      const [y] = evaluate('reduce', [ref([outer, n, inner], x)], { kind, axes: [1] }) as [Ref];
      return {
        inputs: [x, bias],
        expected: [near({ data: y.data.map((v, i) => geluTanh(v + (bias[i % columns] as number))) }, 2e-5, 2e-5)],
      };
    },
  };
});

/** Σ x·y: a producer of two inputs in place of the source, one of them backwards. */
const loaded = [
  ['sum', 'f32', 5, 260, 1] as const,
  ['mean', 'f32', 2, 300, 33] as const,
  ['sum', 'f32', 1, 70, 12] as const,
].map(([kind, dtype, outer, n, inner]): Case<ReduceProblem> => {
  const size = outer * n * inner;
  return {
    name: `${kind} of [${outer}, ${n}, ${inner}] of a fused product`,
    problem: { kind, dtype, outer, n, inner, load: productOfInputs(size, 0) },
    prepare(draw) {
      const [x, y] = [draw.f32(size), draw.f32(size)];
      const product = ref(
        [outer, n, inner],
        x.map((value, i) => value * (y[size - 1 - i] as number)),
      );
      return { inputs: [x, y], expected: [answer({ kind, dtype, outer, n: 2 * n, inner }, product)] };
    },
  };
});

conformance(reduce, [...sizes.map(plain), ...stored, ...loaded]);
