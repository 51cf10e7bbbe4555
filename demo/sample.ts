import { briefly } from '../src/core/options.ts';
import { models, type text } from '../src/index.ts';
import { type Host, JobError } from './host.ts';
import type { LanguageModel } from './models.ts';
import type { SampleSettings } from './options.ts';

/** What the model writes after the prompt. The same seed writes the same text. */
export async function writeText(
  model: LanguageModel,
  vocabulary: text.CharVocabulary,
  prompt: string,
  { tokens, temperature, topK }: SampleSettings,
  seed: number,
  host: Host,
): Promise<string> {
  if (prompt === '') throw new JobError('the prompt is empty: give --sample at least one character to go on from');
  const unknown = [...prompt].find((character) => !vocabulary.characters.includes(character));
  if (unknown !== undefined) {
    throw new JobError(
      `the model has never seen ${JSON.stringify(unknown)}, which the prompt has: leave it out. It knows ${briefly(vocabulary.characters.join(''), 300)}`,
    );
  }
  const stop = new AbortController();
  const onToken = () => {
    if (host.interrupted) stop.abort();
  };
  const ids = await models.generate(model, vocabulary.encode(prompt), {
    tokens,
    temperature,
    ...(topK === null ? {} : { topK }),
    seed,
    signal: stop.signal,
    onToken,
  });
  return vocabulary.decode(ids);
}
