import { extent, get, leading, maximum, type Ref, type Rules, ref, sum } from './ref.ts';

interface CrossEntropyAttributes {
  readonly ignoreIndex?: number;
  readonly labelSmoothing?: number;
}

/** 1 where a row counts: its target is a class, and not the one to ignore. */
const counts = (target: number, V: number, ignoreIndex: number) =>
  Number(target !== ignoreIndex && target >= 0 && target < V);

export const loss = {
  /**
   * logits [rows, V], targets [rows] → loss [rows], statistics [rows, 2] of the maximum m and log Σ exp(logits − m), and
   * weight [rows] (1 where a row counts, else 0).
   * With q the smoothed target distribution, (1 − ε) [v = target] + ε / V, the loss is −Σ q log softmax(logits).
   */
  crossEntropy: (
    [logits, targets]: readonly [Ref, Ref],
    { ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyAttributes,
  ): [Ref, Ref, Ref] => {
    const [rows, V] = [leading(logits), extent(logits, -1)];
    const [losses, statistics, weight] = [ref([rows]), ref([rows, 2]), ref([rows])];
    for (let row = 0; row < rows; row++) {
      const line = Array.from(logits.data.slice(row * V, (row + 1) * V));
      const target = get(targets, row);
      const most = maximum(line);
      const logSum = Math.log(sum(line.map((logit) => Math.exp(logit - most))));
      statistics.data.set([most, logSum], 2 * row);
      weight.data[row] = counts(target, V, ignoreIndex);
      if (!weight.data[row]) continue;
      const smooth = labelSmoothing === 0 ? 0 : labelSmoothing * (sum(line) / V);
      const expected = (1 - labelSmoothing) * (line[target] as number) + smooth;
      losses.data[row] = logSum - (expected - most);
    }
    return [losses, statistics, weight];
  },

  /** logits, targets, statistics, gradient d [rows] of the losses → gradient of the logits: d (softmax(logits) − q). */
  crossEntropyBackward: (
    [logits, targets, statistics, dloss]: readonly [Ref, Ref, Ref, Ref],
    { ignoreIndex = -100, labelSmoothing = 0 }: CrossEntropyAttributes,
  ): [Ref] => {
    const V = extent(logits, -1);
    const dlogits = ref(logits.shape);
    for (let row = 0; row < leading(logits); row++) {
      const line = Array.from(logits.data.slice(row * V, (row + 1) * V));
      const target = get(targets, row);
      if (!counts(target, V, ignoreIndex)) continue;
      const [most, logSum] = [get(statistics, 2 * row), get(statistics, 2 * row + 1)];
      for (const [v, logit] of line.entries()) {
        const q = (1 - labelSmoothing) * Number(v === target) + labelSmoothing / V;
        dlogits.data[row * V + v] = get(dloss, row) * (Math.exp(logit - most - logSum) - q);
      }
    }
    return [dlogits];
  },
} satisfies Rules;
