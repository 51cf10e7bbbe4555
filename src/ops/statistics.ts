import { ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { anyNumber, declareOptions, flag, notNegative } from '../core/options.ts';
import { broadcastShapes, normaliseAxes, sizeOf } from '../core/shape.ts';
import { expectDType } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { abs, cast, div, equal, maximum, mul, notEqual, pow, sqrt, sub, where } from './elementwise.ts';
import { type Axes, max, mean, min, type ReduceOptions, sum, sumSquares } from './reduce.ts';
import { expand } from './view.ts';

/** Reductions that are made of others. */

/** Options of `variance` and `std`. */
export interface VarianceOptions extends ReduceOptions {
  /** What is taken from the number of elements before the sum of squares is divided by it; default 1 (Bessel), as PyTorch's. */
  correction?: number;
}
const varianceOptions = declareOptions<VarianceOptions>({ keepDims: flag, correction: notNegative });

/** Σ (x − mean)² / (n − correction) of f32 numbers over the axes; over all where none are given. */
export function variance(x: Tensor, axes?: Axes, options?: VarianceOptions): Tensor {
  return varianceOf('variance', x, axes, options);
}

function varianceOf(name: string, x: Tensor, axes: Axes | undefined, options: VarianceOptions | undefined): Tensor {
  const { keepDims = false, correction = 1 } = varianceOptions(name, options);
  expectDType(name, 'the input', x, ['f32']);
  const n = sizeOf(normaliseAxes(name, axes, x.rank).map((axis) => nth(x.shape, axis)));
  if (n <= correction)
    throw new ValueError(
      `[${name}] of ${n} elements there is none with a correction of ${correction}; try correction: 0`,
    );
  const squares = sumSquares(sub(x, mean(x, axes, { keepDims: true })), axes, { keepDims });
  return mul(squares, 1 / (n - correction));
}

/** The standard deviation, the root of `variance`; where that is 0, no gradient goes on. */
export function std(x: Tensor, axes?: Axes, options?: VarianceOptions): Tensor {
  return root(varianceOf('std', x, axes, options));
}

/** √x whose derivative at 0 is 0, as PyTorch has it for norms. */
function root(x: Tensor): Tensor {
  const isZero = equal(x, 0);
  return where(isZero, 0, sqrt(where(isZero, 1, x)));
}

/** Options of `norm`. */
export interface NormOptions extends ReduceOptions {
  /** The order: 2 by default, 1, ∞, −∞, 0 (the number of elements that are not 0), or any other number. */
  p?: number;
}
const normOptions = declareOptions<NormOptions>({ keepDims: flag, p: anyNumber });

/** (Σ |x|ᵖ)^(1/p) of f32 numbers over the axes, over all where none are given, as `torch.linalg.vector_norm`. */
export function norm(x: Tensor, axes?: Axes, options?: NormOptions): Tensor {
  const { keepDims = false, p = 2 } = normOptions('norm', options);
  expectDType('norm', 'the input', x, ['f32']);
  if (Number.isNaN(p)) throw new ValueError('[norm] p must be a number, got NaN');
  if (p === 2) return root(sumSquares(x, axes, { keepDims }));
  if (p === 1) return sum(abs(x), axes, { keepDims });
  if (p === 0) return sum(cast(notEqual(x, 0), 'f32'), axes, { keepDims });
  if (!Number.isFinite(p)) return (p > 0 ? max : min)(abs(x), axes, { keepDims });
  return pow(sum(pow(abs(x), p), axes, { keepDims }), 1 / p);
}

/** Options of `cosineSimilarity`. */
export interface CosineSimilarityOptions {
  /** The least that a norm counts for; default 1e-8. No gradient goes through a norm that is less. */
  eps?: number;
}
const cosineOptions = declareOptions<CosineSimilarityOptions>({ eps: notNegative });

/** Σ a·b / (‖a‖·‖b‖) along an axis, 1 as in PyTorch; a and b broadcast. */
export function cosineSimilarity(a: Tensor, b: Tensor, axis = 1, options?: CosineSimilarityOptions): Tensor {
  const { eps = 1e-8 } = cosineOptions('cosineSimilarity', options);
  expectDType('cosineSimilarity', 'the first', a, ['f32']);
  expectDType('cosineSimilarity', 'the second', b, ['f32']);
  const shape = broadcastShapes('cosineSimilarity', [a.shape, b.shape]);
  const [x, y] = [expand(a, shape), expand(b, shape)];
  const sized = (of: Tensor) => maximum(norm(of, axis), eps);
  return div(sum(mul(x, y), axis), mul(sized(x), sized(y)));
}
