import { describe, expect, it } from 'vitest';
import { fillNormal, fillUniform, Generator, manualSeed } from '../../src/core/random.ts';
import { normal, rand, type Tensor } from '../../src/index.ts';
import { init } from '../../src/nn/index.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

const values = async (x: Tensor) => (await read(x))[0] as Float32Array;
const std = async (x: Tensor) => Math.sqrt((await values(x)).reduce((sum, value) => sum + value * value, 0) / x.size);

describe('initialisers', () => {
  it.for([
    ['xavierUniform', init.xavierUniform, Math.sqrt(2 / 300), 1],
    ['xavierNormal', init.xavierNormal, Math.sqrt(2 / 300), 1],
    ['kaimingUniform', init.kaimingUniform, Math.sqrt(2 / 200), Math.SQRT2],
    ['kaimingNormal', init.kaimingNormal, Math.sqrt(2 / 200), Math.SQRT2],
  ] as const)('%s has its standard deviation', async ([, make, wanted, gain]) => {
    expect((await std(make([100, 200]))) / wanted).toBeCloseTo(1, 1);
    expect((await std(make([100, 200], { gain: 3 * gain }))) / wanted / 3).toBeCloseTo(1, 1);
    // Dimensions beyond two belong to both fans.
    expect((await std(make([20, 40, 5]))) / wanted).toBeCloseTo(1, 1);
  });

  it.for([
    [3, 8],
    [8, 3],
    [40, 40],
  ] as const)('orthogonal [%i, %i] has orthonormal rows or columns', async ([rows, columns]) => {
    const data = await values(init.orthogonal([rows, columns], { gain: 2 }));
    const at = (vector: number, i: number) =>
      (rows <= columns ? data[vector * columns + i] : data[i * columns + vector]) as number;
    const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)];
    for (let a = 0; a < count; a++) {
      for (let b = 0; b < count; b++) {
        let inner = 0;
        for (let i = 0; i < length; i++) inner += at(a, i) * at(b, i);
        expect(inner).toBeCloseTo(a === b ? 4 : 0, 5);
      }
    }
  });

  it('repeat with the seed, from the default generator or their own', async () => {
    manualSeed(5);
    const first = await values(init.normal([10]));
    expect(await values(init.normal([10]))).not.toEqual(first);
    manualSeed(5);
    expect(await values(init.normal([10]))).toEqual(first);
    expect(await values(init.normal([10], { generator: new Generator(5) }))).toEqual(first);
    expect(await values(init.orthogonal([2, 5], { generator: new Generator(5) }))).toEqual(
      await values(init.orthogonal([2, 5], { generator: new Generator(5) })),
    );
  });

  it('give the same numbers whenever they are read, also after the generator went on', async () => {
    manualSeed(5);
    const [early, earlyToo] = [await values(init.normal([10])), await values(init.uniform([3]))];
    manualSeed(5);
    const [late, lateToo] = [init.normal([10]), init.uniform([3])];
    manualSeed(6);
    expect([await values(lateToo), await values(late)]).toEqual([earlyToo, early]);
  });

  it('fill with constants', async () => {
    expect(await values(init.zeros([2]))).toEqual(Float32Array.of(0, 0));
    expect(await values(init.ones([2]))).toEqual(Float32Array.of(1, 1));
    expect(await values(init.constant([2], 0.5))).toEqual(Float32Array.of(0.5, 0.5));
  });

  it('are the numbers of the ops, and of the host', async () => {
    for (const size of [1, 7, 64, 5000]) {
      const own = () => ({ generator: new Generator(9) });
      const bounds = { low: -0.3, high: 0.7 };
      const moments = { mean: 0.5, std: 3 };
      const [drawn, made, normals, madeNormals] = (await read(
        init.uniform([size], { ...bounds, ...own() }),
        rand([size], { ...bounds, ...own() }),
        init.normal([size], { ...moments, ...own() }),
        normal([size], { ...moments, ...own() }),
      )) as [Float32Array, Float32Array, Float32Array, Float32Array];
      expect(drawn).toEqual(fillUniform(new Float32Array(size), -0.3, 0.7, new Generator(9)));
      expect(made).toEqual(drawn);
      expect(madeNormals).toEqual(normals);
      const host = fillNormal(new Float32Array(size), 0.5, 3, new Generator(9));
      for (const [i, value] of host.entries())
        expect(Math.abs((normals[i] as number) - value)).toBeLessThan(1e-6 * Math.max(3, Math.abs(value)));
    }
  });
});
