import { ShapeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { declareOptions, positive } from '../core/options.ts';
import { formatShape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { each, type Op, type OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { normBackward as backwardFamily, norm as family, type NormProblem } from '../kernels/norm.ts';
import { differentiateComposed } from './autograd.ts';
import { add, mul, rsqrt, square, sub, zeros } from './elementwise.ts';
import { mean } from './reduce.ts';

type NormAttributes = Pick<NormProblem, 'kind' | 'eps' | 'weight' | 'bias'>;

/**
 * Normalisation over the last dimension. Inputs: x, then weight and bias where there are any. Outputs: y, and (mean, 1/σ) of
 * each row, which backward needs.
 */
const normOp: Op<[x: Tensor, ...vectors: Tensor[]], NormAttributes, [y: Tensor, statistics: Tensor]> = {
  name: 'norm',
  infer: ([{ shape }]) => [
    { shape, dtype: 'f32' },
    { shape: [sizeOf(shape.slice(0, -1)), 2], dtype: 'f32' },
  ],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [x], attributes }, _, { store }) =>
      familyCall(family, { ...problemOf(x, attributes), ...(store ? { store } : {}) }),
  },
  gradient: ({ inputs, outputs: [, statistics], attributes }, [dy]) => {
    if (!dy) return each(inputs, () => null);
    const [x, ...vectors] = inputs;
    const weight = attributes.weight ? vectors.slice(0, 1) : [];
    return apply(normBackwardOp, [x, statistics, ...weight, dy], attributes);
  },
  decompose: ([x, ...vectors], { kind, eps, weight, bias }) => {
    const centred = kind === 'layer' ? sub(x, mean(x, -1, { keepDims: true })) : x;
    const variance = mean(square(centred), -1, { keepDims: true });
    const normal = mul(centred, rsqrt(add(variance, eps)));
    const scaled = weight ? mul(normal, nth(vectors, 0)) : normal;
    return [bias ? add(scaled, nth(vectors, -1)) : scaled];
  },
};

/** Inputs: x, statistics, weight where there is one, dy. Outputs: dx, then dweight and dbias [E]. */
const normBackwardOp: Op<
  [x: Tensor, statistics: Tensor, ...weightAndDy: Tensor[]],
  NormAttributes,
  [dx: Tensor, ...dVectors: Tensor[]]
> = {
  name: 'normBackward',
  infer: ([{ shape }], { weight, bias }) => {
    const row: TensorType = { shape: shape.slice(-1), dtype: 'f32' };
    return [{ shape, dtype: 'f32' }, ...(weight ? [row] : []), ...(bias ? [row] : [])];
  },
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [x], attributes }, _, { store }) =>
      familyCall(backwardFamily, { ...problemOf(x, attributes), ...(store ? { store } : {}) }),
  },
  decompose: ([x, , ...weightAndDy], attributes) => {
    const weight = attributes.weight ? weightAndDy.slice(0, 1) : [];
    const inputs: [Tensor, ...Tensor[]] = [x, ...weight, ...(attributes.bias ? [zeros(x.shape.slice(-1))] : [])];
    const gradients = differentiateComposed(normOp, inputs, attributes, [nth(weightAndDy, -1)]);
    return inputs.map(({ shape }, i) => gradients[i] ?? zeros(shape));
  },
};

function problemOf({ shape }: TensorType, attributes: NormAttributes): NormProblem {
  return { ...attributes, rows: sizeOf(shape.slice(0, -1)), E: nth(shape, -1) };
}

export interface NormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number;
}
const normOptions = declareOptions<NormOptions>({ eps: positive });

function normalise(
  name: string,
  kind: 'layer' | 'rms',
  x: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  options: NormOptions | undefined,
): Tensor {
  const { eps = 1e-5 } = normOptions(name, options);
  expectDType(name, 'the input', x, ['f32']);
  expectRank(name, 'the input', x, 1, Infinity);
  for (const [what, vector] of [
    ['the weight', weight],
    ['the bias', bias],
  ] as const) {
    if (vector !== null) expectDType(name, what, vector, ['f32']);
    if (vector && (vector.rank !== 1 || vector.shape[0] !== x.shape.at(-1))) {
      throw new ShapeError(
        `[${name}] ${what} must have shape [${x.shape.at(-1)}], the last dimension of ${formatShape(x.shape)}, got ${formatShape(vector.shape)}`,
      );
    }
  }
  if (bias && !weight) throw new ShapeError(`[${name}] a bias needs a weight`);
  const vectors = [weight, bias].filter((each) => each !== null);
  return applyOne(normOp, [x, ...vectors], { kind, eps, weight: weight !== null, bias: bias !== null });
}

/** (x − mean)/√(variance + eps) over the last dimension [..., E], times weight [E], plus bias [E] (Ba et al. 2016). */
export function layerNorm(
  x: Tensor,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  options?: NormOptions,
): Tensor {
  return normalise('layerNorm', 'layer', x, weight, bias, options);
}
/** x/√(mean of x² + eps) over the last dimension [..., E], times weight [E] (Zhang and Sennrich 2019). */
export function rmsNorm(x: Tensor, weight: Tensor | null = null, options?: NormOptions): Tensor {
  return normalise('rmsNorm', 'rms', x, weight, null, options);
}

/** For the registry. */
export const normOps = { norm: normOp, normBackward: normBackwardOp } satisfies Readonly<Record<string, OpDef>>;
