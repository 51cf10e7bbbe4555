import { dtypeAmong } from '../core/dtype.ts';
import { ShapeError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions, integer, type Kinds, oneOf, probability, tensorLike } from '../core/options.ts';
import { formatShape, sameShape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import {
  crossEntropyBackward as backwardFamily,
  type CrossEntropyProblem,
  crossEntropy as family,
} from '../kernels/crossEntropy.ts';
import { familyCall } from '../kernels/family.ts';
import { differentiateComposed } from './autograd.ts';
import { add, cast, div, equal, maximum, mul, notEqual, sub, where, zeros } from './elementwise.ts';
import { oneHot } from './indexing.ts';
import { sum } from './reduce.ts';
import { logSoftmax } from './softmax.ts';
import { reshape } from './view.ts';

type CrossEntropyAttributes = Pick<CrossEntropyProblem, 'ignoreIndex' | 'labelSmoothing'>;

/** Fused with log-softmax. Inputs: logits [R, V], targets [R]. Outputs: loss [R], maximum and log Σ eˣ⁻ᵐᵃˣ [R, 2], weight (0 where ignored) [R]. */
export const crossEntropyOp: Op<
  [logits: Tensor, targets: Tensor],
  CrossEntropyAttributes,
  [loss: Tensor, statistics: Tensor, weight: Tensor]
> = {
  name: 'crossEntropy',
  infer: ([{ shape }]) => {
    const row: TensorType = { shape: shape.slice(0, 1), dtype: 'f32' };
    return [row, { shape: [...row.shape, 2], dtype: 'f32' }, row];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [logits, targets], attributes }) => familyCall(family, problemOf(logits, targets, attributes)),
    badData: ({ inputs: [logits], attributes: { ignoreIndex } }) =>
      `[crossEntropy] a target lies outside [0, ${logits.shape[1]}), the classes of the logits, and is not ignoreIndex (${ignoreIndex})`,
  },
  gradient: ({ inputs: [logits, targets], outputs: [, statistics], attributes }, [dy]) => [
    dy ? applyOne(crossEntropyBackwardOp, [logits, targets, statistics, dy], attributes) : null,
    null,
  ],
  decompose: ([logits, targets], { ignoreIndex, labelSmoothing: epsilon }) => {
    const V = nth(logits.shape, 1);
    const counted = notEqual(targets, ignoreIndex);
    const wanted = add(mul(cast(oneHot(where(counted, targets, 0), V), 'f32'), 1 - epsilon), epsilon / V);
    return [where(counted, mul(sum(mul(wanted, logSoftmax(logits, -1)), -1), -1), 0)];
  },
};
export const crossEntropyBackwardOp: Op<
  [logits: Tensor, targets: Tensor, statistics: Tensor, dLoss: Tensor],
  CrossEntropyAttributes
