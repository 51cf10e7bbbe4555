import type { Attributes, TensorType } from '../core/types.ts';
import type { Node } from '../graph/node.ts';
import type { OpDef } from '../graph/op.ts';
import { apply } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { clipNorm as clipNormFamily, clipScale as clipScaleFamily } from '../kernels/clip.ts';
import { familyCall } from '../kernels/family.ts';
import {
  adamWords,
  adamw as adamwFamily,
  gate as gateFamily,
  type PackedProblem,
  sgd as sgdFamily,
  sgdWords,
  type Telling,
} from '../kernels/updates.ts';
import { pack } from './packing.ts';

/** Updates of all parameters at once, over flat packs [N]; what changes is overwritten in place where nobody else reads it. */
function like(inputs: readonly TensorType[], positions: readonly number[]): TensorType[] {
  return positions.map((i) => {
    const { shape, dtype } = inputs[i] as TensorType;
    return { shape, dtype };
  });
}

/** Where the counts are that an update replaces, given the first of the inputs that say which step it is. */
const countsAt = (by: unknown, first: number) => (by === 'gate' ? [] : [by === 'scale' ? first + 1 : first]);

const problemOf = (
  [parameters]: readonly Tensor[],
  hyper: Tensor | undefined,
  words: number,
  { by, members, finding, firstBlock }: Attributes,
): PackedProblem => ({
  N: (parameters as Tensor).size,
  members: members as number,
  groups: (hyper as Tensor).size / words,
  by: by as PackedProblem['by'],
  finding: finding as number,
  firstBlock: firstBlock as number,
});

const adamwOp: OpDef = {
  name: 'adamw',
  infer: (inputs, { by }) => like(inputs, [0, 2, 3, ...countsAt(by, 5)]),
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs, attributes }) => familyCall(adamwFamily, problemOf(inputs, inputs[4], adamWords, attributes)),
  },
};
const sgdOp: OpDef = {
  name: 'sgd',
  infer: (inputs, { by, momentum }) => {
    const updated = momentum ? [0, 3] : [0];
    return like(inputs, [...updated, ...countsAt(by, momentum ? 4 : 3)]);
  },
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs, attributes }) =>
      familyCall(sgdFamily, {
        ...problemOf(inputs, inputs[2], sgdWords, attributes),
        momentum: attributes.momentum as boolean,
      }),
  },
};
const gateOp: OpDef = {
  name: 'gate',
  infer: ([counts]) => [
    ...like([counts as TensorType], [0]),
    { shape: [...(counts as TensorType).shape, 4], dtype: 'f32' },
  ],
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs, attributes: { scaled, skips } }) =>
      familyCall(gateFamily, {
        members: (inputs[0] as Tensor).size,
        scaled: scaled as boolean,
        skips: skips as number | null,
      }),
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
    return { inputs: [turn.gate, turn.table], attributes: { by: 'gate', members: turn.gate.shape[0] as number } };
  const { counts, scale } = turn;
  const attributes = { members: counts.size };
  if (!scale) return { inputs: [counts], attributes: { ...attributes, by: 'counts' } };
  // The factor is written where it is wanted, and only the counts are copied there, bit for bit.
  return { inputs: [pack([scale, counts]), counts], attributes: { ...attributes, by: 'scale' } };
}

/** The first finding, of the first parameter: where an optimizer makes the only step of its submit. */
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
export function adamwUpdate({ parameters, gradients, mean, square, hyper, turn, telling = ownFinding }: AdamwUpdate): {
  parameters: Tensor;
  mean: Tensor;
  square: Tensor;
  counts: Tensor | null;
} {
  const { inputs, attributes } = inputsOf(turn);
  const outputs = apply(adamwOp, [parameters, gradients, mean, square, hyper, ...inputs], {
    ...attributes,
    ...telling,
  });
  return {
    parameters: outputs[0] as Tensor,
    mean: outputs[1] as Tensor,
    square: outputs[2] as Tensor,
    counts: outputs[3] ?? null,
  };
}

export interface SgdUpdate {
  parameters: Tensor;
  gradients: Tensor;
  /** [groups·5], see `sgdHyper`. */
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
  const outputs = apply(sgdOp, [parameters, gradients, hyper, ...(buffer ? [buffer] : []), ...inputs], {
    ...attributes,
    ...telling,
    momentum,
  });
  return {
    parameters: outputs[0] as Tensor,
    buffer: momentum ? (outputs[1] as Tensor) : null,
    counts: outputs[momentum ? 2 : 1] ?? null,
  };
}

/** What leaves a step out. */
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
  const inputs = [counts, groups, ...(scale ? [scale] : []), ...(skip ? [skip.worst] : [])];
  const attributes = { scaled: scale !== null, skips: skip?.finding ?? null };
  const [next, gate] = apply(gateOp, inputs, attributes) as [Tensor, Tensor];
  return { counts: next, gate };
}

const clipTypes = (): TensorType[] => [
  { shape: [1], dtype: 'f32' },
  { shape: [1], dtype: 'f32' },
];
const badNorm = ({ attributes }: Node) =>
  attributes.strict
    ? '[clipGradNorm] the norm of the gradients is not finite, and errorIfNonfinite is set: no state was changed; lower the learning rate, or look for what overflows'
    : null;
const settingsOf = ({ maxNorm, strict }: Attributes) => ({ maxNorm: maxNorm as number, strict: strict as boolean });

const clipNormOp: OpDef = {
  name: 'clipNorm',
  infer: clipTypes,
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gradients], attributes }) =>
      familyCall(clipNormFamily, { ...settingsOf(attributes), N: (gradients as Tensor).size }),
    badData: badNorm,
  },
};
const clipScaleOp: OpDef = {
  name: 'clipScale',
  infer: clipTypes,
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [squares], attributes }) =>
      familyCall(clipScaleFamily, { ...settingsOf(attributes), count: (squares as Tensor).size }),
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
  const [norm, scale] = apply(clipNormOp, [gradients], { maxNorm, strict }) as [Tensor, Tensor];
  return { norm, scale };
}
/** The same from sums of squares [count]. */
export function clipScale(squares: Tensor, { maxNorm, strict }: ClipSettings): { norm: Tensor; scale: Tensor } {
  const [norm, scale] = apply(clipScaleOp, [squares], { maxNorm, strict }) as [Tensor, Tensor];
  return { norm, scale };
}

export { blockFound, leftOut, mostFindings } from '../kernels/findings.ts';
export { adamHyper, leftAlone, packedBlock, sgdHyper, type Telling } from '../kernels/updates.ts';

/** For tests that walk every op. */
export const optimizerOps = { adamw: adamwOp, sgd: sgdOp, gate: gateOp, clipNorm: clipNormOp, clipScale: clipScaleOp };
