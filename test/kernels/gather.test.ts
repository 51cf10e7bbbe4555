import { type CommitProblem, commit } from '../../src/kernels/commit.ts';
import { gather, type IndexProblem } from '../../src/kernels/gather.ts';
import { type PlaceProblem, place as placeFamily } from '../../src/kernels/place.ts';
import { scatterAdd } from '../../src/kernels/scatterAdd.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, magnitudes, summed } from './conformance.ts';
import type { Draw } from './draw.ts';

type Size = readonly [
  outer: number,
  n: number,
  inner: number,
  m: number,
  dtype: IndexProblem['dtype'],
  indexDType: 'i32' | 'u32',
  invalid: boolean,
];

const sizes: readonly Size[] = [
  [1, 1, 1, 1, 'f32', 'i32', false],
  [3, 5, 7, 2, 'f32', 'u32', true],
  [1, 65, 1, 33, 'i32', 'i32', true],
  [2, 3, 64, 31, 'u32', 'i32', false],
  [33, 129, 1, 3, 'f32', 'i32', false],
  [1, 2, 1, 257, 'f32', 'i32', true],
  [2, 4, 5, 9, 'bool', 'u32', false],
];

const problemOf = ([outer, n, inner, m, dtype, indexDType]: Size): IndexProblem => ({
  outer,
  n,
  inner,
  m,
  dtype,
  indexDType,
});
const nameOf = ([outer, n, inner, m, dtype, indexDType, invalid]: Size) =>
  `${m} of [${outer}, ${n}, ${inner}], ${dtype} by ${indexDType}${invalid ? ', some indices invalid' : ''}`;

function drawValues(draw: Draw, length: number, dtype: IndexProblem['dtype']) {
  if (dtype === 'f32') return draw.f32(length);
  return dtype === 'i32' ? draw.i32(length, -99, 99) : draw.u32(length, 0, dtype === 'bool' ? 2 : 99);
}

function drawIndices(draw: Draw, [outer, n, inner, m, , indexDType, invalid]: Size) {
  const indices = draw.i32(outer * m * inner, 0, n);
  if (invalid) [indices[0], indices[indices.length - 1]] = [-3, n];
  return {
    indices: indexDType === 'i32' ? indices : new Uint32Array(indices.buffer),
    indexRef: ref([outer, m, inner], indices),
  };
}

conformance(
  gather,
  sizes.map(
    (size): Case<IndexProblem> => ({
      name: nameOf(size),
      problem: problemOf(size),
      prepare(draw) {
        const [outer, n, inner, , dtype, , invalid] = size;
        const x = drawValues(draw, outer * n * inner, dtype);
        const { indices, indexRef } = drawIndices(draw, size);
        const [y] = evaluate('gather', [ref([outer, n, inner], x), indexRef], { axis: 1 }) as [Ref];
        return { inputs: [x, indices], expected: [exact(dtype, y.data)], status: Number(invalid) };
      },
    }),
  ),
);

conformance(
  scatterAdd,
  sizes
    .filter(([, , , , dtype]) => dtype !== 'bool')
    .map(
      (size): Case<IndexProblem> => ({
        name: nameOf(size),
        problem: problemOf(size),
        prepare(draw) {
          const [outer, n, inner, m, dtype, , invalid] = size;
          const [base, source] = [
            drawValues(draw, outer * n * inner, dtype),
            drawValues(draw, outer * m * inner, dtype),
          ];
          const { indices, indexRef } = drawIndices(draw, size);
          const refs = [ref([outer, n, inner], base), indexRef, ref([outer, m, inner], source)] as const;
          const [y] = evaluate('scatterAdd', refs, { axis: 1 }) as [Ref];
          const bounds = [magnitudes(refs[0]), refs[1], magnitudes(refs[2])];
          const [magnitude] = evaluate('scatterAdd', bounds, { axis: 1 }) as [Ref];
          return {
            inputs: [base, indices, source],
            expected: [dtype === 'f32' ? summed(y, magnitude, m) : exact(dtype, y.data)],
            status: Number(invalid),
          };
        },
      }),
    ),
);

conformance(
  placeFamily,
  (
    [
      [1, 1, 0, 'f32'],
      [65, 128, 3, 'i32'],
      [260, 320, 64, 'f32'],
      [257, 320, 64, 'bool'],
    ] as const
  ).map(
    ([size, padded, offset, dtype]): Case<PlaceProblem> => ({
      name: `${size} of ${padded} elements of ${dtype} to ${offset}`,
      problem: { size, padded, offset, dtype },
      prepare(draw) {
        const [flat, values] = [drawValues(draw, offset + padded + 5, dtype), drawValues(draw, size, dtype)];
        const expected = Array.from(flat);
        expected.splice(offset, padded, ...values, ...new Array<number>(padded - size).fill(0));
        return { inputs: [flat, values], expected: [exact(dtype, expected)] };
      },
    }),
  ),
);

/** That it keeps the present version where the status is set is tested with whole steps. */
conformance(
  commit,
  (
    [
      [1, 'f32', false],
      [65, 'i32', true],
      [256, 'bool', false],
      [256, 'f32', true],
    ] as const
  ).map(
    ([size, dtype, fresh]): Case<CommitProblem> => ({
      name: `${size} elements of ${dtype}${fresh ? ' where there was nothing' : ''}`,
      problem: { size, dtype, fresh },
      prepare(draw) {
        const [before, next] = [drawValues(draw, size, dtype), drawValues(draw, size, dtype)];
        return { inputs: fresh ? [next] : [before, next], expected: [exact(dtype, next)] };
      },
    }),
  ),
);
