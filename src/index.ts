/**
 * weft trains and runs sequence models on WebGPU. Start with `await init()`, make tensors with `tensor`, `randn` or
 * `parameter`, call ops as functions or methods, and wrap a training step in `compile`.
 */

import './methods.ts';

export type { PlanSummary } from './compile/explain.ts';
export type { DType, HostArray } from './core/dtype.ts';
export * from './core/errors.ts';
export { Generator, manualSeed, randomVersion } from './core/random.ts';
export type { Attributes, NestedArray, TensorType } from './core/types.ts';
export { version } from './core/version.ts';
export { currentDevice } from './device/current.ts';
export type { Device, MemoryReport } from './device/device.ts';
/** Reading and writing safetensors files: saving and loading models and optimizers. */
export * as io from './files/index.ts';
export type { Node } from './graph/node.ts';
export { Parameter } from './graph/parameter.ts';
export { noGrad } from './graph/record.ts';
export { Tensor } from './graph/tensor.ts';
export * from './insight/index.ts';
export {
  type BindingSource,
  type Choices,
  type DeviceProfile,
  grid,
  inout,
  input,
  type KernelCall,
  type Operand,
  output,
  scratch,
} from './kernels/kernel.ts';
/** Language models, and text from them. */
export * as models from './models/index.ts';
/** Layers, and the modules that models are made of. */
export * as nn from './nn/index.ts';
export {
  type Alignment,
  type AlignmentOptions,
  additiveAttention,
  dotAttention,
  generalAttention,
} from './ops/additiveAttention.ts';
export { type ReverseSequenceOptions, repeat, reverseSequence, roll } from './ops/arrange.ts';
export { type AttentionOptions, scaledDotProductAttention } from './ops/attention.ts';
export { categorical } from './ops/categorical.ts';
export { checkpoint } from './ops/checkpoint.ts';
export {
  type Conv1dOptions,
  type Conv2dOptions,
  type ConvTranspose1dOptions,
  type ConvTranspose2dOptions,
  conv1d,
  conv2d,
  convTranspose1d,
  convTranspose2d,
} from './ops/conv.ts';
export { arange, full, linspace, ones, onesLike, parameter, tensor, zeros, zerosLike } from './ops/create.ts';
export { type CrossEntropyOptions, crossEntropy } from './ops/crossEntropy.ts';
export { type CtcLossOptions, ctcLoss } from './ops/ctcLoss.ts';
export { cumsum } from './ops/cumsum.ts';
export { defineOp, type OpDefinition } from './ops/define.ts';
export { dynamic } from './ops/dynamic.ts';
export { einsum } from './ops/einsum.ts';
export * from './ops/elementwise.ts';
export { embedding, indexSelect } from './ops/embedding.ts';
export { gather, maxWithIndices, minWithIndices, scatterAdd } from './ops/gather.ts';
export { grad, valueAndGrad } from './ops/gradient.ts';
export { type GruOptions, gru } from './ops/gru.ts';
export { iota, oneHot, tril, triu } from './ops/indexing.ts';
export { chunk, concat, split, stack, unbind } from './ops/join.ts';
export type { Lengths } from './ops/lengths.ts';
export { type LinearCrossEntropyOptions, linearCrossEntropy } from './ops/linearCrossEntropy.ts';
export {
  type BinaryCrossEntropyOptions,
  binaryCrossEntropyWithLogits,
  huberLoss,
  type KlDivOptions,
  klDiv,
  l1Loss,
  mseLoss,
} from './ops/losses.ts';
export { lstm, lstmCell } from './ops/lstm.ts';
export { maskedFill, sequenceMask } from './ops/masks.ts';
export { matmul } from './ops/matmul.ts';
export { type NllLossOptions, nllLoss } from './ops/nllLoss.ts';
export { layerNorm, rmsNorm } from './ops/norm.ts';
export {
  type AvgPool1dOptions,
  type AvgPool2dOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  avgPool1d,
  avgPool2d,
  type MaxPool1dOptions,
  type MaxPool2dOptions,
  maxPool1d,
  maxPool2d,
} from './ops/pool.ts';
export {
  bernoulli,
  dropout,
  type NormalOptions,
  normal,
  type RandomOptions,
  rand,
  randint,
  randn,
  type UniformOptions,
  uniform,
} from './ops/random.ts';
export type { RecurrenceOptions } from './ops/recurrent.ts';
export {
  all,
  any,
  argMax,
  argMin,
  logSumExp,
  max,
  mean,
  min,
  type ReduceOptions,
  sum,
  sumSquares,
} from './ops/reduce.ts';
export { type InterpolateOptions, interpolate } from './ops/resample.ts';
export { type Nonlinearity, type RnnOptions, rnn } from './ops/rnn.ts';
export { type SampleOptions, sample } from './ops/sample.ts';
export { type ScanStep, scan } from './ops/scan.ts';
export { at, pad, slice } from './ops/slice.ts';
export { logSoftmax, softmax } from './ops/softmax.ts';
export { argsort, randperm, type SortOptions, sort } from './ops/sort.ts';
export {
  type CosineSimilarityOptions,
  cosineSimilarity,
  type NormOptions,
  norm,
  std,
  type VarianceOptions,
  variance,
} from './ops/statistics.ts';
export { topK } from './ops/topK.ts';
export { expand, flip, permute, reshape, squeeze, transpose, unsqueeze } from './ops/view.ts';
/** Optimizers, learning-rate schedules, clipping of gradients. */
export * as optim from './optim/index.ts';
export { type ChoiceStore, storedChoices } from './runtime/choiceStore.ts';
export { readAll } from './runtime/eager.ts';
export { type InitOptions, init } from './runtime/init.ts';
export type { Plan } from './runtime/plan.ts';
export { type Scoped, scope } from './runtime/scope.ts';
export { type Compiled, type CompileOptions, compile } from './runtime/step.ts';
/** Vocabularies and batches of texts. */
export * as text from './text/index.ts';
export * from './train/index.ts';
