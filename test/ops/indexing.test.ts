import { describe, it } from 'vitest';
import { iota, oneHot, type Tensor, tensor, tril, triu } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('oneHot, tril and triu agree with PyTorch', async () => {
  it.for(await goldenCases('index', /^oneHot/))('$name', ({ load }) =>
    checkGolden(load(), ({ ids }, { classes }) => ({ y: oneHot(ids as Tensor, classes as number).cast('i32') })),
  );
  it.for(await goldenCases('view', /^tri/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { diagonal }, name) => ({
      y: (name.startsWith('tril') ? tril : triu)(x as Tensor, diagonal as number),
    })),
  );
});

describe('coordinates', () => {
  it('iota, oneHot, tril and triu', async () => {
    const x = draw([2, 33, 31]);
    await check(
      iota([3, 5, 2], 1),
      oneHot(drawIds([3, 4], 5), 5),
      oneHot(tensor(Int32Array.of(-1, 7)), 5),
      tril(x),
      triu(x, 3),
      tril(x, -2),
    );
    await checkGradients((y) => [tril(y as Tensor, 1), triu(y as Tensor)], [draw([3, 4])]);
  });
});