> = {
  name: 'crossEntropyBackward',
  infer: ([{ shape }]) => [{ shape, dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    // The gradient of a mean is one number for all rows; it is read with a stride of 0.
    strided: ({ shape, strides, offset }, index) => index === 3 && offset === 0 && (shape[0] === 1 || strides[0] === 0),
    problem: ({ inputs: [logits, targets], attributes }, [, , , { strides }]) =>
      familyCall(backwardFamily, { ...problemOf(logits, targets, attributes), dLossStride: nth(strides, 0) }),
  },
  decompose: ([logits, targets, , dLoss], attributes) => {
    const [dLogits] = differentiateComposed(crossEntropyOp, [logits, targets], attributes, [dLoss]);
    return [dLogits ?? zeros(logits.shape)];
  },
};

function problemOf(logits: Tensor, targets: Tensor, attributes: CrossEntropyAttributes): CrossEntropyProblem {
  const [rows, V] = exactly(2, logits.shape);
  return { rows, V, ...attributes, targetDType: dtypeAmong(targets.dtype, ['i32', 'u32']) };
}

export type Reduction = 'mean' | 'sum' | 'none';
export const reductionKind = oneOf('mean', 'sum', 'none');
/** Options of every cross-entropy, with the meaning and the defaults that PyTorch's have. */
export interface TargetOptions {
  /** Positions with this target count for nothing. */
  ignoreIndex?: number;
  /** ε of Szegedy et al. 2016: (1−ε)·nll + ε/V·Σ −log p. */
  labelSmoothing?: number;
  /** `mean` divides by the number of targets that are not ignored, or by the sum of their weights. */
  reduction?: Reduction;
}
/** Options of `crossEntropy`. */
export interface CrossEntropyOptions extends TargetOptions {
  /** What the loss of a target of each class is multiplied by, [V]. */
  weight?: Tensor;
}
export const crossEntropyKinds: Kinds<TargetOptions> = {
  ignoreIndex: integer,
  labelSmoothing: probability,
  reduction: reductionKind,
};
const crossEntropyOptions = declareOptions<CrossEntropyOptions>({ ...crossEntropyKinds, weight: tensorLike });

/**
 * −log softmax(logits)[target] in nats; logits [..., V], targets [...] (i32 or u32). Fused: the probabilities are never
 * stored. A target outside [0, V) throws a ValueError at the next read.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options?: CrossEntropyOptions): Tensor {
  expectDType('crossEntropy', 'logits', logits, ['f32']);
  expectRank('crossEntropy', 'logits', logits, 1, Infinity);
  const given = crossEntropyOptions('crossEntropy', options);
  const { ignoreIndex, labelSmoothing, reduction } = checkCrossEntropy('crossEntropy', targets, given);
  if (!sameShape(logits.shape.slice(0, -1), targets.shape)) {
    throw new ShapeError(
      `[crossEntropy] targets must have the shape of the logits without the classes, ${formatShape(logits.shape.slice(0, -1))}, got ${formatShape(targets.shape)}`,
    );
  }
  const V = nth(logits.shape, -1);
  const rows = sizeOf(targets.shape);
  const [loss, , weight] = apply(crossEntropyOp, [reshape(logits, [rows, V]), reshape(targets, [rows])], {
    ignoreIndex,
    labelSmoothing: given.weight ? 0 : labelSmoothing,
  });
  if (given.weight) {
    const weights = weightsOf('crossEntropy', given.weight, targets, V);
    const counted = notEqual(targets, ignoreIndex);
    let weighted = mul(reshape(loss, targets.shape), mul(weights, 1 - labelSmoothing));
    if (labelSmoothing > 0) {
      const all = sum(mul(logSoftmax(logits), given.weight), -1);
      weighted = sub(weighted, where(counted, mul(all, labelSmoothing / V), 0));
    }
    return reducedLoss(weighted, weights, counted, reduction);
  }
  if (reduction === 'none') return reshape(loss, targets.shape);
  if (reduction === 'sum') return sum(loss);
  return div(sum(loss), maximum(sum(weight), 1));
}

/** Options of a cross-entropy, the defaults filled in; throws where the targets are no ids. */
export function checkCrossEntropy(
  op: string,
  targets: Tensor,
  { ignoreIndex = -100, labelSmoothing = 0, reduction = 'mean' }: TargetOptions,
): Required<TargetOptions> {
  expectDType(op, 'targets', targets, ['i32', 'u32']);
  return { ignoreIndex, labelSmoothing, reduction };
}

/** What the weights of the classes [V] are for targets; any number for one that is no class. */
export function weightsOf(op: string, weight: Tensor, targets: Tensor, V: number): Tensor {
  expectDType(op, 'weight', weight, ['f32']);
  if (!sameShape(weight.shape, [V]))
    throw new ShapeError(`[${op}] weight must have a number for each class, [${V}], got ${formatShape(weight.shape)}`);
  return sum(mul(oneHot(targets, V), weight), -1);
}

/** Losses of targets, 0 where these are ignored, as `reduction` has them; `weights` of the targets, or of each 1. */
export function reducedLoss(loss: Tensor, weights: Tensor, counted: Tensor, reduction: Reduction): Tensor {
  if (reduction === 'none') return loss;
  if (reduction === 'sum') return sum(loss);
  const total = sum(where(counted, weights, 0));
  return div(sum(loss), where(equal(total, 0), 1, total));
}

/** For the registry. */
export const crossEntropyOps = {
  crossEntropy: crossEntropyOp,
  crossEntropyBackward: crossEntropyBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
