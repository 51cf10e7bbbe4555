import { ShapeError } from '../core/errors.ts';
import type { Kinds } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectDType, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Linear } from '../nn/linear.ts';
import { checkedLengths, type Lengths, lengthsLike } from '../ops/lengths.ts';
import { linearCrossEntropy } from '../ops/linearCrossEntropy.ts';
import { targetsWithin } from './sequence.ts';

/** What the models share that write token by token: Seq2Seq and Captioner. */

/** Options of the loss of targets [B, T]. */
export interface TargetOptions {
  /** How many of the T targets of each row count, [B] of i32 or as many numbers from 1 to T; default all. */
  targetLengths?: Lengths;
}
export const targetKinds: Kinds<TargetOptions> = { targetLengths: lengthsLike };

/** Throws unless ids are [B, T]. */
export function expectIds(model: string, name: string, ids: Tensor): void {
  expectTensor(model, name, ids);
  if (ids.rank !== 2) throw new ShapeError(`[${model}] ${name} must be ids [B, T], got ${formatShape(ids.shape)}`);
}

/** Throws unless inputs are ids [B, T], a row for each of the B that are read. */
export function expectInputs(model: string, inputs: Tensor, read: string, B: number): void {
  expectIds(model, 'the inputs', inputs);
  if (inputs.shape[0] !== B)
    throw new ShapeError(`[${model}] there must be as many rows of inputs as of ${read}, ${B}, got ${inputs.shape[0]}`);
}

/** Mean cross-entropy in nats of targets [B, T] under the head's scores of `output`, [B, T, H]. A target of -100 counts for nothing. */
export function lossOfTargets(
  model: string,
  head: Linear,
  output: Tensor,
  targets: Tensor,
  targetLengths: Lengths | undefined,
): Tensor {
  expectDType(model, 'targets', targets, ['i32', 'u32']);
  const [B, T] = output.shape as [number, number];
  if (!sameShape(targets.shape, [B, T]))
    throw new ShapeError(
      `[${model}] targets must be those of the inputs, ${formatShape([B, T])}, got ${formatShape(targets.shape)}`,
    );
  const lengths = targetLengths === undefined ? undefined : checkedLengths(model, targetLengths, B, T, 'targetLengths');
  return linearCrossEntropy(output, head.weight, targetsWithin(targets, lengths), { bias: head.bias });
}
