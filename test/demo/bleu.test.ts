import { describe, expect, it } from 'vitest';
import { bleu } from '../../demo/frame/bleu.ts';

const words = (text: string) => (text === '' ? [] : text.split(' '));
/** Of translations, each with its references. */
const score = (pairs: readonly (readonly [translation: string, ...references: string[]])[], longest?: number) =>
  bleu(
    pairs.map(([translation]) => words(translation)),
    pairs.map(([, ...references]) => references.map(words)),
    longest,
  );

describe('BLEU', () => {
  it('adds up matches of all sentences before it divides', () => {
    // Orders 1 to 4: 4/5, 3/4, 2/3, 1/2 of the first, all of the second.
    const both = [
      ['a b c d e', 'a b c d f'],
      ['g h i j', 'g h i j'],
    ] as const;
    expect(score(both)).toBeCloseTo(((8 / 9) * (6 / 7) * (4 / 5) * (2 / 3)) ** (1 / 4), 12);
    expect(score(both, 2)).toBeCloseTo(((8 / 9) * (6 / 7)) ** (1 / 2), 12);
  });

  it('counts a word as often as one reference has it', () => {
    expect(score([['the the the the', 'the cat', 'the dog and the']], 1)).toBeCloseTo(2 / 4, 12);
    // "a b" is twice in the translation, and once in either reference.
    expect(score([['a b a b', 'a b c d', 'd c a b']], 2)).toBeCloseTo(((2 / 4) * (1 / 3)) ** (1 / 2), 12);
  });

  it('takes from translations that are shorter than the references nearest in length, not from longer ones', () => {
    expect(score([['a b c', 'a b c d']], 1)).toBeCloseTo(Math.exp(1 - 4 / 3), 12);
    expect(score([['a b c', 'a b c d', 'a b c d e']], 1)).toBeCloseTo(Math.exp(1 - 4 / 3), 12);
    // Three words are as near to four as five are.
    expect(score([['a b c d', 'a b c d e', 'a b c']], 1)).toBe(1);
    expect(score([['a b c d', 'a b']], 1)).toBeCloseTo(2 / 4, 12);
    // What is missing in one sentence is made up for in another.
    const lengths = [
      ['a', 'a b'],
      ['c d', 'c'],
    ] as const;
    expect(score(lengths, 1)).toBeCloseTo(2 / 3, 12);
    const without = [
      ['', 'b'],
      ['a', 'a'],
    ] as const;
    expect(score(without, 1)).toBeCloseTo(Math.exp(1 - 2 / 1), 12);
  });

  it('is 1 where all is equal, and 0 where an order has no match', () => {
    expect(score([['a b c d e', 'a b c d e']])).toBe(1);
    expect(score([['a b c e d', 'a b c d e']])).toBe(0);
    expect(score([['a b c', 'a b c']])).toBe(0);
    expect(score([['', 'a']])).toBe(0);
  });
});
