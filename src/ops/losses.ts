import { ShapeError } from '../core/errors.ts';
import { declareOptions, flag, oneOf, positive, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Reduction, reductionKind } from './crossEntropy.ts';
import { abs, add, equal, exp, less, log, mul, neg, softplus, square, sub, where } from './elementwise.ts';
import { mean, sum } from './reduce.ts';

export interface LossOptions {
  /** `mean` and `sum` go over all elements; default `mean`. */
  reduction?: Reduction;
}
export interface HuberOptions extends LossOptions {
  /** The distance from which on the loss is linear; default 1. */
  delta?: number;
}
const lossOptions = declareOptions<LossOptions>({ reduction: reductionKind });
const huberOptions = declareOptions<HuberOptions>({ reduction: reductionKind, delta: positive });

function reduced(loss: Tensor, reduction: Reduction): Tensor {
  return reduction === 'none' ? loss : reduction === 'sum' ? sum(loss) : mean(loss);
}

/** x − y for tensors of one shape: a target [4] beside a prediction [4, 1] would silently become [4, 4]. */
function difference(op: string, x: Tensor, y: Tensor): Tensor {
  expectOneShape(op, x, y);
  return sub(x, y);
}
function expectOneShape(op: string, x: Tensor, y: Tensor): void {
  expectTensor(op, 'the prediction', x);
  expectTensor(op, 'the target', y);
  if (!sameShape(x.shape, y.shape))
    throw new ShapeError(
      `[${op}] prediction and target must have one shape, got ${formatShape(x.shape)} and ${formatShape(y.shape)}; reshape or expand one of them`,
    );
}

/** (x − y)², averaged over all elements; x and y of one shape [...]. */
export function mseLoss(x: Tensor, y: Tensor, options?: LossOptions): Tensor {
  const { reduction = 'mean' } = lossOptions('mseLoss', options);
  return reduced(square(difference('mseLoss', x, y)), reduction);
}
/** |x − y|, averaged over all elements; x and y of one shape [...]. */
export function l1Loss(x: Tensor, y: Tensor, options?: LossOptions): Tensor {
  const { reduction = 'mean' } = lossOptions('l1Loss', options);
  return reduced(abs(difference('l1Loss', x, y)), reduction);
}
/** Quadratic within `delta` of 0, linear beyond (Huber 1964); x and y of one shape [...]. */
export function huberLoss(x: Tensor, y: Tensor, options?: HuberOptions): Tensor {
  const { delta = 1, reduction = 'mean' } = huberOptions('huberLoss', options);
  const distance = abs(difference('huberLoss', x, y));
  return reduced(
    where(less(distance, delta), mul(square(distance), 0.5), mul(sub(distance, delta / 2), delta)),
    reduction,
  );
}

/** Options of `binaryCrossEntropyWithLogits`. */
export interface BinaryCrossEntropyOptions extends LossOptions {
  /** What the loss of each element is multiplied by; broadcasts to the logits. */
  weight?: Tensor;
  /** What the part of the targets 1 is multiplied by, for classes that are rare; broadcasts to the logits. */
  posWeight?: Tensor;
}
const binaryOptions = declareOptions<BinaryCrossEntropyOptions>({
  reduction: reductionKind,
  weight: tensorLike,
  posWeight: tensorLike,
});

/**
 * −y log σ(x) − (1 − y) log(1 − σ(x)) in nats, averaged over all elements: independent yes-or-no answers, from logits x and
 * targets y in [0, 1] of one shape [...]. Without overflow: (1 − y) x + softplus(−x).
 */
export function binaryCrossEntropyWithLogits(x: Tensor, y: Tensor, options?: BinaryCrossEntropyOptions): Tensor {
  const { reduction = 'mean', weight, posWeight } = binaryOptions('binaryCrossEntropyWithLogits', options);
  expectOneShape('binaryCrossEntropyWithLogits', x, y);
  const tail = softplus(neg(x));
  const factor = posWeight ? add(mul(y, sub(posWeight, 1)), 1) : null;
  const loss = add(mul(sub(1, y), x), factor ? mul(tail, factor) : tail);
  return reduced(weight ? mul(loss, weight) : loss, reduction);
}

/** Options of `klDiv`. */
export interface KlDivOptions {
  /** Whether the targets are log-probabilities too; default false. */
  logTarget?: boolean;
  /** `mean` goes over all elements, `batchMean` divides the sum by the first dimension, as the definition has it; default `mean`. */
  reduction?: Reduction | 'batchMean';
}
const klDivOptions = declareOptions<KlDivOptions>({
  logTarget: flag,
  reduction: oneOf('mean', 'batchMean', 'sum', 'none'),
});

/**
 * The Kullback–Leibler divergence Σ y (log y − x) of log-probabilities x from probabilities y of one shape [...], as
 * PyTorch's, whose default, too, averages over all elements. Where y is 0, the element counts for nothing.
 */
export function klDiv(x: Tensor, y: Tensor, options?: KlDivOptions): Tensor {
  const { logTarget = false, reduction = 'mean' } = klDivOptions('klDiv', options);
  expectOneShape('klDiv', x, y);
  const isNone = equal(y, 0);
  const loss = logTarget ? mul(exp(y), sub(y, x)) : where(isNone, 0, mul(y, sub(log(where(isNone, 1, y)), x)));
  if (reduction === 'batchMean') return mul(sum(loss), 1 / (loss.shape[0] ?? 1));
  return reduced(loss, reduction);
}
