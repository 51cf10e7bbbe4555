import { ShapeError, ValueError } from '../errors.ts';
import { formatShape, type Shape, sizeOf } from '../graph/shape.ts';
import { filled } from '../ops/create.ts';
import { drawn } from '../ops/random.ts';
import { defaultGenerator, fillNormal, fillUniform, type Generator } from '../random.ts';
import type { Tensor } from '../tensor.ts';

/** Initial values, drawn on the host so that a seed gives the same weights everywhere: `parameter(init.normal([3, 4]))`. */

/** Every element `value`. */
export function constant(shape: Shape, value: number): Tensor {
  if (!Number.isFinite(value)) throw new ValueError(`[constant] the value must be a finite number, got ${value}`);
  return filled('constant', shape, (values) => values.fill(value));
}
export const zeros = (shape: Shape): Tensor => constant(shape, 0);
export const ones = (shape: Shape): Tensor => constant(shape, 1);

/** Uniform in [low, high). */
export function uniform(
  shape: Shape,
  { low = 0, high = 1, generator = defaultGenerator }: { low?: number; high?: number } & Source = {},
): Tensor {
  if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high))
    throw new ValueError(`[uniform] needs finite bounds with low ≤ high, got ${low} and ${high}`);
  return drawn('uniform', shape, generator, (values, source) => fillUniform(values, low, high, source));
}

/** Normal with the given mean and standard deviation. */
export function normal(
  shape: Shape,
  { mean = 0, std = 1, generator = defaultGenerator }: { mean?: number; std?: number } & Source = {},
): Tensor {
  if (!(Number.isFinite(mean) && Number.isFinite(std) && std >= 0))
    throw new ValueError(`[normal] needs finite numbers and std ≥ 0, got mean ${mean} and std ${std}`);
  return drawn('normal', shape, generator, (values, source) => fillNormal(values, mean, std, source));
}

/** Uniform with variance 2·gain²/(fanIn + fanOut) (Glorot and Bengio 2010). */
export function xavierUniform(shape: Shape, { gain = 1, generator }: { gain?: number } & Source = {}): Tensor {
  return symmetric(shape, gain * Math.sqrt(6 / sum(fans('xavierUniform', shape))), generator);
}
/** Normal with variance 2·gain²/(fanIn + fanOut) (Glorot and Bengio 2010). */
export function xavierNormal(shape: Shape, { gain = 1, generator }: { gain?: number } & Source = {}): Tensor {
  return normal(shape, { std: gain * Math.sqrt(2 / sum(fans('xavierNormal', shape))), ...given(generator) });
}

/** Uniform with variance gain²/fanIn; √2 is the gain of relu (He et al. 2015). */
export function kaimingUniform(
  shape: Shape,
  { gain = Math.SQRT2, generator }: { gain?: number } & Source = {},
): Tensor {
  return symmetric(shape, gain * Math.sqrt(3 / fans('kaimingUniform', shape)[0]), generator);
}
/** Normal with variance gain²/fanIn; √2 is the gain of relu (He et al. 2015). */
export function kaimingNormal(shape: Shape, { gain = Math.SQRT2, generator }: { gain?: number } & Source = {}): Tensor {
  return normal(shape, { std: gain * Math.sqrt(1 / fans('kaimingNormal', shape)[0]), ...given(generator) });
}

/** Orthonormal rows, or columns where there are fewer of them, times `gain` (Saxe et al. 2014); all but the first dimension count as one. */
export function orthogonal(
  shape: Shape,
  { gain = 1, generator = defaultGenerator }: { gain?: number } & Source = {},
): Tensor {
  fans('orthogonal', shape);
  const rows = shape[0] as number;
  const columns = sizeOf(shape) / rows;
  const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)];
  const drawn = fillNormal(new Float32Array(count * length), 0, 1, generator);
  const vectors = Array.from({ length: count }, (_, i) =>
    Float64Array.from(drawn.subarray(i * length, (i + 1) * length)),
  );
  orthonormalise(vectors);
  return filled('orthogonal', shape, (values) => {
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

interface Source {
  /** Where the numbers come from; the default generator, which `manualSeed` sets. */
  generator?: Generator | undefined;
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
