import { models } from '../src/index.ts';
import type { Config } from './configs.ts';

export type LanguageModel = models.GPT | models.CharRNN;

/** A model as the configuration describes it, freshly initialised from the default generator. */
export function createModel({ model, sizes, context }: Config, vocabularySize: number): LanguageModel {
  if ('heads' in sizes) return new models.GPT({ vocabularySize, contextLength: context, ...sizes });
  if (model === 'gpt') throw new TypeError('the sizes of a GPT are layers, heads and width');
  return new models.CharRNN({ cell: model, vocabularySize, ...sizes });
}

export function parameterCount(model: LanguageModel): number {
  return model.parameters().reduce((sum, { size }) => sum + size, 0);
}
