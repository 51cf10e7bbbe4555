import { describe, it } from 'vitest';
import { embedding, type Tensor, tensor } from '../../src/index.ts';
import { checkGradients } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('embedding', async () => {
  it.for(await goldenCases('index', /^embedding/))('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ ids, weight }) => ({ y: embedding(ids as Tensor, weight as Tensor) })),
  );

  it.for([
    { ids: [1], V: 1, E: 1 },
    { ids: [3, 5], V: 7, E: 4 },
    { ids: [65], V: 3, E: 33 },
    { ids: [2, 129], V: 257, E: 8 },
  ])('$ids ids of a [$V, $E] table', async ({ ids, V, E }) => {
    await checkGradients((weight) => embedding(drawIds(ids, V), weight as Tensor), [draw([V, E])], {
      finite: V * E <= 64,
    });
  });

  it('adds up the gradients of an id that comes often', () => {
    const ids = tensor(new Uint32Array(300).fill(2), { shape: [3, 100] });
    return checkGradients((weight) => embedding(ids, weight as Tensor).mul(2), [draw([4, 3])]);
  });
});
