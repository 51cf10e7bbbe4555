import { describe, expect, it } from 'vitest';
import { bigramLoss } from '../../src/text/index.ts';

describe('bigramLoss', () => {
  it('adds one to the count of each pair', () => {
    // 0→1 twice, 1→0 once, of three tokens: p(1|0) = 3/5, p(0|1) = 2/4, p(2|0) = 1/5.
    const train = Int32Array.of(0, 1, 0, 1);
    const expected = -(Math.log(3 / 5) + Math.log(2 / 4) + Math.log(1 / 5)) / 3;
    expect(bigramLoss(train, Int32Array.of(0, 1, 0, 2), 3)).toBeCloseTo(expected, 12);
  });

  it('is ln V for a token that was never seen', () => {
    expect(bigramLoss(Int32Array.of(0, 0), Int32Array.of(3, 4), 10)).toBeCloseTo(Math.log(10), 12);
  });

  it('says what is wrong', () => {
    expect(() => bigramLoss(Int32Array.of(1), Int32Array.of(0, 1), 2)).toThrow(
      '[bigramLoss] train has 1 tokens: a pair needs two',
    );
    expect(() => bigramLoss(Int32Array.of(0, 1), Int32Array.of(0, 2), 2)).toThrow(
      '[bigramLoss] validation has id 2, outside a vocabulary of 2',
    );
  });
});
