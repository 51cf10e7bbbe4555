import { describe, expect, it } from 'vitest';
import { categorical, dropout, manualSeed, sample, type Tensor, tensor, uniform } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

describe('random numbers on the GPU', () => {
  it('are those of the generator on the host, to the bit', async () => {
    manualSeed(2n ** 63n + 5n);
    await check(uniform([5]), uniform([3, 67]), uniform([1030]));
  });

  it('repeat with the seed, and differ from draw to draw', async () => {
    manualSeed(7);
    const [a, b] = await read(uniform([64]), uniform([64]));
    manualSeed(7);
    const [c] = await read(uniform([64]));
    expect(c).toEqual(a);
    expect(b).not.toEqual(a);
  });

  it('are uniform in [0, 1)', async () => {
    manualSeed(1);
    const [values] = await read(uniform([10000]));
    const numbers = [...(values as Float32Array)];
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...numbers)).toBeLessThan(1);
    const mean = numbers.reduce((a, b) => a + b) / numbers.length;
    // The mean of n uniform numbers deviates by 1/√(12n) = 0.0029.
    expect(mean).toBeCloseTo(0.5, 1.7);
  });
});

describe('dropout', () => {
  it('scales what it keeps, and drops the same in backward', () =>
    checkGradients((x) => dropout(x as Tensor, 0.3), [draw([5, 13])]));
  it('of probability 0 is the tensor itself', () => {
    const x = draw([3]);
    expect(dropout(x, 0)).toBe(x);
  });
});

describe('categorical', () => {
  it.for([
    [1, 1],
    [65, 3],
    [3, 257],
    [2, 1030],
  ] as const)('draws what the reference draws: [%i, %i]', ([rows, n]) => check(categorical(draw([rows, n]))));

  it('draws each class as often as its probability says', async () => {
    const probabilities = [0.1, 0.2, 0.3, 0.4];
    const rows = 4000;
    const logits = tensor(probabilities.map(Math.log)).expand([rows, 4]);
    const [ids] = await read(categorical(logits));
    for (const [id, p] of probabilities.entries()) {
      const count = [...(ids as Int32Array)].filter((drawn) => drawn === id).length;
      // Five standard deviations of a binomial count.
      expect(Math.abs(count - rows * p)).toBeLessThan(5 * Math.sqrt(rows * p * (1 - p)));
    }
  });

  it('never draws what is masked', async () => {
    const [ids] = await read(categorical(tensor([0, -1e30, 0, -1e30]).expand([300, 4])));
    expect([...new Set(ids)].sort()).toEqual([0, 2]);
  });
});

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

  it('sharpens as the temperature falls', async () => {
    const logits = tensor([0, 1]).expand([2000, 2]);
    const [warm, cold] = await read(sample(logits), sample(logits, { temperature: 0.25 }));
    const share = (ids?: ArrayLike<number>) => Array.from(ids ?? []).filter((id) => id === 1).length / 2000;
    expect(share(warm)).toBeCloseTo(1 / (1 + Math.exp(-1)), 1);
    expect(share(cold)).toBeCloseTo(1 / (1 + Math.exp(-4)), 1);
  });
});
