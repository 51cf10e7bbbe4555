import { describe, expect, it } from 'vitest';
import { ValueError } from '../../src/core/errors.ts';
import {
  defaultGenerator,
  fillNormal,
  fillUniform,
  Generator,
  manualSeed,
  permutation,
  philox,
  randomBlock,
  randomIntegers,
  standardNormal,
} from '../../src/core/random.ts';

describe('philox', () => {
  // Known answers of Random123 (kat_vectors, philox4x32 with 10 rounds).
  const f = 0xffffffff;
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [f, f, f, f],
      [f, f],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('of counter %j and key %j', (counter, key, words) => {
    expect([...philox(counter, key)]).toEqual(words);
  });

  it('carries the stream into the high word of the position', () => {
    const wrapped = randomBlock(Uint32Array.of(7, 8, 0xffffffff, 3), 2, 5);
    expect(wrapped).toEqual(philox([5, 0, 1, 4], [7, 8]));
  });
});

describe('Generator', () => {
  it('reserves positions: a key is seed and position', () => {
    const generator = new Generator(0x1_0000_0002);
    expect([...generator.take(3)]).toEqual([2, 1, 0, 0]);
    expect([...generator.take()]).toEqual([2, 1, 3, 0]);
    expect(generator.position).toBe(4);
    expect(generator.seed).toBe(0x1_0000_0002n);
  });

  it('goes on from a state, and from nothing else', () => {
    const good = { seed: [1, 2], position: 3 };
    for (const [state, message] of [
      [null, 'the state must be an object, got null'],
      [{ ...good, position: Number.NaN }, 'position must be an integer of at least 0, got NaN'],
      [{ ...good, position: -1 }, 'position must be an integer of at least 0, got -1'],
      [{ position: 3 }, 'seed must be a pair, each of it an integer from 0 to 4294967295, got undefined'],
      [{ ...good, seed: [1, 2 ** 32] }, 'seed must be a pair'],
    ] as const) {
      const generator = new Generator(5);
      expect(() => generator.restore(state as never)).toThrow(ValueError);
      expect(() => generator.restore(state as never)).toThrow(`[Generator.restore] ${message}`);
      expect(generator.state()).toEqual(new Generator(5).state());
    }
  });

  it('splits a position beyond 2^32 into two words', () => {
    const generator = new Generator().restore({ seed: [0, 0], position: 2 ** 33 + 5 });
    expect([...generator.take()]).toEqual([0, 0, 5, 2]);
  });

  it('goes on from its state, through JSON', () => {
    const generator = new Generator(2n ** 64n - 1n);
    generator.take(9);
    const state = JSON.parse(JSON.stringify(generator.state()));
    const other = new Generator().restore(state);
    expect(permutation(20, other)).toEqual(permutation(20, generator));
    expect(other.state()).toEqual(generator.state());
  });

  it('takes only seeds from 0 to 2^64 - 1', () => {
    expect(() => new Generator(0.5)).toThrow('[manualSeed] a seed is an integer, not 0.5; beyond 2^53 use a bigint');
    expect(() => new Generator(2 ** 53)).toThrow('beyond 2^53 use a bigint');
    expect(() => new Generator(-1)).toThrow('[manualSeed] a seed lies between 0 and 2^64 - 1, not at -1');
    expect(() => new Generator(2n ** 64n)).toThrow('between 0 and 2^64 - 1');
  });

  it('manualSeed sets the default generator', () => {
    manualSeed(5);
    const first = fillUniform(new Float32Array(3));
    expect(defaultGenerator.position).toBe(1);
    expect(fillUniform(new Float32Array(3))).not.toEqual(first);
    manualSeed(5);
    expect(fillUniform(new Float32Array(3))).toEqual(first);
  });
});

describe('filling arrays', () => {
  it('uniform numbers are the words of the stream', () => {
    const [w0, w1] = randomBlock(new Generator(3).take(), 0, 0) as unknown as [number, number];
    const values = fillUniform(new Float32Array(2), 0, 1, new Generator(3));
    expect([...values]).toEqual([(w0 >>> 8) / 2 ** 24, (w1 >>> 8) / 2 ** 24]);
  });

  it('uniform numbers fill their range evenly', () => {
    const values = fillUniform(new Float32Array(100_001), -2, 6, new Generator(1));
    const bins = new Array(8).fill(0);
    for (const value of values) bins[Math.floor(value) + 2]++;
    for (const count of bins) expect(Math.abs(count - 12_500)).toBeLessThan(500);
  });

  it('normal numbers have the moments of the distribution', () => {
    const values = fillNormal(new Float32Array(100_001), 0, 1, new Generator(1));
    const moment = (n: number) => values.reduce((sum, value) => sum + value ** n, 0) / values.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.02);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03);
    expect(Math.abs(moment(3))).toBeLessThan(0.05);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15);
  });

  it('normal numbers fall as their words rise, symmetrically, to the ends of the distribution', () => {
    const words = Array.from({ length: 65 }, (_, i) => Math.min(i * 2 ** 26, 2 ** 32 - 1));
    const numbers = words.map((word) => standardNormal(word));
    expect(numbers).toEqual([...numbers].sort((a, b) => b - a));
    // The number above which 2^-33 of all lie, and quartiles.
    for (const [word, value] of [
      [0, 6.3379581],
      [2 ** 30 - 1, 0.6744898],
      [2 ** 31 - 1, 2.918099e-10],
      [3 * 2 ** 30 - 1, -0.6744898],
      [2 ** 32 - 1, -6.3379581],
    ] as const)
      expect(Math.abs(standardNormal(word) - value)).toBeLessThan(1e-6);
  });

  it('uniform numbers stay within any bounds', () => {
    for (const [low, high] of [
      [-0.1, 0.1],
      [0, 1e-20],
      [-3, 0],
      [1e8, 1.00000008e8],
      [-1e30, 1e30],
      [5, 5],
    ] as const) {
      const [first, last] = [Math.fround(low), Math.fround(high)];
      const values = fillUniform(new Float32Array(1000), low, high, new Generator(1));
      for (const value of values) expect(value >= first && (value < last || first === last)).toBe(true);
    }
  });

  it('gives the same bits on every engine', () => {
    const bits = new Uint32Array(fillNormal(new Float32Array(10_000), 0, 1, new Generator(42)).buffer);
    expect(bits.reduce((hash, word) => (Math.imul(hash, 31) + word) | 0, 0)).toBe(-374753635);
  });

  it.each([1, 2, 3, 4, 5, 31, 32, 33])('a permutation of %i holds every number once', (n) => {
    const order = permutation(n, new Generator(n));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
  });

  it('permutations of three come up equally often', () => {
    const generator = new Generator(2);
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = permutation(3, generator).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('integers stay below their bound', () => {
    const values = randomIntegers(1001, 3, new Generator(1));
    expect(new Set(values)).toEqual(new Set([0, 1, 2]));
    expect(randomIntegers(5, 1, new Generator(1))).toEqual([0, 0, 0, 0, 0]);
    expect(Math.max(...randomIntegers(1000, 2 ** 32, new Generator(1)))).toBeGreaterThan(2 ** 31);
  });
});
