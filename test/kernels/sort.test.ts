import { type SortProblem, sort } from '../../src/kernels/sort.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact } from './conformance.ts';

// Rows that end before a chunk does, with it, and behind it; one run left over in a merge, and three of four.
const problems: readonly SortProblem[] = [
  { rows: 1, n: 1, descending: false, dtype: 'f32' },
  { rows: 65, n: 7, descending: true, dtype: 'f32' },
  { rows: 3, n: 33, descending: false, dtype: 'i32' },
  { rows: 2, n: 64, descending: true, dtype: 'u32' },
  { rows: 5, n: 129, descending: false, dtype: 'f32' },
  { rows: 2, n: 2048, descending: true, dtype: 'i32' },
  { rows: 2, n: 2049, descending: false, dtype: 'u32' },
  { rows: 1, n: 7001, descending: true, dtype: 'f32' },
  { rows: 1, n: 33_000, descending: false, dtype: 'i32' },
];

conformance(
  sort,
  problems.map(
    (problem): Case<SortProblem> => ({
      name: `[${problem.rows}, ${problem.n}] of ${problem.dtype}${problem.descending ? ', descending' : ''}`,
      problem,
      prepare(draw) {
        const { rows, n, descending, dtype } = problem;
        // Many equal values: they must keep their order.
        const whole = draw.i32(rows * n, -n, n);
        const x =
          dtype === 'i32'
            ? whole
            : dtype === 'u32'
              ? Uint32Array.from(whole, (value) => (value >>> 0) & 0xfffffffb)
              : Float32Array.from(whole, (value) => value / 3);
        // The ends of the range, and zeros of either sign.
        const ends = {
          f32: [Infinity, -0, 0, -Infinity],
          i32: [-(2 ** 31), 2 ** 31 - 1, 0],
          u32: [2 ** 32 - 1, 0],
        }[dtype];
        if (n > 6) x.set(ends, 1);
        const [values, indices] = evaluate('sort', [ref([rows, n], x)], { descending }) as [Ref, Ref];
        return { inputs: [x], expected: [exact(dtype, values.data), exact('i32', indices.data)] };
      },
    }),
  ),
);
