import { ShapeError } from '../core/errors.ts';
import { declareOptions, positive } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Reduction, reductionKind } from './crossEntropy.ts';
import { abs, less, mul, square, sub, where } from './elementwise.ts';
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
  expectTensor(op, 'the prediction', x);
  expectTensor(op, 'the target', y);
  if (!sameShape(x.shape, y.shape))
    throw new ShapeError(
      `[${op}] prediction and target must have one shape, got ${formatShape(x.shape)} and ${formatShape(y.shape)}; reshape or expand one of them`,
    );
  return sub(x, y);
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
