/**
 * weft trains and runs sequence models on WebGPU. Start with `await init()`, make tensors with `tensor`, `randn` or
 * `parameter`, call ops as functions or methods, and wrap a training step in `compile`.
 */

export type { PlanSummary } from './compile/explain.ts';
export * from './errors.ts';
export { type ChoiceStore, storedChoices } from './gpu/choiceStore.ts';
export { currentDevice, type Device, type InitOptions, init, type MemoryReport } from './gpu/device.ts';
export { explain } from './gpu/explain.ts';
export type { Plan } from './gpu/plan.ts';
export { type ProfileOptions, profile } from './gpu/profile.ts';
export type { DispatchTime, KernelTime, ProfileReport, TraceFile } from './gpu/profileReport.ts';
export { readAll } from './gpu/run.ts';
export { type Scoped, scope } from './gpu/scope.ts';
export { type Compiled, type CompileOptions, compile } from './gpu/step.ts';
export { type TuneOptions, type TuneProgress, tune } from './gpu/tune.ts';
export { StoreError, type Tuned, type TuneReport } from './gpu/tuneReport.ts';
export type { DType, HostArray } from './graph/dtype.ts';
export type { Attributes, Node, TensorType } from './graph/node.ts';
export { noGrad } from './graph/record.ts';
export * as io from './io/index.ts';
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
export * as models from './models/index.ts';
export * as nn from './nn/index.ts';
export { type AttentionOptions, scaledDotProductAttention } from './ops/attention.ts';
export { checkpoint } from './ops/checkpoint.ts';
export { arange, full, ones, parameter, tensor, zeros } from './ops/create.ts';
export { defineOp, type OpDefinition } from './ops/define.ts';
export { dynamic } from './ops/dynamic.ts';
export { einsum } from './ops/einsum.ts';
export * from './ops/elementwise.ts';
export { embedding } from './ops/embedding.ts';
export { grad, valueAndGrad } from './ops/gradient.ts';
export { cumsum, gather, iota, oneHot, scatterAdd, topK, tril, triu } from './ops/indexing.ts';
export { concat, pad, split, stack } from './ops/join.ts';
export { type LinearCrossEntropyOptions, linearCrossEntropy } from './ops/linearCrossEntropy.ts';
export { type CrossEntropyOptions, crossEntropy, huberLoss, l1Loss, mseLoss } from './ops/loss.ts';
export { lstm, lstmCell } from './ops/lstm.ts';
export { matmul } from './ops/matmul.ts';
export { layerNorm, rmsNorm } from './ops/norm.ts';
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
export { argMax, argMin, logSumExp, max, mean, min, type ReduceOptions, sum, sumSquares } from './ops/reduce.ts';
export { categorical, type SampleOptions, sample } from './ops/sampling.ts';
export { type ScanStep, scan } from './ops/scan.ts';
export { logSoftmax, softmax } from './ops/softmax.ts';
export { at, expand, flip, permute, reshape, slice, squeeze, transpose, unsqueeze } from './ops/view.ts';
export * as optim from './optim/index.ts';
export { Generator, manualSeed, randomVersion } from './random.ts';
export { type NestedArray, Parameter, Tensor } from './tensor.ts';
export * as text from './text/index.ts';
export * from './train/index.ts';
export { version } from './version.ts';
