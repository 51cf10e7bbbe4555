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
  const given = [...vocabulary.encode(prompt)];
  const made: number[] = [];
  const room = model.contextLength;
  // A context that is full gives way to another, which begins with the last half of it.
  for (let context = 0; made.length < tokens && !host.interrupted; context++) {
    const before = [...given, ...made].slice(-Math.ceil(room / 2));
    const chunks = models.generate(model, {
      prompt: before,
      maxTokens: Math.min(tokens - made.length, room - before.length),
      temperature,
      ...(topK === null ? {} : { topK }),
      seed: seed + context,
    });
    for await (const ids of chunks) {
      made.push(...ids);
      if (host.interrupted) break;
    }
  }
  return vocabulary.decode(made);
}
