import { dtypeAmong } from '../core/dtype.ts';
import { exactly, nth } from '../core/lists.ts';
import { normaliseAxis, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { embeddingBackward as backwardFamily, embedding as family } from '../kernels/embedding.ts';
import { familyCall } from '../kernels/family.ts';
import { permute, reshape } from './view.ts';

/** Rows of weight [V, E] by ids [count]. */
const embeddingOp: Op<[weight: Tensor, ids: Tensor]> = {
  name: 'embedding',
  infer: ([weight, ids]) => [{ shape: [nth(ids.shape, 0), nth(weight.shape, 1)], dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [weight, ids] }, _, { store }) =>
      familyCall(family, { ...problemOf(weight, ids), ...(store ? { store } : {}) }),
    badData: ({ inputs: [weight] }) =>
      `[embedding] a token id lies outside [0, ${weight.shape[0]}), the rows of the table`,
  },
  gradient: ({ inputs: [weight, ids] }, [dy]) => [
    applyOne(embeddingBackwardOp, [dy, ids], { V: nth(weight.shape, 0) }),
    null,
  ],
  atOnce: {
    accepts: ([weight]) => !weight,
    apply: ([weight, ids]) => [embedding(ids, weight)],
  },
};
/** Rows of dy [count, E] added to the rows of dweight [V, E] in the order of the ids: deterministic. */
const embeddingBackwardOp: Op<[dy: Tensor, ids: Tensor], { V: number }> = {
  name: 'embeddingBackward',
  infer: ([dy], { V }) => [{ shape: [V, nth(dy.shape, 1)], dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [, ids], types: [weight] }, _, { store }) =>
      familyCall(backwardFamily, { ...problemOf(weight, ids), ...(store ? { store } : {}) }),
  },
  gradient: ({ inputs: [, ids] }, [dWeight]) => [applyOne(embeddingOp, [dWeight, ids]), null],
};

function problemOf(table: TensorType, ids: TensorType) {
  const [V, E] = exactly(2, table.shape);
  return { count: nth(ids.shape, 0), V, E, indexDType: dtypeAmong(ids.dtype, ['i32', 'u32']) };
}

/** Rows of `weight` [V, E] by `ids` [...] (i32 or u32) → [..., E]. An id outside [0, V) throws a ValueError at the next read. */
export function embedding(ids: Tensor, weight: Tensor): Tensor {
  expectDType('embedding', 'ids', ids, ['i32', 'u32']);
  expectDType('embedding', 'weight', weight, ['f32']);
  expectRank('embedding', 'weight', weight, 2);
  const rows = applyOne(embeddingOp, [weight, reshape(ids, [sizeOf(ids.shape)])]);
  return reshape(rows, [...ids.shape, nth(weight.shape, 1)]);
}

/**
 * The slices of x (f32) at the positions `index` [N] (i32 or u32) along an axis, as `torch.index_select`. A position outside
 * throws a ValueError at the next read.
 */
export function indexSelect(x: Tensor, index: Tensor, axis = 0): Tensor {
  expectDType('indexSelect', 'the input', x, ['f32']);
  expectDType('indexSelect', 'the index', index, ['i32', 'u32']);
  expectRank('indexSelect', 'the index', index, 1);
  const dimension = normaliseAxis('indexSelect', axis, x.rank);
  const others = x.shape.map((_, i) => i).filter((i) => i !== dimension);
  const rows = reshape(permute(x, [dimension, ...others]), [nth(x.shape, dimension), -1]);
  const picked = reshape(embedding(index, rows), [index.size, ...others.map((i) => nth(x.shape, i))]);
  return permute(
    picked,
    x.shape.map((_, i) => [dimension, ...others].indexOf(i)),
  );
}

/** For the registry. */
export const embeddingOps = {
  embedding: embeddingOp,
  embeddingBackward: embeddingBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
