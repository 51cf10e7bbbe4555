import { describe, expect, it } from 'vitest';
import { categorical, full, manualSeed, sample, tensor, ValueError } from '../../src/index.ts';
import { nucleus } from '../reference/random.ts';
import { check } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

describe('sample', () => {
  it('takes the best at temperature 0, and with topK 1, and with a small topP', async () => {
    const logits = draw([9, 33]);
    const [best, zero, one, nucleus] = await read(
      logits.argMax(-1),
      sample(logits, { temperature: 0 }),
      sample(logits, { topK: 1 }),
      sample(logits, { topP: 1e-6 }),
    );
    for (const ids of [zero, one, nucleus]) expect(ids).toEqual(best);
  });

  it('keeps to the k best, and to the nucleus', async () => {
    const logits = tensor([Math.log(0.5), Math.log(0.05), Math.log(0.3), Math.log(0.15)]).expand([400, 4]);
    const [two, nucleus, both] = await read(
      sample(logits, { topK: 2 }),
      sample(logits, { topP: 0.85 }),
      sample(logits, { topK: 3, topP: 0.7, temperature: 0.7 }),
    );
    expect([...new Set(two)].sort()).toEqual([0, 2]);
    expect([...new Set(nucleus)].sort()).toEqual([0, 2, 3]);
    expect([...new Set(both)].sort()).toEqual([0, 2]);
  });

  it('takes the best as the temperature falls to nothing', async () => {
    const logits = draw([9, 33], -300, 300);
    const temperatures = [0, 1e-45, 1e-38, 1e-37, 1e-30, 1e-20, 1e-6];
    const [best, ...others] = await read(
      logits.argMax(-1),
      ...temperatures.map((temperature) => sample(logits, { temperature })),
      ...temperatures.map((temperature) => sample(logits.mul(1e35), { temperature, topK: 7, topP: 0.9 })),
    );
    for (const ids of others) expect(ids).toEqual(best);
  });

  it('of equals draws each as often, but at temperature 0 the first', async () => {
    const logits = tensor([1, 2, 2, -1e30]).expand([600, 4]);
    const [cold, zero, one] = (await read(
      sample(logits, { temperature: 1e-30 }),
      sample(logits, { temperature: 0 }),
      sample(logits, { topK: 1 }),
    )) as [Int32Array, Int32Array, Int32Array];
    expect(new Set(zero)).toEqual(new Set([1]));
    expect(new Set(one)).toEqual(new Set([1]));
    const second = cold.filter((id) => id === 2).length;
    expect(cold.filter((id) => id === 1).length + second).toBe(600);
    // Five standard deviations.
    expect(Math.abs(second - 300)).toBeLessThan(5 * Math.sqrt(150));
  });

  it.for([
    [65, { topP: 0.8 }],
    [1030, { temperature: 0.6, topP: 0.95 }],
    [50257, { topP: 0.5 }],
    [50257, { topK: 3000, topP: 0.9999, temperature: 1.3 }],
    [50257, { topK: 50000 }],
  ] as const)('draws what the reference draws: %i, %o', ([n, options]) => check(sample(draw([3, n], -6, 6), options)));

  it('keeps any size of nucleus: with equal logits a share p of all', async () => {
    const [n, rows] = [1000, 400];
    const [ids] = (await read(sample(full([rows, n], 1), { topP: 0.6 }))) as [Int32Array];
    expect(Math.max(...ids)).toBeLessThan(601);
    // Among 400 of 600 the greatest lies below 550 with probability 10^-15.
    expect(Math.max(...ids)).toBeGreaterThan(550);
  });

  it('draws each token of the nucleus as often as its probability says', async () => {
    manualSeed(12);
    const rows = 2000;
    const logits = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i * i) * 2);
    const settings = { temperature: 0.8, topK: 12, topP: 0.9 };
    const kept = nucleus(logits, [0.8, 12, 0.9]);
    const [ids] = (await read(sample(tensor(logits).expand([rows, 20]), settings))) as [Int32Array];
    const total = kept.reduce((sum, { weight }) => sum + weight, 0);
    let chi = 0;
    for (const { j, weight } of kept) {
      const expected = (rows * weight) / total;
      chi += (ids.filter((id) => id === j).length - expected) ** 2 / expected;
    }
    expect(ids.every((id) => kept.some(({ j }) => j === id))).toBe(true);
    // With k degrees of freedom: mean k, variance 2k.
    expect(chi).toBeLessThan(kept.length - 1 + 5 * Math.sqrt(2 * kept.length));
  });

  it.for([
    ['NaN', Number.NaN],
    ['infinity', Infinity],
  ] as const)('is an error where a logit is %s', async ([, bad]) => {
    const logits = tensor([0, 1, bad, 0, 1, 1], { shape: [2, 3] });
    await expect(read(sample(logits))).rejects.toThrow(/^\[sample\] a row of logits holds NaN or \+infinity/);
    await expect(read(categorical(logits))).rejects.toThrow(/^\[categorical\] a row of logits holds NaN/);
  });

  it('is an error where there is nothing to draw from', async () => {
    const logits = tensor([0, 1, -1e30, -Infinity], { shape: [2, 2] });
    await expect(read(sample(logits, { topK: 1 }))).rejects.toThrow(ValueError);
    await expect(read(categorical(logits))).rejects.toThrow('nothing above −1e30 to draw from');
  });

  it('says what it wants', () => {
    const logits = tensor([1, 2]);
    expect(() => sample(logits, { temperature: -1 })).toThrow(
      '[sample] temperature must be a finite number of at least 0, got -1',
    );
    expect(() => sample(logits, { topP: 0 })).toThrow('[sample] topP must be in (0, 1], got 0');
    expect(() => sample(logits, { topK: 0 })).toThrow('[sample] topK must be a positive integer, got 0');
  });

  it('sharpens as the temperature falls', async () => {
    const logits = tensor([0, 1]).expand([2000, 2]);
    const [warm, cold] = await read(sample(logits), sample(logits, { temperature: 0.25 }));
    const share = (ids?: ArrayLike<number>) => Array.from(ids ?? []).filter((id) => id === 1).length / 2000;
    expect(share(warm)).toBeCloseTo(1 / (1 + Math.exp(-1)), 1);
    expect(share(cold)).toBeCloseTo(1 / (1 + Math.exp(-4)), 1);
  });
});
