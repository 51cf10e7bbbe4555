export type { Batches } from './batches.ts';
export { type Collated, collate } from './collate.ts';
export { DataLoader, type LoaderOptions, type LoaderState } from './loader.ts';
export { type Positioned, type RecoverOptions, type Recovery, recover } from './recover.ts';
export type { Recovered, RescueOptions } from './rescue.ts';
export {
  type BucketOptions,
  bucketBatches,
  type PaddedSequences,
  type PadOptions,
  padSequences,
} from './sequences.ts';
export type { IndexedSamples, Samples } from './source.ts';
export type { Arguments, LossStep, StepFunction, StepResult, Traced, TracedArguments } from './step.ts';
export { type CheckpointOptions, type CheckpointState, type TrainMetrics, type TrainOptions, train } from './train.ts';
