import { sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { embeddingBackward as backwardFamily, embedding as family } from '../kernels/embedding.ts';
import { familyCall } from '../kernels/family.ts';
import { reshape } from './view.ts';

/** Inputs: weight [V, E], ids [count]. */
const embeddingOp: OpDef = {
  name: 'embedding',
  infer: ([weight, ids]) => [
    { shape: [(ids as TensorType).shape[0] as number, (weight as TensorType).shape[1] as number], dtype: 'f32' },
  ],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [weight, ids] }, _, { store }) =>
      familyCall(family, { ...problemOf(weight as Tensor, ids as Tensor), ...(store ? { store } : {}) }),
    badData: ({ inputs: [weight] }) =>
      `[embedding] a token id lies outside [0, ${(weight as Tensor).shape[0]}), the rows of the table`,
  },
  gradient: ({ inputs: [weight, ids] }, [dy]) => [
    dy ? applyOne(embeddingBackwardOp, [dy, ids as Tensor], { V: (weight as Tensor).shape[0] as number }) : null,
    null,
  ],
};
/** Rows of dy [count, E] added to the rows of dweight [V, E] in the order of the ids: deterministic. */
const embeddingBackwardOp: OpDef = {
  name: 'embeddingBackward',
  infer: ([dy], { V }) => [{ shape: [V as number, (dy as TensorType).shape[1] as number], dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [, ids], types }, _, { store }) =>
      familyCall(backwardFamily, { ...problemOf(types[0] as TensorType, ids as Tensor), ...(store ? { store } : {}) }),
  },
  gradient: ({ inputs: [, ids] }, [dWeight]) => [
    dWeight ? applyOne(embeddingOp, [dWeight, ids as Tensor]) : null,
    null,
  ],
};

function problemOf(table: TensorType, ids: TensorType) {
  return {
    count: ids.shape[0] as number,
    V: table.shape[0] as number,
    E: table.shape[1] as number,
    indexDType: ids.dtype as 'i32' | 'u32',
  };
}

/** Rows of `weight` [V, E] by `ids` [...] (i32 or u32) → [..., E]. An id outside [0, V) throws a ValueError at the next read. */
export function embedding(ids: Tensor, weight: Tensor): Tensor {
  expectDType('embedding', 'ids', ids, ['i32', 'u32']);
  expectDType('embedding', 'weight', weight, ['f32']);
  expectRank('embedding', 'weight', weight, 2);
  const rows = applyOne(embeddingOp, [weight, reshape(ids, [sizeOf(ids.shape)])]);
  return reshape(rows, [...ids.shape, weight.shape[1] as number]);
}

/** For the registry. */
export const embeddingOps = {
  embedding: embeddingOp,
  embeddingBackward: embeddingBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
