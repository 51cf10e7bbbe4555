import { describe, expect, it } from 'vitest';
import { add, DTypeError, div, full, pad, type Tensor, tensor, ValueError, where, zeros } from '../../src/index.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

/** Every way for a number to meet a tensor. */
const meetings: Readonly<Record<string, (x: Tensor, value: number) => Tensor>> = {
  add: (x, value) => x.add(value),
  sub: (x, value) => x.sub(value),
  mul: (x, value) => x.mul(value),
  div: (x, value) => x.div(value),
  maximum: (x, value) => x.maximum(value),
  minimum: (x, value) => x.minimum(value),
  equal: (x, value) => x.equal(value),
  notEqual: (x, value) => x.notEqual(value),
  less: (x, value) => x.less(value),
  lessEqual: (x, value) => x.lessEqual(value),
  greater: (x, value) => x.greater(value),
  greaterEqual: (x, value) => x.greaterEqual(value),
  'add to the number': (x, value) => add(value, x),
  'divide the number': (x, value) => div(value, x),
  where: (x, value) => where(x.greater(0), x, value),
  'where first': (x, value) => where(x.greater(0), value, x),
  pad: (x, value) => pad(x, [[1, 0]], value),
  full: (x, value) => full([2], value, x.dtype),
};

describe('a number that meets integers', () => {
  const [i32, u32] = [() => zeros([2], 'i32'), () => zeros([2], 'u32')];

  it.for(Object.entries(meetings))('must be whole and in range: %s', ([, meet]) => {
    for (const value of [0.5, NaN, Infinity, -Infinity]) {
      expect(() => meet(i32(), value)).toThrow(DTypeError);
      expect(() => meet(u32(), value)).toThrow(DTypeError);
    }
    for (const value of [2 ** 31, -(2 ** 31) - 1]) expect(() => meet(i32(), value)).toThrow(ValueError);
    for (const value of [2 ** 32, -1]) expect(() => meet(u32(), value)).toThrow(ValueError);
  });

  it('may be the least and the greatest of the type', async () => {
    const [least, greatest, most] = [-(2 ** 31), 2 ** 31 - 1, 2 ** 32 - 1];
    const values = await read(
      i32().add(least),
      i32().add(greatest),
      u32().maximum(most),
      full([2], least, 'i32'),
      full([2], most, 'u32'),
    );
    expect(values.map(([first]) => first)).toEqual([least, greatest, most, least, most]);
  });

  it('limits as much as the type holds', async () => {
    const [x, y] = [tensor(Uint32Array.of(5, 50)), tensor(Int32Array.of(-5, 5))];
    const values = await read(
      x.clamp(-1, 10),
      x.clamp(-5, -1),
      x.clamp(10, Infinity),
      y.clamp(-Infinity, 1e12),
      y.clamp(-1e12, 0),
    );
    expect(values.map((each) => [...each])).toEqual([
      [5, 10],
      [0, 0],
      [10, 50],
      [-5, 5],
      [-5, 0],
    ]);
    expect(() => x.clamp(0.5, 2)).toThrow(DTypeError);
    expect(() => x.clamp(NaN, 2)).toThrow(ValueError);
  });
});

describe('numbers that are not finite', () => {
  const x = () => tensor([-Infinity, -1, 0, 2, Infinity, NaN]);
  const list = async (...tensors: Tensor[]) => (await read(...tensors)).map((values) => [...values]);

  it('are told apart', async () => {
    expect(
      await list(x().isNaN(), x().isInf(), x().isFinite(), x().equal(Infinity), x().notEqual(x()), x().equal(NaN)),
    ).toEqual([
      [0, 0, 0, 0, 0, 1],
      [1, 0, 0, 0, 1, 0],
      [0, 1, 1, 1, 0, 0],
      [0, 0, 0, 0, 1, 0],
      [0, 0, 0, 0, 0, 1],
      [0, 0, 0, 0, 0, 0],
    ]);
    const itself = x();
    expect(await list(itself.notEqual(itself), itself.equal(itself))).toEqual([
      [0, 0, 0, 0, 0, 1],
      [1, 1, 1, 1, 1, 0],
    ]);
  });

  it('are values like others', async () => {
    const masked = where(tensor([true, false, true]), -Infinity, tensor([1, 2, 3]));
    expect(
      await list(
        full([1], Infinity),
        full([1], -Infinity),
        full([1], NaN),
        full([1], 1e39),
        masked,
        masked.softmax(),
        pad(tensor([1]), [[1, 0]], -Infinity),
        full([2], 1).div(0),
        full([1], 3e38).mul(3e38),
        full([1], 2 ** 31 - 1, 'i32').add(1),
      ),
    ).toEqual([
      [Infinity],
      [-Infinity],
      [NaN],
      [Infinity],
      [-Infinity, 2, -Infinity],
      [0, 1, 0],
      [-Infinity, 1],
      [Infinity, Infinity],
      [Infinity],
      [-(2 ** 31)],
    ]);
  });

  // 0 and the value itself are constants that compilers fold with.
  it('go through products with 0, differences and quotients', async () => {
    const values = x();
    const same = [NaN, 0, 0, 0, NaN, NaN];
    expect(await list(values.mul(0), values.sub(values), div(0, values), values.div(values))).toEqual([
      same.map((value) => (value === 0 ? expect.closeTo(0) : value)),
      same,
      [0, 0, NaN, 0, 0, NaN].map((value) => (value === 0 ? expect.closeTo(0) : value)),
      [NaN, 1, NaN, 1, NaN, NaN],
    ]);
  });

  it('come out of powers, logarithms and roots', async () => {
    const of = (...values: number[]) => tensor(values);
    expect(
      await list(
        of(0, 0, 0, -2, -2, 2).pow(of(-1, 0, 2, 3, 0.5, Infinity)),
        of(0, -1, Infinity).log(),
        of(-1, Infinity).sqrt(),
        of(1000, -1000).exp(),
        of(1, Infinity, NaN, -1).pow(of(NaN, -1, 0, Infinity)),
      ),
    ).toEqual([
      [Infinity, 1, 0, expect.closeTo(-8), NaN, Infinity],
      [-Infinity, NaN, Infinity],
      [NaN, Infinity],
      [Infinity, 0],
      [1, 0, 1, 1],
    ]);
  });

  it('are the greatest and the least of themselves', async () => {
    const nothing = full([4], -Infinity);
    const some = tensor([3, NaN, 5, NaN]);
    expect(
      await list(
        nothing.max(),
        nothing.neg().min(),
        nothing.logSumExp(),
        some.max(),
        some.min(),
        some.argMax(),
        some.argMin(),
        nothing.argMax(),
        some.topK(3).values,
        some.topK(3).indices,
      ),
    ).toEqual([[-Infinity], [Infinity], [-Infinity], [NaN], [NaN], [1], [1], [0], [NaN, NaN, 5], [1, 3, 2]]);
  });

  it('become integers and booleans by one rule', async () => {
    expect(await list(x().cast('u32'), x().cast('bool'), full([1], NaN).cast('i32'))).toEqual([
      [0, 0, 0, 2, expect.closeTo(2 ** 32, -9), 0],
      [1, 1, 0, 1, 1, 1],
      [0],
    ]);
  });
});
