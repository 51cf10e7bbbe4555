import { ValueError } from './errors.ts';
import { expectKind, integerFrom, type Kinds, object, pairOf, shown } from './options.ts';

/**
 * Random numbers on the host: the counter-based generator of shaders/lib/philox.wgsl, bit for bit, and what batches are
 * drawn from. Only operations that IEEE 754 rounds correctly are used, so every engine gives the same numbers.
 */

/**
 * Counts the changes of the numbers that a seed gives. 2: weights are drawn on the device, normal numbers by the inverse
 * of their distribution.
 */
export const randomVersion = 2;

/** Where a random op draws from: seed low, seed high, position low, position high, as kernels take it. */
export type RandomKey = Uint32Array<ArrayBuffer>;

/** What a generator needs to go on where it was; survives JSON. */
export interface GeneratorState {
  /** The two words of the seed, each from 0 to 2^32 − 1. */
  readonly seed: readonly [low: number, high: number];
  /** Positions taken since the seed was set. */
  readonly position: number;
}

/** High word of a 32×32-bit product. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Sums stay below 2^53; only the shifts need 32 bits.
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middle2 = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(middle2 / 65536)) >>> 0;
}

/**
 * Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four random words
 * for a counter of four words and a key of two. Writes them to `block`, where one is given.
 */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>, block = new Uint32Array(4)): Uint32Array {
  let x = counter[0] as number;
  let y = counter[1] as number;
  let z = counter[2] as number;
  let w = counter[3] as number;
  let key0 = key[0] as number;
  let key1 = key[1] as number;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, x);
    const high1 = mulHigh(0xcd9e8d57, z);
    const low0 = Math.imul(0xd2511f53, x) >>> 0;
    const low1 = Math.imul(0xcd9e8d57, z) >>> 0;
    x = (high1 ^ y ^ key0) >>> 0;
    y = low1;
    z = (high0 ^ w ^ key1) >>> 0;
    w = low0;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  block[0] = x;
  block[1] = y;
  block[2] = z;
  block[3] = w;
  return block;
}

/** Words 4 · index to 4 · index + 3 of random stream `stream`: element i of the stream is `randomWord(key, stream, i)` in WGSL. */
export function randomBlock(
  key: RandomKey,
  stream: number,
  index: number,
  block?: Uint32Array<ArrayBuffer>,
): Uint32Array {
  const low = ((key[2] as number) + stream) >>> 0;
  const high = ((key[3] as number) + Number(low < (key[2] as number))) >>> 0;
  return philox([index, 0, low, high], key, block);
}

const stateKinds: Kinds<GeneratorState> = { seed: pairOf(integerFrom(0, 2 ** 32 - 1)), position: integerFrom(0) };

/** A source of random numbers. Each use takes the next position, so that seed and position determine all that follows. */
export class Generator {
  #seed: [low: number, high: number] = [0, 0];
  #position = 0;

  /** `seed`: an integer from 0 to 2^64 - 1. Throws ValueError on anything else. */
  constructor(seed: number | bigint = 0) {
    this.manualSeed(seed);
  }

  /** The seed, from 0 to 2^64 − 1. */
  get seed(): bigint {
    return (BigInt(this.#seed[1]) << 32n) | BigInt(this.#seed[0]);
  }

  /** Positions taken since the seed was set. */
  get position(): number {
    return this.#position;
  }

  /** Starts again from `seed`. */
  manualSeed(seed: number | bigint): this {
    if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed)) {
      throw new ValueError(`[manualSeed] a seed is an integer, not ${shown(seed)}; beyond 2^53 use a bigint`);
    }
    const bits = BigInt(seed);
    if (bits < 0n || bits >= 1n << 64n)
      throw new ValueError(`[manualSeed] a seed lies between 0 and 2^64 - 1, not at ${shown(seed)}`);
    this.#seed = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
    this.#position = 0;
    return this;
  }

