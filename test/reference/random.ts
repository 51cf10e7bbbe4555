import { type RandomKey, randomBlock } from '../../src/core/random.ts';
import { type Shape, sizeOf } from '../../src/core/shape.ts';
import { erf } from './elementwise.ts';
import { type Ref, ref } from './ref.ts';

/** Random numbers in float64, from the words of the generator. */

/** The first words of a stream, as many as the shape has elements, made into numbers. */
function drawn(key: Ref, stream: number, shape: Shape, make: (word: number, i: number) => number): Ref {
  const blocks = Array.from({ length: Math.ceil(sizeOf(shape) / 4) }, (_, i) => [
    ...randomBlock(Uint32Array.from(key.data) as RandomKey, stream, i),
  ]);
  const words = blocks.flat();
  return ref(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => make(words[i] as number, i)),
  );
}

const unit = (word: number) => (word >>> 8) * 2 ** -24;

export const uniform = (key: Ref, stream: number, shape: Shape) => drawn(key, stream, shape, unit);

/** Low, and the range in two parts. */
export function uniformIn(key: Ref, { data: [low = 0, upper = 0, lower = 0] }: Ref, stream: number, shape: Shape): Ref {
  return drawn(key, stream, shape, (word) => low + (upper + lower) * unit(word));
}

export function normal(key: Ref, { data: [mean = 0, std = 0] }: Ref, stream: number, shape: Shape): Ref {
  return drawn(key, stream, shape, (word) => mean + std * quantile((word + 0.5) * 2 ** -32));
}

export const bernoulli = (p: Ref, key: Ref, stream: number) =>
  drawn(key, stream, p.shape, (word, i) => {
    const chance = p.data[i] as number;
    return Number.isNaN(chance) ? chance : Number(unit(word) < chance);
  });

export function randint(key: Ref, { data: [low = 0, count = 0] }: Ref, stream: number, shape: Shape): Ref {
  return drawn(key, stream, shape, (word) =>
    Number(BigInt.asIntN(32, BigInt(low) + ((BigInt(word) * BigInt(count || 2 ** 32)) >> 32n))),
  );
}

/** Keys of the turns of a scan. */
export function turnKeys(
  { data: [seedLow = 0, seedHigh = 0, low = 0, high = 0] }: Ref,
  { length, stream, count, reverse }: { length: number; stream: number; count: number; reverse: boolean },
): Ref {
  const start = (BigInt(high) << 32n) + BigInt(low) + BigInt(stream);
  const keys = ref([length, 64]);
  for (let t = 0; t < length; t++) {
    const position = start + BigInt((reverse ? length - 1 - t : t) * count);
    keys.data.set([seedLow, seedHigh, Number(position & 0xffffffffn), Number(position >> 32n)], 64 * t);
  }
  return keys;
}

/** −log(1 − u) for a word of 32 random bits, of which the kernel keeps what f32 can hold. */
function exponential(word: number): number {
  const u = Math.fround((Math.fround(word) + 0.5) * 2 ** -32);
  return -Math.log1p(-Math.min(u, 1 - 2.98e-8));
}

/** Logits with Gumbel noise: the greatest of a row wins. */
export const noisy = (logits: Ref, key: Ref, stream: number) =>
  drawn(key, stream, logits.shape, (word, i) => {
    const logit = logits.data[i] as number;
    return logit > -1e30 ? logit - Math.log(exponential(word)) : -Infinity;
  });

/**
 * Which elements of a row `sample` draws from: the k best of those that are not masked and weigh something, of equals the
 * first, and of these the least set whose weights reach p of the sum.
 */
export function nucleus(row: ArrayLike<number>, [temperature = 1, k = 0, p = 1]: ArrayLike<number> & Iterable<number>) {
  const order = Array.from(row, (_, j) => j)
    .filter((j) => (row[j] as number) > -1e30)
    .sort((a, b) => (row[b] as number) - (row[a] as number) || a - b);
  const best = row[order[0] as number] as number;
  const scoreOf = (j: number) => {
    const below = (row[j] as number) - best;
    return below < -87 * temperature ? -Infinity : below === 0 ? 0 : below / temperature;
  };
  const kept = order.slice(0, k).map((j) => ({ j, score: scoreOf(j), weight: Math.exp(scoreOf(j)) }));
  const wanted = p < 1 ? p * kept.reduce((sum, { weight }) => sum + weight, 0) : Infinity;
  let above = 0;
  return kept.filter(({ weight }, rank) => {
    const stays = weight > 0 && (rank === 0 || above < wanted);
    above += weight;
    return stays;
  });
}

/** Scores with noise of what may be drawn, the rest far below: the greatest of a row wins. */
export function sampled(logits: Ref, settings: Ref, key: Ref, stream: number): Ref {
  const n = logits.shape.at(-1) as number;
  const scores = logits.data.map(() => -Infinity);
  for (let start = 0; start < logits.data.length; start += n)
    for (const { j, score } of nucleus(logits.data.subarray(start, start + n), settings.data))
      scores[start + j] = score;
  return settings.data[0] === 0 ? ref(logits.shape, scores) : noisy(ref(logits.shape, scores), key, stream);
}

/** The standard normal number above which a share p lies. */
function quantile(p: number): number {
  if (p > 0.5) return -quantile(1 - p);
  // Newton's method, from where the slope leads it upwards.
  let z = 0;
  for (let step = 0; step < 200; step++) {
    const next = z + (upperTail(z) - p) / (Math.exp(-z * z * 0.5) / Math.sqrt(2 * Math.PI));
    if (Math.abs(next - z) < 1e-13) return next;
    z = next;
  }
  return z;
}

/** The probability of a standard normal number above z ≥ 0: by erf, or in the tail by its continued fraction (A & S 26.2.14). */
function upperTail(z: number): number {
  if (z < 3) return 0.5 * (1 - erf(z / Math.SQRT2));
  let fraction = 0;
  for (let k = 100; k >= 1; k--) fraction = k / (z + fraction);
  return Math.exp(-z * z * 0.5) / Math.sqrt(2 * Math.PI) / (z + fraction);
}
