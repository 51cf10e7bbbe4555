import { brief } from '../src/core/options.ts';
import { text as language } from '../src/index.ts';
import { corpusOf, fingerprint } from './corpus.ts';
import { type Host, JobError } from './host.ts';

/** What the text is called where no file is given. */
export const embeddedName = "weft's own source";

/** A text in two parts, as ids. */
export interface Data {
  /** The file, or what the embedded text is. */
  readonly name: string;
  readonly vocabulary: language.CharVocabulary;
  readonly train: Int32Array;
  /** The last tenth. */
  readonly validation: Int32Array;
  /** Validation loss of a model that counts pairs of characters. */
  readonly bigram: number;
  readonly fingerprint: string;
}

/**
 * Reads the text in `file`, or the embedded one, and checks that a model of that context can learn from it. A run that
 * goes on brings its vocabulary.
 */
export async function loadData(
  file: string | null,
  host: Host,
  context: number,
  known?: language.CharVocabulary,
): Promise<Data> {
  const name = file ?? embeddedName;
  const text = file === null ? corpusOf(await host.sources()) : decode(await host.readFile(file), file);
  const needed = 10 * (context + 1);
  if (text.length < needed) {
    throw new JobError(
      `${brief(name, 200)} is too short, ${text.length} characters: its last tenth is to validate, in windows of ${context} and what ` +
        `follows each; give a text of at least ${needed} characters`,
    );
  }
  const vocabulary = known ?? new language.CharVocabulary(text);
  const strange = known && [...new Set(text)].find((character) => !known.characters.includes(character));
  if (strange !== undefined) {
    throw new JobError(
      `the run can't go on with ${brief(name, 200)}: it has ${JSON.stringify(strange)}, which the text of before has not; give that one with --text FILE`,
    );
  }
  const { train, validation } = language.trainValidationSplit(vocabulary.encode(text), 0.1);
  const bigram = language.bigramLoss(train, validation, vocabulary.size);
  return { name, vocabulary, train, validation, bigram, fingerprint: await fingerprint(text) };
}

/** The text of a file, with lines that end in \n. Throws JobError where it is none in UTF-8. */
export function decode(bytes: Uint8Array<ArrayBuffer>, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll('\r\n', '\n');
  } catch {
    throw new JobError(`${brief(file, 200)} is not a text in UTF-8: convert it, for example with iconv`);
  }
}
