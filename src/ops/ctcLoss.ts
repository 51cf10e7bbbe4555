import { dtypeAmong } from '../core/dtype.ts';
import { ShapeError, ValueError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions, flag, integerFrom } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { ctcLossBackward as backwardFamily, type CtcLossProblem, ctcLoss as family } from '../kernels/ctcLoss.ts';
import { familyCall } from '../kernels/family.ts';
import { differentiateComposed } from './autograd.ts';
import { type Reduction, reductionKind } from './crossEntropy.ts';
import {
  add,
  and,
  cast,
  div,
  equal,
  full,
  greater,
  isInf,
  less,
  maximum,
  mul,
  neg,
  notEqual,
  sub,
  where,
  zeros,
} from './elementwise.ts';
import { gather } from './gather.ts';
import { iota } from './indexing.ts';
import { concat, stack } from './join.ts';
import { type Lengths, lengthsOf } from './lengths.ts';
import { logSumExp, mean, sum } from './reduce.ts';
import { scan } from './scan.ts';
import { pad, slice } from './slice.ts';
import { expand, reshape, unsqueeze } from './view.ts';

type CtcInputs = [logProbs: Tensor, targets: Tensor, inputLengths: Tensor, targetLengths: Tensor];

/** Inputs: log probabilities [T, B, C], targets [B, L], lengths of both [B]. Outputs: losses [B], sums over paths from the start [B, T, 2L + 1]. */
const ctcLossOp: Op<CtcInputs, { blank: number }, [losses: Tensor, sums: Tensor]> = {
  name: 'ctcLoss',
  infer: ([{ shape }, targets]) => {
    const [T, B] = exactly(3, shape);
    return [
      { shape: [B], dtype: 'f32' },
      { shape: [B, T, 2 * nth(targets.shape, 1) + 1], dtype: 'f32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs, attributes: { blank } }) => familyCall(family, problemOf(inputs, blank)),
    badData: ({ inputs: [logProbs, targets], attributes: { blank } }) => {
      const [T, , C] = exactly(3, logProbs.shape);
      return `[ctcLoss] a length lies outside [1, ${T}] of the inputs or [0, ${targets.shape[1]}] of the targets, or a target is no class in [0, ${C}), or the blank, ${blank}`;
    },
  },
  gradient: ({ inputs, outputs: [losses, sums], attributes }, [dLosses]) => {
    if (!dLosses) return [null, null, null, null];
    return [applyOne(ctcLossBackwardOp, [...inputs, sums, stack([losses, dLosses], 1)], attributes), null, null, null];
  },
  decompose: (inputs, { blank }) => [composed(inputs, blank)],
};

const ctcLossBackwardOp: Op<[...CtcInputs, sums: Tensor, losses: Tensor], { blank: number }> = {
  name: 'ctcLossBackward',
  infer: ([{ shape }]) => [{ shape, dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [a, b, c, d], attributes: { blank } }) =>
      familyCall(backwardFamily, problemOf([a, b, c, d], blank)),
  },
  decompose: ([logProbs, targets, inputLengths, targetLengths, , losses], attributes) => {
    const dLosses = reshape(slice(losses, [null, [1, 2]]), [-1]);
    const inputs: CtcInputs = [logProbs, targets, inputLengths, targetLengths];
    const [gradient] = differentiateComposed(ctcLossOp, inputs, attributes, [dLosses]);
    return [gradient ?? zeros(logProbs.shape)];
  },
};

function problemOf(
  [logProbs, targets, ...lengths]: readonly [TensorType, TensorType, TensorType, TensorType],
  blank: number,
) {
  const [T, B, C] = exactly(3, logProbs.shape);
  const types = [targets, ...lengths].map(({ dtype }) => dtypeAmong(dtype, ['i32', 'u32']));
  return { T, B, C, L: nth(targets.shape, 1), blank, types: exactly(3, types) } satisfies CtcLossProblem;
}

/** The log of 0, with which numbers can still be compared. */
const impossible = -1e30;

/** The losses in plain ops: a scan over time, of all states of a sequence. */
function composed([logProbs, targets, inputLengths, targetLengths]: Readonly<CtcInputs>, blank: number): Tensor {
  const [T, B] = exactly(3, logProbs.shape);
  const L = nth(targets.shape, 1);
  const S = 2 * L + 1;
  const blanks = (n: number) => full([B, n], blank, 'i32');
  // What lies behind a target may be no class.
  const isLabel = less(iota([B, L], 1), reshape(cast(targetLengths, 'i32'), [B, 1]));
  const pairs = reshape(stack([blanks(L), where(isLabel, cast(targets, 'i32'), blank)], 2), [B, 2 * L]);
  const labels = concat([pairs, blanks(1)], 1); // [B, S]
  const twoBack = concat([blanks(2), slice(labels, [null, [0, S - 2]])], 1);
  const skips = and(notEqual(labels, blank), notEqual(labels, twoBack));
  const emissions = gather(logProbs, expand(unsqueeze(labels, 0), [T, B, S]), 2);
  const counts = less(iota([T, B, 1], 0), reshape(cast(inputLengths, 'i32'), [1, B, 1]));
  const shifted = (x: Tensor, by: number) =>
    pad(
      slice(x, [null, [0, S - by]]),
      [
        [0, 0],
        [by, 0],
      ],
      impossible,
    );
  const { carry } = scan(
    ([before], [emission, isInside]) => {
      const [own, one, two] = [before as Tensor, shifted(before as Tensor, 1), shifted(before as Tensor, 2)];
      const paths = logSumExp(stack([own, one, where(skips, two, impossible)]), 0);
      return { carry: [where(greater(isInside as Tensor, 0), add(paths, emission as Tensor), own)], y: [] };
    },
    [where(equal(iota([B, S], 1), 0), zeros([B, S]), impossible)],
    [emissions, cast(counts, 'i32')],
  );
  const last = mul(reshape(cast(targetLengths, 'i32'), [B, 1]), 2);
  const ends = gather(nth(carry, 0), maximum(concat([last, sub(last, 1)], 1), 0), 1);
  const isThere = concat([full([B, 1], 1), cast(greater(last, 0), 'f32')], 1);
  const total = logSumExp(where(greater(isThere, 0), ends, impossible), 1);
  return where(less(total, -1e29), Number.POSITIVE_INFINITY, neg(total));
}

/** Options of `ctcLoss`, with PyTorch's defaults. */
export interface CtcLossOptions {
  /** The class that stands for no label; default 0. */
  blank?: number;
  /** `mean`, the default, divides each loss by the length of its target (1 at least), then by B. */
  reduction?: Reduction;
  /** Whether a loss that is infinite, since no path is as short as its input, counts as 0 and has no gradient; default false. */
  zeroInfinity?: boolean;
}
const ctcLossOptions = declareOptions<CtcLossOptions>({
  blank: integerFrom(0),
  reduction: reductionKind,
  zeroInfinity: flag,
});

/**
 * −log of the probability of all paths that spell a target (Graves et al. 2006): connectionist temporal classification, in nats.
 * `logProbs` [T, B, C] are logarithms of probabilities, as logSoftmax gives them; targets [B, L] (i32 or u32) hold no blank, and
 * what lies behind their lengths is not looked at. Lengths of inputs, from 1 to T, and targets, from 0 to L, are numbers or tensors [B]. One dispatch, and two for
 * the gradient, which is that of the log probabilities as they stand: through logSoftmax it is PyTorch's. Throws a ValueError for lengths
 * and targets that don't fit, at the next read where they are tensors.
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Lengths,
  targetLengths: Lengths,
  options?: CtcLossOptions,
): Tensor {
  const { blank = 0, reduction = 'mean', zeroInfinity = false } = ctcLossOptions('ctcLoss', options);
  expectDType('ctcLoss', 'logProbs', logProbs, ['f32']);
  expectRank('ctcLoss', 'logProbs', logProbs, 3);
  expectDType('ctcLoss', 'targets', targets, ['i32', 'u32']);
  expectRank('ctcLoss', 'targets', targets, 2);
  const [T, B, C] = exactly(3, logProbs.shape);
  if (targets.shape[0] !== B)
    throw new ShapeError(
      `[ctcLoss] targets must be [${B}, L] for logProbs ${formatShape(logProbs.shape)} = [T, B, C], got ${formatShape(targets.shape)}`,
    );
  if (blank >= C) throw new ValueError(`[ctcLoss] blank must be one of the ${C} classes, got ${blank}`);
  const lengths = lengthsOf('ctcLoss', inputLengths, B, T, { name: 'inputLengths' });
  const ends = lengthsOf('ctcLoss', targetLengths, B, nth(targets.shape, 1), { name: 'targetLengths', least: 0 });
  const [found] = apply(ctcLossOp, [logProbs, targets, lengths, ends], { blank });
  const losses = zeroInfinity ? where(isInf(found), 0, found) : found;
  if (reduction === 'none') return losses;
  if (reduction === 'sum') return sum(losses);
  return mean(div(losses, maximum(cast(ends, 'f32'), 1)));
}

/** For the registry. */
export const ctcLossOps = { ctcLoss: ctcLossOp, ctcLossBackward: ctcLossBackwardOp } satisfies Readonly<
  Record<string, OpDef>
>;
