import { ShapeError } from '../errors.ts';
import type { HostArray } from '../graph/dtype.ts';
import type { TensorType } from '../graph/node.ts';
import { formatShape } from '../graph/shape.ts';
import type { State } from '../graph/state.ts';
import type { Generator } from '../random.ts';
import type { Tensor } from '../tensor.ts';

/** How arguments and results are taken apart and put together again; tensor.ts gives it, which this layer must not import. */
export interface TensorTools {
  isTensor(value: unknown): value is Tensor;
  /** A tensor of the values, for arguments given as arrays. */
  fromHost(type: TensorType, data: HostArray): Tensor;
  /** A computed tensor. */
  result(type: TensorType): Tensor;
  generator: Generator;
  /** Where a parameter's gradient is kept from step to step. */
  gradientSlot(state: State): State;
}
export let tools: TensorTools;
export function provideTensorTools(given: TensorTools): void {
  tools = given;
}

/** Replaces the tensors in nested arrays and plain objects. */
export function mapTensors(value: unknown, map: (tensor: Tensor) => unknown): unknown {
  if (tools.isTensor(value)) return map(value);
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, map));
  if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapTensors(item, map)]));
  }
  return value;
}

/** Puts results where `mapTensors` left their positions. */
export function restore(structure: unknown, results: readonly Tensor[]): unknown {
  if (typeof structure === 'number') return results[structure];
  if (Array.isArray(structure)) return structure.map((item) => restore(item, results));
  if (structure && typeof structure === 'object')
    return Object.fromEntries(Object.entries(structure).map(([name, item]) => [name, restore(item, results)]));
  return structure;
}

/** Arguments with host arrays as tensors, so that shapes are known. */
export function asTensors(args: readonly unknown[]): unknown[] {
  return args.map((value) => {
    if (ArrayBuffer.isView(value) && 'length' in value)
      return tools.fromHost(
        {
          shape: [value.length as number],
          dtype: value instanceof Float32Array ? 'f32' : value instanceof Int32Array ? 'i32' : 'u32',
        },
        value as HostArray,
      );
    return value;
  });
}

export function signatureOf(value: unknown): string {
  if (tools.isTensor(value)) return `${value.dtype}${formatShape(value.shape)}`;
  if (Array.isArray(value)) return `[${value.map(signatureOf).join()}]`;
  if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return `{${Object.entries(value)
      .map(([name, item]) => `${name}:${signatureOf(item)}`)
      .join()}}`;
  }
  if (value === null || ['number', 'string', 'boolean', 'undefined', 'bigint'].includes(typeof value))
    return `${typeof value}:${String(value)}`;
  throw new ShapeError(
    `[compile] an argument is a ${typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value}; pass tensors, typed arrays, numbers, strings, booleans, or arrays and plain objects of them`,
  );
}
