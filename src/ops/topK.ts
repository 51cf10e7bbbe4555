import { ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { declareOptions, flag, shown } from '../core/options.ts';
import { sizeOf } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { topK as topKFamily } from '../kernels/topK.ts';
import { zeros } from './elementwise.ts';
import { scatterAdd } from './gather.ts';

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
interface TopKOptions {
  /** The largest elements, or else the smallest; default true. */
  largest?: boolean;
}
const topKOptions = declareOptions<TopKOptions>({ largest: flag });
/** The k largest (or smallest) elements of the last dimension, best first, and their positions (i32); of equals the first. */
export function topK(x: Tensor, k: number, options?: TopKOptions): { values: Tensor; indices: Tensor } {
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
export const topKOps = { topK: topKOp } satisfies Readonly<Record<string, OpDef>>;
