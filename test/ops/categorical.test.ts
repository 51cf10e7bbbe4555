import { describe, expect, it } from 'vitest';
import { categorical, tensor } from '../../src/index.ts';
import { check } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

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
