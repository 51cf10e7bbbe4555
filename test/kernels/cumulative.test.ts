import { type CumsumProblem, cumsum } from '../../src/kernels/cumulative.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, magnitudes, summed } from './conformance.ts';

const problems: readonly CumsumProblem[] = [
  { outer: 1, n: 1, inner: 1, reverse: false, dtype: 'f32' },
  { outer: 3, n: 33, inner: 5, reverse: true, dtype: 'f32' },
  { outer: 65, n: 7, inner: 1, reverse: false, dtype: 'i32' },
  { outer: 2, n: 2048, inner: 1, reverse: true, dtype: 'u32' },
  { outer: 1, n: 2049, inner: 3, reverse: false, dtype: 'f32' },
  { outer: 2, n: 6000, inner: 2, reverse: true, dtype: 'i32' },
  { outer: 1, n: 257, inner: 65, reverse: false, dtype: 'u32' },
];

conformance(
  cumsum,
  problems.map((problem): Case<CumsumProblem> => {
    const { outer, n, inner, reverse, dtype } = problem;
    return {
      name: `[${outer}, ${n}, ${inner}] of ${dtype}${reverse ? ', from the end' : ''}`,
      problem,
      prepare(draw) {
        const size = outer * n * inner;
        const x = dtype === 'f32' ? draw.f32(size) : dtype === 'i32' ? draw.i32(size, -99, 99) : draw.u32(size, 0, 99);
        const whole = ref([outer, n, inner], x);
        const [y] = evaluate('cumsum', [whole], { axis: 1, reverse }) as [Ref];
        const [magnitude] = evaluate('cumsum', [magnitudes(whole)], { axis: 1, reverse }) as [Ref];
        return { inputs: [x], expected: [dtype === 'f32' ? summed(y, magnitude, n) : exact(dtype, y.data)] };
      },
    };
  }),
);
