import { FormatError, ValueError } from '../core/errors.ts';
import { expectKind, iterable, shown, text as string } from '../core/options.ts';

/** Characters (Unicode code points) as token ids, in the order of their code points. */
export class CharVocabulary {
  /** The character of each id. */
  readonly characters: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  /**
   * The vocabulary of all characters that occur in `text`. Throws ValueError where there are none, and on half a character,
   * which no file in UTF-8 can hold: two halves that meet would become another character.
   */
  constructor(text: string) {
    expectKind('CharVocabulary', 'the text', text, string);
    checkWhole(text);
    const characters = [...new Set(text)];
    this.characters = characters.sort((a, b) => codePoint(a) - codePoint(b));
    this.#ids = new Map(this.characters.map((character, id) => [character, id]));
    if (characters.length === 0) throw new ValueError('[CharVocabulary] the text is empty: it has no characters');
  }

  /** V, the number of characters. */
  get size(): number {
    return this.characters.length;
  }

  /** The ids of the characters of `text`. Throws ValueError on a character that is not in the vocabulary. */
  encode(text: string): Int32Array<ArrayBuffer> {
    expectKind('CharVocabulary.encode', 'the text', text, string);
    const ids = new Int32Array(text.length);
    let length = 0;
    for (const character of text) {
      const id = this.#ids.get(character);
      if (id === undefined) throw new ValueError(this.#unknown(character, length));
      ids[length++] = id;
    }
    // Fewer than text.length where a character takes two UTF-16 units.
    return ids.slice(0, length);
  }

  /** The text of `ids`. Throws ValueError on an id outside [0, V). */
  decode(ids: Iterable<number>): string {
    expectKind('CharVocabulary.decode', 'the ids', ids, iterable);
    let text = '';
    for (const id of ids) {
      const character = typeof id === 'number' ? this.characters[id] : undefined;
      if (character === undefined) {
        throw new ValueError(
          `[CharVocabulary.decode] id ${shown(id)} is not one of the ${this.size} characters: ids go from 0 to ${this.size - 1}`,
        );
      }
      text += character;
    }
    return text;
  }

  /** All characters in the order of their ids, for `fromJSON`. */
  toJSON(): { readonly characters: string } {
    return { characters: this.characters.join('') };
  }

  /** The vocabulary that `toJSON` described. Throws FormatError on anything else. */
  static fromJSON(json: unknown): CharVocabulary {
    const characters = (json as { characters?: unknown } | null)?.characters;
    if (typeof characters !== 'string' || characters === '') {
      throw new FormatError('[CharVocabulary.fromJSON] expected { "characters": "…" }, as toJSON gives it');
    }
    if (!characters.isWellFormed())
      throw new FormatError(
        '[CharVocabulary.fromJSON] the characters have half a character among them: ids would change',
      );
    const vocabulary = new CharVocabulary(characters);
    if (vocabulary.toJSON().characters !== characters) {
      throw new FormatError(
        '[CharVocabulary.fromJSON] the characters are not in order or not distinct: ids would change',
      );
    }
    return vocabulary;
  }

  #unknown(character: string, position: number): string {
    return (
      `[CharVocabulary.encode] ${JSON.stringify(character)} (${unicode(character)}), character ${position} of the text, is not among ` +
      `the ${this.size} characters of the vocabulary: remove it, or build the vocabulary from a text that has it`
    );
  }
}

/** Half a character is a surrogate without its other half, as `slice` leaves it where it cuts an emoji. */
function checkWhole(text: string): void {
  if (text.isWellFormed()) return;
  const at = text.search(/\p{Surrogate}/u);
  throw new ValueError(
    `[CharVocabulary] the text has half a character, ${unicode(text[at] as string)}, at position ${at}: ` +
      'cut texts between characters, with [...text].slice(…), or take what text.toWellFormed() gives',
  );
}

/** U+1F600 */
const unicode = (character: string) => `U+${codePoint(character).toString(16).toUpperCase().padStart(4, '0')}`;

const codePoint = (character: string) => character.codePointAt(0) as number;
