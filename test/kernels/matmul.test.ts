import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../src/core/shape.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { isMatrix, type MatmulProblem } from '../../src/kernels/matmulProblem.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { runtime } from '../support/environment.ts';
import { type Case, conformance, magnitudes, near, summed } from './conformance.ts';
import type { Draw } from './draw.ts';
import { biasGelu, geluTanh, residual } from './hooks.ts';
import { fill, type Placement, place } from './operands.ts';

interface Layout {
  readonly batch?: readonly number[];
  /** Batch dimensions in which an operand has one matrix for all. */
  readonly sharedA?: readonly number[];
  readonly sharedB?: readonly number[];
  /** N: contiguous along the last dimension, T: along the one before. */
  readonly layout: 'NN' | 'NT' | 'TN' | 'TT';
  readonly a?: Pick<Placement, 'offset' | 'gap'>;
  readonly b?: Pick<Placement, 'offset' | 'gap'>;
}

type Size = readonly [M: number, N: number, K: number];

/**
 * The large tiles are the text of tiled32 with other constants, but take a software adapter a second to compile: they run
 * fewer combinations of layouts and alignments, and on SwiftShader fewer still.
 */
const large = ['tiled64', 'tiled64x128', 'tiled128', 'registers8', 'registers16', 'quads16', 'quads'];
const spares = (few: 'all' | 'deno' | 'none') =>
  few === 'all' || (few === 'deno' && runtime === 'deno') ? {} : { spares: large };

/**
 * Extents around the tiles, layouts, alignments, batches and broadcasts in pairs, not as a full product: each pair of two
 * flags meets in some row. What is the same text in two rows costs one pipeline: extents and batches are uniforms.
 */
const products: readonly (readonly [Size, Layout, large?: 'all' | 'deno'])[] = [
  // Whole vectors everywhere: the fast path, in each layout.
  [[64, 64, 64], { layout: 'NN' }, 'all'],
  [[65, 132, 36], { layout: 'NN', batch: [3], b: { offset: 4, gap: 4 } }, 'all'],
  [[32, 128, 16], { layout: 'NT', batch: [2, 3], sharedB: [0] }],
  [[132, 68, 260], { layout: 'TN', a: { offset: 8 } }, 'all'],
  [[36, 36, 8], { layout: 'TT' }],
  // Nothing whole.
  [[1, 1, 1], { layout: 'NN' }],
  [[33, 63, 31], { layout: 'NN', a: { offset: 1 }, b: { offset: 3 } }],
  [[31, 33, 65], { layout: 'NT', batch: [2, 2], sharedA: [1], sharedB: [0] }, 'all'],
  [[257, 129, 15], { layout: 'NT', a: { offset: 1 } }, 'all'],
  [[127, 3, 17], { layout: 'TN', batch: [3], sharedA: [0], a: { gap: 1 } }],
  [[129, 65, 15], { layout: 'TT', b: { offset: 2 } }, 'deno'],
  // One operand in vectors, the other not; K or N whole, the other not.
  [[5, 36, 33], { layout: 'NN', a: { offset: 1 } }],
  [[36, 7, 64], { layout: 'NT', b: { gap: 3 } }],
  [[64, 33, 28], { layout: 'TN' }],
  // One row or one column.
  [[1, 257, 64], { layout: 'NN' }],
  [[1, 64, 129], { layout: 'NT', batch: [3], sharedB: [0], a: { offset: 1 } }],
  [[255, 1, 33], { layout: 'NN' }],
  [[68, 1, 64], { layout: 'TN', batch: [2] }],
  [[1, 36, 513], { layout: 'TT', batch: [2] }],
  // K long enough to split.
  [[33, 36, 1028], { layout: 'NT' }],
  [[65, 67, 777], { layout: 'TN', batch: [2] }],
  [[3, 5, 2049], { layout: 'NN' }],
];

const nameOf = ([M, N, K]: Size, { batch = [], layout, sharedA, sharedB, a, b }: Layout) => {
  const more = [
    sharedA && `one A for dimension ${sharedA}`,
    sharedB && `one B for dimension ${sharedB}`,
    a && `A at ${JSON.stringify(a)}`,
    b && `B at ${JSON.stringify(b)}`,
  ].filter(Boolean);
  return [`${layout} [${[...batch, M, K]}] · [${[...batch, K, N]}]`, ...more].join(', ');
};

function problemOf([M, N, K]: Size, { batch = [], layout, sharedA, sharedB, a, b }: Layout): MatmulProblem {
  const order = (transposed: boolean) => {
    const all = Array.from({ length: batch.length + 2 }, (_, i) => i);
    return transposed ? [...all.slice(0, -2), batch.length + 1, batch.length] : all;
  };
  return {
    ...{ batch, M, N, K },
    a: place([...batch, M, K], { ...a, order: order(layout[0] === 'T'), broadcast: sharedA }),
    b: place([...batch, K, N], { ...b, order: order(layout[1] === 'T'), broadcast: sharedB }),
  };
}

/** Buffers, product and the bound of its rounding errors. */
function prepare({ a, b, K }: MatmulProblem, draw: Draw) {
  const [left, right] = [fill(a, draw), fill(b, draw)];
  const values = { a: left.value, b: right.value };
  return { inputs: [left.buffer, right.buffer], values, ...product(left.value, right.value, K) };
}

function product(a: Ref, b: Ref, K: number) {
  const [c] = evaluate('matmul', [a, b]) as [Ref];
  const [magnitude] = evaluate('matmul', [magnitudes(a), magnitudes(b)]) as [Ref];
  return { c, expected: summed(c, magnitude, K) };
}

