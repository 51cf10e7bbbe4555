import { nth } from '../core/lists.ts';
import type { TensorType } from '../core/types.ts';
import type { Op } from '../graph/op.ts';
import { apply } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { clipNorm as clipNormFamily, clipScale as clipScaleFamily } from '../kernels/clip.ts';
import { familyCall } from '../kernels/family.ts';
import {
  adamWords,
  adamw as adamwFamily,
  descendWords,
  gate as gateFamily,
  type PackedProblem,
  type RuleName,
  ruled as ruledFamily,
  sgd as sgdFamily,
  statesOf,
  type Telling,
} from '../kernels/updates.ts';
import { pack } from './packing.ts';

/** Updates of all parameters at once, over flat packs [N]; what changes is overwritten in place where nobody else reads it. */
const like = ({ shape, dtype }: TensorType): TensorType => ({ shape, dtype });

/** The counts that an update replaces: the last of the inputs that say which step it is, where these have any. */
const countsIn = (turn: readonly TensorType[], by: PackedProblem['by']) => (by === 'gate' ? [] : turn.slice(-1));

type UpdateAttributes = Pick<PackedProblem, 'by' | 'members' | 'finding' | 'firstBlock' | 'derived'>;

const problemOf = (
  parameters: Tensor,
  hyper: Tensor,
  words: number,
  { by, members, finding, firstBlock, derived = false }: UpdateAttributes,
): PackedProblem => ({ N: parameters.size, members, groups: hyper.size / words, by, finding, firstBlock, derived });

const adamwOp: Op<
  [parameters: Tensor, gradients: Tensor, mean: Tensor, square: Tensor, hyper: Tensor, ...turn: Tensor[]],
  UpdateAttributes,
  [parameters: Tensor, mean: Tensor, square: Tensor, ...counts: Tensor[]]
> = {
  name: 'adamw',
  infer: ([parameters, , mean, square, , ...turn], { by }) => [
    like(parameters),
    like(mean),
    like(square),
    ...countsIn(turn, by).map(like),
  ],
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs: [parameters, , , , hyper], attributes }) =>
      familyCall(adamwFamily, problemOf(parameters, hyper, adamWords, attributes)),
  },
};
const sgdOp: Op<
  [parameters: Tensor, gradients: Tensor, hyper: Tensor, ...bufferAndTurn: Tensor[]],
  UpdateAttributes & { momentum: boolean },
  [parameters: Tensor, ...bufferAndCounts: Tensor[]]
> = {
  name: 'sgd',
  infer: ([parameters, , , ...rest], { by, momentum }) => {
    const [buffer, turn] = momentum ? [rest.slice(0, 1), rest.slice(1)] : [[], rest];
    return [like(parameters), ...[...buffer, ...countsIn(turn, by)].map(like)];
  },
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs: [parameters, , hyper], attributes }) =>
      familyCall(sgdFamily, {
        ...problemOf(parameters, hyper, descendWords, attributes),
        momentum: attributes.momentum,
      }),
  },
};
const ruledOp: Op<
  [parameters: Tensor, gradients: Tensor, hyper: Tensor, ...statesAndTurn: Tensor[]],
  UpdateAttributes & { rule: RuleName },
  [parameters: Tensor, ...statesAndCounts: Tensor[]]
> = {
  name: 'ruled',
  infer: ([parameters, , , ...rest], { by, rule }) => {
    const [states, turn] = [rest.slice(0, statesOf(rule)), rest.slice(statesOf(rule))];
    return [like(parameters), ...[...states, ...countsIn(turn, by)].map(like)];
  },
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs: [parameters, , hyper], attributes }) =>
      familyCall(ruledFamily, {
        ...problemOf(parameters, hyper, descendWords, attributes),
        rule: attributes.rule,
      }),
  },
};
const gateOp: Op<
  [counts: Tensor, groups: Tensor, ...scaleAndWorst: Tensor[]],
  { scaled: boolean; skips: number | null },
  [counts: Tensor, gate: Tensor]
