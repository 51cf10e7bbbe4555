import { ShapeError, ValueError } from '../core/errors.ts';
import { count, declareOptions, expectKind, finite, generatorLike, integerFrom, shown } from '../core/options.ts';
import { defaultGenerator, type Generator, hostDraws, normalSettings, uniformSettings } from '../core/random.ts';
import { checkShape, formatShape, type Shape, sizeOf } from '../core/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { filled } from '../ops/create.ts';
import { log, neg } from '../ops/elementwise.ts';
import { concat } from '../ops/join.ts';
import {
  checkBounds,
  drawn,
  type NormalOptions,
  normalOptions,
  type RandomOptions,
  type UniformOptions,
  uniformOptions,
} from '../ops/random.ts';

/**
 * Initial values: `parameter(init.normal([3, 4]))`. Their place in the generator's sequence is taken when they are made; the
 * device that first needs them draws them, with the numbers of the ops of these names.
 */

/** Every element `value`. */
export function constant(shape: Shape, value: number): Tensor {
  if (!Number.isFinite(value))
    throw new ValueError(`[constant] the value must be a finite number, got ${shown(value)}`);
  return filled('constant', shape, (values) => values.fill(value));
}
/** Every element 0. */
export const zeros = (shape: Shape): Tensor => constant(shape, 0);
/** Every element 1. */
export const ones = (shape: Shape): Tensor => constant(shape, 1);

/** Uniform in [low, high). */
export function uniform(shape: Shape, options?: UniformOptions): Tensor {
  const { low = 0, high = 1, generator } = uniformOptions('uniform', options);
  checkBounds('uniform', low, high);
  return drawn('uniform', checkShape('uniform', shape), uniformSettings(low, high), generator);
}

/** Normal with the given mean and standard deviation. */
export function normal(shape: Shape, options?: NormalOptions): Tensor {
  const { mean = 0, std = 1, generator } = normalOptions('normal', options);
  return drawn('normal', checkShape('normal', shape), normalSettings(mean, std), generator);
}

/** Options of the initial values that have a gain: the gain, and the generator to draw from. */
export interface GainOptions extends RandomOptions {
  /** Factor of the standard deviation. */
  gain?: number;
}
const gainOptions = declareOptions<GainOptions>({ gain: finite, generator: generatorLike });

/** Uniform with variance 2·gain²/(fanIn + fanOut) (Glorot and Bengio 2010). */
export function xavierUniform(shape: Shape, options?: GainOptions): Tensor {
  const { gain = 1, generator } = gainOptions('xavierUniform', options);
  return symmetric(shape, gain * Math.sqrt(6 / sum(fans('xavierUniform', shape))), generator);
}
/** Normal with variance 2·gain²/(fanIn + fanOut) (Glorot and Bengio 2010). */
export function xavierNormal(shape: Shape, options?: GainOptions): Tensor {
  const { gain = 1, generator } = gainOptions('xavierNormal', options);
  return normal(shape, { std: gain * Math.sqrt(2 / sum(fans('xavierNormal', shape))), ...given(generator) });
}

/** Uniform with variance gain²/fanIn; √2 is the gain of relu (He et al. 2015). */
export function kaimingUniform(shape: Shape, options?: GainOptions): Tensor {
  const { gain = Math.SQRT2, generator } = gainOptions('kaimingUniform', options);
  return symmetric(shape, gain * Math.sqrt(3 / fans('kaimingUniform', shape)[0]), generator);
}
/** Normal with variance gain²/fanIn; √2 is the gain of relu (He et al. 2015). */
export function kaimingNormal(shape: Shape, options?: GainOptions): Tensor {
  const { gain = Math.SQRT2, generator } = gainOptions('kaimingNormal', options);
  return normal(shape, { std: gain * Math.sqrt(1 / fans('kaimingNormal', shape)[0]), ...given(generator) });
}

/** Orthonormal rows, or columns where there are fewer of them, times `gain` (Saxe et al. 2014); all but the first dimension count as one. */
export function orthogonal(shape: Shape, options?: GainOptions): Tensor {
  const { gain = 1, generator = defaultGenerator } = gainOptions('orthogonal', options);
  fans('orthogonal', shape);
  const rows = shape[0] as number;
  const columns = sizeOf(shape) / rows;
  const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)];
  const key = generator.take();
  return filled('orthogonal', shape, (values) => {
    const numbers = new Float32Array(count * length);
    hostDraws.normal(numbers, key, normalSettings(0, 1));
    const vectors = Array.from({ length: count }, (_, i) =>
      Float64Array.from(numbers.subarray(i * length, (i + 1) * length)),
    );
    orthonormalise(vectors);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const [vector, element] = rows <= columns ? [i, j] : [j, i];
        values[i * columns + j] = gain * (vectors[vector]?.[element] as number);
      }
    }
  });
}

/** Gram-Schmidt, each vector freed of the others twice: once leaves rounding errors. */
function orthonormalise(vectors: readonly Float64Array[]): void {
  const inner = (a: Float64Array, b: Float64Array) =>
    a.reduce((total, value, i) => total + value * (b[i] as number), 0);
  const subtract = (a: Float64Array, factor: number, b: Float64Array) =>
    b.forEach((value, i) => {
      a[i] = (a[i] as number) - factor * value;
    });
  for (const [i, vector] of vectors.entries()) {
    for (const earlier of [...vectors.slice(0, i), ...vectors.slice(0, i)])
      subtract(vector, inner(vector, earlier), earlier);
    const norm = Math.sqrt(inner(vector, vector));
    vector.forEach((value, j) => {
      vector[j] = value / norm;
    });
  }
}

const given = (generator: Generator | undefined) => (generator ? { generator } : {});

function symmetric(shape: Shape, bound: number, generator: Generator | undefined): Tensor {
  return uniform(shape, { low: -bound, high: bound, ...given(generator) });
}

/** What a weight [out, in, …] takes from and gives to, in units; dimensions beyond two are a kernel's extents. */
function fans(op: string, shape: Shape): [fanIn: number, fanOut: number] {
  if (shape.length < 2)
    throw new ShapeError(`[${op}] needs a shape of two or more dimensions, [out, in, …], got ${formatShape(shape)}`);
  const [out, into, ...kernel] = shape as [number, number, ...number[]];
  return [into * sizeOf(kernel), out * sizeOf(kernel)];
}
const sum = ([a, b]: readonly [number, number]) => a + b;

/**
 * The bias [4H] of an LSTM whose memory is to reach back up to `longest` steps: that of the forget gates is ln u, that of the
 * input gates −ln u, with u uniform in [1, longest − 1), so that units forget at different speeds (Tallec and Ollivier 2018,
 * "chrono"). For `bias_ih`, beside zeros in `bias_hh`.
 */
export function chrono(hiddenSize: number, longest: number, options?: RandomOptions): Tensor {
  const { generator } = chronoOptions('chrono', options);
  expectKind('chrono', 'hiddenSize', hiddenSize, count);
  expectKind('chrono', 'longest', longest, integerFrom(3));
  const forget = log(uniform([hiddenSize], { low: 1, high: longest - 1, ...given(generator) }));
  return concat([neg(forget), forget, zeros([2 * hiddenSize])]);
}
const chronoOptions = declareOptions<RandomOptions>({ generator: generatorLike });
