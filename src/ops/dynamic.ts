import { callback, count, expectKind } from '../core/options.ts';
import { fromHost } from '../graph/leaf.ts';
import { currentTrace } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';

/**
 * Numbers that change from step to step, as a tensor (a scalar, or [length]): a compiled step evaluates `values` at each
 * replay, so that a schedule recompiles nothing. Outside of a trace it is evaluated at once.
 */
export function dynamic(values: () => number): Tensor;
export function dynamic(values: () => readonly number[], length: number): Tensor;
export function dynamic(values: () => number | readonly number[], length = 1): Tensor {
  expectKind('dynamic', 'values', values, callback);
  expectKind('dynamic', 'length', length, count);
  const list = () => {
    const given = values();
    return typeof given === 'number' ? [given] : given;
  };
  const trace = currentTrace();
  if (trace) return trace.dynamic(list, length);
  return fromHost({ shape: length === 1 ? [] : [length], dtype: 'f32' }, Float32Array.from(list()));
}
