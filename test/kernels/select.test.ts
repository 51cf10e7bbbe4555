import { expect } from 'vitest';
import { type CategoricalProblem, categorical, type TopKProblem, topK } from '../../src/kernels/select.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact } from './conformance.ts';
import { randomWord } from './philox.ts';

const tops: readonly TopKProblem[] = [
  { rows: 1, n: 1, k: 1, largest: true },
  { rows: 65, n: 7, k: 7, largest: false },
  { rows: 3, n: 128, k: 5, largest: true },
  { rows: 2, n: 129, k: 33, largest: false },
  { rows: 5, n: 513, k: 1, largest: true },
  { rows: 1, n: 2049, k: 128, largest: true },
  { rows: 2, n: 5000, k: 100, largest: false },
  { rows: 1, n: 3001, k: 1024, largest: true },
];

conformance(
  topK,
  tops.map(
    (problem): Case<TopKProblem> => ({
      name: `the ${problem.k} ${problem.largest ? 'largest' : 'smallest'} of [${problem.rows}, ${problem.n}]`,
      problem,
      prepare(draw) {
        const { rows, n, k, largest } = problem;
        // Many equal values: they must keep their order.
        const x = Float32Array.from(draw.i32(rows * n, -n, n), (value) => value / 3);
        if (n > 2) [x[1], x[2]] = [-0, 0];
        const [values, indices] = evaluate('topK', [ref([rows, n], x)], { k, largest }) as [Ref, Ref];
        return { inputs: [x], expected: [exact('f32', values.data), exact('i32', indices.data)] };
      },
    }),
  ),
);

const draws: readonly CategoricalProblem[] = [
  { rows: 1, n: 1, stream: 0 },
  { rows: 129, n: 2, stream: 3 },
  { rows: 33, n: 65, stream: 4294967295 },
  { rows: 5, n: 257, stream: 7 },
  { rows: 3, n: 1025, stream: 1 },
];

conformance(
  categorical,
  draws.map(
    (problem): Case<CategoricalProblem> => ({
      name: `from [${problem.rows}, ${problem.n}]`,
      problem,
      prepare(draw) {
        const { rows, n, stream } = problem;
        const [logits, key] = [draw.f32(rows * n, 3), draw.u32(4, 0, 2 ** 32)];
        // Masked classes, and in the first row nothing else.
        for (let i = 0; i < rows * n; i += 3) logits[i] = -1e30;
        if (rows > 1) logits.fill(-1e30, 0, n);
        const score = (row: number, j: number) => {
          const logit = logits[row * n + j] as number;
          if (logit <= -1e30) return -Infinity;
          const u = (randomWord(key, stream, row * n + j) + 0.5) / 2 ** 32;
          return logit - Math.log(-Math.log1p(-u));
        };
        return {
          inputs: [logits, key],
          expected: [{ dtype: 'i32', values: new Int32Array(rows), tolerance: n - 1 }],
          check({ outputs: [chosen] }) {
            for (let row = 0; row < rows; row++) {
              const scores = Array.from({ length: n }, (_, j) => score(row, j));
              const best = Math.max(...scores);
              const own = scores[chosen?.[row] as number] as number;
              // Scores that f32 cannot tell apart may win either way.
              if (best === -Infinity) expect(chosen?.[row]).toBe(0);
              else expect(own).toBeGreaterThanOrEqual(best - 1e-4);
            }
          },
        };
      },
    }),
  ),
);
