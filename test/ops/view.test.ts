import { describe, expect, it } from 'vitest';
import {
  at,
  concat,
  expand,
  flip,
  pad,
  permute,
  reshape,
  slice,
  split,
  squeeze,
  stack,
  type Tensor,
  transpose,
  unsqueeze,
} from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('views and joins agree with PyTorch', async () => {
  it.for(await goldenCases('view', /^(?!tri)/))('$name', ({ load }) =>
    checkGolden(load(), ({ x: given, a, b, c }, options, name) => {
      const x = given as Tensor;
      const list = (key: string) => options[key] as number[];
      const parts = [a, b, c].filter((part) => part !== undefined);
      switch (name.replace(/_.*/, '')) {
        case 'permute':
          return { y: permute(x, list('order')) };
        case 'reshape':
          return { y: reshape(x, list('shape')) };
        case 'slice':
          return {
            y: slice(
              x,
              list('start').map((start, i) => [start, list('stop')[i], list('step')[i]]),
            ),
          };
        case 'flip':
          return { y: flip(x, list('axes')) };
        case 'pad':
          return {
            y: pad(
              x,
              list('before').map((before, i) => [before, list('after')[i] as number]),
              options.value as number,
            ),
          };
        case 'expand':
          return { y: expand(x, list('shape')) };
        case 'split': {
          const [y0, y1] = split(x, list('sizes'), options.axis as number);
          return { y0: y0 as Tensor, y1: y1 as Tensor };
        }
        case 'stack':
          return { y: stack(parts, options.axis as number) };
        default:
          return { y: concat(parts, options.axis as number) };
      }
    }),
  );
});

describe('views and joins', () => {
  it('have the gradients that differences show', async () => {
    const x = draw([2, 3, 4]);
    await checkGradients(
      (t) => {
        const y = t as Tensor;
        return [
          permute(y, [2, 0, 1]),
          reshape(y, [4, -1]),
          slice(y, [null, [1], [-3, -1]]),
          slice(y, [
            [0, 2, 2],
            [0, 3, 2],
            [1, 4, 3],
          ]),
          flip(y, [0, 2]),
          expand(unsqueeze(y, 0), [2, -1, -1, -1]),
          at(y, -1, 1),
          squeeze(unsqueeze(y, 2)),
          pad(
            y,
            [
              [1, 0],
              [0, 2],
              [0, 0],
            ],
            3,
          ),
          transpose(y, 0, 2),
          ...split(y, [1, 3], 2),
        ].map((view) => view.mul(2));
      },
      [x],
    );
    await checkGradients(
      (a, b) => [concat([a as Tensor, b as Tensor, a as Tensor], 1), stack([a as Tensor, a as Tensor])],
      [draw([2, 3]), draw([2, 1])],
    );
  });

  it('of views', async () => {
    const x = draw([6, 5, 8]);
    const view = flip(slice(permute(x, [2, 0, 1]), [[1, 7, 2], null, [1]]), 1);
    await check(
      view,
      view.reshape([-1]),
      reshape(view, [9, 8]).add(1),
      view.sum(1),
      expand(view.at(0), [4, 6, 4]).mul(2),
      pad(view, [
        [1, 1],
        [0, 0],
        [2, 0],
      ]),
      stack([view, view], 2),
    );
  });

  it('join more tensors than a kernel has bindings', () =>
    check(
      concat(
        Array.from({ length: 20 }, (_, i) => draw([3, i + 1])),
        1,
      ),
      stack(Array.from({ length: 9 }, () => draw([5]))),
    ));

  it('join booleans and integers', () =>
    check(concat([draw([3]).greater(0), draw([2]).less(0)]), concat([draw([3]).cast('i32'), draw([2]).cast('i32')])));

  it('cost nothing where parts are put back together', async () => {
    const x = draw([4, 12]);
    await check(concat(split(x, 4, 1), 1).add(1), concat(split(x, [1, 3], 0), 0));
  });

  it('give the tensor itself where nothing changes', () => {
    const x = draw([2, 3]);
    expect(reshape(x, [2, 3])).toBe(x);
    expect(
      pad(x, [
        [0, 0],
        [0, 0],
      ]),
    ).toBe(x);
    expect(concat([x])).toBe(x);
  });
});
