import { describe, expect, it } from 'vitest';
import { FormatError, ValueError } from '../../src/core/errors.ts';
import { CharVocabulary } from '../../src/text/index.ts';

describe('CharVocabulary', () => {
  it('numbers the characters of a text in the order of their code points', () => {
    const vocabulary = new CharVocabulary('banana\n😀é');
    expect(vocabulary.characters).toEqual(['\n', 'a', 'b', 'n', 'é', '😀']);
    expect(vocabulary.size).toBe(6);
  });

  it('orders by code point, not by UTF-16 unit', () => {
    // U+FF5E comes before U+1F600, whose first unit is 0xd83d.
    expect(new CharVocabulary('😀～').characters).toEqual(['～', '😀']);
  });

  it('encodes and decodes', () => {
    const text = 'to be 😀, or not';
    const vocabulary = new CharVocabulary(text);
    const ids = vocabulary.encode(text);
    expect(ids).toBeInstanceOf(Int32Array);
    expect(ids.length).toBe([...text].length);
    expect(vocabulary.decode(ids)).toBe(text);
    expect(vocabulary.encode('')).toEqual(new Int32Array(0));
  });

  it('names a character that it does not have', () => {
    const vocabulary = new CharVocabulary('abc');
    expect(() => vocabulary.encode('abé')).toThrow(ValueError);
    expect(() => vocabulary.encode('abé')).toThrow(
      '[CharVocabulary.encode] "é" (U+00E9), character 2 of the text, is not among the 3 characters of the vocabulary: ' +
        'remove it, or build the vocabulary from a text that has it',
    );
  });

  it.each([3, -1, 0.5])('refuses to decode id %d', (id) => {
    expect(() => new CharVocabulary('abc').decode([0, id])).toThrow(
      `[CharVocabulary.decode] id ${id} is not one of the 3 characters: ids go from 0 to 2`,
    );
  });

  it('comes back from JSON with the same ids', () => {
    const vocabulary = new CharVocabulary('héllo "wörld" 😀');
    const copy = CharVocabulary.fromJSON(JSON.parse(JSON.stringify(vocabulary)));
    expect(copy.characters).toEqual(vocabulary.characters);
  });

  it.each([null, 'abc', {}, { characters: '' }, { characters: ['a'] }])('refuses %j as JSON', (json) => {
    expect(() => CharVocabulary.fromJSON(json)).toThrow(FormatError);
  });

  it('refuses JSON whose characters would get other ids', () => {
    expect(() => CharVocabulary.fromJSON({ characters: 'ba' })).toThrow('not in order or not distinct');
    expect(() => CharVocabulary.fromJSON({ characters: 'aab' })).toThrow('not in order or not distinct');
  });

  it('refuses an empty text', () => {
    expect(() => new CharVocabulary('')).toThrow('[CharVocabulary] the text is empty: it has no characters');
  });

  it.each([
    ['a\ud83d', 'U+D83D, at position 1'],
    ['\ude00b', 'U+DE00, at position 0'],
    // Sorted and joined, these two halves would make an emoji: one character in place of two.
    ['😀\ude00\ud83d', 'U+DE00, at position 2'],
  ])('refuses %j, which has half a character', (text, what) => {
    expect(() => new CharVocabulary(text)).toThrow(ValueError);
    expect(() => new CharVocabulary(text)).toThrow(`[CharVocabulary] the text has half a character, ${what}`);
    expect(() => CharVocabulary.fromJSON({ characters: text })).toThrow(FormatError);
    expect(() => new CharVocabulary('a😀b').encode(text)).toThrow(
      /\(U\+D(83D|E00)\), character \d of the text, is not among/,
    );
    expect(new CharVocabulary(text.toWellFormed()).size).toBeGreaterThan(0);
  });

  it.each([[undefined], [5], [['a', 'b']], [Uint8Array.of(97)]])('refuses %o for a text', (text) => {
    expect(() => new CharVocabulary(text as unknown as string)).toThrow(
      /^\[CharVocabulary\] the text must be a string, got /,
    );
    expect(() => new CharVocabulary('a').encode(text as unknown as string)).toThrow(
      /^\[CharVocabulary.encode\] the text must be/,
    );
  });
});