> = {
  name: 'gate',
  infer: ([counts]) => [like(counts), { shape: [...counts.shape, 4], dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs: [counts], attributes: { scaled, skips } }) =>
      familyCall(gateFamily, { members: counts.size, scaled, skips }),
  },
};

/** Which step the parameters of a pack make, and whether: see `PackedProblem`. */
export type Turn =
  /** All the same one, whose equal counts [members] these are, with the scale [1] of clipping, where there was any. */
  | { readonly counts: Tensor; readonly scale: Tensor | null }
  /** Each its own: the gate [members, 4] of `gateSteps`, and the table of members, one for each block of 64 elements. */
  | { readonly gate: Tensor; readonly table: Tensor };

function inputsOf(turn: Turn): { inputs: Tensor[]; attributes: { by: PackedProblem['by']; members: number } } {
  if ('gate' in turn)
    return { inputs: [turn.gate, turn.table], attributes: { by: 'gate', members: nth(turn.gate.shape, 0) } };
  const { counts, scale } = turn;
  const attributes = { members: counts.size };
  if (!scale) return { inputs: [counts], attributes: { ...attributes, by: 'counts' } };
  // The factor is written where it is wanted, and only the counts are copied there, bit for bit.
  return { inputs: [pack([scale, counts]), counts], attributes: { ...attributes, by: 'scale' } };
}

/** The finding 0 at block 0, for an optimizer that makes the only step of its submit. */
const ownFinding: Telling = { finding: 0, firstBlock: 0 };

export interface AdamwUpdate {
  parameters: Tensor;
  gradients: Tensor;
  mean: Tensor;
  square: Tensor;
  /** [groups·9], see `adamHyper`. */
  hyper: Tensor;
  turn: Turn;
  telling?: Telling;
}
/**
 * One AdamW (or Adam) step (Loshchilov and Hutter 2019) over packs [N]; 28 bytes of traffic per parameter. `counts` are the
 * next ones, where the turn has counts.
 */
export function adamwUpdate({ turn, telling = ownFinding, ...packs }: AdamwUpdate): {
  parameters: Tensor;
  mean: Tensor;
  square: Tensor;
  counts: Tensor | null;
} {
  const { inputs, attributes } = inputsOf(turn);
  const [parameters, mean, square, counts = null] = apply(
    adamwOp,
    [packs.parameters, packs.gradients, packs.mean, packs.square, packs.hyper, ...inputs],
    { ...attributes, ...telling },
  );
  return { parameters, mean, square, counts };
}

export interface SgdUpdate {
  parameters: Tensor;
  gradients: Tensor;
  /** [groups·7], see `sgdHyper`. */
  hyper: Tensor;
  /** The running direction [N], where a group has momentum. */
  buffer: Tensor | null;
  turn: Turn;
  telling?: Telling;
}
/** One SGD step over packs [N]. `counts` are the next ones, where the turn has counts. */
export function sgdUpdate({ parameters, gradients, hyper, buffer, turn, telling = ownFinding }: SgdUpdate): {
  parameters: Tensor;
  buffer: Tensor | null;
  counts: Tensor | null;
} {
  const { inputs, attributes } = inputsOf(turn);
  const momentum = buffer !== null;
  const [next, ...others] = apply(sgdOp, [parameters, gradients, hyper, ...(buffer ? [buffer] : []), ...inputs], {
    ...attributes,
    ...telling,
    momentum,
  });
  return {
    parameters: next,
    buffer: momentum ? nth(others, 0) : null,
    counts: others[momentum ? 1 : 0] ?? null,
  };
}

