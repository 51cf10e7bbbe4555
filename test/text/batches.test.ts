import { describe, expect, it } from 'vitest';
import { DTypeError, ShapeError, ValueError } from '../../src/core/errors.ts';
import { batches, bigramLoss, trainValidationSplit, windows } from '../../src/text/index.ts';

const count = (n: number) => Int32Array.from({ length: n }, (_, i) => i);

describe('trainValidationSplit', () => {
  it('takes the end of the data for validation', () => {
    const { train, validation } = trainValidationSplit(count(20), 0.1);
    expect(train).toEqual(count(18));
    expect([...validation]).toEqual([18, 19]);
  });

  it('splits a text, and no character of it', () => {
    expect(trainValidationSplit('abcdefghij', 0.3)).toEqual({ train: 'abcdefg', validation: 'hij' });
    expect(trainValidationSplit('ab😀c', 0.4)).toEqual({ train: 'ab', validation: '😀c' });
  });

  it('says what is wrong', () => {
    expect(() => trainValidationSplit(count(9), 1)).toThrow(ValueError);
    expect(() => trainValidationSplit(count(9), Number.NaN)).toThrow(
      'the share of validation, between 0 and 1, not NaN',
    );
    expect(() => trainValidationSplit(count(1), 0.5)).toThrow(ShapeError);
  });
});

describe('batches', () => {
  const options = { batch: 3, length: 5, seed: 1 };

  it('draws windows of the data; targets are the next ids', () => {
    const loader = batches(count(100), options);
    expect(loader.shape).toEqual([3, 5]);
    const [inputs, targets] = loader.next().value;
    expect(inputs.length).toBe(15);
    for (let row = 0; row < 3; row++) {
      const start = inputs[row * 5] as number;
      expect([...inputs.subarray(row * 5, row * 5 + 5)]).toEqual([0, 1, 2, 3, 4].map((i) => start + i));
    }
    expect([...targets]).toEqual([...inputs].map((id) => id + 1));
  });

  it('reaches every window, the last one too', () => {
    const starts = new Set<number>();
    const loader = batches(count(9), options);
    for (let i = 0; i < 50; i++) for (const row of [0, 5, 10]) starts.add(loader.next().value[0][row] as number);
    expect([...starts].sort()).toEqual([0, 1, 2, 3]);
  });

  it('gives a batch its own memory', () => {
    const loader = batches(count(100), options);
    const [first] = loader.next().value;
    const copy = first.slice();
    loader.next();
    expect(first).toEqual(copy);
  });

  it('repeats with its seed, and differs with another', () => {
    const draw = (seed: number) => batches(count(1000), { ...options, seed }).next().value;
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it('goes on from a saved state', () => {
    const loader = batches(count(1000), options);
    loader.next();
    const state = JSON.parse(JSON.stringify(loader.state()));
    const expected = [loader.next().value, loader.next().value];
    const other = batches(count(1000), { ...options, seed: 99 }).restore(state);
    expect([other.next().value, other.next().value]).toEqual(expected);
  });

  it('iterates without end', () => {
    let seen = 0;
    for (const [inputs] of batches(count(10), options)) {
      expect(inputs.length).toBe(15);
      if (++seen === 4) break;
    }
    expect(seen).toBe(4);
  });

  it('says how long the text must be', () => {
    expect(() => batches(count(5), options)).toThrow(ShapeError);
    expect(() => batches(count(5), options)).toThrow(
      '[batches] the text has 5 tokens, but a window of length 5 and its targets need 6: use a longer text, or a length of at most 4',
    );
    expect(() => batches(count(0), options)).toThrow(/need 6: use a longer text$/);
    expect(() => batches(count(6), options)).not.toThrow();
  });

  it('takes only positive integers', () => {
    expect(() => batches(count(50), { batch: 0, length: 4 })).toThrow(
      '[batches] batch must be a positive integer, got 0',
    );
    expect(() => batches(count(50), { batch: 1, length: 2.5 })).toThrow(
      '[batches] length must be a positive integer, got 2.5',
    );
  });
});

describe('windows', () => {
  it('goes through the data once, in order', () => {
    const seen = [...windows(count(24), { length: 4, batch: 2 })];
    expect(seen.map(([inputs]) => inputs.length)).toEqual([8, 8, 4]);
    expect(seen.flatMap(([inputs]) => [...inputs])).toEqual([...count(20)]);
    expect(seen.flatMap(([, targets]) => [...targets])).toEqual([...count(20)].map((id) => id + 1));
  });

  it('starts again each time', () => {
    const data = windows(count(9), { length: 4, batch: 1 });
    expect([...data]).toEqual([...data]);
  });

  it('says how long the text must be, at the call', () => {
    expect(() => windows(count(4), { length: 4, batch: 1 })).toThrow('[windows] the text has 4 tokens');
  });
});

it.each([[[1, 2, 3, 4]], [Float32Array.of(1, 2, 3, 4)], [undefined]])('functions of ids refuse %o', (data) => {
  const ids = data as unknown as Int32Array;
  for (const call of [
    () => batches(ids, { batch: 1, length: 1 }),
    () => windows(ids, { batch: 1, length: 1 }),
    () => trainValidationSplit(ids),
    () => bigramLoss(ids, ids, 5),
  ]) {
    expect(call).toThrow(DTypeError);
    expect(call).toThrow('takes token ids in an Int32Array, as encode() gives them, got');
  }
});
