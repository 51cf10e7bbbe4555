import { ValueError } from '../core/errors.ts';
import { shown } from '../core/options.ts';
import { normaliseAxis, type Shape } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { coordinateText } from '../kernels/layout.ts';
import { add, cast, equal, greaterEqual, sub, where } from './elementwise.ts';
import { unsqueeze } from './view.ts';

/** The coordinate of each element along an axis, as i32: fuses into whatever uses it, and takes no memory. */
const iotaOp: Op<[], { shape: Shape; axis: number }> = {
  name: 'iota',
  infer: (_, { shape }) => [{ shape, dtype: 'i32' }],
  lowering: {
    kind: 'elementwise',
    indexed: true,
    expression: (_, { axis, shape }, { index }) => `i32(${coordinateText(index, shape, axis)})`,
  },
};
/**
 * i32 numbers of the given shape, each the coordinate of its place along `axis`; fuses into whatever uses it. Throws a
 * ShapeError where there is no such axis.
 */
export function iota(shape: readonly number[], axis: number): Tensor {
  return applyOne(iotaOp, [], { shape: [...shape], axis: normaliseAxis('iota', axis, shape.length) });
}

/** 1 (f32) at the position of each id in a new last dimension of `classes`, else 0. Ids outside give zeros. */
export function oneHot(ids: Tensor, classes: number): Tensor {
  expectDType('oneHot', 'ids', ids, ['i32', 'u32']);
  if (!Number.isInteger(classes) || classes < 1)
    throw new ValueError(`[oneHot] the number of classes must be a positive integer, got ${shown(classes)}`);
  const shape = [...ids.shape, classes];
  return cast(equal(unsqueeze(cast(ids, 'i32'), -1), iota(shape, -1)), 'f32');
}

/** Elements on and below the k-th diagonal of the last two dimensions; zeros above. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  expectRank('tril', 'the input', x, 2, Infinity);
  return where(greaterEqual(add(iota(x.shape, -2), diagonal), iota(x.shape, -1)), x, 0);
}
/** Elements on and above the k-th diagonal of the last two dimensions; zeros below. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  expectRank('triu', 'the input', x, 2, Infinity);
  return where(greaterEqual(sub(iota(x.shape, -1), diagonal), iota(x.shape, -2)), x, 0);
}

/** For the registry. */
export const indexingOps = { iota: iotaOp } satisfies Readonly<Record<string, OpDef>>;
