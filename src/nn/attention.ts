import { ShapeError } from '../core/errors.ts';
import { declareOptions, flag, nullable, probability, tensorLike } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { scaledDotProductAttention } from '../ops/attention.ts';
import { parameter } from '../ops/create.ts';
import { and, not, where } from '../ops/elementwise.ts';
import { split } from '../ops/join.ts';
import { slice } from '../ops/slice.ts';
import { permute, reshape } from '../ops/view.ts';
import { xavierUniform, zeros } from './init.ts';
import { Linear, linear } from './linear.ts';
import { Module } from './module.ts';
import { checkHeads } from './sizes.ts';

/** What each query sees, and how many weights are dropped. */
export interface AttendOptions {
  /** Query i sees keys j ≤ i. */
  causal?: boolean;
  /** Broadcasts to [B, H, L, S]: added to the scores, or, if bool, keeps where true. */
  mask?: Tensor | null;
  /** Probability of dropping a weight. */
  dropout?: number;
}

/**
 * The heads of a packed projection: x [B, T, n·E] holds n vectors side by side, each of which becomes [B, H, T, D]. Only
 * views: attention reads them where they lie. With `batchFirst` false, x is [T, B, n·E].
 */
export function splitHeads(x: Tensor, n: number, heads: number, batchFirst = true): Tensor[] {
  const [outer, inner, width] = x.shape as [number, number, number];
  const D = width / n / heads;
  const packed = reshape(x, [outer, inner, n, heads, D]);
  const parts = n === 1 ? [packed] : split(packed, 1, 2);
  return parts.map((part) =>
    permute(reshape(part, [outer, inner, heads, D]), batchFirst ? [0, 2, 1, 3] : [1, 2, 0, 3]),
  );
}

/** [B, H, T, D] → [B, T, H·D], or [T, B, H·D]. */
export function mergeHeads(x: Tensor, batchFirst = true): Tensor {
  const [B, H, T, D] = x.shape as [number, number, number, number];
  return batchFirst
    ? reshape(permute(x, [0, 2, 1, 3]), [B, T, H * D])
    : reshape(permute(x, [2, 0, 1, 3]), [T, B, H * D]);
}

/** Attention of a sequence to itself, given the packed projections of queries, keys and values: [B, T, 3E] → [B, T, E]. */
export function selfAttention(qkv: Tensor, heads: number, options: AttendOptions = {}, batchFirst = true): Tensor {
  const [q, k, v] = splitHeads(qkv, 3, heads, batchFirst) as [Tensor, Tensor, Tensor];
  return mergeHeads(scaledDotProductAttention(q, k, v, options), batchFirst);
}

/** Options of `MultiHeadAttention`, with PyTorch's defaults. */
export interface MultiHeadAttentionOptions {
  /** Probability of dropping a weight, in training. */
  dropout?: number;
  /** Whether the projections have biases; default true. */
  bias?: boolean;
  /** Tensors are [B, T, E] rather than [T, B, E]. */
  batchFirst?: boolean;
}

export interface AttentionCall extends Omit<AttendOptions, 'dropout'> {
  /** bool [B, S], true for keys to leave out, as PyTorch's key_padding_mask. */
  keyPaddingMask?: Tensor | null;
}

const multiHeadOptions = declareOptions<MultiHeadAttentionOptions>({
  dropout: probability,
  bias: flag,
  batchFirst: flag,
});
export const attentionCall = declareOptions<AttentionCall>({
  causal: flag,
  mask: nullable(tensorLike),
  keyPaddingMask: nullable(tensorLike),
});

/** Attention in several heads (Vaswani et al. 2017), with PyTorch's parameters and defaults. Fused, forward and backward. */
export class MultiHeadAttention extends Module {
  /** [3E, E]: of queries, keys and values, one below the other. */
  readonly in_proj_weight: Parameter;
  /** [3E], as the weight; null without biases. */
  readonly in_proj_bias: Parameter | null;
  /** Projection of the heads, side by side, to the output: E → E. */
  readonly out_proj: Linear;
  /** Heads, H, each of size D = E/H. */
  readonly heads: number;
  /** Probability of dropping a weight, in training. */
  readonly dropout: number;
  /** Whether tensors are [B, T, E] rather than [T, B, E]. */
  readonly batchFirst: boolean;

  constructor(width: number, heads: number, options?: MultiHeadAttentionOptions) {
    super();
    const { dropout = 0, bias = true, batchFirst = false } = multiHeadOptions('MultiHeadAttention', options);
    checkHeads('MultiHeadAttention', width, heads);
    this.heads = heads;
    this.dropout = dropout;
    this.batchFirst = batchFirst;
    this.in_proj_weight = parameter(xavierUniform([3 * width, width]), 'in_proj_weight');
    this.in_proj_bias = bias ? parameter(zeros([3 * width]), 'in_proj_bias') : null;
    this.out_proj = new Linear(width, width, { bias });
    this.out_proj.bias?.assign(zeros([width]));
  }

  /** query [L, B, E], key and value [S, B, E] → [L, B, E]; batch first if the module is. */
  forward(query: Tensor, key: Tensor = query, value: Tensor = key, options?: AttentionCall): Tensor {
    const { keyPaddingMask = null, mask = null, causal = false } = attentionCall('MultiHeadAttention.forward', options);
    const [q, k, v] = this.#project(query, key, value) as [Tensor, Tensor, Tensor];
    const dropout = this.dropout > 0 && this.training ? this.dropout : 0;
    const heads = scaledDotProductAttention(q, k, v, { causal, mask: withPadding(mask, keyPaddingMask), dropout });
    return this.out_proj.forward(mergeHeads(heads, this.batchFirst));
  }

  /** Projects in one product where queries, keys and values come from one tensor, in two where keys and values do. */
  #project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const E = this.in_proj_weight.shape[1] as number;
    for (const x of [query, key, value]) {
      expectTensor('MultiHeadAttention', 'an input', x);
      if (x.rank !== 3 || x.shape[2] !== E) {
        throw new ShapeError(
          `[MultiHeadAttention] inputs must be ${this.batchFirst ? '[B, T' : '[T, B'}, ${E}], got ${formatShape(x.shape)}`,
        );
      }
    }
    const project = (x: Tensor, first: number, n: number) => {
      const rows: [number, number] = [first * E, (first + n) * E];
      const [weight, bias] =
        n === 3
          ? [this.in_proj_weight, this.in_proj_bias]
          : [slice(this.in_proj_weight, [rows]), this.in_proj_bias && slice(this.in_proj_bias, [rows])];
      return splitHeads(linear(x, weight, bias), n, this.heads, this.batchFirst);
    };
    if (query === key && key === value) return project(query, 0, 3);
    if (key === value) return [...project(query, 0, 1), ...project(key, 1, 2)];
    return [...project(query, 0, 1), ...project(key, 1, 1), ...project(value, 2, 1)];
  }
}

/** Joins mask and padding: a key that is padding is hidden from all queries. */
function withPadding(mask: Tensor | null, padding: Tensor | null): Tensor | null {
  if (!padding) return mask;
  const [B, S] = padding.shape as [number, number];
  const hidden = reshape(padding.cast('bool'), [B, 1, 1, S]);
  if (!mask) return not(hidden);
  return mask.dtype === 'bool' ? and(mask, not(hidden)) : where(hidden, -1e30, mask);
}
