import { ShapeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { declareOptions, integer, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type CrossEntropyOptions, checkCrossEntropy, reducedLoss, reductionKind, weightsOf } from './crossEntropy.ts';
import { mul, neg, notEqual, ones, where } from './elementwise.ts';
import { gather } from './gather.ts';
import { reshape } from './view.ts';

/** Options of `nllLoss`, those of `crossEntropy` but for smoothing. */
export type NllLossOptions = Omit<CrossEntropyOptions, 'labelSmoothing'>;
const nllOptions = declareOptions<NllLossOptions>({
  ignoreIndex: integer,
  reduction: reductionKind,
  weight: tensorLike,
});

/**
 * −logProbabilities[target] in nats: the cross-entropy of what `logSoftmax` gives, [..., V], for targets [...] (i32 or u32).
 * A target outside [0, V) throws a ValueError at the next read.
 */
export function nllLoss(logProbabilities: Tensor, targets: Tensor, options?: NllLossOptions): Tensor {
  expectDType('nllLoss', 'log-probabilities', logProbabilities, ['f32']);
  expectRank('nllLoss', 'log-probabilities', logProbabilities, 1, Infinity);
  const given = nllOptions('nllLoss', options);
  const { ignoreIndex, reduction } = checkCrossEntropy('nllLoss', targets, given);
  const shape = logProbabilities.shape.slice(0, -1);
  if (!sameShape(shape, targets.shape))
    throw new ShapeError(
      `[nllLoss] targets must have the shape of the log-probabilities without the classes, ${formatShape(shape)}, got ${formatShape(targets.shape)}`,
    );
  const counted = notEqual(targets, ignoreIndex);
  const ids = where(counted, targets, 0);
  const picked = reshape(gather(logProbabilities, reshape(ids, [...shape, 1]), -1), shape);
  const weights = given.weight ? weightsOf('nllLoss', given.weight, ids, nth(logProbabilities.shape, -1)) : ones(shape);
  return reducedLoss(where(counted, neg(mul(picked, weights)), 0), weights, counted, reduction);
}
