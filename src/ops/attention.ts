import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { denseInOrder, denseLayout, fillTogether, type Layout } from '../core/layout.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions, finite, flag, nullable, probability, tensorLike } from '../core/options.ts';
import { broadcastShapes, formatShape, sameShape } from '../core/shape.ts';
import { each, type Op, type OpDef, type Placement, type Surroundings } from '../graph/op.ts';
import { packedSize } from '../graph/packing.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { attentionForward, attentionBackward as backwardFamily, tooLarge } from '../kernels/attention.ts';
import { familyCall } from '../kernels/family.ts';
import type { Operand } from '../kernels/kernel.ts';
import { differentiateComposed } from './autograd.ts';
import { add, greaterEqual, lessEqual, mul, where, zeros } from './elementwise.ts';
import { iota } from './indexing.ts';
import { matmul } from './matmul.ts';
import { nextRandom, uniformOf } from './random.ts';
import { softmax } from './softmax.ts';
import { expand, permute } from './view.ts';

type AttentionAttributes = {
  causal: boolean;
  scale: number;
  /** Of dropping a weight. */
  probability: number;
  /** Where the numbers that decide it come from, under the random key. */
  stream: number;
  masked: boolean;
};

/**
 * Fused scaled-dot-product attention (Dao 2023): the L×S weights never exist in memory. Inputs: q, k, v, then the mask and
 * the random key where used. Outputs: O and log Σ eˢ of each row.
 */
const attentionOp: Op<
  [q: Tensor, k: Tensor, v: Tensor, ...maskAndKey: Tensor[]],
  AttentionAttributes,
  [O: Tensor, lse: Tensor]
> = {
  name: 'attention',
  infer: ([{ shape }]) => [
    { shape, dtype: 'f32' },
    { shape: shape.slice(0, 3), dtype: 'f32' },
  ],
  lowering: {
    kind: 'kernel',
    strided: (operand, index, { attributes: { masked } }) =>
      (index < 3 && headsContiguous(operand)) || (masked && index === 3),
    // Puts the heads side by side, so that whoever merges them next has nothing to copy.
    place: ({ types: [O, lse] }, [q], { isResult }) => {
      const merging = denseInOrder(O.shape, [...inMemory(q, [0, 2]), 1, 3]);
      return {
        values: [O, lse],
        outputs: [isResult(0) ? denseLayout(O.shape) : merging, denseLayout(lse.shape)].map((layout, value) => ({
          value,
          layout,
        })),
      };
    },
    problem: ({ attributes }, [q, k, v, mask], _, [O]) =>
      familyCall(attentionForward, { ...problemOf(attributes, q, k, v, mask), O }),
  },
  gradient: ({ inputs, outputs, attributes }, [dO], wanted) => {
    if (!dO) return each(inputs, () => null);
    const [q, k, v, ...rest] = inputs;
    const [O, lse] = outputs;
    const gradients = apply(attentionBackwardOp, [q, k, v, O, lse, dO, ...rest], attributes);
    // Takes the gradient of a learned mask from the definition: it has L×S elements, which the kernels never make.
    const composedGradients =
      attributes.masked && wanted[3] ? differentiateComposed(attentionOp, inputs, attributes, [dO]) : [];
    return [...gradients, ...rest.map((_, i) => composedGradients[3 + i] ?? null)];
  },
  decompose: (inputs, attributes) => [composed(inputs, attributes)],
};

const attentionBackwardOp: Op<
  [q: Tensor, k: Tensor, v: Tensor, O: Tensor, lse: Tensor, dO: Tensor, ...maskAndKey: Tensor[]],
  AttentionAttributes,
  [dQ: Tensor, dK: Tensor, dV: Tensor]
> = {
  name: 'attentionBackward',
  infer: ([q, k, v]) => [
    { shape: q.shape, dtype: 'f32' },
    { shape: k.shape, dtype: 'f32' },
    { shape: v.shape, dtype: 'f32' },
  ],
  lowering: {
    kind: 'kernel',
    strided: (operand, index, { attributes: { masked } }) =>
      ([0, 1, 2, 3, 5].includes(index) && headsContiguous(operand)) || (masked && index === 6),
    place: (_, operands, surroundings) => placeGradients(operands.slice(0, 3), surroundings),
    problem: ({ attributes }, [q, k, v, O, , dO, mask], _, [dQ, dK, dV]) =>
      familyCall(backwardFamily, { ...problemOf(attributes, q, k, v, mask), O, dO, dQ, dK, dV }),
  },
  decompose: ([q, k, v, , , dO, ...rest], attributes) => {
    const gradients = differentiateComposed(attentionOp, [q, k, v, ...rest], attributes, [dO]);
    return [q, k, v].map(({ shape }, i) => gradients[i] ?? zeros(shape));
  },
};
/**
 * Gradients of q, k and v in one value. They lie as q, k and v do: side by side where these are the parts of one projection,
 * whose gradient then needs no copy.
 */
function placeGradients(operands: readonly Operand[], { together, isResult }: Surroundings): Placement {
  const packed = (...group: number[]) =>
    !group.some(isResult) &&
    group.every((i) => together(i, nth(group, 0))) &&
    fillTogether(group.map((i) => nth(operands, i)));
  const groups = packed(0, 1, 2) ? [[0, 1, 2]] : packed(1, 2) ? [[0], [1, 2]] : [[0], [1], [2]];
  let length = 0;
  const layouts = groups.flatMap((group) => {
    const parts = group.map((i) => nth(operands, i));
    const first = Math.min(...parts.map(({ offset }) => offset));
    const start = length;
    length += packedSize([parts.length, ...nth(parts, 0).shape]);
    return parts.map((part, i): Layout => {
      const { shape, strides } = part;
      if (parts.length > 1) return { shape, strides, offset: start + part.offset - first };
      const order = isResult(nth(group, i)) ? [0, 1, 2, 3] : [...inMemory(part, [0, 1, 2]), 3];
      return { ...denseInOrder(shape, order), offset: start };
    });
  });
  return { values: [{ shape: [length], dtype: 'f32' }], outputs: layouts.map((layout) => ({ value: 0, layout })) };
}

