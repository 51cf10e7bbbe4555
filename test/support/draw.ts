import { fillUniform, randomIntegers } from '../../src/core/random.ts';
import { concat, expand, flip, pad, permute, slice, split, type Tensor, tensor } from '../../src/index.ts';
import { generator } from './gpu.ts';

/** Inputs of tests, drawn from the run's seed. */

type Shape = readonly number[];
const sizeOf = (shape: Shape) => shape.reduce((product, extent) => product * extent, 1);

/** Uniform numbers from [low, high). */
export function draw(shape: Shape, low = -2, high = 2): Tensor {
  return tensor(fillUniform(new Float32Array(sizeOf(shape)), low, high, generator), { shape });
}

/** Numbers at least `gap` away from 0 and, where there are few, from each other: kinks and ties are out of reach. */
export function drawApart(shape: Shape, gap = 0.01): Tensor {
  const size = sizeOf(shape);
  const places = Array.from({ length: size }, (_, i) => (i + 1) * (i % 2 === 0 ? 1 : -1));
  const order = randomIntegers(size, 2 ** 31, generator);
  const shuffled = places.map((place, i) => [order[i] as number, place] as const).sort(([a], [b]) => a - b);
  const step = Math.max(gap, 4 / size);
  return tensor(
    Float32Array.from(shuffled, ([, place]) => place * step * 0.5),
    { shape },
  );
}

/** The same for several tensors: no number of one is near a number of another, wherever they are compared. */
export function drawAllApart(...shapes: readonly Shape[]): Tensor[] {
  const sizes = shapes.map((shape) => shape.reduce((product, extent) => product * extent, 1));
  const numbers = drawApart([sizes.reduce((a, b) => a + b)]).host as Float32Array;
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  return shapes.map((shape, i) => {
    const from = starts[i] as number;
    return tensor(numbers.slice(from, from + (sizes[i] as number)), { shape });
  });
}

/** Whole numbers from [0, bound). */
export function drawIds(shape: Shape, bound: number, dtype: 'i32' | 'u32' = 'i32'): Tensor {
  const size = sizeOf(shape);
  const ids = randomIntegers(size, bound, generator);
  return tensor(dtype === 'i32' ? Int32Array.from(ids) : Uint32Array.from(ids), { shape });
}

/** True and false. */
export function drawBool(shape: Shape): Tensor {
  return drawIds(shape, 2).cast('bool');
}

/** One of several values. */
export function choose<T>(values: readonly T[]): T {
  return values[randomIntegers(1, values.length, generator)[0] as number] as T;
}

/** Ways for an operand of a given shape (rank 1 or more) to lie in memory, or not to be there yet. */
export const operands: Readonly<Record<string, (shape: Shape) => Tensor>> = {
  dense: (shape) => draw(shape),
  permuted: (shape) => {
    const reversed = shape.map((_, i) => shape.length - 1 - i);
    return permute(draw(reversed.map((i) => shape[i] as number)), reversed);
  },
  sliced: (shape) =>
    slice(
      draw(shape.map((extent) => extent + 3)),
      shape.map((extent) => [1, 1 + extent]),
    ),
  stepped: (shape) =>
    slice(
      draw(shape.map((extent) => 2 * extent)),
      shape.map(() => [1, undefined, 2]),
    ),
  flipped: (shape) => flip(draw(shape)),
  expanded: (shape) => expand(draw([1, ...shape.slice(1)]), shape),
  padded: (shape) =>
    pad(
      draw(shape.with(-1, Math.max(1, last(shape) - 1))),
      shape.map((extent, i) => [0, i === shape.length - 1 && extent > 1 ? 1 : 0]),
    ),
  joined: (shape) =>
    last(shape) < 2 ? draw(shape) : concat([draw(shape.with(-1, 1)), draw(shape.with(-1, last(shape) - 1))], -1),
  'a part': (shape) => split(draw(shape.with(0, 2 * (shape[0] as number))), shape[0] as number)[1] as Tensor,
  computed: (shape) => draw(shape).mul(0.7).add(0.1),
};

const last = (shape: Shape) => shape.at(-1) as number;
