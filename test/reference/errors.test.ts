import { describe, expect, it } from 'vitest';
import * as weft from '../../src/index.ts';
import { type Tensor, tensor } from '../../src/index.ts';
import { expectClose, sumError, unit } from '../support/compare.ts';
import { draw, drawIds } from '../support/draw.ts';
import { type Approximation, interpret } from './interpret.ts';

const bounded = (x: Tensor) => interpret([x], { errors: true })[0] as Approximation;
const largest = (values: Iterable<number>) => Math.max(...Array.from(values, Math.abs));

describe('the interpreter', () => {
  it('computes in float64 what the graph says', () => {
    const x = tensor([1, 2, 3]);
    expect([...bounded(x.mul(x).add(1)).value.data]).toEqual([2, 5, 10]);
    expect(bounded(x.div(3)).value.data[0]).toBe(1 / 3);
  });

  it('takes other values for leaves, and for values in the middle', () => {
    const x = tensor([1, 2]);
    const y = x.mul(2);
    const given = new Map([[y, { shape: [2], data: Float64Array.of(5, 6) }]]);
    expect([...(interpret([y.add(1)], { given })[0] as Approximation).value.data]).toEqual([6, 7]);
  });

  it('lets integers wrap', () => {
    const most = tensor(Int32Array.of(2147483647));
    expect(bounded(most.add(1)).value.data[0]).toBe(-2147483648);
    expect(bounded(tensor(Uint32Array.of(1)).sub(2)).value.data[0]).toBe(4294967295);
  });
});

describe('bounds of errors', () => {
  it('are none where nothing is rounded', () => {
    const x = draw([4, 6]);
    for (const y of [
      x.transpose(),
      x.relu(),
      x.max(1),
      x.slice([[1]]).flip(),
      x.argMax(0),
      x.greater(0),
      x.neg().abs(),
    ])
      expect(bounded(y).error).toBeNull();
  });

  it('are one rounding for a sum of two, and grow with the length of a longer one', () => {
    const [x, y] = [tensor([1, 100]), tensor([2, 200])];
    expect([...(bounded(x.add(y)).error?.data ?? [])]).toEqual([3 * unit, 300 * unit]);
    expect(bounded(draw([64], 1, 1).sum()).error?.data[0]).toBe(sumError(64, 64));
    expect(sumError(10, 1)).toBe(10 * unit);
    expect(sumError(10000, 1)).toBe(800 * unit);
  });

  it('follow an error to where a function is steep', () => {
    const x = tensor([3]).div(3);
    const [flat, steep] = [bounded(x.mul(1)), bounded(x.pow(50))];
    expect((steep.error?.data[0] as number) / (flat.error?.data[0] as number)).toBeGreaterThan(50);
  });

  it('make a step uncertain where it may fall on either side', () => {
    const x = tensor([3, 4]).div(3).mul(3);
    expect([...(bounded(x.greaterEqual(3)).error?.data ?? [])]).toEqual([1, 0]);
  });

  // A bound that allows anything proves nothing.
  it.for<readonly [string, () => Tensor, number]>([
    ['a chain', () => draw([50]).mul(2).tanh().add(1).exp(), 1e-4],
    ['matmul', () => draw([9, 64]).matmul(draw([64, 9])), 1e-4],
    ['softmax', () => draw([9, 64]).softmax(), 1e-4],
    ['layerNorm', () => weft.layerNorm(draw([9, 64])), 1e-4],
    ['crossEntropy', () => weft.crossEntropy(draw([9, 64]), drawIds([9], 64)), 1e-4],
    [
      'attention',
      () => weft.scaledDotProductAttention(draw([1, 2, 9, 8]), draw([1, 2, 9, 8]), draw([1, 2, 9, 8])),
      1e-4,
    ],
    ['lstm', () => weft.lstm(draw([9, 2, 32]), draw([2, 8]), draw([2, 8]), draw([32, 8], -0.3, 0.3)).output, 1e-3],
  ])('stay in proportion: %s', ([, make, most]) => {
    const { value, error } = bounded(make());
    expect(largest(error?.data ?? []) / largest(value.data)).toBeLessThan(most);
  });
});

describe('expectClose', () => {
  it('names the worst element, both numbers, and the seed', () => {
    expect(() => expectClose([1, 2.5, 3.1], [1, 2, 3], [0, 1e-3, 1e-3], 'y')).toThrow(
      /^y\[1\] of 3 is 2\.5, exactly 2: off by 5\.00e-1 absolute, 2\.50e-1 relative, allowed 1\.00e-3 \(.*WEFT_SEED=\d+\)/,
    );
  });
  it('takes NaN for wrong, and counts elements', () => {
    expect(() => expectClose([Number.NaN], [1], [Infinity])).toThrow('result[0] of 1 is NaN');
    expect(() => expectClose([1], [1, 2], [0, 0])).toThrow('number of elements');
  });
  it('knows sums', () => {
    expectClose([1 + 40 * unit], [1], { terms: 50, magnitude: 1 });
    expect(() => expectClose([1 + 60 * unit], [1], { terms: 50, magnitude: 1 })).toThrow('allowed');
  });
});