const plain = products.map(([size, layout, few]): Case<MatmulProblem> => {
  const problem = problemOf(size, layout);
  return {
    name: nameOf(size, layout),
    problem,
    ...spares(few ?? 'none'),
    prepare(draw) {
      const { inputs, expected } = prepare(problem, draw);
      return { inputs, expected: [expected] };
    },
  };
});

/** gelu(A·B + bias), in every variant. */
const activated = (
  [
    [[65, 36, 64], { layout: 'NT' }],
    [[33, 5, 513], { layout: 'NN', batch: [2] }],
    [[1, 33, 65], { layout: 'NT' }],
  ] as const
).map(([size, layout]: readonly [Size, Layout], i): Case<MatmulProblem> => {
  const problem = problemOf(size, layout);
  const shape = [...problem.batch, problem.M, problem.N];
  return {
    ...spares(i === 0 ? 'deno' : 'none'),
    name: `gelu of ${nameOf(size, layout)} and a bias`,
    problem: { ...problem, epilogue: biasGelu(shape, 2) },
    prepare(draw) {
      const { inputs, c, expected } = prepare(problem, draw);
      const bias = draw.f32(problem.N);
      const data = c.data.map((value, i) => geluTanh(value + (bias[i % problem.N] as number)));
      const worst = Math.max(...Array.from(expected.tolerance as ArrayLike<number>));
      return { inputs: [...inputs, bias], expected: [near({ data }, 1e-5, 2 * worst + 1e-6)] };
    },
  };
});

/** A·B + residual, and A·B itself besides. */
function withResidual(problem: MatmulProblem, draw: Draw) {
  const { inputs, values, c, expected } = prepare(problem, draw);
  const other = draw.f32(sizeOf(c.shape));
  const sum = c.data.map((value, i) => value + (other[i] as number));
  const tolerance = Float64Array.from(expected.tolerance as ArrayLike<number>, (bound) => bound + 1e-6);
  return {
    values,
    inputs: [...inputs, other],
    expected: [{ dtype: 'f32', values: sum, tolerance } as const, expected],
  };
}

const saved = (
  [
    [[64, 36, 68], { layout: 'NN' }],
    [[63, 35, 515], { layout: 'NT' }],
  ] as const
).map(([size, layout]: readonly [Size, Layout]): Case<MatmulProblem> => {
  const problem = problemOf(size, layout);
  return {
    ...spares('none'),
    name: `${nameOf(size, layout)} plus a residual, the product kept`,
    problem: { ...problem, epilogue: residual([problem.M, problem.N], 2, 1) },
    prepare: (draw) => withResidual(problem, draw),
  };
});

/** Σₖ of one operand rides along, with and without a tail. */
const summing = (
  [
    [[33, 63, 31], { layout: 'TN' }, 'a'],
    [[132, 68, 260], { layout: 'TN', a: { offset: 8 } }, 'a', 'tail'],
    [[67, 129, 64], { layout: 'TT', b: { offset: 1 } }, 'a'],
    [[65, 132, 36], { layout: 'NN', b: { offset: 4, gap: 4 } }, 'b', 'tail'],
    [[31, 33, 65], { layout: 'TN', b: { gap: 3 } }, 'b'],
    [[1, 257, 64], { layout: 'NN' }, 'a'],
    [[1, 36, 129], { layout: 'TN' }, 'b', 'tail'],
    [[255, 1, 33], { layout: 'TN' }, 'a'],
    [[68, 1, 130], { layout: 'NN' }, 'b'],
    [[65, 67, 777], { layout: 'TN' }, 'a', 'tail'],
    [[33, 36, 1028], { layout: 'NN' }, 'b'],
  ] as const
).map(([size, layout, of, tail]: readonly [Size, Layout, 'a' | 'b', 'tail'?], i): Case<MatmulProblem> => {
  const problem = problemOf(size, layout);
  const { M, N, K } = problem;
  return {
    ...spares(i === 1 ? 'all' : i === 3 ? 'deno' : 'none'),
    name: `${nameOf(size, layout)}${tail ? ' plus a residual' : ''}, and the sum of ${of}`,
    problem: {
      ...problem,
      ...(tail && { epilogue: residual([M, N], 2, 1) }),
      sum: { of, output: tail ? 2 : 1 },
    },
    prepare(draw) {
      const { inputs, values, expected } = tail ? withResidual(problem, draw) : prepare(problem, draw);
      const ones = new Float64Array(K).fill(1);
      const sum = of === 'a' ? product(values.a, ref([K, 1], ones), K) : product(ref([1, K], ones), values.b, K);
      return { inputs, expected: [expected, sum.expected].flat() };
    },
  };
});

conformance(matmul, [...plain, ...activated, ...saved, ...summing]);

describe('operands that matmul takes as they lie', () => {
  it('are contiguous in one of the last two dimensions, or have only one line', () => {
    expect(isMatrix(place([4, 6]))).toBe(true);
    expect(isMatrix(place([4, 6], { order: [1, 0], gap: 3, offset: 5 }))).toBe(true);
    expect(isMatrix({ ...place([4, 6]), strides: [12, 2] })).toBe(false);
    expect(isMatrix({ ...place([4, 1]), strides: [12, 2] })).toBe(true);
    expect(isMatrix({ ...place([1, 6]), strides: [12, 2] })).toBe(true);
  });

  it('are refused with their strides where they do not', () => {
    const problem = { ...problemOf([4, 6, 5], { layout: 'NN' }), a: { ...place([4, 5]), strides: [10, 2] } };
    expect(() => matmul.variants.tiled32?.call(problem, { selection: 'gpu' } as never)).toThrow(
      /\[matmul\] .* shape \[4,5\], strides \[10,2\]/,
    );
  });
});
