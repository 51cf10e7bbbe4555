import { describe, it } from 'vitest';
import { matmul, type Tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('matmul', async () => {
  it.for(await goldenCases('matmul', /^(?!einsum)/))('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ input, other, weight, bias }) => {
      if (weight) return { y: matmul(input as Tensor, weight.transpose()).add(bias as Tensor) };
      return { y: matmul(input as Tensor, other as Tensor) };
    }),
  );

  // Each size meets several others, at and around the edges of tiles.
  it.for([
    [1, 1, 1],
    [1, 257, 33],
    [2, 31, 127],
    [3, 64, 2],
    [31, 65, 3],
    [32, 32, 64],
    [33, 129, 65],
    [63, 2, 31],
    [64, 127, 32],
    [65, 33, 129],
    [127, 3, 63],
    [129, 63, 1],
    [255, 16, 255],
    [1, 64, 64],
    [64, 1, 64],
  ] as const)('[%i, %i] · [.., %i], plain and with either side transposed', async ([M, K, N]) => {
    const [a, b] = [draw([M, K]), draw([K, N])];
    const [at, bt] = [draw([K, M]).transpose(), draw([N, K]).transpose()];
    await check(matmul(a, b), matmul(a, bt), matmul(at, b), matmul(at, bt));
  });

  it('sums long rows', () =>
    check(matmul(draw([3, 2100]), draw([2100, 5])), matmul(draw([40, 1025]), draw([1025, 33]))));

  it.for([
    { name: 'matrices', a: [3, 5], b: [5, 2] },
    { name: 'a batch', a: [2, 3, 5], b: [2, 5, 4] },
    { name: 'a batch and one matrix', a: [2, 3, 5], b: [5, 4] },
    { name: 'one matrix and a batch', a: [3, 5], b: [2, 5, 4] },
    { name: 'two broadcast batch dimensions', a: [2, 1, 3, 5], b: [3, 5, 4] },
    { name: 'three batch dimensions', a: [2, 1, 2, 3, 5], b: [2, 1, 5, 4] },
    { name: 'vectors', a: [5], b: [5] },
  ])('has the gradients that differences show: $name', ({ a, b }) =>
    checkGradients((x, y) => matmul(x as Tensor, y as Tensor), [draw(a), draw(b)]),
  );

  it('takes an activation, a bias and a residual into its kernel', async () => {
    const [x, w, bias, residual] = [draw([33, 20]), draw([20, 17]), draw([17]), draw([33, 17])];
    await check(
      matmul(x, w).add(bias).gelu({ approximate: 'tanh' }),
      matmul(x, w).add(bias).add(residual),
      matmul(x, w).relu(),
    );
  });

  it('keeps what lies before the activation where something else reads it', async () => {
    const product = matmul(draw([9, 20]), draw([20, 12])).add(draw([12]));
    await check(product.tanh(), product, product.sum(0));
  });
});
