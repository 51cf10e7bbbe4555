import { dtypeAmong } from '../core/dtype.ts';
import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { declareOptions, flag, shown } from '../core/options.ts';
import { formatShape, normaliseAxis, type Shape, sameShape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cumsum as cumsumFamily } from '../kernels/cumsum.ts';
import { familyCall } from '../kernels/family.ts';
import { gather as gatherFamily } from '../kernels/gather.ts';
import { coordinateText } from '../kernels/layout.ts';
import { scatterAdd as scatterFamily } from '../kernels/scatterAdd.ts';
import { topK as topKFamily } from '../kernels/topK.ts';
import { add, cast, equal, greaterEqual, sub, where, zeros } from './elementwise.ts';
import { unsqueeze } from './view.ts';

/** A tensor and one of its axes as [outer, n, inner]. */
function around(shape: readonly number[], axis: number) {
  return { outer: sizeOf(shape.slice(0, axis)), n: nth(shape, axis), inner: sizeOf(shape.slice(axis + 1)) };
}

// ── coordinates ──────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── gather and scatter ───────────────────────────────────────────────────────────────────────────────────────────────

/** The axis that the index goes along, and its extent. */
type Along = { axis: number; n: number };

const outside =
  (name: string) =>
  ({ attributes: { n } }: { attributes: Along }) =>
    `[${name}] an index lies outside [0, ${n}), the extent of the axis`;

const gatherOp: Op<[x: Tensor, index: Tensor], Along> = {
  name: 'gather',
  infer: ([{ dtype }, { shape }]) => [{ shape, dtype }],
  lowering: {
    kind: 'kernel',
    badData: outside('gather'),
    problem: ({ inputs: [x, index], attributes: { axis } }) => familyCall(gatherFamily, indexProblem(x, index, axis)),
  },
  gradient: ({ inputs: [x, index], attributes: { axis } }, [dy]) => [
    dy ? scatterAdd(zeros(x.shape), index, dy, axis) : null,
    null,
  ],
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
  gradient: ({ inputs: [, index], attributes: { axis } }, [dy]) => [dy, null, dy ? gather(dy, index, axis) : null],
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
/** Elements of x picked along an axis: y[…, i, …] = x[…, index[…, i, …], …]. An index out of range throws at the next read. */
export function gather(x: Tensor, index: Tensor, axis: number): Tensor {
  const dimension = checkIndex('gather', x, index, axis);
  return applyOne(gatherOp, [x, index], { axis: dimension, n: nth(x.shape, dimension) });
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

// ── running sums and order ───────────────────────────────────────────────────────────────────────────────────────────

const cumsumOp: Op<[x: Tensor], { axis: number; reverse: boolean }> = {
  name: 'cumsum',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [{ shape, dtype }], attributes: { axis, reverse } }) =>
      familyCall(cumsumFamily, { ...around(shape, axis), reverse, dtype: dtypeAmong(dtype, ['f32', 'i32', 'u32']) }),
  },
  gradient: ({ attributes: { axis, reverse } }, [dy]) => [dy ? cumsum(dy, axis, { reverse: !reverse }) : null],
};
const cumsumOptions = declareOptions<{ reverse?: boolean }>({ reverse: flag });
/** Running sum along an axis, from the start or from the end. */
export function cumsum(x: Tensor, axis: number, options?: { reverse?: boolean }): Tensor {
  const { reverse = false } = cumsumOptions('cumsum', options);
  expectDType('cumsum', 'the input', x, ['f32', 'i32', 'u32']);
  return applyOne(cumsumOp, [x], { axis: normaliseAxis('cumsum', axis, x.rank), reverse });
}

const topKOp: Op<[x: Tensor], { k: number; largest: boolean }, [values: Tensor, indices: Tensor]> = {
  name: 'topK',
  infer: ([x], { k }) => {
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: 'f32' },
      { shape, dtype: 'i32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [{ shape }], attributes: { k, largest } }) =>
      familyCall(topKFamily, { rows: sizeOf(shape.slice(0, -1)), n: nth(shape, -1), k, largest }),
  },
  gradient: ({ inputs: [x], outputs: [, indices] }, [dy]) => [dy ? scatterAdd(zeros(x.shape), indices, dy, -1) : null],
};
const topKOptions = declareOptions<{ largest?: boolean }>({ largest: flag });
/** The k largest (or smallest) elements of the last dimension, best first, and their positions (i32); of equals the first. */
export function topK(x: Tensor, k: number, options?: { largest?: boolean }): { values: Tensor; indices: Tensor } {
  const { largest = true } = topKOptions('topK', options);
  expectDType('topK', 'the input', x, ['f32']);
  expectRank('topK', 'the input', x, 1, Infinity);
  const n = nth(x.shape, -1);
  if (!Number.isInteger(k) || k < 1 || k > Math.min(n, 1024))
    throw new ValueError(`[topK] k must be an integer in [1, ${Math.min(n, 1024)}], got ${shown(k)}`);
  const [values, indices] = apply(topKOp, [x], { k, largest });
  return { values, indices };
}

/** For the registry. */
export const indexingOps = {
  iota: iotaOp,
  gather: gatherOp,
  scatterAdd: scatterAddOp,
  cumsum: cumsumOp,
  topK: topKOp,
} satisfies Readonly<Record<string, OpDef>>;
