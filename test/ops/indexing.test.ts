import { describe, it } from 'vitest';
import { cumsum, gather, iota, oneHot, scatterAdd, type Tensor, tensor, topK, tril, triu } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawApart, drawIds } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('indexing agrees with PyTorch', async () => {
  // An index with fewer rows than the tensor is PyTorch's alone: gather slices first, and scatterAdd_1 is left out.
  it.for(await goldenCases('index', /^(gather|scatterAdd_[02]|oneHot|topK)/))('$name', ({ load }) =>
    checkGolden(load(), ({ x, ids, source }, { axis, classes, k, largest }, name) => {
      if (name.startsWith('gather')) {
        const rows = (x as Tensor).slice((ids as Tensor).shape.map((extent, i) => (i === axis ? null : [0, extent])));
        return { y: gather(rows, ids as Tensor, axis as number) };
      }
      if (name.startsWith('scatterAdd'))
        return { y: scatterAdd(x as Tensor, ids as Tensor, source as Tensor, axis as number) };
      if (name.startsWith('oneHot')) return { y: oneHot(ids as Tensor, classes as number).cast('i32') };
      return { ...topK(x as Tensor, k as number, { largest: largest as boolean }) };
    }),
  );
  it.for(await goldenCases('reduce', /^cumsum/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { axis, reverse }) => ({
      y: cumsum(x as Tensor, axis as number, { reverse: reverse as boolean }),
    })),
  );
  it.for(await goldenCases('view', /^tri/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { diagonal }, name) => ({
      y: (name.startsWith('tril') ? tril : triu)(x as Tensor, diagonal as number),
    })),
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

describe('cumsum', () => {
  it.for([
    { shape: [1], axis: 0 },
    { shape: [2, 257], axis: 1 },
    { shape: [65, 3], axis: 0 },
    { shape: [2, 33, 5], axis: 1 },
    { shape: [3, 2100], axis: 1 },
  ])('$shape along $axis, both ways', async ({ shape, axis }) => {
    await check(
      cumsum(draw(shape), axis),
      cumsum(draw(shape), axis, { reverse: true }),
      cumsum(drawIds(shape, 50), axis),
    );
  });
  it('has the gradient that differences show', () =>
    checkGradients((x) => [cumsum(x as Tensor, 1), cumsum(x as Tensor, 0, { reverse: true })], [draw([3, 4])]));
});

describe('topK', () => {
  it.for([
    [1, 1, 1],
    [3, 33, 2],
    [2, 64, 64],
    [5, 257, 31],
    [2, 300, 129],
    [1, 5000, 3],
  ] as const)('[%i, %i], k %i', async ([rows, n, k]) => {
    const { values, indices } = topK(draw([rows, n]), k, { largest: n % 2 === 1 });
    await check(values, indices);
  });
  it('takes the first of equals', () => {
    const { values, indices } = topK(tensor([2, 5, 5, 1, 5]), 4);
    return check(values, indices);
  });
  it('has the gradient that differences show', () =>
    checkGradients((x) => topK(x as Tensor, 3).values, [drawApart([4, 7])]));
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
