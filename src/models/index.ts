export { CharRNN, type CharRNNConfig } from './charRNN.ts';
export { type GenerateOptions, generate } from './generate.ts';
export { GPT, type GPTConfig } from './gpt.ts';
