import { type EmbeddingProblem, embedding, embeddingBackward } from '../../src/kernels/embedding.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, magnitudes, near, summed } from './conformance.ts';
import type { Draw } from './draw.ts';
import { biasGelu, geluTanh, residual } from './hooks.ts';

type Size = readonly [count: number, V: number, E: number, indexDType: 'i32' | 'u32', invalid: boolean];

const sizes: readonly Size[] = [
  [1, 1, 1, 'i32', false],
  [33, 5, 3, 'i32', true],
  [65, 64, 64, 'u32', true],
  [257, 31, 4, 'i32', false],
  [127, 1000, 33, 'u32', false],
  [600, 2, 8, 'i32', true],
];

const problemOf = ([count, V, E, indexDType]: Size): EmbeddingProblem => ({ count, V, E, indexDType });
const nameOf = ([count, V, E, indexDType, invalid]: Size) =>
  `${count} ids of ${indexDType} into [${V}, ${E}]${invalid ? ', some invalid' : ''}`;

/** Ids as the kernel and as the reference read them, some of them outside of the table. */
function drawIds(draw: Draw, [count, V, , indexDType, invalid]: Size) {
  const ids = draw.i32(count, 0, V);
  if (invalid) [ids[0], ids[count - 1]] = [V, -1];
  return { ids: indexDType === 'i32' ? ids : new Uint32Array(ids.buffer), idsRef: ref([count], ids) };
}

function forward(size: Size, draw: Draw) {
  const [, V, E, , invalid] = size;
  const { ids, idsRef } = drawIds(draw, size);
  const weight = draw.f32(V * E);
  const [y] = evaluate('embedding', [ref([V, E], weight), idsRef]) as [Ref];
  return { inputs: [weight, ids], y, status: Number(invalid) };
}

conformance(embedding, [
  ...sizes.map(
    (size): Case<EmbeddingProblem> => ({
      name: nameOf(size),
      problem: problemOf(size),
      prepare(draw) {
        const { inputs, y, status } = forward(size, draw);
        return { inputs, expected: [exact('f32', y.data)], status };
      },
    }),
  ),
  ...sizes.slice(1, 2).map(
    (size): Case<EmbeddingProblem> => ({
      name: `${nameOf(size)}, with an epilogue`,
      problem: { ...problemOf(size), store: biasGelu([size[0], size[2]], 2) },
      prepare(draw) {
        const { inputs, y, status } = forward(size, draw);
        const bias = draw.f32(size[2]);
        const data = y.data.map((value, i) => geluTanh(value + (bias[i % size[2]] as number)));
        return { inputs: [...inputs, bias], expected: [near({ data }, 1e-5, 1e-6)], status };
      },
    }),
  ),
]);

function backward(size: Size, draw: Draw) {
  const [count, V, E] = size;
  const { ids, idsRef } = drawIds(draw, size);
  const dOut = draw.f32(count * E);
  const [dWeight] = evaluate('embeddingBackward', [ref([count, E], dOut), idsRef], { rows: V }) as [Ref];
  const magnitude = magnitudes(ref([count, E], dOut));
  const [bound] = evaluate('embeddingBackward', [magnitude, idsRef], { rows: V }) as [Ref];
  return { inputs: [dOut, ids], dWeight, expected: summed(dWeight, bound, count) };
}

conformance(embeddingBackward, [
  ...sizes.map(
    (size): Case<EmbeddingProblem> => ({
      name: nameOf(size),
      problem: problemOf(size),
      prepare(draw) {
        const { inputs, expected } = backward(size, draw);
        return { inputs, expected: [expected] };
      },
    }),
  ),
  ...sizes.slice(1, 4).map(
    (size): Case<EmbeddingProblem> => ({
      name: `${nameOf(size)}, added to another gradient`,
      problem: { ...problemOf(size), store: residual([size[1], size[2]], 2, 1) },
      prepare(draw) {
        const { inputs, dWeight, expected } = backward(size, draw);
        const other = draw.f32(dWeight.data.length);
        const values = dWeight.data.map((value, i) => value + (other[i] as number));
        const tolerance = Float64Array.from(expected.tolerance as ArrayLike<number>, (bound) => bound + 1e-6);
        return { inputs: [...inputs, other], expected: [{ dtype: 'f32', values, tolerance }, expected] };
      },
    }),
  ),
]);
