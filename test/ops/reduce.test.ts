import { describe, it } from 'vitest';
import { argMax, argMin, logSumExp, max, mean, min, sum, sumSquares, type Tensor, tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawApart, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

const smooth = { sum, mean, logSumExp, sumSquares };
const floats = { ...smooth, max, min };

describe('reductions agree with PyTorch', async () => {
  it.for(await goldenCases('reduce', /^(?!cumsum)/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { kind, axes, keepDims }) => {
      if (kind === 'argMax' || kind === 'argMin') {
        const f = kind === 'argMax' ? argMax : argMin;
        return { y: f(x as Tensor, (axes as number[])[0] as number, { keepDims: keepDims as boolean }) };
      }
      return {
        y: floats[kind as keyof typeof floats](x as Tensor, axes as number[], { keepDims: keepDims as boolean }),
      };
    }),
  );
});

describe('reductions agree with float64', () => {
  // Rows, columns, and both at once; lengths around those of a workgroup and of a vector.
  it.for([
    { shape: [1, 1], axes: [1] },
    { shape: [3, 257], axes: [1] },
    { shape: [257, 3], axes: [0] },
    { shape: [33, 31], axes: [0] },
    { shape: [2, 65, 32], axes: [1] },
    { shape: [64, 2, 5], axes: [0, 2] },
    { shape: [2, 3, 127], axes: [1, 2] },
    { shape: [1300], axes: [0] },
  ])('$shape over $axes', async ({ shape, axes }) => {
    const x = draw(shape);
    await check(
      ...Object.values(floats).map((f) => f(x, axes)),
      ...(axes.length === 1 ? [argMax(x, axes[0]), argMin(x, axes[0])] : []),
    );
  });

  it('over many elements', () => check(sum(draw([70000])), max(draw([70000])), mean(draw([5000, 3]), 0)));

  it('of integers', async () => {
    const x = drawIds([5, 70], 1000).sub(500);
    await check(sum(x, 1), max(x, 0), min(x), argMax(x, 1), argMin(x, 0), sum(drawIds([130], 9, 'u32')));
    await check(argMax(x, 1).cast('f32').mul(2), sum(x.equal(7).cast('i32')).cast('f32').div(3), max(x, 1).cast('f32'));
  });

  it('names the first of equal elements', () =>
    check(
      argMax(
        tensor([
          [1, 3, 3],
          [2, 2, 2],
        ]),
        1,
      ),
      argMin(
        tensor([
          [1, 1, 3],
          [2, 2, 2],
        ]),
        1,
      ),
    ));

  it('reads an elementwise chain as it is computed, and computes on with the result', async () => {
    const x = draw([9, 40]);
    await check(sum(x.mul(2).add(1).tanh(), 1).mul(3).exp(), mean(x.square(), 0).add(1e-5).rsqrt());
  });
});

describe('gradients of reductions are what differences show', () => {
  it.for(Object.entries(floats))('%s', async ([, f]) => {
    await checkGradients(
      (x) => [f(x as Tensor, 1), f(x as Tensor, [0, 2], { keepDims: true }), f(x as Tensor)],
      [drawApart([3, 4, 2])],
    );
  });
});
