import { describe, expect, it } from 'vitest';
import * as weft from '../../src/index.ts';
import { grad, maxPool2d, type Tensor, tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawApart } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

type Call = (x: Tensor, size: never, options?: never) => Tensor;
const functions: Readonly<Record<string, Call>> = {
  maxPool1d: weft.maxPool1d,
  maxPool2d: weft.maxPool2d,
  avgPool1d: weft.avgPool1d,
  avgPool2d: weft.avgPool2d,
  adaptiveAvgPool1d: weft.adaptiveAvgPool1d,
  adaptiveAvgPool2d: weft.adaptiveAvgPool2d,
  adaptiveMaxPool1d: weft.adaptiveMaxPool1d,
  adaptiveMaxPool2d: weft.adaptiveMaxPool2d,
};

describe('pools', async () => {
  it.for(await goldenCases('pool', /Pool/))('agree with PyTorch: $name', ({ name, load }) =>
    checkGolden(load(), ({ x }, { window, ...options }) => {
      const call = functions[name.split('_')[0] as string] as Call;
      return {
        y: name.startsWith('adaptive')
          ? call(x as Tensor, window as never)
          : call(x as Tensor, window as never, options as never),
      };
    }),
  );

  it('have the gradients that differences show, of windows that overlap and that leave pixels out', async () => {
    await checkGradients((x) => maxPool2d(x as Tensor, 3, { stride: 2, padding: 1 }), [drawApart([2, 3, 7, 6])]);
    await checkGradients((x) => maxPool2d(x as Tensor, 2, { stride: 3 }), [drawApart([2, 2, 8, 9])]);
    await checkGradients((x) => weft.avgPool2d(x as Tensor, [1, 2], { stride: [2, 3] }), [draw([2, 2, 5, 8])]);
    await checkGradients((x) => maxPool2d(x as Tensor, 2, { stride: 3, ceilMode: true }), [drawApart([1, 2, 7, 8])]);
    await checkGradients((x) => weft.adaptiveMaxPool2d(x as Tensor, [3, 2]), [drawApart([2, 2, 7, 5])]);
  });

  it('of larger pictures, whose windows are large too', async () => {
    const x = draw([2, 5, 32, 40]);
    await checkGradients((x) => weft.adaptiveAvgPool2d(x as Tensor, [2, 3]), [x], { finite: false });
    await checkGradients((x) => weft.avgPool2d(x as Tensor, 9, { stride: 1, padding: 4 }), [x], { finite: false });
    await checkGradients((x) => maxPool2d(x as Tensor, 2), [drawApart([3, 2, 16, 16])], { finite: false });
  });

  it('take an elementwise tail into their kernel', async () => {
    const x = drawApart([2, 3, 6, 6]);
    await check(maxPool2d(x, 2).add(1).relu(), weft.avgPool2d(x, 2).mul(x.slice([null, null, [0, 3], [0, 3]])));
  });

  it('keep a NaN, and give the first of equals the gradient', async () => {
    const x = tensor([[[[Number.NaN, 1, 2, 2, -1, Number.NaN]]]]);
    const [y, dx] = await read(maxPool2d(x, [1, 2]), grad(maxPool2d(x, [1, 2]).sum(), [x])[0] as Tensor);
    expect(Array.from(y as Float32Array)).toEqual([Number.NaN, 2, Number.NaN]);
    expect(Array.from(dx as Float32Array)).toEqual([1, 0, 1, 0, 0, 1]);
  });

  it('say what does not fit', () => {
    const x = draw([2, 3, 5, 6]);
    const message = (call: () => unknown) => expect(call);
    message(() => maxPool2d(draw([3, 5, 6]), 2)).toThrow(
      '[maxPool2d] the input must have rank 4, got [3, 5, 6] of rank 3',
    );
    message(() => weft.maxPool1d(x, 2)).toThrow('[maxPool1d] the input must have rank 3');
    message(() => maxPool2d(x.cast('i32'), 2)).toThrow('[maxPool2d] the input must be f32, got i32');
    message(() => maxPool2d(x, 6)).toThrow(
      '[maxPool2d] the kernel is longer than the padded input: the height has 5 + 0 + 0 = 5 elements, the kernel 6',
    );
    message(() => weft.avgPool2d(x, [2, 9], { padding: 1 })).toThrow(
      'the width has 6 + 1 + 1 = 8 elements, the kernel 9',
    );
    message(() => maxPool2d(x, 2, { padding: 2 })).toThrow(
      '[maxPool2d] the padding must be at most half of the kernel, 2, got 2',
    );
    message(() => weft.maxPool1d(draw([1, 1, 2]), 2, { padding: 1, dilation: 3 })).toThrow(
      '[maxPool1d] a window has nothing in it: the input has 2 elements, the window reaches from -1 to 2 in steps of 3',
    );
    message(() => maxPool2d(x, 0)).toThrow('[maxPool2d] kernelSize must be a positive integer, or a pair');
    message(() => weft.adaptiveAvgPool2d(x, 0)).toThrow('[adaptiveAvgPool2d] outputSize must be a positive integer');
    message(() => weft.adaptiveMaxPool1d(draw([1, 1, 2]), 0.5)).toThrow('[adaptiveMaxPool1d] outputSize must be');
  });
});
