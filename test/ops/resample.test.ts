import { describe, expect, it } from 'vitest';
import { interpolate, type Tensor } from '../../src/index.ts';
import { transposed } from '../../src/ops/resample.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('interpolate', async () => {
  it.for(await goldenCases('pool', /interpolate/))('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ x }, options) => ({ y: interpolate(x as Tensor, options as never) })),
  );

  it('has the gradients that differences show', async () => {
    await checkGradients((x) => interpolate(x as Tensor, { scale: [2, 0.7] }), [draw([2, 3, 4, 5])]);
    await checkGradients((x) => interpolate(x as Tensor, { size: 7, mode: 'bilinear' }), [draw([2, 3, 4, 9])]);
  });

  it('takes an elementwise tail into its kernel', () => check(interpolate(draw([2, 3, 4, 5]), { scale: 3 }).relu()));

  it('says what does not fit', () => {
    const x = draw([2, 3, 4, 5]);
    const message = (call: () => unknown) => expect(call);
    message(() => interpolate(draw([3, 4]), { size: 2 })).toThrow('[interpolate] the input must have rank 3 to 4');
    message(() => interpolate(x, {})).toThrow('[interpolate] needs either the option size or the option scale');
    message(() => interpolate(x, { size: 2, scale: 2 })).toThrow('[interpolate] needs either');
    message(() => interpolate(x, { size: 2, mode: 'linear' })).toThrow(
      "[interpolate] the mode of an input of rank 4 must be 'nearest' or 'bilinear', got 'linear'",
    );
    message(() => interpolate(x, { size: 2, alignCorners: true })).toThrow(
      '[interpolate] alignCorners is for the modes',
    );
    message(() => interpolate(draw([2, 3, 4]), { size: [2, 3] })).toThrow(
      'an input of rank 3 takes one number as its size',
    );
    message(() => interpolate(x, { scale: 0.2 })).toThrow(
      '[interpolate] a scale of 0.2 leaves nothing of dimension 2 of [2, 3, 4, 5]; it must be at least 1/4',
    );
  });
});

describe('bands', () => {
  it('have a transpose, with columns that no row meets', () => {
    const bands = [[0, 1, 2], [1, 3], [4, 5, 6]] as const; // biome-ignore format: a matrix
    expect(transposed(bands, 7)).toEqual([[0, 1], [0, 2, 3], [0], [0], [2, 5], [2, 6], [0]]);
    expect(transposed(transposed(bands, 7), 3)).toEqual(bands);
  });
});