  /** Reserves `count` positions and gives the key of the first; stream s of that key is position s after it. */
  take(count = 1): RandomKey {
    const key = Uint32Array.of(...this.#seed, this.#position >>> 0, Math.floor(this.#position / 2 ** 32));
    this.#position += count;
    return key;
  }

  /** Where the generator is, for `restore`; survives JSON. */
  state(): GeneratorState {
    return { seed: [...this.#seed], position: this.#position };
  }

  /** Goes on from a saved state. Throws ValueError where it is none. */
  restore(state: GeneratorState): this {
    expectKind('Generator.restore', 'the state', state, object);
    for (const name of ['seed', 'position'] as const)
      expectKind('Generator.restore', name, state[name], stateKinds[name]);
    this.#seed = [...state.seed];
    this.#position = state.position;
    return this;
  }
}

/**
 * The generator that is used where none is given. Its seed is 0 until `manualSeed` sets another, so every run is
 * repeatable.
 */
export const defaultGenerator = new Generator();

/** Seeds the default generator with an integer from 0 to 2^64 - 1. */
export function manualSeed(seed: number | bigint): Generator {
  return defaultGenerator.manualSeed(seed);
}

/** Calls `use` with element index and block of words, for every four elements of `length`. */
function eachBlock(length: number, key: RandomKey, use: (index: number, words: Uint32Array) => void): void {
  const words = new Uint32Array(4);
  for (let index = 0; index < length; index += 4) use(index, randomBlock(key, 0, index / 4, words));
}

/** Four numbers that a kind of draw takes, as shaders/lib/random.wgsl wants them. */
export type Settings = Float32Array<ArrayBuffer>;

/**
 * Settings for uniform numbers in [low, high): the range in halves whose products with 12 bits are exact, and the last
 * number below `high`.
 */
export function uniformSettings(low: number, high: number): Settings {
  const [first, end] = [Math.fround(low), Math.fround(high)];
  const range = Math.fround(end - first);
  single[0] = range;
  singleBits[0] = (singleBits[0] as number) & 0xfffff000;
  const upper = single[0];
  single[0] = end;
  // The bits of a positive number fall towards zero, those of a negative one rise away from it.
  singleBits[0] = end === 0 ? 0x80000001 : (singleBits[0] as number) + (end > 0 ? -1 : 1);
  return Float32Array.of(first, upper, range - upper, Math.max(first, single[0]));
}
const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** Settings for normal numbers. */
export const normalSettings = (mean: number, std: number): Settings => Float32Array.of(mean, std, 0, 0);

/** The numbers that a key stands for, by kind of draw: uniform ones bit for bit as a device draws them, normal ones to 1e-6. */
export const hostDraws = {
  uniform(target: Float32Array, key: RandomKey, settings: Settings): void {
    const [low, upper, lower, last] = settings as unknown as [number, number, number, number];
    const { fround } = Math;
    eachBlock(target.length, key, (index, drawn) => {
      for (let i = 0; i < 4; i++) {
        const word = drawn[i] as number;
        const [a, b] = [(word >>> 20) * 2 ** -12, ((word >>> 8) & 0xfff) * 2 ** -24];
        const above = fround(fround(fround(lower * b + lower * a) + upper * b) + upper * a);
        // Writes beyond the end of a typed array do nothing.
        target[index + i] = Math.min(Math.max(fround(low + above), low), last);
      }
    });
  },
  normal(target: Float32Array, key: RandomKey, settings: Settings): void {
    const [mean, std] = settings as unknown as [number, number];
    eachBlock(target.length, key, (index, drawn) => {
      for (let i = 0; i < 4; i++) target[index + i] = mean + std * standardNormal(drawn[i] as number);
    });
  },
};

/** Fills `target` with uniform numbers from [low, high), 24 random bits each. Takes one position. */
export function fillUniform<A extends Float32Array>(target: A, low = 0, high = 1, generator = defaultGenerator): A {
  hostDraws.uniform(target, generator.take(), uniformSettings(low, high));
  return target;
}

/** Fills `target` with normal numbers, computed in float64. Takes one position. */
export function fillNormal<A extends Float32Array>(target: A, mean = 0, std = 1, generator = defaultGenerator): A {
  hostDraws.normal(target, generator.take(), normalSettings(mean, std));
  return target;
}

/** `count` integers from [0, bound), bound ≤ 2^32. Takes one position. */
export function randomIntegers(count: number, bound: number, generator = defaultGenerator): number[] {
  const values = new Array<number>(count);
  eachBlock(count, generator.take(), (index, words) => {
    const end = Math.min(4, count - index);
    for (let i = 0; i < end; i++) values[index + i] = scaled(words[i] as number, bound);
  });
  return values;
}

/** The integers from 0 to n - 1 in random order (Fisher, Yates). Takes one position. */
export function permutation(n: number, generator = defaultGenerator): Int32Array<ArrayBuffer> {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  eachBlock(n, generator.take(), (index, words) => {
    const end = Math.min(4, n - index);
    for (let i = 0; i < end; i++) {
      const last = n - 1 - index - i;
      const chosen = scaled(words[i] as number, last + 1);
      const value = order[chosen] as number;
      order[chosen] = order[last] as number;
      order[last] = value;
    }
  });
  return order;
}

/** A random word brought down to [0, bound); some values come up more often than others by at most bound / 2^32. */
const scaled = (word: number, bound: number) => (bound === 2 ** 32 ? word : mulHigh(word, bound));

/**
 * The standard normal number above which a share of (word + ½) / 2^32 lies (Wichura, "Algorithm AS 241", PPND7, 1988): what
 * shaders/lib/random.wgsl computes.
 */
export function standardNormal(word: number): number {
  const rest = Math.min(word, 0xffffffff - word);
  const distance = (0x7fffffff - rest + 0.5) * 2 ** -32;
  const size = distance <= 0.425 ? middle(distance) : outside((rest + 0.5) * 2 ** -32);
  return word > 0x7fffffff ? -size : size;
}

function middle(distance: number): number {
  const c = 0.180625 - distance * distance;
  const top = ((59.10937472 * c + 159.29113202) * c + 50.434271938) * c + 3.3871327179;
  return (distance * top) / (((67.1875636 * c + 78.757757664) * c + 17.895169469) * c + 1);
}

function outside(tail: number): number {
  const root = Math.sqrt(-logarithm(tail));
  if (root <= 5) {
    const n = root - 1.6;
    const top = ((0.17023821103 * n + 1.3067284816) * n + 2.75681539) * n + 1.4234372777;
    return top / ((0.12021132975 * n + 0.7370016425) * n + 1);
  }
  const f = root - 5;
  const top = ((0.017337203997 * f + 0.42868294337) * f + 3.081226386) * f + 6.657905115;
  return top / ((0.012258202635 * f + 0.24197894225) * f + 1);
}

const float = new Float64Array(1);
const floatBits = new Uint32Array(float.buffer);

/** ln x for a normal x > 0, to about 1e-16; Math.log may differ from engine to engine. */
function logarithm(x: number): number {
  // x = m · 2^e with m in [√½, √2), then ln m = 2 artanh((m - 1) / (m + 1)).
  float[0] = x;
  let exponent = ((floatBits[1] as number) >>> 20) - 1023;
  floatBits[1] = ((floatBits[1] as number) & 0xfffff) | 0x3ff00000;
  if (float[0] > Math.SQRT2) {
    float[0] /= 2;
    exponent++;
  }
  const s = (float[0] - 1) / (float[0] + 1);
  let sum = 0;
  for (let n = 23; n >= 1; n -= 2) sum = sum * s * s + 1 / n;
  return exponent * Math.LN2 + 2 * s * sum;
}
