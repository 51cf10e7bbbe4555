import { type Case, type Expected, type Inputs, normal, spread, unit } from './suite.ts';

/** Causal attention; all of q, k, v, dO are [B, T, H, D], and so are the results O, dQ, dK, dV. */
export interface AttentionProblem extends Inputs<'q' | 'k' | 'v' | 'dO'> {
  readonly kind: 'attention forward' | 'attention forward+backward';
  readonly B: number;
  readonly H: number;
  readonly T: number;
  readonly D: number;
}

const sizes: readonly (readonly [B: number, H: number, T: number, D: number])[] = [
  [1, 4, 256, 64],
  [4, 8, 512, 64],
];

export const attentionCases: readonly Case[] = (['attention forward', 'attention forward+backward'] as const).flatMap(
  (kind) => sizes.map((size) => attentionCase(kind, ...size)),
);

/** How much memory a longer sequence takes. */
export const attentionMemoryCases: readonly Case[] = (
  ['attention forward', 'attention forward+backward'] as const
).flatMap((kind) =>
  [256, 512, 1024, 2048, 4096].map((T) => {
    const [B, H, D] = [1, 4, 64];
    const each = attentionCase(kind, B, H, T, D);
    // Without fusion the weights of all queries over all keys stand in memory; backward also has their gradient.
    const unfusedBytes = 4 * B * H * T * T * (kind === 'attention forward' ? 1 : 2);
    return { ...each, suite: 'memory', shape: `${each.shape} memory`, quick: false, unfusedBytes };
  }),
);

function attentionCase(kind: AttentionProblem['kind'], B: number, H: number, T: number, D: number): Case {
  const backward = kind === 'attention forward+backward';
  // A causal product of [T, D] by [D, T] is half of a full one; forward has two of them, backward five.
  const product = B * H * T * (T + 1) * D;
  return {
    suite: 'kernels',
    name: kind,
    shape: `B${B} H${H} T${T} D${D} causal`,
    quick: T === 256,
    flops: product * (backward ? 7 : 2),
    bytes: 4 * B * H * T * D * (backward ? 8 : 4),
    bound: 'arithmetic',
    // Sums over up to T keys and D elements of scores, whose error the exponential passes on; gradients chain three of them.
    tolerance: unit * (T + D) * (backward ? 16 : 4),
    problem: (): AttentionProblem => {
      const draw = (seed: number) => normal(B * T * H * D, seed);
      return { kind, B, H, T, D, q: draw(1), k: draw(2), v: draw(3), dO: draw(4) };
    },
    expected: (problem) => (backward ? backwardHead : forwardRows)(problem as AttentionProblem),
  };
}

/** Element d of the vector at (b, t, h) of [B, T, H, D] stands at `at(b, t, h) + d`. */
const position =
  ({ H, T, D }: AttentionProblem) =>
  (b: number, t: number, h: number) =>
    ((b * T + t) * H + h) * D;

function dot(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, D: number): number {
  let total = 0;
  for (let d = 0; d < D; d++) total += (a[i + d] as number) * (b[j + d] as number);
  return total;
}

/** The weights of query t over the keys 0 … t. */
function weights(problem: AttentionProblem, b: number, h: number, t: number): Float64Array {
  const { q, k, D } = problem;
  const at = position(problem);
  const scores = Float64Array.from({ length: t + 1 }, (_, s) => dot(q, at(b, t, h), k, at(b, s, h), D) / Math.sqrt(D));
  const largest = scores.reduce((x, y) => Math.max(x, y), -Infinity);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((x, y) => x + y, 0);
  return exponentials.map((e) => e / sum);
}

function outputRow(problem: AttentionProblem, b: number, h: number, P: Float64Array): Float64Array {
  const { v, D } = problem;
  const at = position(problem);
  const row = new Float64Array(D);
  for (const [s, p] of P.entries()) {
    for (let d = 0; d < D; d++) row[d] = (row[d] as number) + p * (v[at(b, s, h) + d] as number);
  }
  return row;
}

/** Some queries of the first and the last head. */
function forwardRows(problem: AttentionProblem): Expected[] {
  const { B, H, T, D } = problem;
  const at = position(problem);
  const [indices, values]: [number[], number[]] = [[], []];
  for (const [b, h] of [
    [0, 0],
    [B - 1, H - 1],
  ] as const) {
    for (const t of spread(T, 24)) {
      values.push(...outputRow(problem, b, h, weights(problem, b, h, t)));
      for (let d = 0; d < D; d++) indices.push(at(b, t, h) + d);
    }
  }
  return [{ output: 'O', indices, values }];
}

/** All of the last head, since a gradient of a key sums over all queries. */
function backwardHead(problem: AttentionProblem): Expected[] {
  const { B, H, T, D, q, k, v, dO } = problem;
  const at = position(problem);
  const [b, h] = [B - 1, H - 1];
  const [dQ, dK, dV] = [0, 0, 0].map(() => new Float64Array(T * D)) as [Float64Array, Float64Array, Float64Array];
  const add = (target: Float64Array, row: number, factor: number, source: ArrayLike<number>, from: number) => {
    for (let d = 0; d < D; d++) {
      target[row * D + d] = (target[row * D + d] as number) + factor * (source[from + d] as number);
    }
  };
  for (let t = 0; t < T; t++) {
    const P = weights(problem, b, h, t);
    const query = at(b, t, h);
    const delta = dot(dO, query, outputRow(problem, b, h, P), 0, D);
    for (const [s, p] of P.entries()) {
      const key = at(b, s, h);
      const dS = (p * (dot(dO, query, v, key, D) - delta)) / Math.sqrt(D);
      add(dQ, t, dS, k, key);
      add(dK, s, dS, q, query);
      add(dV, s, p, dO, query);
    }
  }
  const indices = Uint32Array.from({ length: T * D }, (_, i) => at(b, Math.floor(i / D), h) + (i % D));
  return Object.entries({ dQ, dK, dV }).map(([output, values]) => ({ output, indices, values }));
}
