import { expect } from 'vitest';
import { type CategoricalProblem, categorical } from '../../src/kernels/categorical.ts';
import { sample } from '../../src/kernels/sample.ts';
import { type TopKProblem, topK } from '../../src/kernels/topK.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { nucleus } from '../reference/random.ts';
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
          status: Number(rows > 1 || n === 1),
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

/** Settings of a problem: temperature, k and p; and how coarse its logits are, so that many are equal. */
const samplings: readonly (readonly [rows: number, n: number, settings: readonly number[], steps?: number])[] = [
  [1, 1, [1, 1e6, 1]],
  [33, 65, [0.8, 5, 1]],
  [33, 65, [1.5, 1e6, 0.4]],
  [65, 300, [0.7, 40, 0.9], 4],
  [9, 1025, [1, 1e6, 0.999], 1],
  [9, 1025, [1, 700, 1], 1],
  [9, 1025, [0, 1e6, 1], 1],
  [9, 1025, [1e-30, 10, 0.5]],
  [9, 5000, [2, 1e6, 1e-30]],
  [4, 50257, [1, 1e6, 0.9]],
  [4, 50257, [0.9, 20000, 0.97], 100],
];

conformance(
  sample,
  samplings.map(
    ([rows, n, settings, steps]): Case<CategoricalProblem> => ({
      name: `from [${rows}, ${n}], temperature, k and p ${settings}${steps ? `, ${steps} values` : ''}`,
      problem: { rows, n, stream: 3 },
      prepare(draw) {
        const logits = draw.f32(rows * n, 6);
        if (steps) for (let i = 0; i < rows * n; i++) logits[i] = Math.round(((logits[i] as number) / 6) * steps);
        for (let i = 5; i < rows * n; i += 7) logits[i] = -1e30;
        const all = Float32Array.of(...settings, 0);
        const key = draw.u32(4, 0, 2 ** 32);
        return {
          inputs: [logits, all, key],
          expected: [{ dtype: 'i32', values: new Int32Array(rows), tolerance: n - 1 }],
          check({ outputs: [chosen] }) {
            for (let row = 0; row < rows; row++) {
              const kept = nucleus(logits.subarray(row * n, (row + 1) * n), all).map(({ j, score }) => {
                const u = (randomWord(key, 3, row * n + j) + 0.5) / 2 ** 32;
                return { j, score: settings[0] === 0 ? score : score - Math.log(-Math.log1p(-u)) };
              });
              const best = kept.reduce((a, b) => (b.score > a.score ? b : a));
              const own = kept.find(({ j }) => j === chosen?.[row]);
              // Scores that f32 cannot tell apart may win either way.
              expect(own?.score ?? -Infinity, `row ${row} takes ${chosen?.[row]}`).toBeGreaterThanOrEqual(
                best.score - 1e-4,
              );
            }
          },
        };
      },
    }),
  ),
);
