export { type GenerateOptions, generate } from './generate.ts';
export { GPT, type GPTConfig } from './gpt.ts';
export { LSTMLanguageModel, RecurrentLanguageModel, type RecurrentLanguageModelConfig } from './recurrent.ts';
