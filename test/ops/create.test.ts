import { describe, expect, it } from 'vitest';
import type { DType } from '../../src/core/dtype.ts';
import { arange, DTypeError, full, parameter, ShapeError, type Tensor, tensor, ValueError } from '../../src/index.ts';
import { Buffer } from '../../src/nn/index.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

/** What a tensor is, values included, without a device. */
const shown = ({ dtype, shape, host }: Tensor) => ({ dtype, shape, values: [...(host ?? [])] });
const thrown = (call: () => unknown) => {
  try {
    return call();
  } catch (error) {
    return error;
  }
};

describe('tensor', () => {
  it('converts numbers to a dtype as cast does', async () => {
    const numbers = [0, 0.5, -0.5, 1, 2.75, -0, 1e-30, 7];
    for (const dtype of ['f32', 'i32', 'u32', 'bool'] as const satisfies DType[]) {
      const [made, cast] = await read(tensor(numbers, { dtype }), tensor(numbers).cast(dtype));
      // Mesa flushes subnormal numbers and the sign of zero is not looked at.
      expect(
        [...(made ?? [])].map((value) => value + 0),
        dtype,
      ).toEqual([...(cast ?? [])].map((value) => value + 0));
    }
    expect(shown(tensor([0.5], { dtype: 'bool' })).values).toEqual([1]);
    expect(shown(tensor([Number.NaN, Infinity], { dtype: 'bool' })).values).toEqual([1, 1]);
  });

  it.for([
    ['Float32Array', Float32Array.of(1.5, -2), 'f32', [1.5, -2]],
    ['Float64Array', Float64Array.of(1.5, -2), 'f32', [1.5, -2]],
    ['Int32Array', Int32Array.of(1, -2), 'i32', [1, -2]],
    ['Uint32Array', Uint32Array.of(1, 2 ** 32 - 1), 'u32', [1, 2 ** 32 - 1]],
    ['Int16Array', Int16Array.of(1, -2), 'f32', [1, -2]],
    ['Uint16Array', Uint16Array.of(1, 65535), 'f32', [1, 65535]],
    ['Int8Array', Int8Array.of(1, -2), 'f32', [1, -2]],
    ['Uint8Array', Uint8Array.of(1, 255), 'f32', [1, 255]],
    ['Uint8ClampedArray', Uint8ClampedArray.of(1, 300), 'f32', [1, 255]],
    ['numbers', [1.5, -2], 'f32', [1.5, -2]],
    ['booleans', [true, false], 'bool', [1, 0]],
    ['numbers and booleans', [true, 2], 'f32', [1, 2]],
  ] as const)('takes %s', ([, values, dtype, elements]) => {
    expect(shown(tensor(values as Float32Array))).toEqual({ dtype, shape: [2], values: elements });
  });

  it('copies what it is given', () => {
    for (const values of [Float32Array.of(1), Int32Array.of(1), Uint32Array.of(1), Float64Array.of(1), [1]]) {
      const made = tensor(values);
      values[0] = 7;
      expect(made.host?.[0]).toBe(1);
    }
    const [start, part] = [Float32Array.of(1, 2), new Float32Array([9, 1, 2, 9]).subarray(1, 3)];
    const [w, b] = [parameter(start), new Buffer(start)];
    const view = tensor(part);
    start.fill(9);
    part.fill(9);
    expect([w, b].map(({ version }) => [...(version.host ?? [])])).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect([...(view.host ?? [])]).toEqual([1, 2]);
  });

  it.for<readonly [what: string, values: unknown, type: new (message?: string) => Error, message: string]>([
    ['64-bit integers', BigInt64Array.of(1n), DTypeError, 'a BigInt64Array holds no numbers of a type that weft has'],
    ['unsigned 64-bit integers', BigUint64Array.of(1n), DTypeError, 'a BigUint64Array holds no numbers'],
    ['a DataView', new DataView(new ArrayBuffer(8)), DTypeError, 'a DataView holds no numbers'],
    ['an ArrayBuffer', new ArrayBuffer(8), DTypeError, 'the value is a ArrayBuffer'],
    ['texts', ['1'], DTypeError, 'the value at [0] is a string'],
    ['bigints', [1n], DTypeError, 'the value at [0] is a bigint'],
    ['holes', [1, undefined], DTypeError, 'the value at [1] is undefined'],
    ['null', [[null]], DTypeError, 'the value at [0, 0] is null'],
    ['nothing', undefined, DTypeError, 'the value is undefined'],
    ['a tensor', tensor([1]), DTypeError, 'the value is a tensor'],
    ['tensors', [tensor([1])], DTypeError, 'the value at [0] is a tensor, which stack() and concat() take'],
    ['rows of two lengths', [[1, 2], [3]], ShapeError, 'one row has shape [2], another [1], at [1]'],
    ['a row and a number', [[1], 2], ShapeError, 'one row has shape [1], another [], at [1]'],
    ['a number and a row', [1, [2]], ShapeError, 'one row has shape [], another [1], at [1]'],
    ['no values', [], ShapeError, 'every extent must be a positive integer'],
    ['typed arrays in an array', [Float32Array.of(1)], DTypeError, 'the value at [0] is a Float32Array'],
  ])('refuses %s', ([, values, type, message]) => {
    const error = thrown(() => tensor(values as number[]));
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message).toContain(message);
  });

  it.for<readonly [values: number[] | Float32Array | Uint32Array, dtype: DType]>([
    [[3e9], 'i32'],
    [[-1], 'u32'],
    [[Number.NaN], 'i32'],
    [Float32Array.of(Infinity), 'u32'],
    [Uint32Array.of(2 ** 31), 'i32'],
  ])('refuses %o as %s, which can not hold it', ([values, dtype]) => {
    expect(() => tensor(values, { dtype })).toThrow(ValueError);
    expect(() => tensor(values, { dtype })).toThrow(`[tensor] ${dtype} can't hold`);
  });
});

