import { dtypeAmong } from '../core/dtype.ts';
import { ShapeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { around, formatShape, normaliseAxis, sameShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { gather as gatherFamily } from '../kernels/gather.ts';
import { scatterAdd as scatterFamily } from '../kernels/scatterAdd.ts';
import { zeros } from './elementwise.ts';
import { argMax, argMin, type ReduceOptions, reduceOptions } from './reduce.ts';
import { squeeze } from './view.ts';

/** The axis that the index goes along, and its extent. */
type Along = { axis: number; n: number };

const outside =
  (name: string) =>
  ({ attributes: { n } }: { attributes: Along }) =>
    `[${name}] an index lies outside [0, ${n}), the extent of the axis`;

/** What is said of an index out of range, where it has a meaning that users know better than the index. */
type Told = { complaint?: string };

const gatherOp: Op<[x: Tensor, index: Tensor], Along & Told> = {
  name: 'gather',
  infer: ([{ dtype }, { shape }]) => [{ shape, dtype }],
  lowering: {
    kind: 'kernel',
    badData: ({ attributes }) => attributes.complaint ?? outside('gather')({ attributes }),
    problem: ({ inputs: [x, index], attributes: { axis } }) => familyCall(gatherFamily, indexProblem(x, index, axis)),
  },
  gradient: ({ inputs: [x, index], attributes: { axis } }, [dy]) => [scatterAdd(zeros(x.shape), index, dy, axis), null],
};
const scatterAddOp: Op<[base: Tensor, index: Tensor, source: Tensor], Along> = {
  name: 'scatterAdd',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: {
    kind: 'kernel',
    badData: outside('scatterAdd'),
    problem: ({ inputs: [base, index], attributes: { axis } }) =>
      familyCall(scatterFamily, indexProblem(base, index, axis)),
  },
  gradient: ({ inputs: [, index], attributes: { axis } }, [dy]) => [dy, null, gather(dy, index, axis)],
};
function indexProblem(x: TensorType, index: TensorType, axis: number) {
  return {
    ...around(x.shape, axis),
    m: nth(index.shape, axis),
    dtype: x.dtype,
    indexDType: dtypeAmong(index.dtype, ['i32', 'u32']),
  };
}
function checkIndex(name: string, x: Tensor, index: Tensor, axis: number): number {
  expectTensor(name, 'the input', x);
  expectDType(name, 'the index', index, ['i32', 'u32']);
  const dimension = normaliseAxis(name, axis, x.rank);
  if (index.rank !== x.rank || index.shape.some((extent, i) => i !== dimension && extent !== x.shape[i])) {
    throw new ShapeError(
      `[${name}] the index must have the shape of the tensor except in dimension ${dimension}, got ${formatShape(index.shape)} for ${formatShape(x.shape)}; expand it first`,
    );
  }
  return dimension;
}
/**
 * Elements of x picked along an axis: y[…, i, …] = x[…, index[…, i, …], …]. An index (i32 or u32) out of range throws a
 * ValueError at the next read.
 */
export function gather(x: Tensor, index: Tensor, axis: number): Tensor {
  return lookedUp(x, index, axis);
}
/** `gather` with a message of its own for an index out of range. */
export function lookedUp(x: Tensor, index: Tensor, axis: number, complaint?: string): Tensor {
  const dimension = checkIndex('gather', x, index, axis);
  const attributes = { axis: dimension, n: nth(x.shape, dimension), ...(complaint && { complaint }) };
  return applyOne(gatherOp, [x, index], attributes);
}
/** x with `source` added at the positions of `index` along an axis, in order: deterministic where positions repeat. */
export function scatterAdd(x: Tensor, index: Tensor, source: Tensor, axis: number): Tensor {
  const dimension = checkIndex('scatterAdd', x, index, axis);
  expectDType('scatterAdd', 'the source', source, [x.dtype]);
  if (!sameShape(source.shape, index.shape))
    throw new ShapeError(
      `[scatterAdd] index ${formatShape(index.shape)} and source ${formatShape(source.shape)} must have one shape`,
    );
  return applyOne(scatterAddOp, [x, index, source], { axis: dimension, n: nth(x.shape, dimension) });
}

/** The largest elements along an axis, the first of equals, with their positions (i32), as `torch.max` gives them. */
export function maxWithIndices(x: Tensor, axis: number, options?: ReduceOptions): { values: Tensor; indices: Tensor } {
  return extremes('maxWithIndices', argMax, x, axis, options);
}
/** The smallest elements along an axis, the first of equals, with their positions (i32), as `torch.min` gives them. */
export function minWithIndices(x: Tensor, axis: number, options?: ReduceOptions): { values: Tensor; indices: Tensor } {
  return extremes('minWithIndices', argMin, x, axis, options);
}
function extremes(name: string, positions: typeof argMax, x: Tensor, axis: number, options: ReduceOptions | undefined) {
  const { keepDims = false } = reduceOptions(name, options);
  expectDType(name, 'the input', x, ['f32', 'i32', 'u32']);
  const dimension = normaliseAxis(name, axis, x.rank);
  const indices = positions(x, dimension, { keepDims: true });
  const values = gather(x, indices, dimension);
  return keepDims ? { values, indices } : { values: squeeze(values, dimension), indices: squeeze(indices, dimension) };
}

/** For the registry. */
export const gatherOps = { gather: gatherOp, scatterAdd: scatterAddOp } satisfies Readonly<Record<string, OpDef>>;
