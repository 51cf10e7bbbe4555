import { dtypeAmong } from '../core/dtype.ts';
import { ShapeError } from '../core/errors.ts';
import { denseLayout } from '../core/layout.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { NoAttributes, Op, OpDef } from '../graph/op.ts';
import { packedSize } from '../graph/packing.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import {
  additiveAttentionBackward as backwardFamily,
  additiveAttention as family,
} from '../kernels/additiveAttention.ts';
import { familyCall } from '../kernels/family.ts';
import { differentiateComposed } from './autograd.ts';
import { add, mul, tanh, where, zeros } from './elementwise.ts';
import { checkedLengths, type Lengths, lengthsLike, lengthsOf } from './lengths.ts';
import { sequenceMask } from './masks.ts';
import { matmul } from './matmul.ts';
import { sum } from './reduce.ts';
import { softmax } from './softmax.ts';
import { permute, unsqueeze } from './view.ts';

type AdditiveInputs = [queries: Tensor, keys: Tensor, values: Tensor, v: Tensor, ...lengths: Tensor[]];

/**
 * Fused additive attention: the [B, Q, S, A] numbers under the tanh never exist in memory. Inputs: queries [B, Q, A], keys
 * [B, S, A], values [B, S, D], v [A], then lengths [B] where sources have some.
 */
