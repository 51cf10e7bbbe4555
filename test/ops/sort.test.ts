import { describe, expect, it } from 'vitest';
import { argsort, compile, Generator, manualSeed, randperm, sort, type Tensor, tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawApart, drawIds } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('sort agrees with PyTorch', async () => {
  it.for(await goldenCases('index', /^sort/))('$name', ({ load }) =>
    checkGolden(load(), ({ x }, { axis, descending }) => ({
      ...sort(x as Tensor, axis as number, { descending: descending as boolean }),
    })),
  );
});

describe('sort', () => {
  it.for([
    [[1], 0],
    [[33], -1],
    [[5, 257], 1],
    [[70, 3], 0],
    [[2, 31, 4], 1],
    [[2, 3000], -1],
  ] as const)('%j along axis %i', async ([shape, axis]) => {
    const up = sort(draw(shape), axis);
    const down = sort(drawIds(shape, 50), axis, { descending: true });
    await check(up.values, up.indices, down.values, down.indices);
  });

  it('keeps the order of equals, and has NaN behind infinity', async () => {
    const x = tensor([2, Number.NaN, -0, Infinity, 2, 0, -Infinity, Number.NaN]);
    const [up, down] = await read(x.argsort(), argsort(x, 0, { descending: true }));
    expect([...(up ?? [])]).toEqual([6, 2, 5, 0, 4, 3, 1, 7]);
    expect([...(down ?? [])]).toEqual([1, 7, 3, 0, 4, 2, 5, 6]);
    const { values } = x.sort();
    // Zeros keep their signs.
    expect([...((await read(values))[0] ?? [])].slice(0, 4)).toEqual([-Infinity, -0, 0, 2]);
  });

  it('brings NaN to the end of rows of many chunks', async () => {
    const values = Float32Array.from({ length: 5000 }, (_, i) => (i * 7919) % 5000);
    for (const i of [4999, 5, 2500]) values[i] = Number.NaN;
    const [order] = await read(argsort(tensor(values)));
    expect([...(order ?? [])].slice(-3)).toEqual([5, 2500, 4999]);
  });

  it('has the gradient that differences show, and a second one', async () => {
    await checkGradients((x) => sort(x as Tensor, 0).values.square(), [drawApart([4, 7])]);
    await checkGradients((x) => sort(x as Tensor, 1, { descending: true }).values, [drawApart([4, 7])]);
  });

  it('of a row that fits a workgroup is one dispatch, of a longer one another for each doubling', async () => {
    const counts = async (n: number) => {
      const plan = await compile((x: Tensor) => sort(x).values).prepare(draw([2, n]));
      return plan.summary().dispatches;
    };
    const device = [await counts(16), await counts(2048), await counts(2049), await counts(5000)];
    expect([
      [1, 1, 2, 3],
      [1, 8, 9, 10],
    ]).toContainEqual(device);
  });

  it('says what it does not take', () => {
    expect(() => sort(tensor(1))).toThrow('[sort] the input must have rank at least 1');
    expect(() => argsort(draw([2, 3]), 2)).toThrow('[argsort] axis 2 is out of range for a tensor of rank 2');
    expect(() => sort(draw([2]).greater(0))).toThrow('[sort] the input must be f32 or i32 or u32, got bool');
  });
});

describe('randperm', () => {
  it.for([1, 2, 65, 5000])('of %i holds each once', async (n) => {
    const [values] = await read(randperm(n));
    expect([...(values ?? [])].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
  });

  it('has all orders of three about equally often, and the same with the same seed', async () => {
    manualSeed(7);
    const times = 600;
    const drawn = await read(...Array.from({ length: times }, () => randperm(3)));
    const counts = Object.values(Object.groupBy(drawn, (each) => [...each].join())).map((same) => same?.length ?? 0);
    expect(counts.length).toBe(6);
    // χ² with 5 degrees of freedom stays below 25.7 but for one seed in ten thousand.
    const expected = times / 6;
    expect(counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)).toBeLessThan(25.7);
    const seeded = () => randperm(50, { generator: new Generator(3) });
    const [a, b] = await read(seeded(), seeded());
    expect(a).toEqual(b);
  });

  it('is drawn anew at each call of a step', async () => {
    const step = compile(() => randperm(64));
    const [a, b] = await read(await step(), await step());
    expect(a).not.toEqual(b);
  });

  it('needs a count', () => expect(() => randperm(0)).toThrow('[randperm] n must be a positive integer, got 0'));
});
