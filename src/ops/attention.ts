import { ShapeError, ValueError } from '../errors.ts';
import { differentiateComposed } from '../graph/autograd.ts';
import type { Attributes, Node, TensorType } from '../graph/node.ts';
import type { KernelLowering, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import { broadcastShapes, formatShape, type Layout, rowMajorStrides, sameShape } from '../graph/shape.ts';
import { attentionForward, attentionBackward as backwardFamily } from '../kernels/attention.ts';
import { familyCall } from '../kernels/family.ts';
import type { Operand } from '../kernels/kernel.ts';
import type { Tensor } from '../tensor.ts';
import { add, cast, mul, where, zeros } from './elementwise.ts';
import { iota } from './indexing.ts';
import { split, stack } from './join.ts';
import { matmul } from './matmul.ts';
import { checkProbability, nextRandom, uniform } from './random.ts';
import { softmax } from './softmax.ts';
import { expand, permute, reshape } from './view.ts';

/**
 * Fused scaled-dot-product attention (Dao 2023): the L×S weights never exist in memory. Inputs: q, k, v, then the mask and
 * the random key where used. Outputs: O, which lies in memory as [B, L, H, D] so that merging heads is free, and
 * log Σ eˢ of each row.
 */
const attentionOp: OpDef = {
  name: 'attention',
  infer: ([q, k]) => {
    const [B, H, L, D] = (q as TensorType).shape as [number, number, number, number];
    void k;
    return [
      { shape: [B, H, L, D], dtype: 'f32' },
      { shape: [B, H, L], dtype: 'f32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    strided: (operand, index, node) => (index < 3 && headsContiguous(operand)) || isMask(node.attributes, index, 3),
    outputLayout: (node, index) =>
      index === 0 ? headsLast((node.types[0] as TensorType).shape) : rowMajor(node, index),
    problem: (node, operands) => familyCall(attentionForward, problemOf(node, operands, 3)),
  },
  gradient: (node, [dO]) => {
    if (!dO) return node.inputs.map(() => null);
    const [q, k, v, ...rest] = node.inputs as [Tensor, Tensor, Tensor, ...Tensor[]];
    const [O, lse] = node.outputs as [Tensor, Tensor];
    const parts = apply(attentionBackwardOp, [q, k, v, O, lse, dO, ...rest], node.attributes);
    return [...unpackGradients(parts), ...rest.map(() => null)];
  },
  decompose: (inputs, attributes) => [composed(inputs as [Tensor, Tensor, Tensor, ...Tensor[]], attributes)],
};

/** Outputs dQ, dK, dV in one tensor [B, L, 3, H, D] where L = S; else dQ [B, L, H, D] and dK, dV [B, S, 2, H, D]. */
const attentionBackwardOp: OpDef = {
  name: 'attentionBackward',
  infer: ([q, k]) => {
    const [B, H, L, D] = (q as TensorType).shape as [number, number, number, number];
    const S = (k as TensorType).shape[2] as number;
    if (L === S) return [{ shape: [B, L, 3, H, D], dtype: 'f32' }];
    return [
      { shape: [B, L, H, D], dtype: 'f32' },
      { shape: [B, S, 2, H, D], dtype: 'f32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    strided: (operand, index, node) => {
      if (index === 3) return sameShape(operand.strides, headsLast(operand.shape).strides) && operand.offset === 0;
      return ((index < 3 || index === 5) && headsContiguous(operand)) || isMask(node.attributes, index, 6);
    },
    problem: (node, operands) =>
      familyCall(backwardFamily, { ...problemOf(node, operands, 6), dO: operands[5] as Operand }),
  },
  decompose: (inputs, attributes) => {
    const [q, k, v, , , dO, ...rest] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
    const gradients = differentiateComposed(attentionOp, [q, k, v, ...rest], attributes, [dO]).slice(0, 3);
    const [dQ, dK, dV] = gradients.map((gradient) => permute(gradient as Tensor, [0, 2, 1, 3])) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    return q.shape[2] === k.shape[2] ? [stack([dQ, dK, dV], 2)] : [dQ, stack([dK, dV], 2)];
  },
} satisfies OpDef & { lowering: KernelLowering };

function unpackGradients(parts: readonly Tensor[]): Tensor[] {
  const heads = (x: Tensor) => permute(x, [0, 2, 1, 3]);
  const [first, second] = parts as [Tensor, Tensor?];
  const third = (x: Tensor, count: number) =>
    split(x, 1, 2)
      .map((part) => heads(reshape(part, [x.shape[0] as number, x.shape[1] as number, ...x.shape.slice(3)])))
      .slice(0, count);
  return second ? [heads(first), ...third(second, 2)] : third(first, 3);
}

/** The layout of O: heads are side by side within a position. */
function headsLast(shape: readonly number[]): Layout {
  const [, H, L, D] = shape as [number, number, number, number];
  return { shape, strides: [L * H * D, D, H * D, 1], offset: 0 };
}
function rowMajor(node: Node, index: number): Layout {
  const { shape } = node.types[index] as TensorType;
  return { shape, strides: rowMajorStrides(shape), offset: 0 };
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
  const { causal, scale, probability, masked } = attributes as {
    causal: boolean;
    scale: number;
    probability: number;
    masked: boolean;
  };
  let scores = mul(matmul(q, permute(k, [0, 1, 3, 2])), scale);
  if (masked) scores = add(scores, rest[0] as Tensor);
  if (causal) scores = where(iota(scores.shape, -2).greaterEqual(iota(scores.shape, -1)), scores, -1e30);
  const hidden = scores.lessEqual(-1e8);
  // A row whose keys are all hidden gives zeros.
  const weights = where(hidden, 0, softmax(where(hidden, -1e30, scores), -1));
  const kept =
    probability > 0
      ? mul(weights, mul(cast(uniform(scores.shape).greaterEqual(probability), 'f32'), 1 / (1 - probability)))
      : weights;
  return matmul(kept, v);
}

export interface AttentionOptions {
  /** Query i sees keys j ≤ i. */
  causal?: boolean;
  /** Added to the scores: broadcasts to [B, H, L, S]; −1e9 and lower hides a key. A bool mask keeps where true. Gets no gradient. */
  mask?: Tensor | null;
  /** Factor of the scores; 1/√D by default. */
  scale?: number;
  /** Probability of dropping a weight. */
  dropout?: number;
}

/**
 * softmax(scale·QKᵀ + mask)·V for q [B, H, L, D], k and v [B, H, S, D] → [B, H, L, D], D ≤ 128 (Vaswani et al. 2017).
 * Fused, forward and backward: no L×S matrix in memory. A row with no key to see gives zeros.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { causal = false, mask = null, scale, dropout: probability = 0 }: AttentionOptions = {},
): Tensor {
  const op = 'scaledDotProductAttention';
  for (const [name, x] of [
    ['q', q],
    ['k', k],
    ['v', v],
  ] as const) {
    expectDType(op, name, x.dtype, ['f32']);
    expectRank(op, name, x.shape, 4);
  }
  const [B, H, L, D] = q.shape as [number, number, number, number];
  const S = k.shape[2] as number;
  if (!sameShape(k.shape, [B, H, S, D]) || !sameShape(v.shape, k.shape)) {
    throw new ShapeError(
      `[${op}] for q ${formatShape(q.shape)} both k and v must be [${B}, ${H}, S, ${D}], got ${formatShape(k.shape)} and ${formatShape(v.shape)}`,
    );
  }
  checkProbability(op, probability);
  const factor = scale ?? 1 / Math.sqrt(D);
  if (!Number.isFinite(factor)) throw new ValueError(`[${op}] scale must be a finite number, got ${factor}`);
  const inputs: Tensor[] = [q, k, v];
  if (mask) {
    const full = [B, H, L, S];
    if (!sameShape(broadcastShapes(op, [mask.shape, full]), full))
      throw new ShapeError(`[${op}] the mask ${formatShape(mask.shape)} must broadcast to ${formatShape(full)}`);
    inputs.push(expand(mask.dtype === 'bool' ? where(mask, zeros([]), -1e30) : mask, full));
  }
  let stream = 0;
  if (probability > 0) {
    const random = nextRandom();
    stream = random.stream;
    inputs.push(random.key);
  }
  return applyOne(attentionOp, inputs, {
    causal,
    scale: factor,
    probability,
    stream,
    masked: mask !== null && mask !== undefined,
  });
}

/** For tests that walk every op. */
export const attentionOps: Readonly<Record<string, OpDef>> = {
  attention: attentionOp,
  attentionBackward: attentionBackwardOp,
};
