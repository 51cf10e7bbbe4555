import { ShapeError } from '../core/errors.ts';
import { declareOptions, positive } from '../core/options.ts';
import { formatShape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { OpDef } from '../graph/op.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { normBackward as backwardFamily, norm as family, type NormProblem } from '../kernels/norm.ts';
import { differentiateComposed } from './autograd.ts';
import { add, mul, rsqrt, square, sub, zeros } from './elementwise.ts';
import { mean } from './reduce.ts';

/** Normalisation over the last dimension. Outputs: y, and (mean, 1/σ) of each row, which backward needs. */
const normOp: OpDef = {
  name: 'norm',
  infer: ([x]) => {
    const { shape } = x as TensorType;
    return [
      { shape, dtype: 'f32' },
      { shape: [sizeOf(shape.slice(0, -1)), 2], dtype: 'f32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    store: true,
    problem: (node, _, { store }) =>
      familyCall(family, { ...problemOf(node.inputs[0] as Tensor, node.attributes), ...(store ? { store } : {}) }),
  },
  gradient: ({ inputs, outputs, attributes }, [dy]) => {
    if (!dy) return inputs.map(() => null);
    const weight = attributes.weight ? [inputs[1] as Tensor] : [];
    return apply(normBackwardOp, [inputs[0] as Tensor, outputs[1] as Tensor, ...weight, dy], attributes);
  },
  decompose: ([x, ...rest], attributes) => {
    const centred =
      attributes.kind === 'layer' ? sub(x as Tensor, mean(x as Tensor, -1, { keepDims: true })) : (x as Tensor);
    const variance = mean(square(centred), -1, { keepDims: true });
    const normal = mul(centred, rsqrt(add(variance, attributes.eps as number)));
    const scaled = attributes.weight ? mul(normal, rest[0] as Tensor) : normal;
    return [attributes.bias ? add(scaled, rest.at(-1) as Tensor) : scaled];
  },
};

/** Inputs: x, statistics, weight where there is one, dy. Outputs: dx, then dweight and dbias [E]. */
const normBackwardOp: OpDef = {
  name: 'normBackward',
  infer: ([x], { weight, bias }) => {
    const { shape } = x as TensorType;
    const row: TensorType = { shape: shape.slice(-1), dtype: 'f32' };
    return [{ shape, dtype: 'f32' }, ...(weight ? [row] : []), ...(bias ? [row] : [])];
  },
  lowering: {
    kind: 'kernel',
    store: true,
    problem: (node, _, { store }) =>
      familyCall(backwardFamily, {
        ...problemOf(node.inputs[0] as Tensor, node.attributes),
        ...(store ? { store } : {}),
      }),
  },
  decompose: (inputs, attributes) => {
    const x = inputs[0] as Tensor;
    const weight = attributes.weight ? [inputs[2] as Tensor] : [];
    const bias = attributes.bias ? [zeros(x.shape.slice(-1))] : [];
    const gradients = differentiateComposed(normOp, [x, ...weight, ...bias], attributes, [inputs.at(-1) as Tensor]);
    return gradients.map((gradient, i) => gradient ?? zeros(([x, ...weight, ...bias][i] as Tensor).shape));
  },
};

function problemOf(x: TensorType, attributes: Readonly<Record<string, unknown>>): NormProblem {
  return { ...(attributes as unknown as NormProblem), rows: sizeOf(x.shape.slice(0, -1)), E: x.shape.at(-1) as number };
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
  const inputs = [x, weight, bias].filter((each) => each !== null);
  return apply(normOp, inputs, { kind, eps, weight: weight !== null, bias: bias !== null })[0] as Tensor;
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
