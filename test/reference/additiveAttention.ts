import { extent, get, maximum, type Ref, type Rules, ref, sum } from './ref.ts';

const sizes = (queries: Ref, keys: Ref, values: Ref) => ({
  B: extent(queries, 0),
  Q: extent(queries, 1),
  A: extent(queries, 2),
  S: extent(keys, 1),
  D: extent(values, 2),
});

export const additiveAttention = {
  /**
   * queries [B, Q, A], keys [B, S, A], values [B, S, D], v [A], lengths [B]? → context [B, Q, D] and weights [B, Q, S], the softmax
   * of v · tanh(q + k) over the positions before the length, 0 behind; zeros where a length is none of 1 to S.
   */
  additiveAttention: ([queries, keys, values, v, lengths]: readonly [Ref, Ref, Ref, Ref, Ref?]): [Ref, Ref] => {
    const { B, Q, A, S, D } = sizes(queries, keys, values);
    const [context, weights] = [ref([B, Q, D]), ref([B, Q, S])];
    for (let row = 0; row < B * Q; row++) {
      const b = Math.floor(row / Q);
      const given = lengths ? get(lengths, b) : S;
      const length = given >= 1 && given <= S ? given : 0;
      const scores = Array.from({ length }, (_, s) =>
        sum(v.data.map((x, a) => x * Math.tanh(get(queries, row * A + a) + get(keys, (b * S + s) * A + a)))),
      );
      const most = length > 0 ? maximum(scores) : 0;
      const total = sum(scores.map((score) => Math.exp(score - most)));
      for (const [s, score] of scores.entries()) {
        const weight = Math.exp(score - most) / total;
        weights.data[row * S + s] = weight;
        for (let d = 0; d < D; d++)
          context.data[row * D + d] = get(context, row * D + d) + weight * get(values, (b * S + s) * D + d);
      }
    }
    return [context, weights];
  },

  /**
   * queries, keys, values, v, weights w, dcontext, dweights? → their gradients. With g = dcontext · x + dweights, that of a score
   * is w (g − Σ w g), and goes on through v · tanh(q + k).
   */
  additiveAttentionBackward: ([queries, keys, values, v, weights, dContext, dWeights]: readonly [
    ...[Ref, Ref, Ref, Ref, Ref, Ref],
    Ref?,
  ]): [Ref, Ref, Ref, Ref] => {
    const { B, Q, A, S, D } = sizes(queries, keys, values);
    const [dQueries, dKeys, dValues, dV] = [queries, keys, values, v].map(({ shape }) => ref(shape)) as [
      ...[Ref, Ref, Ref, Ref],
    ];
    const add = (x: Ref, i: number, value: number) => {
      x.data[i] = get(x, i) + value;
    };
    for (let row = 0; row < B * Q; row++) {
      const b = Math.floor(row / Q);
      // What weighs nothing is not looked at.
      const seen = Array.from({ length: S }, (_, s) => s).filter((s) => get(weights, row * S + s) !== 0);
      const slopes = new Map<number, number>();
      for (const s of seen) {
        const weight = get(weights, row * S + s);
        let slope = dWeights ? get(dWeights, row * S + s) : 0;
        for (let d = 0; d < D; d++) {
          const value = (b * S + s) * D + d;
          slope += get(dContext, row * D + d) * get(values, value);
          add(dValues, value, weight * get(dContext, row * D + d));
        }
        slopes.set(s, slope);
      }
      const mean = sum([...slopes].map(([s, slope]) => get(weights, row * S + s) * slope));
      for (const [s, slope] of slopes) {
        const dScore = get(weights, row * S + s) * (slope - mean);
        for (let a = 0; a < A; a++) {
          const key = (b * S + s) * A + a;
          const t = Math.tanh(get(queries, row * A + a) + get(keys, key));
          add(dV, a, dScore * t);
          add(dQueries, row * A + a, dScore * get(v, a) * (1 - t * t));
          add(dKeys, key, dScore * get(v, a) * (1 - t * t));
        }
      }
    }
    return [dQueries, dKeys, dValues, dV];
  },
} satisfies Rules;
