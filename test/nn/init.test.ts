import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.ts';
import { init } from '../../src/nn/index.ts';
import { Generator, manualSeed } from '../../src/random.ts';

const values = (x: Tensor) => x.host as Float32Array;
const std = (x: Tensor) => Math.sqrt(values(x).reduce((sum, value) => sum + value * value, 0) / x.size);

describe('initialisers', () => {
  it.for([
    ['xavierUniform', init.xavierUniform, Math.sqrt(2 / 300), 1],
    ['xavierNormal', init.xavierNormal, Math.sqrt(2 / 300), 1],
    ['kaimingUniform', init.kaimingUniform, Math.sqrt(2 / 200), Math.SQRT2],
    ['kaimingNormal', init.kaimingNormal, Math.sqrt(2 / 200), Math.SQRT2],
  ] as const)('%s has its standard deviation', ([, make, wanted, gain]) => {
    expect(std(make([100, 200])) / wanted).toBeCloseTo(1, 1);
    expect(std(make([100, 200], { gain: 3 * gain })) / wanted / 3).toBeCloseTo(1, 1);
    // Dimensions beyond two belong to both fans.
    expect(std(make([20, 40, 5])) / wanted).toBeCloseTo(1, 1);
  });

  it.for([
    [3, 8],
    [8, 3],
    [40, 40],
  ] as const)('orthogonal [%i, %i] has orthonormal rows or columns', ([rows, columns]) => {
    const data = values(init.orthogonal([rows, columns], { gain: 2 }));
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

  it('repeat with the seed, from the default generator or their own', () => {
    manualSeed(5);
    const first = values(init.normal([10]));
    expect(values(init.normal([10]))).not.toEqual(first);
    manualSeed(5);
    expect(values(init.normal([10]))).toEqual(first);
    expect(values(init.normal([10], { generator: new Generator(5) }))).toEqual(first);
    expect(values(init.orthogonal([2, 5], { generator: new Generator(5) }))).toEqual(
      values(init.orthogonal([2, 5], { generator: new Generator(5) })),
    );
  });

  it('give the same numbers whenever they are read, also after the generator went on', () => {
    manualSeed(5);
    const [early, earlyToo] = [values(init.normal([10])), values(init.uniform([3]))];
    manualSeed(5);
    const [late, lateToo] = [init.normal([10]), init.uniform([3])];
    manualSeed(6);
    expect([values(lateToo), values(late)]).toEqual([earlyToo, early]);
  });

  it('fill with constants', () => {
    expect(values(init.zeros([2]))).toEqual(Float32Array.of(0, 0));
    expect(values(init.ones([2]))).toEqual(Float32Array.of(1, 1));
    expect(values(init.constant([2], 0.5))).toEqual(Float32Array.of(0.5, 0.5));
  });
});
