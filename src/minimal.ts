/**
 * The least that trains a model: a device, tensors, their arithmetic, gradients, compiled steps. Ops are functions here, not
 * methods, and those with kernels of their own (attention, LSTM, norms, losses) come from the main entry. For pages that
 * count bytes.
 */

export type { DType, HostArray } from './core/dtype.ts';
export * from './core/errors.ts';
export { Generator, manualSeed } from './core/random.ts';
export type { NestedArray, TensorType, Values } from './core/types.ts';
export { currentDevice } from './device/current.ts';
export type { Device, MemoryReport } from './device/device.ts';
export { Parameter } from './graph/parameter.ts';
export { noGrad } from './graph/record.ts';
export { Tensor } from './graph/tensor.ts';
export { arange, full, ones, parameter, tensor, zeros } from './ops/create.ts';
export * from './ops/elementwise.ts';
export { backward, grad, valueAndGrad } from './ops/gradient.ts';
export { matmul } from './ops/matmul.ts';
export { max, mean, min, type ReduceOptions, sum } from './ops/reduce.ts';
export { at, pad, slice } from './ops/slice.ts';
export { detach, expand, flip, permute, reshape, squeeze, transpose, unsqueeze } from './ops/view.ts';
export { readAll } from './runtime/eager.ts';
export { type InitOptions, init } from './runtime/init.ts';

import './runtime/reading.ts';

export { type Scoped, scope } from './runtime/scope.ts';
export { type Compiled, type CompileOptions, compile } from './runtime/step.ts';
