import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { denseInOrder, denseLayout, fillTogether, type Layout } from '../core/layout.ts';
import { declareOptions, finite, flag, nullable, probability, tensorLike } from '../core/options.ts';
import { broadcastShapes, formatShape, sameShape } from '../core/shape.ts';
import type { Attributes, TensorType } from '../core/types.ts';
import type { Node } from '../graph/node.ts';
import type { OpDef, Placement, Surroundings } from '../graph/op.ts';
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

/**
 * Fused scaled-dot-product attention (Dao 2023): the L×S weights never exist in memory. Inputs: q, k, v, then the mask and
 * the random key where used. Outputs: O and log Σ eˢ of each row.
 */
const attentionOp: OpDef = {
  name: 'attention',
  infer: ([q]) => {
    const [B, H, L, D] = (q as TensorType).shape as [number, number, number, number];
    return [
      { shape: [B, H, L, D], dtype: 'f32' },
      { shape: [B, H, L], dtype: 'f32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    strided: (operand, index, node) => (index < 3 && headsContiguous(operand)) || isMask(node.attributes, index, 3),
    // Who reads O next merges its heads, which is free where they lie side by side.
    place: (node, [q], { isResult }) => {
      const [O, lse] = node.types as [TensorType, TensorType];
      const merging = denseInOrder(O.shape, [...inMemory(q as Operand, [0, 2]), 1, 3]);
      return {
        values: [O, lse],
        outputs: [isResult(0) ? denseLayout(O.shape) : merging, denseLayout(lse.shape)].map((layout, value) => ({
          value,
          layout,
        })),
      };
    },
    problem: (node, operands, _, [O]) =>
      familyCall(attentionForward, { ...problemOf(node, operands, 3), O: O as Operand }),
  },
  gradient: ({ inputs, outputs, attributes }, [dO], wanted) => {
    if (!dO) return inputs.map(() => null);
    const [q, k, v, ...rest] = inputs as [Tensor, Tensor, Tensor, ...Tensor[]];
    const [O, lse] = outputs as [Tensor, Tensor];
    const gradients = apply(attentionBackwardOp, [q, k, v, O, lse, dO, ...rest], attributes);
    // A mask that is learned has a gradient of L×S elements, which the kernels never make: it comes from the definition.
    const composedGradients =
      attributes.masked && wanted[3] ? differentiateComposed(attentionOp, inputs, attributes, [dO]) : [];
    return [...gradients, ...rest.map((_, i) => composedGradients[3 + i] ?? null)];
  },
  decompose: (inputs, attributes) => [composed(inputs as [Tensor, Tensor, Tensor, ...Tensor[]], attributes)],
};

/** Outputs dQ, dK, dV. */
const attentionBackwardOp: OpDef = {
  name: 'attentionBackward',
  infer: (inputs) => inputs.slice(0, 3).map(({ shape }) => ({ shape, dtype: 'f32' })),
  lowering: {
    kind: 'kernel',
    strided: (operand, index, node) =>
      ([0, 1, 2, 3, 5].includes(index) && headsContiguous(operand)) || isMask(node.attributes, index, 6),
    place: (_, operands, surroundings) => placeGradients(operands.slice(0, 3), surroundings),
    problem: (node, operands, _, [dQ, dK, dV]) =>
      familyCall(backwardFamily, {
        ...problemOf(node, operands, 6),
        O: operands[3] as Operand,
        dO: operands[5] as Operand,
        dQ: dQ as Operand,
        dK: dK as Operand,
        dV: dV as Operand,
      }),
  },
  decompose: (inputs, attributes) => {
    const [q, k, v, , , dO, ...rest] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
    return differentiateComposed(attentionOp, [q, k, v, ...rest], attributes, [dO]).slice(0, 3) as Tensor[];
  },
};
/**
 * Gradients of q, k and v in one value. They lie as q, k and v do: side by side where these are the parts of one projection,
 * whose gradient then needs no copy.
 */
function placeGradients(operands: readonly Operand[], { together, isResult }: Surroundings): Placement {
  const packed = (...group: number[]) =>
    !group.some(isResult) &&
    group.every((i) => together(i, group[0] as number)) &&
    fillTogether(group.map((i) => operands[i] as Operand));
  const groups = packed(0, 1, 2) ? [[0, 1, 2]] : packed(1, 2) ? [[0], [1, 2]] : [[0], [1], [2]];
  let length = 0;
  const layouts = groups.flatMap((group) => {
    const parts = group.map((i) => operands[i] as Operand);
    const first = Math.min(...parts.map(({ offset }) => offset));
    const start = length;
    length += packedSize([parts.length, ...(parts[0] as Operand).shape]);
    return parts.map((part, i): Layout => {
      const { shape, strides } = part;
      if (parts.length > 1) return { shape, strides, offset: start + part.offset - first };
      const order = isResult(group[i] as number) ? [0, 1, 2, 3] : [...inMemory(part, [0, 1, 2]), 3];
      return { ...denseInOrder(shape, order), offset: start };
    });
  });
  return { values: [{ shape: [length], dtype: 'f32' }], outputs: layouts.map((layout) => ({ value: 0, layout })) };
}

/** Dimensions of an operand, outermost in memory first. */
function inMemory({ strides }: Operand, dimensions: readonly number[]): number[] {
  return dimensions.toSorted((a, b) => (strides[b] as number) - (strides[a] as number));
}

/** The kernels take any strides but the innermost, which must be 1; they count forward only. */
function headsContiguous({ shape, strides }: Operand): boolean {
  return (shape[3] === 1 || strides[3] === 1) && strides.every((stride) => stride >= 0);
}
function isMask(attributes: Attributes, index: number, first: number): boolean {
  return attributes.masked === true && index === first;
}

function problemOf(node: Node, operands: readonly Operand[], first: number) {
  const [q, k, v] = operands as [Operand, Operand, Operand];
  const [B, H, L, D] = q.shape as [number, number, number, number];
  const { causal, scale, probability, stream, masked } = node.attributes as {
    causal: boolean;
    scale: number;
    probability: number;
    stream: number;
    masked: boolean;
  };
  return {
    B,
    H,
    L,
    S: k.shape[2] as number,
    D,
    causal,
    scale,
    dropout: probability,
    stream,
    q,
    k,
    v,
    ...(masked ? { mask: operands[first] as Operand } : {}),
  };
}

/** Attention in plain ops, the definition that the fused kernels are tested against. */
function composed([q, k, v, ...rest]: readonly [Tensor, Tensor, Tensor, ...Tensor[]], attributes: Attributes): Tensor {
  const { causal, scale, probability, stream, masked } = attributes as {
    causal: boolean;
    scale: number;
    probability: number;
    stream: number;
    masked: boolean;
  };
  let scores = mul(matmul(q, permute(k, [0, 1, 3, 2])), scale);
  if (masked) scores = add(scores, rest[0] as Tensor);
  if (causal) scores = where(greaterEqual(iota(scores.shape, -2), iota(scores.shape, -1)), scores, -1e30);
  const hidden = lessEqual(scores, -1e8);
  // A row whose keys are all hidden gives zeros.
  const weights = where(hidden, 0, softmax(where(hidden, -1e30, scores), -1));
  if (probability === 0) return matmul(weights, v);
  // The weights that the kernels drop: they count them in this order.
  const kept = greaterEqual(uniformOf(rest.at(-1) as Tensor, stream, weights.shape), probability);
  return matmul(mul(where(kept, weights, 0), 1 / (1 - probability)), v);
}

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
  const [B, H, L, D] = q.shape as [number, number, number, number];
  const S = k.shape[2] as number;
  if (!sameShape(k.shape, [B, H, S, D]) || !sameShape(v.shape, k.shape)) {
    throw new ShapeError(
      `[${op}] for q ${formatShape(q.shape)} both k and v must be [${B}, ${H}, S, ${D}], got ${formatShape(k.shape)} and ${formatShape(v.shape)}`,
    );
  }
  const large = tooLarge({ B, H, L, S, D });
  if (large) throw new UnsupportedError(`[${op}] ${large}`);
  const factor = scale ?? 1 / Math.sqrt(D);
  // Nothing is kept; there is no scale that could make up for it.
  if (dropout === 1) return mul(scaledDotProductAttention(q, k, v, { ...options, dropout: 0 }), 0);
  const inputs: Tensor[] = [q, k, v];
  if (mask) {
    const full = [B, H, L, S];
    if (!sameShape(broadcastShapes(op, [mask.shape, full]), full))
      throw new ShapeError(`[${op}] the mask ${formatShape(mask.shape)} must broadcast to ${formatShape(full)}`);
    inputs.push(expand(mask.dtype === 'bool' ? where(mask, zeros([]), -1e30) : mask, full));
  }
  let stream = 0;
  if (dropout > 0) {
    const random = nextRandom();
    stream = random.stream;
    inputs.push(random.key);
  }
  return applyOne(attentionOp, inputs, {
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
