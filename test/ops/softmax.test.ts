import { describe, it } from 'vitest';
import { logSoftmax, softmax, type Tensor } from '../../src/index.ts';
import { check, checkFused, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe.for([
  ['softmax', softmax],
  ['logSoftmax', logSoftmax],
] as const)('%s', async ([name, f]) => {
  it.for(await goldenCases('softmax', new RegExp(`^${name}_`)))('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ x }, { axis }) => ({ y: f(x as Tensor, axis as number) })),
  );

  it.for([
    { shape: [1], axis: 0 },
    { shape: [3, 2], axis: 1 },
    { shape: [33, 65], axis: 1 },
    { shape: [65, 33], axis: 0 },
    { shape: [2, 127, 3], axis: 1 },
    { shape: [2, 1, 257], axis: -1 },
    { shape: [2, 1030], axis: 1 },
  ])('$shape along $axis', async ({ shape, axis }) => {
    await checkGradients((x) => f(x as Tensor, axis), [draw(shape, -5, 5)], {
      finite: shape.reduce((a, b) => a * b) <= 64,
    });
  });

  it('does not overflow', () => check(f(draw([3, 7], -3000, 3000)), f(draw([3, 7], 1e30, 2e30))));

  it('is what its definition in plain ops gives, with its gradient', async () => {
    await checkFused(f(draw([5, 33]), -1));
    await checkFused(f(draw([5, 7, 3]), 1));
  });
});
