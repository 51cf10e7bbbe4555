import { describe, it } from 'vitest';
import { cumsum, type Tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('cumsum agrees with PyTorch', async () => {
  it.for(await goldenCases('reduce', /^cumsum/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { axis, reverse }) => ({
      y: cumsum(x as Tensor, axis as number, { reverse: reverse as boolean }),
    })),
  );
});

describe('cumsum', () => {
  it.for([
    { shape: [1], axis: 0 },
    { shape: [2, 257], axis: 1 },
    { shape: [65, 3], axis: 0 },
    { shape: [2, 33, 5], axis: 1 },
    { shape: [3, 2100], axis: 1 },
  ])('$shape along $axis, both ways', async ({ shape, axis }) => {
    await check(
      cumsum(draw(shape), axis),
      cumsum(draw(shape), axis, { reverse: true }),
      cumsum(drawIds(shape, 50), axis),
    );
  });
  it('has the gradient that differences show', () =>
    checkGradients((x) => [cumsum(x as Tensor, 1), cumsum(x as Tensor, 0, { reverse: true })], [draw([3, 4])]));
});
