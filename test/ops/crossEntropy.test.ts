import { describe, expect, it } from 'vitest';
import {
  type CrossEntropyOptions,
  crossEntropy,
  huberLoss,
  l1Loss,
  mseLoss,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { check, checkFused, checkGradients } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('losses', async () => {
  it.for(await goldenCases('loss', /^(?!bce)/))('agree with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ logits, targets, input, target }, options, name) => {
      if (logits) return { y: crossEntropy(logits, targets as Tensor, options as CrossEntropyOptions) };
      const f = { mse: mseLoss, l1: l1Loss, huber: huberLoss }[name] as typeof huberLoss;
      return { y: f(input as Tensor, target as Tensor, options) };
    }),
  );

  it.for([
    [1, 1],
    [2, 3],
    [33, 31],
    [3, 127],
    [65, 65],
    [5, 257],
    [2, 1500],
  ] as const)('crossEntropy of [%i, %i] logits', async ([rows, V]) => {
    const targets = drawIds([rows], V);
    await checkGradients(
      (logits) => crossEntropy(logits as Tensor, targets, { labelSmoothing: 0.1 }),
      [draw([rows, V], -5, 5)],
      { finite: rows * V <= 64 },
    );
  });

  it('crossEntropy leaves out what is to be ignored, all of it too', async () => {
    const targets = tensor(Int32Array.of(2, -1, 0, -1));
    for (const reduction of ['mean', 'sum', 'none'] as const) {
      await checkGradients(
        (logits) => crossEntropy(logits as Tensor, targets, { ignoreIndex: -1, reduction }),
        [draw([4, 5])],
      );
    }
    await check(crossEntropy(draw([2, 3]), tensor(Int32Array.of(-100, -100))));
  });

  it('crossEntropy takes ids of either kind, and logits of any size', async () => {
    await check(
      crossEntropy(draw([2, 3, 7], -3000, 3000), drawIds([2, 3], 7, 'u32')),
      crossEntropy(draw([7]), tensor(3, { dtype: 'i32' })),
    );
  });

  it('crossEntropy is what its definition in plain ops gives', async () => {
    await checkFused(crossEntropy(draw([5, 33]), drawIds([5], 33), { reduction: 'none', labelSmoothing: 0.2 }));
    await checkFused(crossEntropy(draw([3, 4]), tensor(Int32Array.of(1, 3, 2)), { reduction: 'none', ignoreIndex: 3 }));
  });

  it('of differences have the gradients that differences show', async () => {
    for (const f of [mseLoss, l1Loss, huberLoss])
      await checkGradients((x, y) => f(x as Tensor, y as Tensor), [draw([3, 4], 0.1, 0.9), draw([3, 4], 1.2, 2.5)]);
  });

  it('of differences refuse a target that would broadcast', () => {
    for (const f of [mseLoss, l1Loss, huberLoss])
      expect(() => f(draw([4, 1]), draw([4]))).toThrow('must have one shape, got [4, 1] and [4]');
  });
});
