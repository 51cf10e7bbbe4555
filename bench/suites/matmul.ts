import { type Case, expectRows, type Inputs, normal, spread, unit } from './suite.ts';

export interface MatmulProblem extends Inputs<'a' | 'b'> {
  readonly kind: 'matmul';
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** a is stored [K, M] where its letter is T, else [M, K]; b is stored [N, K] or [K, N]. */
  readonly layout: Layout;
}
type Layout = 'NN' | 'NT' | 'TN';

const sizes: readonly (readonly [M: number, N: number, K: number])[] = [
  [256, 256, 256],
  [512, 512, 512],
  [1024, 1024, 1024],
  [768, 128, 512],
  [3072, 768, 768],
  [625, 625, 625],
  [1000, 1000, 1000],
  [1023, 1023, 1023],
];

export const matmulCases: readonly Case[] = sizes.flatMap(([M, N, K]) =>
  (['NN', 'NT', 'TN'] as const).map(
    (layout): Case => ({
      suite: 'kernels',
      name: 'matmul',
      shape: `${M}x${N}x${K} ${layout}`,
      quick: M === 512 || (M === 256 && layout === 'NN'),
      flops: 2 * M * N * K,
      bytes: 4 * (M * K + K * N + M * N),
      bound: 'arithmetic',
      // γ_K Σ|a||b|, where Σ|a||b| ≈ 0.64 K and the largest result is about 4 √K.
      tolerance: unit * K * 0.16 * Math.sqrt(K),
      problem: (): MatmulProblem => ({ kind: 'matmul', M, N, K, layout, a: normal(M * K, 1), b: normal(K * N, 2) }),
      expected: (problem) => {
        const { a, b } = problem as MatmulProblem;
        const [aRow, aColumn] = layout === 'TN' ? [1, M] : [K, 1];
        const [bRow, bColumn] = layout === 'NT' ? [1, K] : [N, 1];
        const row = (m: number) => {
          const values = new Float64Array(N);
          for (let k = 0; k < K; k++) {
            const left = a[m * aRow + k * aColumn] as number;
            for (let n = 0; n < N; n++) {
              values[n] = (values[n] as number) + left * (b[k * bRow + n * bColumn] as number);
            }
          }
          return values;
        };
        return [expectRows('c', spread(M, 8), N, row)];
      },
    }),
  ),
);
