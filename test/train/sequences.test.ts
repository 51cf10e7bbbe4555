import { describe, expect, it } from 'vitest';
import { bucketBatches, DataLoader, padSequences } from '../../src/index.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

describe('padSequences', () => {
  it('fills up to the longest, or further, and tells the lengths', async () => {
    const { values, lengths } = padSequences([[1, 2, 3], [4], Float32Array.of(5, 6)]);
    const longer = padSequences([Int32Array.of(7), [8, 9]], { value: -1, length: 3 });
    const ids = padSequences([[1], [2, 3]], { dtype: 'u32' });
    expect([values.shape, values.dtype, lengths.dtype]).toEqual([[3, 3], 'f32', 'i32']);
    expect([longer.values.dtype, ids.values.dtype]).toEqual(['i32', 'u32']);
    const [a, b, c] = await read(values, lengths, longer.values);
    expect([...(a ?? [])]).toEqual([1, 2, 3, 4, 0, 0, 5, 6, 0]);
    expect([...(b ?? [])]).toEqual([3, 1, 2]);
    expect([...(c ?? [])]).toEqual([7, -1, -1, 8, 9, -1]);
  });

  it('says what it does not take', () => {
    expect(() => padSequences([])).toThrow('[padSequences] there are no sequences');
    expect(() => padSequences([[1], []])).toThrow('[padSequences] sequence 1 is empty');
    expect(() => padSequences([[1, 2, 3]], { length: 2 })).toThrow(
      '[padSequences] sequence 0 has 3 elements, more than the length, 2; cut it',
    );
    expect(() => padSequences(['ab' as never])).toThrow(
      "[padSequences] sequence 0 must be an array of numbers, got 'ab'",
    );
  });
});

describe('bucketBatches', () => {
  const samples = Array.from({ length: 23 }, (_, i) => 'x'.repeat(1 + ((i * 7) % 5)));

  it('has each sample once, and samples of about one length together', () => {
    const batches = bucketBatches(samples, { batchSize: 4 });
    expect(batches.map(({ length }) => length)).toEqual([4, 4, 4, 4, 4, 3]);
    expect(batches.flat().sort()).toEqual([...samples].sort());
    const lengths = batches.flat().map(({ length }) => length);
    expect(lengths).toEqual([...lengths].sort());
  });

  it('repeats with its seed, and mixes what is of one length', () => {
    const numbers = Array.from({ length: 40 }, (_, i) => [i]);
    const batches = (seed: number) => bucketBatches(numbers, { batchSize: 8, seed }).map((batch) => batch.flat());
    expect(batches(1)).toEqual(batches(1));
    expect(batches(1)).not.toEqual(batches(2));
    expect(batches(1).flat()).not.toEqual(numbers.flat());
  });

  it('feeds a loader', async () => {
    const sequences = [[1], [2, 3, 4], [5], [6, 7, 8]];
    const loader = new DataLoader(bucketBatches(sequences, { batchSize: 2 }), {
      shuffle: true,
      collate: ([batch]) => padSequences(batch as number[][], { dtype: 'i32' }),
    });
    const shapes: number[][] = [];
    for await (const { values } of loader) shapes.push([...values.shape]);
    expect(shapes.sort()).toEqual([
      [2, 1],
      [2, 3],
    ]);
  });

  it('says what it does not take', () => {
    expect(() => bucketBatches([1, 2] as never[], { batchSize: 2 })).toThrow(
      '[bucketBatches] the length of sample 0 must be a finite number, got NaN; say how long samples are with lengthOf',
    );
    expect(() => bucketBatches([], {} as never)).toThrow('batchSize');
  });
});
