import { describe, it } from 'vitest';
import { layerNorm, rmsNorm, type Tensor } from '../../src/index.ts';
import { check, checkFused, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('layerNorm and rmsNorm', async () => {
  it.for(await goldenCases('norm'))('agree with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ x, weight = null, bias = null }, { eps }, name) => {
      if (name.startsWith('rms')) return { y: rmsNorm(x as Tensor, weight as Tensor | null, { eps: eps as number }) };
      return { y: layerNorm(x as Tensor, weight as Tensor | null, bias as Tensor | null, { eps: eps as number }) };
    }),
  );

  it.for([
    [1, 1],
    [3, 2],
    [2, 31],
    [65, 33],
    [129, 64],
    [1, 255],
    [5, 257],
    [2, 1028],
  ] as const)('[%i, %i]', async ([rows, E]) => {
    const inputs = [draw([rows, E]), draw([E]), draw([E])];
    const finite = rows * E <= 64;
    await checkGradients((x, w, b) => layerNorm(x as Tensor, w as Tensor, b as Tensor), inputs, { finite });
    await checkGradients((x, w) => rmsNorm(x as Tensor, w as Tensor), inputs.slice(0, 2), { finite });
  });

  it('have the gradients that differences show, with and without weight and bias', async () => {
    await checkGradients((x) => [layerNorm(x as Tensor), rmsNorm(x as Tensor)], [draw([2, 3, 5])]);
    await checkGradients((x, w) => layerNorm(x as Tensor, w as Tensor, null, { eps: 0.1 }), [draw([4, 5]), draw([5])]);
    await checkGradients(
      (x, w, b) => layerNorm(x as Tensor, w as Tensor, b as Tensor),
      [draw([4, 6]), draw([6]), draw([6])],
    );
    await checkGradients((x, w) => rmsNorm(x as Tensor, w as Tensor), [draw([4, 6]), draw([6])]);
  });

  it('keep their digits far from zero', () => check(layerNorm(draw([4, 64], 99, 101))));

  it('are what their definition in plain ops gives', async () => {
    await checkFused(layerNorm(draw([5, 33]), draw([33]), draw([33])));
    await checkFused(rmsNorm(draw([2, 3, 8]), draw([8])));
    await checkFused(layerNorm(draw([5, 12])));
  });

  it('take an elementwise tail into their kernel', async () => {
    const [x, w, b] = [draw([9, 20]), draw([20]), draw([20])];
    await check(layerNorm(x, w, b).gelu(), rmsNorm(x, w).add(x));
  });
});
