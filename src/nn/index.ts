export {
  ELU,
  GELU,
  Identity,
  LeakyReLU,
  LogSoftmax,
  ReLU,
  Sigmoid,
  SiLU,
  Softmax,
  Softplus,
  Tanh,
} from './activations.ts';
export {
  AdditiveAttention,
  type AdditiveAttentionCall,
  type AdditiveAttentionOptions,
} from './additiveAttention.ts';
export { type AttendOptions, MultiHeadAttention, type MultiHeadAttentionOptions } from './attention.ts';
export { Buffer } from './buffer.ts';
export { GRUCell, LSTMCell, RNNCell } from './cells.ts';
export { ModuleDict, ModuleList } from './containers.ts';
export {
  Conv1d,
  type Conv1dOptions,
  Conv2d,
  type Conv2dOptions,
  ConvTranspose1d,
  type ConvTranspose1dOptions,
  ConvTranspose2d,
  type ConvTranspose2dOptions,
} from './conv.ts';
export { Dropout } from './dropout.ts';
export { Embedding } from './embedding.ts';
/** Initial values of weights. */
export * as init from './init.ts';
export { Linear } from './linear.ts';
export { type Layer, Module } from './module.ts';
export { BatchNorm1d, BatchNorm2d, type BatchNormOptions, GroupNorm, LayerNorm, RMSNorm } from './norm.ts';
export {
  AdaptiveAvgPool1d,
  AdaptiveAvgPool2d,
  AdaptiveMaxPool1d,
  AdaptiveMaxPool2d,
  AvgPool1d,
  AvgPool2d,
  MaxPool1d,
  MaxPool2d,
  Upsample,
} from './pool.ts';
export { GRU, LSTM, type RecurrentOptions, RNN } from './recurrent.ts';
export { Sequential } from './sequential.ts';
export { Bilinear, type BilinearOptions, Flatten } from './shapes.ts';
export type { LoadOptions, LoadReport, StateDict } from './stateDict.ts';
export { TransformerBlock, type TransformerBlockOptions } from './transformer.ts';
