import { describe, it } from 'vitest';
import { gather, scatterAdd, type Tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('gather and scatterAdd agree with PyTorch', async () => {
  // An index with fewer rows than the tensor is PyTorch's alone: gather slices first, and scatterAdd_1 is left out.
  it.for(await goldenCases('index', /^(gather|scatterAdd_[02])/))('$name', ({ load }) =>
    checkGolden(load(), ({ x, ids, source }, { axis }, name) => {
      if (name.startsWith('scatterAdd'))
        return { y: scatterAdd(x as Tensor, ids as Tensor, source as Tensor, axis as number) };
      const rows = (x as Tensor).slice((ids as Tensor).shape.map((extent, i) => (i === axis ? null : [0, extent])));
      return { y: gather(rows, ids as Tensor, axis as number) };
    }),
  );
});

describe('gather and scatterAdd', () => {
  it.for([
    { shape: [1], axis: 0, m: 1 },
    { shape: [33, 3], axis: 0, m: 65 },
    { shape: [3, 129], axis: 1, m: 31 },
    { shape: [2, 7, 64], axis: 1, m: 257 },
  ])('$m positions of $shape along $axis', async ({ shape, axis, m }) => {
    const places = shape.with(axis, m);
    const [i, u] = [drawIds(places, shape[axis] as number), drawIds(places, shape[axis] as number, 'u32')];
    await check(
      gather(draw(shape), i, axis),
      gather(drawIds(shape, 100), u, axis),
      scatterAdd(draw(shape), i, draw(places), axis),
      scatterAdd(draw(shape), u, draw(places), axis),
    );
  });

  it('have the gradients that differences show', async () => {
    const index = drawIds([2, 6, 3], 4);
    await checkGradients((x) => gather(x as Tensor, index, 1), [draw([2, 4, 3])]);
    await checkGradients(
      (x, source) => scatterAdd(x as Tensor, index, source as Tensor, 1),
      [draw([2, 4, 3]), draw([2, 6, 3])],
    );
  });
});
