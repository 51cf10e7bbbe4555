export { type BeamSearchOptions, beamSearch, type DecoderStep } from './beamSearch.ts';
export { Captioner, type CaptionerConfig, type CaptionerLossOptions } from './captioner.ts';
export {
  Char2Wav,
  type Char2WavConfig,
  type Char2WavLossOptions,
  type SynthesizeOptions,
  type TextOptions,
  type Utterance,
} from './char2wav.ts';
export { CharRNN, type CharRNNConfig } from './charRNN.ts';
export { SequenceClassifier } from './classifier.ts';
export { type GenerateOptions, generate } from './generate.ts';
export { GPT, type GPTConfig } from './gpt.ts';

export { GridLSTM, type GridLSTMConfig } from './gridLSTM.ts';
export type { Hypothesis } from './hypotheses.ts';
export type { Decoded, LanguageModel } from './languageModel.ts';

export { muLawDecoding, muLawEncoding } from './muLaw.ts';
export type { RecurrentReaderConfig } from './reader.ts';
export { Seq2Seq, type Seq2SeqConfig, type Seq2SeqLossOptions, type SourceOptions } from './seq2seq.ts';
export type { ReadOptions } from './sequence.ts';
export { SequenceTagger } from './tagger.ts';
export { TDNN, type TDNNConfig, type TimeDelayConfig } from './tdnn.ts';
export { TreeRNN, type TreeRNNConfig } from './treeRNN.ts';
export {
  type PackTreesOptions,
  packTrees,
  type Tree,
  type TreeBatch,
  type TreeLevel,
  type TreeNode,
  treeSizes,
} from './trees.ts';