const additiveAttentionOp: Op<AdditiveInputs, NoAttributes, [context: Tensor, weights: Tensor]> = {
  name: 'additiveAttention',
  infer: ([queries, keys, values]) => {
    const { B, Q, S, D } = sizesOf(queries, keys, values);
    return [
      { shape: [B, Q, D], dtype: 'f32' },
      { shape: [B, Q, S], dtype: 'f32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [queries, keys, values, , lengths] }) =>
      familyCall(family, {
        ...sizesOf(queries, keys, values),
        lengths: lengths ? dtypeAmong(lengths.dtype, ['i32', 'u32']) : null,
      }),
    badData: ({ inputs: [, keys, , , lengths] }) =>
      lengths ? `[additiveAttention] a length lies outside [1, ${keys.shape[1]}], the positions of a source` : null,
  },
  gradient: ({ inputs, outputs: [, weights] }, [dContext, dWeights]) => {
    const [queries, keys, values, v, ...lengths] = inputs;
    const { B, Q, D } = sizesOf(queries, keys, values);
    const gradients = apply(
      additiveAttentionBackwardOp,
      [queries, keys, values, v, weights, dContext ?? zeros([B, Q, D]), ...(dWeights ? [dWeights] : []), ...lengths],
      { weighted: dWeights !== null },
    );
    return [...gradients, ...lengths.map(() => null)];
  },
  decompose: ([queries, keys, values, v, lengths]) => {
    const sums = add(unsqueeze(queries, 2), unsqueeze(keys, 1));
    const S = nth(keys.shape, 1);
    return attend(sum(mul(tanh(sums), v), -1), values, lengths && insideOf(lengths, S));
  },
};

/** The weights and, where they have one, their own gradient, then the lengths: kernels see them in the weights. */
const additiveAttentionBackwardOp: Op<
  [queries: Tensor, keys: Tensor, values: Tensor, v: Tensor, weights: Tensor, dContext: Tensor, ...rest: Tensor[]],
  { weighted: boolean },
  [dQueries: Tensor, dKeys: Tensor, dValues: Tensor, dV: Tensor]
> = {
  name: 'additiveAttentionBackward',
  infer: ([queries, keys, values, v]) => [queries, keys, values, v].map(plain) as [Type, Type, Type, Type],
  lowering: {
    kind: 'kernel',
    place: ({ types }) => {
      const layouts = types.map(({ shape }, i) => ({ ...denseLayout(shape), offset: startOf(types, i) }));
      return {
        values: [{ shape: [startOf(types, types.length)], dtype: 'f32' }],
        outputs: layouts.map((layout) => ({ value: 0, layout })),
      };
    },
    problem: ({ inputs: [queries, keys, values], types, attributes: { weighted } }) =>
      familyCall(backwardFamily, {
        ...sizesOf(queries, keys, values),
        weighted,
        offsets: [startOf(types, 1), startOf(types, 2), startOf(types, 3)],
      }),
  },
  decompose: ([queries, keys, values, v, , dContext, ...rest], { weighted }) => {
    const [dWeights, lengths] = weighted ? rest : [null, ...rest];
    const inputs: AdditiveInputs = [queries, keys, values, v, ...(lengths ? [lengths] : [])];
    const gradients = differentiateComposed(additiveAttentionOp, inputs, {}, [dContext, dWeights ?? null]);
    return inputs.slice(0, 4).map(({ shape }, i) => gradients[i] ?? zeros(shape));
  },
};

type Type = TensorType;
const plain = ({ shape }: TensorType): Type => ({ shape, dtype: 'f32' });

/** Where part i of several that lie one after another begins. */
const startOf = (types: readonly TensorType[], i: number) =>
  types.slice(0, i).reduce((start, { shape }) => start + packedSize(shape), 0);

function sizesOf(queries: TensorType, keys: TensorType, values: TensorType) {
  const [B, Q, A] = exactly(3, queries.shape);
  return { B, Q, A, S: nth(keys.shape, 1), D: nth(values.shape, 2) };
}

/** Positions [B, 1, S] that lie within their source. */
const insideOf = (lengths: Tensor, S: number) => unsqueeze(sequenceMask(lengths, S), 1);

/** Context and weights in plain ops, from scores [B, Q, S]: what lies behind a source's length weighs nothing. */
function attend(scores: Tensor, values: Tensor, inside?: Tensor): [context: Tensor, weights: Tensor] {
  const weights = inside ? where(inside, softmax(where(inside, scores, -1e30)), 0) : softmax(scores);
  return [matmul(weights, values), weights];
}

/** Options of `additiveAttention`, `dotAttention` and `generalAttention`. */
export interface AlignmentOptions {
  /** How many positions of each source there are, 1 to S: [B]. What lies behind weighs nothing and gets no gradient. */
  lengths?: Lengths;
}
const alignmentOptions = declareOptions<AlignmentOptions>({ lengths: lengthsLike });

/** What attention over a source gives. */
export interface Alignment {
  /** Σ weights · values of each query: [B, Q, D]. */
  readonly context: Tensor;
  /** How much each query takes of each position, summing to 1: [B, Q, S]. Nobody who does not read them pays for them. */
  readonly weights: Tensor;
}

/** Checks what all forms share, and gives the lengths as a tensor where there are some. */
function checkSource(
  op: string,
  { queries, keys, values }: { readonly [name: string]: Tensor } & Record<'queries' | 'keys' | 'values', Tensor>,
  widthOfKeys: number | null,
  options: AlignmentOptions | undefined,
): Tensor | undefined {
  const { lengths } = alignmentOptions(op, options);
  for (const [name, x] of Object.entries({ queries, keys, values })) {
    expectDType(op, name, x, ['f32']);
    expectRank(op, name, x, 3);
  }
  const [B, , A] = exactly(3, queries.shape);
  const S = nth(keys.shape, 1);
  const width = widthOfKeys ?? A;
  if (!sameShape(keys.shape, [B, S, width]) || !sameShape(values.shape.slice(0, 2), [B, S]))
    throw new ShapeError(
      `[${op}] for queries ${formatShape(queries.shape)} the keys must be [${B}, S, ${width}] and the values [${B}, S, D], got ${formatShape(keys.shape)} and ${formatShape(values.shape)}`,
    );
  return lengths === undefined ? undefined : lengthsOf(op, lengths, B, S);
}

/** Positions within their source, where there are lengths. */
function insideOfChecked(
  op: string,
  lengths: Lengths | undefined,
  { shape: [B = 0, S = 0] }: Tensor,
): Tensor | undefined {
  return lengths === undefined ? undefined : insideOf(checkedLengths(op, lengths, B, S), S);
}

/**
 * Additive attention (Bahdanau, Cho, Bengio 2015): scores e = vᵀ tanh(q + k), softmax over the positions of a source, and the sum
 * of its values by those weights. Queries [B, Q, A] and keys [B, S, A] come projected (W·s and U·h; the keys once for each source);
 * values [B, S, D], v [A] → context [B, Q, D] and weights [B, Q, S]. Fused: one dispatch, and two for all gradients. A length in a
 * tensor that lies outside [1, S] throws a ValueError at the next read.
 */
export function additiveAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  v: Tensor,
  options?: AlignmentOptions,
): Alignment {
  const op = 'additiveAttention';
  const lengths = checkSource(op, { queries, keys, values }, null, options);
  expectDType(op, 'v', v, ['f32']);
  const A = nth(queries.shape, 2);
  if (!sameShape(v.shape, [A]))
    throw new ShapeError(
      `[${op}] v must be [${A}], the last dimension of queries and keys, got ${formatShape(v.shape)}`,
    );
  const [context, weights] = apply(additiveAttentionOp, [queries, keys, values, v, ...(lengths ? [lengths] : [])]);
  return { context, weights };
}

/**
 * Dot-product attention without a scale (Luong, Pham, Manning 2015): scores e = qᵀk, the rest as `additiveAttention`. Queries
 * [B, Q, A], keys [B, S, A], values [B, S, D] → context [B, Q, D] and weights [B, Q, S].
 */
export function dotAttention(queries: Tensor, keys: Tensor, values: Tensor, options?: AlignmentOptions): Alignment {
  checkSource('dotAttention', { queries, keys, values }, null, options);
  return byProducts(queries, keys, values, insideOfChecked('dotAttention', options?.lengths, keys));
}

/**
 * General attention (Luong, Pham, Manning 2015): scores e = qᵀ·W·k, the rest as `additiveAttention`. Queries [B, Q, A], keys
 * [B, S, K], values [B, S, D], weight W [A, K] → context [B, Q, D] and weights [B, Q, S].
 */
export function generalAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  weight: Tensor,
  options?: AlignmentOptions,
): Alignment {
  const op = 'generalAttention';
  expectDType(op, 'the weight', weight, ['f32']);
  expectRank(op, 'the weight', weight, 2);
  checkSource(op, { queries, keys, values }, nth(weight.shape, 1), options);
  const A = nth(queries.shape, 2);
  if (weight.shape[0] !== A)
    throw new ShapeError(
      `[${op}] the weight must be [${A}, ${weight.shape[1]}], the widths of queries and keys, got ${formatShape(weight.shape)}`,
    );
  const inside = insideOfChecked(op, options?.lengths, keys);
  return byProducts(matmul(queries, weight), keys, values, inside);
}

function byProducts(queries: Tensor, keys: Tensor, values: Tensor, inside: Tensor | undefined): Alignment {
  const [context, weights] = attend(matmul(queries, permute(keys, [0, 2, 1])), values, inside);
  return { context, weights };
}

/** For the registry. */
export const additiveAttentionOps = {
  additiveAttention: additiveAttentionOp,
  additiveAttentionBackward: additiveAttentionBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
