import { extent, get, logSumExp, type Ref, type Rules, ref } from './ref.ts';

interface CtcAttributes {
  readonly blank: number;
}
type Inputs = readonly [logProbs: Ref, targets: Ref, inputLengths: Ref, targetLengths: Ref];

/** What stands for the log of 0 in sums. */
const IMPOSSIBLE = -1e30;

const safe = (terms: readonly number[]) => (terms.every((x) => x === -Infinity) ? -Infinity : logSumExp(terms));

/** Of a sequence: its labels with blanks around them, and for each time and state the logs of all paths before, and of all from there on, this emission in both. */
function walks([logProbs, targets, inputLengths, targetLengths]: Inputs, blank: number, b: number) {
  const [B, C, L] = [extent(logProbs, 1), extent(logProbs, 2), extent(targets, 1)];
  const [T, l] = [get(inputLengths, b), get(targetLengths, b)];
  const labels = Array.from({ length: 2 * l + 1 }, (_, s) => (s % 2 ? get(targets, b * L + (s - 1) / 2) : blank));
  const emission = (t: number, s: number) => get(logProbs, (t * B + b) * C + (labels[s] as number));
  const skips = (from: number, to: number) => labels[to] !== blank && labels[from] !== labels[to];
  const at = (table: readonly number[][], t: number, s: number) => table[t]?.[s] ?? -Infinity;
  const [starts, ends]: [number[][], number[][]] = [[], []];
  for (let t = 0; t < T; t++)
    starts[t] = labels.map((_, s) => {
      const before =
        t === 0
          ? [s < 2 ? 0 : -Infinity]
          : [at(starts, t - 1, s), at(starts, t - 1, s - 1), skips(s - 2, s) ? at(starts, t - 1, s - 2) : -Infinity];
      return safe(before) + emission(t, s);
    });
  for (let t = T - 1; t >= 0; t--)
    ends[t] = labels.map((_, s) => {
      const after =
        t === T - 1
          ? [s >= 2 * l - 1 ? 0 : -Infinity]
          : [
              at(ends, t + 1, s),
              at(ends, t + 1, s + 1),
              s + 2 <= 2 * l && skips(s, s + 2) ? at(ends, t + 1, s + 2) : -Infinity,
            ];
      return safe(after) + emission(t, s);
    });
  const loss = -safe([at(starts, T - 1, 2 * l), at(starts, T - 1, 2 * l - 1)]);
  return { T, labels, starts, ends, loss, emission };
}

export const ctcLoss = {
  /** logProbs [T, B, C], targets [B, L], lengths of both → losses [B], ∞ where no path fits, and sums over paths from the start [B, T, 2L + 1]. */
  ctcLoss: (inputs: Inputs, { blank }: CtcAttributes): [Ref, Ref] => {
    const [logProbs, targets] = inputs;
    const [T, B, S] = [extent(logProbs, 0), extent(logProbs, 1), 2 * extent(targets, 1) + 1];
    const [losses, sums] = [ref([B]), ref([B, T, S])];
    sums.data.fill(IMPOSSIBLE);
    for (let b = 0; b < B; b++) {
      const { starts, loss } = walks(inputs, blank, b);
      losses.data[b] = loss;
      for (const [t, row] of starts.entries())
        for (const [s, value] of row.entries()) sums.data[(b * T + t) * S + s] = Math.max(value, IMPOSSIBLE);
    }
    return [losses, sums];
  },

  /** The same inputs, sums, and losses with their gradients [B, 2] → gradient of logProbs: −dloss times the share of paths through each class. */
  ctcLossBackward: (
    [logProbs, targets, inputLengths, targetLengths, , losses]: readonly [...Inputs, Ref, Ref],
    { blank }: CtcAttributes,
  ): [Ref] => {
    const gradient = ref(logProbs.shape);
    const [B, C] = [extent(logProbs, 1), extent(logProbs, 2)];
    for (let b = 0; b < B; b++) {
      const dLoss = get(losses, 2 * b + 1);
      if (dLoss === 0) continue;
      const { labels, starts, ends, loss, emission } = walks(
        [logProbs, targets, inputLengths, targetLengths],
        blank,
        b,
      );
      const shares = new Map<number, number>();
      for (const [t, row] of starts.entries())
        for (const [s, start] of row.entries()) {
          const place = (t * B + b) * C + (labels[s] as number);
          const paths = start + (ends[t]?.[s] as number);
          const share = paths === -Infinity ? 0 : Math.exp(paths - emission(t, s) + loss);
          shares.set(place, (shares.get(place) ?? 0) + share);
        }
      for (const [place, share] of shares) gradient.data[place] = -dLoss * share;
    }
    return [gradient];
  },
} satisfies Rules;
