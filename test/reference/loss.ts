import { extent, get, leading, logSumExp, type Ref, type Rules, ref, sum } from './ref.ts';

interface CrossEntropyAttributes {
  readonly ignoreIndex?: number;
  readonly labelSmoothing?: number;
}

/** 1 where a row counts: its target is a class, and not the one to ignore. */
const counts = (target: number, V: number, ignoreIndex: number) =>
  Number(target !== ignoreIndex && target >= 0 && target < V);

export const loss = {
  /**
   * logits [rows, V], targets [rows] → loss, log Σ exp(logits) and weight (1 where a row counts, else 0), each [rows].
   * With q the smoothed target distribution, (1 − ε) [v = target] + ε / V, the loss is −Σ q log softmax(logits).
   */
  crossEntropy: (
    [logits, targets]: readonly [Ref, Ref],
    { ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyAttributes,
  ): [Ref, Ref, Ref] => {
    const [rows, V] = [leading(logits), extent(logits, -1)];
    const [losses, lse, weight] = [ref([rows]), ref([rows]), ref([rows])];
    for (let row = 0; row < rows; row++) {
      const line = Array.from(logits.data.slice(row * V, (row + 1) * V));
      const target = get(targets, row);
      lse.data[row] = logSumExp(line);
      weight.data[row] = counts(target, V, ignoreIndex);
      if (!weight.data[row]) continue;
      const expected = (1 - labelSmoothing) * (line[target] as number) + labelSmoothing * (sum(line) / V);
      losses.data[row] = get(lse, row) - expected;
    }
    return [losses, lse, weight];
  },

  /** logits, targets, lse, gradient d [rows] of the losses → gradient of the logits: d (softmax(logits) − q). */
  crossEntropyBackward: (
    [logits, targets, lse, dloss]: readonly [Ref, Ref, Ref, Ref],
    { ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyAttributes,
  ): [Ref] => {
    const V = extent(logits, -1);
    const dlogits = ref(logits.shape);
    for (let row = 0; row < leading(logits); row++) {
      const line = Array.from(logits.data.slice(row * V, (row + 1) * V));
      const target = get(targets, row);
      if (!counts(target, V, ignoreIndex)) continue;
      for (const [v, logit] of line.entries()) {
        const q = (1 - labelSmoothing) * Number(v === target) + labelSmoothing / V;
        dlogits.data[row * V + v] = get(dloss, row) * (Math.exp(logit - get(lse, row)) - q);
      }
    }
    return [dlogits];
  },
} satisfies Rules;
