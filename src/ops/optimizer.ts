import type { TensorType } from '../graph/node.ts';
import type { OpDef } from '../graph/op.ts';
import { apply } from '../graph/record.ts';
import { familyCall } from '../kernels/family.ts';
import { adamw as adamwFamily, clipNorm as clipFamily, sgd as sgdFamily } from '../kernels/optimizer.ts';
import type { Tensor } from '../tensor.ts';

/** Updates of all parameters at once, over flat packs [N]; what changes is overwritten in place where nobody else reads it. */
const flat = (inputs: readonly TensorType[], positions: readonly number[]): TensorType[] =>
  positions.map((i) => ({ shape: (inputs[i] as TensorType).shape, dtype: 'f32' }));

const adamwOp: OpDef = {
  name: 'adamw',
  infer: (inputs) => flat(inputs, [0, 2, 3]),
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: (node) =>
      familyCall(adamwFamily, { ends: node.attributes.ends as number[], clipped: node.inputs.length > 5 }),
  },
};
const sgdOp: OpDef = {
  name: 'sgd',
  infer: (inputs, { momentum }) => flat(inputs, momentum ? [0, 3] : [0]),
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ attributes, inputs }) =>
      familyCall(sgdFamily, {
        ends: attributes.ends as number[],
        momentum: attributes.momentum as boolean,
        clipped: inputs.length > (attributes.momentum ? 4 : 3),
      }),
  },
};
const clipNormOp: OpDef = {
  name: 'clipNorm',
  infer: () => [
    { shape: [1], dtype: 'f32' },
    { shape: [1], dtype: 'f32' },
  ],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gradients], attributes }) =>
      familyCall(clipFamily, { N: (gradients as Tensor).size, maxNorm: attributes.maxNorm as number }),
  },
};

export interface AdamwUpdate {
  parameters: Tensor;
  gradients: Tensor;
  mean: Tensor;
  square: Tensor;
  /** [groups·8], see `adamHyper`. */
  hyper: Tensor;
  /** Factor of the gradients [1]. */
  scale: Tensor | null;
  /** Element at which each group ends. */
  ends: readonly number[];
}
/** One AdamW (or Adam) step (Loshchilov and Hutter 2019) over packs [N]; 28 bytes of traffic per parameter. */
export function adamwUpdate({ parameters, gradients, mean, square, hyper, scale, ends }: AdamwUpdate): {
  parameters: Tensor;
  mean: Tensor;
  square: Tensor;
} {
  const outputs = apply(adamwOp, [parameters, gradients, mean, square, hyper, ...(scale ? [scale] : [])], {
    ends: [...ends],
  });
  return { parameters: outputs[0] as Tensor, mean: outputs[1] as Tensor, square: outputs[2] as Tensor };
}

export interface SgdUpdate {
  parameters: Tensor;
  gradients: Tensor;
  /** [groups·8], see `sgdHyper`. */
  hyper: Tensor;
  /** The running direction [N], where a group has momentum. */
  buffer: Tensor | null;
  scale: Tensor | null;
  ends: readonly number[];
}
/** One SGD step over packs [N]. */
export function sgdUpdate({ parameters, gradients, hyper, buffer, scale, ends }: SgdUpdate): {
  parameters: Tensor;
  buffer: Tensor | null;
} {
  const outputs = apply(sgdOp, [parameters, gradients, hyper, ...(buffer ? [buffer] : []), ...(scale ? [scale] : [])], {
    ends: [...ends],
    momentum: buffer !== null,
  });
  return { parameters: outputs[0] as Tensor, buffer: outputs[1] ?? null };
}

/** The norm of a pack of gradients [N] and the factor min(1, maxNorm/(norm + 1e-6)) that clips it; both [1], on the GPU. */
export function clipNorm(gradients: Tensor, maxNorm: number): { norm: Tensor; scale: Tensor } {
  const [norm, scale] = apply(clipNormOp, [gradients], { maxNorm }) as [Tensor, Tensor];
  return { norm, scale };
}

export { adamHyper, sgdHyper } from '../kernels/optimizer.ts';

/** For the registry. */
export const optimizerOps = { adamw: adamwOp, sgd: sgdOp, clipNorm: clipNormOp } satisfies Readonly<
  Record<string, OpDef>
>;
