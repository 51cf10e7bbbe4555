import { describe, expect, it } from 'vitest';
import {
  compile,
  conv1d,
  conv2d,
  convTranspose1d,
  convTranspose2d,
  grad,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

type Options = Parameters<typeof conv2d>[3] &
  Parameters<typeof conv1d>[3] &
  Parameters<typeof convTranspose1d>[3] &
  Parameters<typeof convTranspose2d>[3];
const functions = { conv1d, conv2d, convTranspose1d, convTranspose2d } as const;

describe('convolutions', async () => {
  it.for(await goldenCases('conv'))('agree with PyTorch: $name', ({ load, name }) =>
    checkGolden(load(), ({ x, weight, bias = null }, options) => {
      const call = functions[name.split('_')[0] as keyof typeof functions];
      return { y: call(x as Tensor, weight as Tensor, bias as Tensor | null, options as Options) };
    }),
  );

  it('have the gradients that differences show', async () => {
    await checkGradients(
      (x, w, b) => conv2d(x as Tensor, w as Tensor, b as Tensor, { stride: [1, 2], padding: 1, dilation: [2, 1] }),
      [draw([2, 3, 6, 5]), draw([4, 3, 2, 3]), draw([4])],
    );
    await checkGradients(
      (x, w, b) => conv1d(x as Tensor, w as Tensor, b as Tensor, { padding: 'causal', dilation: 2 }),
      [draw([2, 3, 7]), draw([2, 3, 3]), draw([2])],
    );
    await checkGradients(
      (x, w, b) => convTranspose2d(x as Tensor, w as Tensor, b as Tensor, { stride: 2, outputPadding: 1 }),
      [draw([2, 3, 3, 2]), draw([3, 2, 3, 3]), draw([2])],
    );
  });

  it('of larger pictures', async () => {
    await checkGradients(
      (x, w, b) => conv2d(x as Tensor, w as Tensor, b as Tensor, { padding: 1 }),
      [draw([2, 20, 16, 16]), draw([33, 20, 3, 3]), draw([33])],
      { finite: false },
    );
  });

  it('take an elementwise tail into their kernel: a step of one is three dispatches, with a bias six', async () => {
    const [x, w, b] = [draw([2, 3, 8, 8]), draw([4, 3, 3, 3]), draw([4])];
    await check(conv2d(x, w, b, { padding: 1 }).relu());
    const forward = compile((x: Tensor) => conv2d(x, w, b, { padding: 1 }).relu());
    expect((await forward.prepare(x)).summary().dispatches).toBe(1);
    const dy = draw([2, 4, 8, 8]);
    const step = compile((x: Tensor, w: Tensor, dy: Tensor) => {
      const y = conv2d(x, w, null, { padding: 1 });
      return [y, ...grad(y.mul(dy).sum(), [x, w])] as const;
    });
    expect((await step.prepare(x, w, dy)).summary().dispatches).toBe(3);
    const withBias = compile((x: Tensor, w: Tensor, b: Tensor, dy: Tensor) => {
      const y = conv2d(x, w, b, { padding: 1 });
      return [y, ...grad(y.mul(dy).sum(), [x, w, b])] as const;
    });
    expect((await withBias.prepare(x, w, b, dy)).summary().dispatches).toBeLessThanOrEqual(5);
  });

  it('make nothing of what they don’t see: a causal one has no future', async () => {
    const [x, w] = [draw([1, 2, 9]), draw([3, 2, 4])];
    const y = conv1d(x, w, null, { padding: 'causal', dilation: 2 });
    const [dx] = grad(y.slice([null, null, [4, 5]]).sum(), [x]) as [Tensor];
    const seen = Array.from((await read(dx))[0] as ArrayLike<number>, (value) => value !== 0);
    for (const channel of [0, 9])
      expect(seen.slice(channel, channel + 9)).toEqual([true, false, true, false, true, false, false, false, false]);
  });

  it('say what does not fit', () => {
    const [x, w] = [draw([2, 4, 5, 6]), draw([6, 4, 3, 3])];
    const message = (call: () => unknown) => expect(call);
    message(() => conv2d(draw([2, 4, 5]), w)).toThrow('[conv2d] the input must have rank 4, got [2, 4, 5] of rank 3');
    message(() => conv2d(x, draw([6, 4, 3]))).toThrow('[conv2d] the weight must have rank 4');
    message(() => conv2d(x.cast('i32'), w)).toThrow('[conv2d] the input must be f32, got i32');
    message(() => conv2d(x, draw([6, 3, 3, 3]))).toThrow(
      '[conv2d] the input has 4 channels, so the weight must have 4 in dimension 1, got 3',
    );
    message(() => conv2d(x, w, null, { groups: 2 })).toThrow(
      '[conv2d] the input has 4 channels in 2 groups, so the weight must have 2 in dimension 1, got 4',
    );
    message(() => conv2d(x, w, null, { groups: 3 })).toThrow(
      '[conv2d] 3 groups do not divide the 4 channels of the input',
    );
    message(() => conv2d(x, draw([5, 2, 3, 3]), null, { groups: 2 })).toThrow(
      '[conv2d] 2 groups do not divide the 5 filters of the weight',
    );
    message(() => conv2d(x, w, draw([5]))).toThrow('[conv2d] the bias must have shape [6]');
    message(() => conv2d(x, draw([6, 4, 8, 3]), null, { padding: 1 })).toThrow(
      '[conv2d] the kernel is longer than the padded input: the height has 5 + 1 + 1 = 7 elements, the kernel 8',
    );
    message(() => conv2d(x, w, null, { dilation: [1, 3] })).toThrow(
      'the width has 6 + 0 + 0 = 6 elements, the kernel 3 with a dilation of 3 spans 7',
    );
    message(() => conv2d(x, w, null, { padding: 'same', stride: 2 })).toThrow(
      "[conv2d] padding 'same' needs a stride of 1, got 2",
    );
    message(() => conv2d(x, w, null, { stride: 0 })).toThrow('[conv2d] stride must be a positive integer, or a pair');
    message(() => conv2d(x, w, null, { padding: 'causal' as 'same' })).toThrow('[conv2d] padding must be');
    message(() => conv1d(draw([2, 4, 3]), draw([6, 4, 4]))).toThrow(
      '[conv1d] the kernel is longer than the padded input: the input has 3 + 0 + 0 = 3 elements, the kernel 4',
    );
    message(() => convTranspose2d(x, draw([3, 4, 3, 3]))).toThrow(
      '[convTranspose2d] the input has 4 channels, so the weight must have 4 in dimension 0, got 3',
    );
    message(() => convTranspose2d(x, draw([4, 2, 3, 3]), null, { groups: 3 })).toThrow('3 groups do not divide');
    message(() => convTranspose2d(x, draw([4, 2, 3, 3]), null, { outputPadding: 1 })).toThrow(
      '[convTranspose2d] outputPadding must be less than stride or dilation, got 1 with a stride of 1',
    );
    message(() => convTranspose2d(tensor(1).reshape([1, 1, 1, 1]), draw([1, 1, 2, 2]), null, { padding: 1 })).toThrow(
      '[convTranspose2d] a padding of 1 leaves nothing of the height of the result, 2',
    );
  });
});
