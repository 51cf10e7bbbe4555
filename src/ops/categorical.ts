import { nth } from '../core/lists.ts';
import { sizeOf } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type CategoricalProblem, categorical as categoricalFamily } from '../kernels/categorical.ts';
import { familyCall } from '../kernels/family.ts';
import type { Family } from '../kernels/kernel.ts';
import { nextRandom, type RandomOptions, randomOptions } from './random.ts';

/** An op that draws a class from each row of its first input; `random` are a key, and settings in front where it has some. */
export function drawOp<Random extends Tensor[]>(
  family: Family<CategoricalProblem>,
): Op<[logits: Tensor, ...random: Random], { stream: number }> {
  return {
    name: family.name,
    infer: ([logits]) => [{ shape: logits.shape.slice(0, -1), dtype: 'i32' }],
    lowering: {
      kind: 'kernel',
      badData: () => `[${family.name}] a row of logits holds NaN or +infinity, or nothing above −1e30 to draw from`,
      problem: ({ inputs: [{ shape }], attributes: { stream } }) =>
        familyCall(family, { rows: sizeOf(shape.slice(0, -1)), n: nth(shape, -1), stream }),
    },
  };
}
const categoricalOp = drawOp<[key: Tensor]>(categoricalFamily);

export function expectLogits(op: string, logits: Tensor): void {
  expectDType(op, 'logits', logits, ['f32']);
  expectRank(op, 'logits', logits, 1, Infinity);
}

/**
 * One index per row, drawn from softmax(logits) [..., V] → i32 [...]; entries ≤ −1e30 are never drawn (Gumbel-max trick). A row
 * that holds NaN or +infinity, or nothing to draw from, is a ValueError at the next read.
 */
export function categorical(logits: Tensor, options?: RandomOptions): Tensor {
  expectLogits('categorical', logits);
  const { generator } = randomOptions('categorical', options);
  const { key, stream } = nextRandom(generator);
  return applyOne(categoricalOp, [logits, key], { stream });
}

/** For the registry. */
export const categoricalOps = { categorical: categoricalOp } satisfies Readonly<Record<string, OpDef>>;