describe('arrays of the caller', () => {
  const x = () =>
    tensor(
      Float32Array.from({ length: 6 }, (_, i) => i),
      { shape: [2, 3] },
    );
  const calls: readonly (readonly [what: string, array: number[][] | number[], call: (array: never) => Tensor])[] = [
    ['reshape', [3, 2], (shape) => x().reshape(shape)],
    ['permute', [1, 0], (order) => x().permute(order)],
    [
      'slice',
      [
        [0, 1],
        [1, 3],
      ],
      (ranges) => x().slice(ranges),
    ],
    ['expand', [2, 2, 3], (shape) => x().expand(shape)],
    [
      'pad',
      [
        [1, 0],
        [0, 1],
      ],
      (widths) => x().pad(widths, 7),
    ],
    ['split', [1, 2], (extents) => x().split(extents, 1)[1] as Tensor],
    ['flip', [0, 1], (axes) => x().flip(axes)],
    ['sum', [0, 1], (axes) => x().sum(axes)],
    ['full', [2, 2], (shape) => full(shape, 3)],
    ['tensor', [3, 2], (shape) => tensor([1, 2, 3, 4, 5, 6], { shape })],
  ];

  it('are held by no function: they may change before the value is computed', async () => {
    const spoil = (array: (number | number[])[]) => {
      for (const [i, item] of array.entries()) {
        if (Array.isArray(item)) spoil(item);
        else array[i] = item + 1;
      }
    };
    const results = calls.flatMap(([, array, call]) => {
      const [kept, spoiled] = [structuredClone(array), structuredClone(array)];
      const pair = [call(kept as never), call(spoiled as never)];
      spoil(spoiled);
      return pair;
    });
    const values = await read(...results);
    for (const [i, [what]] of calls.entries()) {
      expect(results[2 * i + 1]?.shape, what).toEqual(results[2 * i]?.shape);
      expect(values[2 * i + 1], what).toEqual(values[2 * i]);
    }
  });
});

describe('arange', () => {
  it('is of integers where start, stop and step are, else f32', () => {
    expect(shown(arange(4))).toEqual({ dtype: 'i32', shape: [4], values: [0, 1, 2, 3] });
    expect(shown(arange(5, 1, -2))).toEqual({ dtype: 'i32', shape: [2], values: [5, 3] });
    expect(shown(arange(0, 1, 0.25))).toEqual({ dtype: 'f32', shape: [4], values: [0, 0.25, 0.5, 0.75] });
    expect(shown(arange(0.5, 3))).toEqual({ dtype: 'f32', shape: [3], values: [0.5, 1.5, 2.5] });
    expect(shown(arange(2.5))).toEqual({ dtype: 'f32', shape: [3], values: [0, 1, 2] });
    expect(shown(arange(0, 1, 0.1)).values).toEqual([...Float32Array.from({ length: 10 }, (_, i) => i * 0.1)]);
  });

  it('has the dtype that is asked for, where that can hold the numbers', () => {
    expect(shown(arange(0, 3, 1, 'f32'))).toEqual({ dtype: 'f32', shape: [3], values: [0, 1, 2] });
    expect(shown(arange(0, 2.5, 1, 'u32'))).toEqual({ dtype: 'u32', shape: [3], values: [0, 1, 2] });
    expect(shown(arange(0, 3, 1, 'bool'))).toEqual({ dtype: 'bool', shape: [3], values: [0, 1, 1] });
    expect(() => arange(0, 1, 0.25, 'i32')).toThrow('[arange] from 0 in steps of 0.25 the numbers are no integers');
    expect(() => arange(-2, 2, 1, 'u32')).toThrow("[arange] u32 can't hold -2");
    expect(() => arange(2 ** 31, 2 ** 31 + 2)).toThrow("[arange] i32 can't hold 2147483648");
    expect(() => arange(0, 1, 0)).toThrow('[arange] from 0 to 1 in steps of 0 there is no end of numbers');
    expect(() => arange(3, 1, 1, 'f16' as DType)).toThrow(ValueError);
    expect(() => arange(0, 1, 1, 'f16' as DType)).toThrow("[arange] there is no dtype 'f16'");
  });
});

describe('parameter and Buffer', () => {
  it('take what tensor takes, and so does assign', async () => {
    const [w, b] = [parameter([[1, 2]]), new Buffer(Int32Array.of(3))];
    expect([w.shape, w.dtype, b.shape, b.dtype]).toEqual([[1, 2], 'f32', [1], 'i32']);
    w.assign([[3, 4]]);
    b.assign(Int32Array.of(5));
    expect(await read(w, b)).toEqual([Float32Array.of(3, 4), Int32Array.of(5)]);
    expect(() => parameter([true])).toThrow("[parameter] must be f32, got bool; use .cast('f32')");
    expect(() => w.assign([3, 4])).toThrow('[assign] parameter has shape [1, 2], the value [2]');
  });

  it('leave the tensor that they start with alone', async () => {
    announceReads(2);
    const start = tensor([1, 2]);
    for (const state of [parameter(start), new Buffer(start)]) {
      state.assign(state.mul(10));
      await state.data();
    }
    expect(await start.array()).toEqual([1, 2]);
  });
});
