import { describe, expect, it } from 'vitest';
import { collate, DTypeError, ones, ShapeError, type Tensor, tensor, ValueError } from '../../src/index.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

/** Shape, type and values of a tensor that lies on the host. */
const shown = ({ shape, dtype, host }: Tensor) => ({ shape, dtype, values: [...(host ?? [])] });

describe('collate', () => {
  it('makes tensors of numbers, booleans, typed arrays and tensors, and leaves texts as they are', () => {
    expect(shown(collate([1, 2.5, 3]))).toEqual({ shape: [3], dtype: 'f32', values: [1, 2.5, 3] });
    expect(shown(collate([true, false]))).toEqual({ shape: [2], dtype: 'bool', values: [1, 0] });
    expect(shown(collate([Int32Array.of(1, 2), Int32Array.of(3, 4)]))).toEqual({
      shape: [2, 2],
      dtype: 'i32',
      values: [1, 2, 3, 4],
    });
    // Both are f32 in weft.
    expect(shown(collate<ArrayBufferView>([Uint8Array.of(7), Float64Array.of(0.5)]))).toEqual({
      shape: [2, 1],
      dtype: 'f32',
      values: [7, 0.5],
    });
    const rows = [tensor([[1, 2, 3]]), tensor([[4, 5, 6]])];
    expect(shown(collate(rows))).toEqual({ shape: [2, 1, 3], dtype: 'f32', values: [1, 2, 3, 4, 5, 6] });
    expect(shown(collate([tensor([true]), tensor([false])]))).toEqual({ shape: [2, 1], dtype: 'bool', values: [1, 0] });
    expect(collate(['a', 'b'])).toEqual(['a', 'b']);
  });

  it('takes arrays and objects apart, and gives one structure of batches', () => {
    const samples = [1, 2].map((i) => [{ x: Float32Array.of(i, -i), name: `s${i}` }, i] as const);
    const [{ x, name }, y] = collate(samples);
    expect(shown(x)).toEqual({ shape: [2, 2], dtype: 'f32', values: [1, -1, 2, -2] });
    expect(name).toEqual(['s1', 's2']);
    expect(shown(y).values).toEqual([1, 2]);
  });

  it('copies what it is given', () => {
    const sample = Float32Array.of(1);
    const batch = collate([sample]);
    sample[0] = 2;
    expect(shown(batch).values).toEqual([1]);
  });

  it('stacks tensors that lie on the device where they are', async () => {
    const batch = collate([ones([2]).mul(3), tensor([1, 2])]);
    expect(batch.shape).toEqual([2, 2]);
    expect(await read(batch)).toEqual([Float32Array.of(3, 3, 1, 2)]);
  });

  it.each([
    ['lengths', [Float32Array.of(1, 2), Float32Array.of(1)], ShapeError, 'sample 1 has 1 elements, sample 0 has 2'],
    ['arrays', [[1, 2], [1, 2], [1]], ShapeError, 'sample 2 has 1 elements, sample 0 has 2'],
    ['shapes', [{ x: ones([2, 1]) }, { x: ones([1, 2]) }], ShapeError, 'sample 1 has [1, 2] as its shape at x, sample'],
    [
      'types',
      [[Int32Array.of(1)], [Float32Array.of(1)]],
      DTypeError,
      'sample 1 has f32 values at [0], sample 0 has i32',
    ],
    ['types of tensors', [tensor([1]), tensor([true])], DTypeError, 'sample 1 has bool values, sample 0 has f32'],
    [
      'names',
      [
        { a: 1, b: 2 },
        { a: 1, c: 2 },
      ],
      ShapeError,
      'sample 1 has a, c as the names of its parts, sample 0 has a, b',
    ],
    ['kinds', [[[1]], [['1']]], DTypeError, "sample 1 has '1' at [0][0] where sample 0 has a number"],
    [
      'what is left out',
      [{ a: { b: [1] } }, { a: { b: [undefined] } }],
      DTypeError,
      'sample 1 has undefined at a.b[0]',
    ],
  ])('names the sample that differs in %s', (_, samples, error, message) => {
    expect(() => collate(samples as unknown[])).toThrow(error);
    expect(() => collate(samples as unknown[])).toThrow(`[collate] ${message}`);
  });

  it('says what it can make no batch of', () => {
    expect(() => collate([])).toThrow('[collate] there are no samples');
    expect(() => collate([[new Date()]])).toThrow(ValueError);
    expect(() => collate([[null]])).toThrow("[collate] sample 0 has null at [0], which can't become part of a batch");
    expect(() => collate([BigInt64Array.of(1n)])).toThrow(ValueError);
    expect(() => collate([new Float32Array(0)])).toThrow(ShapeError);
    const loop: unknown[] = [];
    loop.push(loop);
    expect(() => collate([loop])).toThrow('more than 64 deep');
  });
});
