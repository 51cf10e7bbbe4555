import { describe, it } from 'vitest';
import { type Tensor, tensor, topK } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawApart } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('topK agrees with PyTorch', async () => {
  it.for(await goldenCases('index', /^topK/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { k, largest }) => ({
      ...topK(x as Tensor, k as number, { largest: largest as boolean }),
    })),
  );
});

describe('topK', () => {
  it.for([
    [1, 1, 1],
    [3, 33, 2],
    [2, 64, 64],
    [5, 257, 31],
    [2, 300, 129],
    [1, 5000, 3],
  ] as const)('[%i, %i], k %i', async ([rows, n, k]) => {
    const { values, indices } = topK(draw([rows, n]), k, { largest: n % 2 === 1 });
    await check(values, indices);
  });
  it('takes the first of equals', () => {
    const { values, indices } = topK(tensor([2, 5, 5, 1, 5]), 4);
    return check(values, indices);
  });
  it('has the gradient that differences show', () =>
    checkGradients((x) => topK(x as Tensor, 3).values, [drawApart([4, 7])]));
});
