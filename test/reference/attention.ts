import { broadcastTo, extent, get, leading, logSumExp, type Ref, type Rules, ref } from './ref.ts';

interface AttentionAttributes {
  /** Query i sees the keys 0 … i only, as in PyTorch, also where there are more keys than queries. */
  readonly causal?: boolean;
  /** Factor of the scores; 1/√D where it is left out. */
  readonly scale?: number | null;
}

/** Scores below this are hidden: additive masks use −1e9 and lower. A row whose keys are all hidden, or score −∞, has this lse, and gives 0. */
const HIDDEN_BELOW = -1e8;
const LSE_OF_HIDDEN_ROW = 1e30;

/** Sizes of q [..., L, D], k [..., S, D] and v [..., S, Dv]; `heads` is the product of the leading dimensions. */
function sizes(q: Ref, k: Ref, v: Ref) {
  return { heads: leading(q, 2), L: extent(q, -2), S: extent(k, -2), D: extent(q, -1), Dv: extent(v, -1) };
}

/** The scores of a query's row over all keys, scale q kᵀ + mask: null where a key is hidden. */
function scorer(q: Ref, k: Ref, v: Ref, mask: Ref | undefined, { causal = false, scale }: AttentionAttributes) {
  const { L, S, D } = sizes(q, k, v);
  const factor = scale ?? 1 / Math.sqrt(D);
  const added = mask && broadcastTo(mask, [...q.shape.slice(0, -2), L, S]);
  const scores = (row: number) => {
    const [head, i] = [Math.floor(row / L), row % L];
    const mask = Array.from({ length: S }, (_, j) => (added ? get(added, row * S + j) : 0));
    // What is hidden is so whatever the key is: NaN too.
    const isHidden = mask.map((own, j) => own < HIDDEN_BELOW || (causal && j > i));
    const line = mask.map((own, j) => (isHidden[j] ? null : factor * dot(q, row, k, head * S + j) + own));
    // Where ∞ is the greatest, softmax has ∞ − ∞.
    if (line.includes(Infinity)) return line.map((score) => (score === null ? null : Number.NaN));
    return line.map((score) => (added && score !== null && score < HIDDEN_BELOW ? null : score));
  };
  return { factor, scores };
}

/** The product of row i of a with row j of b, over their last dimensions. */
function dot(a: Ref, i: number, b: Ref, j: number): number {
  const D = extent(a, -1);
  let total = 0;
  for (let d = 0; d < D; d++) total += get(a, i * D + d) * get(b, j * D + d);
  return total;
}

/** Adds factor times row j of b to row i of a. */
function addRow(a: Ref, i: number, factor: number, b: Ref, j: number): void {
  const D = extent(a, -1);
  for (let d = 0; d < D; d++) a.data[i * D + d] = get(a, i * D + d) + factor * get(b, j * D + d);
}

export const attention = {
  /**
   * q [..., L, D], k [..., S, D], v [..., S, Dv], mask? broadcast to [..., L, S], factors? of the weights [..., L, S] (0 and
   * 1/(1 − p) make dropout) → O [..., L, Dv], lse [..., L].
   */
  attention: (
    [q, k, v, mask, factors]: readonly [Ref, Ref, Ref, Ref?, Ref?],
    attributes: AttentionAttributes,
  ): [Ref, Ref] => {
    const { heads, L, S, Dv } = sizes(q, k, v);
    const { scores } = scorer(q, k, v, mask, attributes);
    const [O, lse] = [ref([...q.shape.slice(0, -1), Dv]), ref(q.shape.slice(0, -1))];
    for (let row = 0; row < heads * L; row++) {
      const line = scores(row);
      const seen = line.filter((score) => score !== null);
      lse.data[row] = seen.every((score) => score === -Infinity) ? LSE_OF_HIDDEN_ROW : logSumExp(seen);
      const first = Math.floor(row / L) * S;
      for (const [j, score] of line.entries()) {
        if (score === null) continue; // what is hidden is not read
        addRow(O, row, Math.exp(score - get(lse, row)) * (factors ? get(factors, row * S + j) : 1), v, first + j);
      }
    }
    return [O, lse];
  },

  /**
   * q, k, v, O, lse, dO, mask?, factors? → gradients of q, k, v, and of the scores, [..., L, S] (the mask's, to be summed where it
   * was broadcast): δ = Σ dO O, dS = P (F dO vᵀ − δ), dq = scale dS k, dk = scale dSᵀ q,
   * dv = (F P)ᵀ dO, with F the factors.
   */
  attentionBackward: (
    [q, k, v, O, lse, dO, mask, factors]: readonly [Ref, Ref, Ref, Ref, Ref, Ref, Ref?, Ref?],
    attributes: AttentionAttributes,
  ): [Ref, Ref, Ref, Ref] => {
    const { heads, L, S } = sizes(q, k, v);
    const { factor: scale, scores } = scorer(q, k, v, mask, attributes);
    const [dq, dk, dv, dS] = [ref(q.shape), ref(k.shape), ref(v.shape), ref([...lse.shape, S])];
    for (let row = 0; row < heads * L; row++) {
      const delta = dot(dO, row, O, row);
      const first = Math.floor(row / L) * S;
      for (const [j, score] of scores(row).entries()) {
        if (score === null) continue;
        const key = first + j;
        const p = Math.exp(score - get(lse, row));
        const factor = factors ? get(factors, row * S + j) : 1;
        const ds = p * (factor * dot(dO, row, v, key) - delta);
        dS.data[row * S + j] = ds;
        addRow(dq, row, scale * ds, k, key);
        addRow(dk, key, scale * ds, q, row);
        addRow(dv, key, p * factor, dO, row);
      }
    }
    return [dq, dk, dv, dS];
  },
} satisfies Rules;