export interface RuledUpdate {
  rule: RuleName;
  parameters: Tensor;
  gradients: Tensor;
  /** [groups·7], see `rmspropHyper`, `adagradHyper`, `lionHyper`. */
  hyper: Tensor;
  /** What the rule keeps, [N] each. */
  states: readonly Tensor[];
  turn: Turn;
  telling?: Telling;
}
/** One step over packs [N] by a rule of `ruled`. `counts` are the next ones, where the turn has counts. */
export function ruledUpdate({ rule, turn, telling = ownFinding, ...packs }: RuledUpdate): {
  parameters: Tensor;
  states: Tensor[];
  counts: Tensor | null;
} {
  const { inputs, attributes } = inputsOf(turn);
  const [parameters, ...others] = apply(
    ruledOp,
    [packs.parameters, packs.gradients, packs.hyper, ...packs.states, ...inputs],
    { ...attributes, ...telling, rule },
  );
  const count = statesOf(rule);
  return { parameters, states: others.slice(0, count), counts: others[count] ?? null };
}

/** The condition that leaves a step out. */
export interface Skip {
  /** A value [1] that is finite where the step may be made. */
  readonly worst: Tensor;
  /** The finding that tells of a step that is left out. */
  readonly finding: number;
}
/**
 * The next counts [members] of parameters that count their own steps, and their gate [members, 4] for the update. `groups`
 * [members] names the group of each, or `leftAlone`; `scale` [1] is that of clipping. With `skip` nobody makes the step where
 * that or the scale is not finite.
 */
export function gateSteps(
  counts: Tensor,
  groups: Tensor,
  scale: Tensor | null,
  skip: Skip | null = null,
): { counts: Tensor; gate: Tensor } {
  const [next, gate] = apply(gateOp, [counts, groups, ...(scale ? [scale] : []), ...(skip ? [skip.worst] : [])], {
    scaled: scale !== null,
    skips: skip?.finding ?? null,
  });
  return { counts: next, gate };
}

type ClipAttributes = Pick<ClipSettings, 'maxNorm' | 'strict'>;

const one: TensorType = { shape: [1], dtype: 'f32' };
const badNorm = ({ attributes: { strict } }: { readonly attributes: ClipAttributes }) =>
  strict
    ? '[clipGradNorm] the norm of the gradients is not finite, and errorIfNonfinite is set: no state was changed; lower the learning rate, or look for what overflows'
    : null;

const clipNormOp: Op<[gradients: Tensor], ClipAttributes, [norm: Tensor, scale: Tensor]> = {
  name: 'clipNorm',
  infer: () => [one, one],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gradients], attributes }) => familyCall(clipNormFamily, { ...attributes, N: gradients.size }),
    badData: badNorm,
  },
};
const clipScaleOp: Op<[squares: Tensor], ClipAttributes, [norm: Tensor, scale: Tensor]> = {
  name: 'clipScale',
  infer: () => [one, one],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [squares], attributes }) => familyCall(clipScaleFamily, { ...attributes, count: squares.size }),
    badData: badNorm,
  },
};

export interface ClipSettings {
  readonly maxNorm: number;
  /** Whether a norm that is not finite makes the step fail. */
  readonly strict: boolean;
}
/** The norm [1] of a pack of gradients [N], and the scale [1] that clips it: min(1, maxNorm/(norm + 1e-6)). */
export function clipNorm(gradients: Tensor, { maxNorm, strict }: ClipSettings): { norm: Tensor; scale: Tensor } {
  const [norm, scale] = apply(clipNormOp, [gradients], { maxNorm, strict });
  return { norm, scale };
}
/** The same from sums of squares [count]. */
export function clipScale(squares: Tensor, { maxNorm, strict }: ClipSettings): { norm: Tensor; scale: Tensor } {
  const [norm, scale] = apply(clipScaleOp, [squares], { maxNorm, strict });
  return { norm, scale };
}

export { blockFound, leftOut, mostFindings } from '../kernels/findings.ts';
export {
  adagradHyper,
  adamHyper,
  leftAlone,
  lionHyper,
  muonHyper,
  packedBlock,
  type RuleName,
  rmspropHyper,
  sgdHyper,
  type Telling,
} from '../kernels/updates.ts';

/** For tests that walk every op. */
export const updateOps = {
  adamw: adamwOp,
  sgd: sgdOp,
  ruled: ruledOp,
  gate: gateOp,
  clipNorm: clipNormOp,
  clipScale: clipScaleOp,
};
