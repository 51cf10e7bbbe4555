import { block, type CumsumProblem, cumsum } from '../../src/kernels/cumsum.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, type Expected, exact, magnitudes } from './conformance.ts';

const problems: readonly CumsumProblem[] = [
  { outer: 1, n: 1, inner: 1, reverse: false, dtype: 'f32' },
  { outer: 3, n: 33, inner: 5, reverse: true, dtype: 'f32' },
  { outer: 65, n: 7, inner: 1, reverse: false, dtype: 'i32' },
  { outer: 2, n: 2048, inner: 1, reverse: true, dtype: 'u32' },
  { outer: 1, n: 2049, inner: 3, reverse: false, dtype: 'f32' },
  { outer: 2, n: 6000, inner: 2, reverse: true, dtype: 'i32' },
  { outer: 1, n: 257, inner: 65, reverse: false, dtype: 'u32' },
];

/**
 * No variant adds up more than `block` numbers one after another, and then that many of those sums, and so on: as many levels
 * as n has digits to that base, two at least, each with a rounding error of half an ulp (2⁻²⁴) of the sum of magnitudes for
 * each number, and two more where a level adds to the next.
 */
function inBlocks(y: Ref, magnitude: Ref, n: number): Expected {
  const levels = Math.max(2, Math.ceil(Math.log(n) / Math.log(block)));
  const factor = 2 ** -24 * levels * (block + 2);
  return { dtype: 'f32', values: y.data, tolerance: magnitude.data.map((value) => 1e-30 + factor * value) };
}

function sums(x: Ref, { n, reverse, dtype }: CumsumProblem): Expected {
  const [y] = evaluate('cumsum', [x], { axis: 1, reverse }) as [Ref];
  if (dtype !== 'f32') return exact(dtype, y.data);
  const [magnitude] = evaluate('cumsum', [magnitudes(x)], { axis: 1, reverse }) as [Ref];
  return inBlocks(y, magnitude, n);
}

const drawn = problems.map((problem): Case<CumsumProblem> => {
  const { outer, n, inner, reverse, dtype } = problem;
  return {
    name: `[${outer}, ${n}, ${inner}] of ${dtype}${reverse ? ', from the end' : ''}`,
    problem,
    prepare(draw) {
      const size = outer * n * inner;
      const x = dtype === 'f32' ? draw.f32(size) : dtype === 'i32' ? draw.i32(size, -99, 99) : draw.u32(size, 0, 99);
      return { inputs: [x], expected: [sums(ref([outer, n, inner], x), problem)] };
    },
  };
});

/** The same number again and again: rounding errors of a running sum do not cancel. */
const equal = [4096, 65535, 300_000].map((n): Case<CumsumProblem> => {
  const problem = { outer: 1, n, inner: 1, reverse: false, dtype: 'f32' } as const;
  return {
    name: `${n} times 0.1`,
    problem,
    prepare() {
      const x = new Float32Array(n).fill(0.1);
      return { inputs: [x], expected: [sums(ref([1, n, 1], x), problem)] };
    },
  };
});

conformance(cumsum, [...drawn, ...equal]);