/** Dimensions of an operand, outermost in memory first. */
function inMemory({ strides }: Operand, dimensions: readonly number[]): number[] {
  return dimensions.toSorted((a, b) => nth(strides, b) - nth(strides, a));
}

/** The kernels take any strides but the innermost, which must be 1; they count forward only. */
function headsContiguous({ shape, strides }: Operand): boolean {
  return (shape[3] === 1 || strides[3] === 1) && strides.every((stride) => stride >= 0);
}

function problemOf(
  { causal, scale, probability, stream, masked }: AttentionAttributes,
  q: Operand,
  k: Operand,
  v: Operand,
  mask: Operand | undefined,
) {
  const [B, H, L, D] = exactly(4, q.shape);
  const S = nth(k.shape, 2);
  return { B, H, L, S, D, causal, scale, dropout: probability, stream, q, k, v, ...(masked ? { mask } : {}) };
}

/** Attention in plain ops, the definition that the fused kernels are tested against. */
function composed(
  [q, k, v, ...rest]: readonly [Tensor, Tensor, Tensor, ...Tensor[]],
  { causal, scale, probability, stream, masked }: AttentionAttributes,
): Tensor {
  let scores = mul(matmul(q, permute(k, [0, 1, 3, 2])), scale);
  if (masked) scores = add(scores, nth(rest, 0));
  if (causal) scores = where(greaterEqual(iota(scores.shape, -2), iota(scores.shape, -1)), scores, -1e30);
  const hidden = lessEqual(scores, -1e8);
  // A row whose keys are all hidden gives zeros.
  const weights = where(hidden, 0, softmax(where(hidden, -1e30, scores), -1));
  if (probability === 0) return matmul(weights, v);
  // Drops the weights that the kernels drop, which count them in this order.
  const kept = greaterEqual(uniformOf(nth(rest, -1), stream, weights.shape), probability);
  return matmul(mul(where(kept, weights, 0), 1 / (1 - probability)), v);
}

/** Options of `scaledDotProductAttention`: what each query may see, and how scores become weights. */
export interface AttentionOptions {
  /** Query i sees keys j ≤ i. */
  causal?: boolean;
  /** Added to the scores: broadcasts to [B, H, L, S]; −1e9 and lower hides a key. A bool mask keeps where true. */
  mask?: Tensor | null;
  /** Factor of the scores; 1/√D by default. */
  scale?: number;
  /** Probability of dropping a weight, 1 included. */
  dropout?: number;
}
const attentionOptions = declareOptions<AttentionOptions>({
  causal: flag,
  mask: nullable(tensorLike),
  scale: finite,
  dropout: probability,
});

/**
 * softmax(scale·QKᵀ + mask)·V for q [B, H, L, D], k and v [B, H, S, D] → [B, H, L, D], D ≤ 128 (Vaswani et al. 2017).
 * Fused, forward and backward: no L×S matrix in memory. A row with no key to see gives zeros.
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions): Tensor {
  const op = 'scaledDotProductAttention';
  const { causal = false, mask = null, scale, dropout = 0 } = attentionOptions(op, options);
  for (const [name, x] of [
    ['q', q],
    ['k', k],
    ['v', v],
  ] as const) {
    expectDType(op, name, x, ['f32']);
    expectRank(op, name, x, 4);
  }
  const [B, H, L, D] = exactly(4, q.shape);
  const S = nth(k.shape, 2);
  if (!sameShape(k.shape, [B, H, S, D]) || !sameShape(v.shape, k.shape)) {
    throw new ShapeError(
      `[${op}] for q ${formatShape(q.shape)} both k and v must be [${B}, ${H}, S, ${D}], got ${formatShape(k.shape)} and ${formatShape(v.shape)}`,
    );
  }
  const large = tooLarge({ B, H, L, S, D });
  if (large) throw new UnsupportedError(`[${op}] ${large}`);
  const factor = scale ?? 1 / Math.sqrt(D);
  // Keeps nothing: no scale could make up for it.
  if (dropout === 1) return mul(scaledDotProductAttention(q, k, v, { ...options, dropout: 0 }), 0);
  const rest: Tensor[] = [];
  if (mask) {
    const full = [B, H, L, S];
    if (!sameShape(broadcastShapes(op, [mask.shape, full]), full))
      throw new ShapeError(`[${op}] the mask ${formatShape(mask.shape)} must broadcast to ${formatShape(full)}`);
    rest.push(expand(mask.dtype === 'bool' ? where(mask, zeros([]), -1e30) : mask, full));
  }
  let stream = 0;
  if (dropout > 0) {
    const random = nextRandom();
    stream = random.stream;
    rest.push(random.key);
  }
  return applyOne(attentionOp, [q, k, v, ...rest], {
    causal,
    scale: factor,
    probability: dropout,
    stream,
    masked: mask !== null && mask !== undefined,
  });
}

/** For the registry. */
export const attentionOps = {
  attention: attentionOp,
  attentionBackward: attentionBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
