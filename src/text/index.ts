export { type Batch, BatchIterator, batches, trainValidationSplit, windows } from './batches.ts';
export { bigramLoss } from './bigram.ts';
export { CharVocabulary } from './vocabulary.ts';
