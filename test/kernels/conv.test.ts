import { sizeOf } from '../../src/core/shape.ts';
import { type ConvProblem, conv, productOf } from '../../src/kernels/conv.ts';
import { shapesOf } from '../reference/conv.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { runtime } from '../support/environment.ts';
import { type Case, conformance, magnitudes, near, summed } from './conformance.ts';
import type { Draw } from './draw.ts';
import { biasGelu, geluTanh, residual } from './hooks.ts';

/** Shapes without what a problem says beside them; options that are left out are those of a plain convolution. */
interface Sizes {
  readonly B?: number;
  readonly groups?: number;
  readonly channels: number;
  readonly filters: number;
  readonly image: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride?: readonly [number, number];
  readonly dilation?: readonly [number, number];
  readonly before?: readonly [number, number];
  /** Zeros behind each dimension; as many as before it by default. */
  readonly behind?: readonly [number, number];
}

/** Pixels behind the last window, rows and columns in fours and not, taps that never meet a pixel, one of everything. */
const sizes: readonly (readonly [Sizes, large?: 'all' | 'deno'])[] = [
  // Rows in fours: the path that a network of powers of two takes.
  [{ B: 2, channels: 4, filters: 36, image: [8, 8], kernel: [3, 3], before: [1, 1] }, 'all'],
  [{ B: 2, groups: 2, channels: 8, filters: 4, image: [6, 16], kernel: [1, 1] }],
  [{ B: 3, channels: 5, filters: 9, image: [16, 16], kernel: [5, 3], stride: [2, 2], before: [2, 1] }, 'deno'],
  // Nothing in fours.
  [{ channels: 1, filters: 1, image: [1, 1], kernel: [1, 1] }],
  [{ B: 2, channels: 3, filters: 5, image: [7, 9], kernel: [3, 2] }, 'deno'],
  [{ B: 3, channels: 33, filters: 34, image: [5, 7], kernel: [2, 3], stride: [2, 3], before: [1, 2] }, 'deno'],
  [
    {
      B: 2,
      channels: 2,
      filters: 3,
      image: [11, 10],
      kernel: [3, 3],
      stride: [3, 1],
      dilation: [2, 3],
      before: [3, 2],
    },
  ],
  // A channel for itself, and a picture of one row.
  [{ B: 2, groups: 6, channels: 1, filters: 1, image: [9, 6], kernel: [3, 3], before: [1, 1] }],
  [
    {
      B: 3,
      groups: 3,
      channels: 2,
      filters: 4,
      image: [1, 21],
      kernel: [1, 5],
      dilation: [1, 2],
      before: [0, 8],
      behind: [0, 0],
    },
  ],
  [{ B: 2, channels: 3, filters: 2, image: [4, 4], kernel: [4, 4], stride: [5, 5], before: [3, 3], behind: [0, 1] }],
  // Long sums, over channels and over pictures.
  [{ channels: 70, filters: 3, image: [4, 5], kernel: [3, 3], before: [1, 1] }],
  [{ B: 9, channels: 2, filters: 7, image: [12, 12], kernel: [3, 3], before: [1, 1] }],
];

function problemOf(makes: ConvProblem['makes'], given: Sizes): ConvProblem {
  const one = [1, 1] as const;
  const { B = 1, groups = 1, stride = one, dilation = one, before = [0, 0], behind = before, ...rest } = given;
  const places = (axis: 0 | 1) =>
    Math.floor(
      (given.image[axis] + before[axis] + behind[axis] - dilation[axis] * (given.kernel[axis] - 1) - 1) / stride[axis],
    ) + 1;
  return { makes, B, groups, ...rest, stride, dilation, before, result: [places(0), places(1)] };
}

const ops = { output: 'conv', input: 'convInput', weight: 'convWeight' } as const;

/** Buffers, and what they make with the bound of its rounding errors. */
function prepare(problem: ConvProblem, draw: Draw) {
  const shapes = shapesOf(problem);
  const [first, second] = {
    output: [shapes.x, shapes.weight],
    input: [shapes.y, shapes.weight],
    weight: [shapes.x, shapes.y],
  }[problem.makes] as [number[], number[]];
  const inputs = [draw.f32(sizeOf(first)), draw.f32(sizeOf(second))] as const;
  const values = [ref(first, inputs[0]), ref(second, inputs[1])];
  const { makes, ...attributes } = problem;
  const run = (given: readonly Ref[]) => evaluate(ops[makes], given, attributes as never)[0] as Ref;
  const result = run(values);
  return { inputs, result, expected: summed(result, run(values.map(magnitudes)), productOf(problem).K) };
}

const large = ['tiled64', 'tiled64x128', 'tiled128', 'registers8', 'registers16', 'quads16', 'quads'];
const spares = (few?: 'all' | 'deno') =>
  few === 'all' || (few === 'deno' && runtime === 'deno') ? {} : { spares: large };

const nameOf = (makes: string, sizes: Sizes) =>
  `${makes} of ${Object.entries(sizes)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`;

const plain = sizes.flatMap(([given, few]) =>
  (['output', 'input', 'weight'] as const).map((makes): Case<ConvProblem> => {
    const problem = problemOf(makes, given);
    return {
      name: nameOf(makes, given),
      problem,
      ...spares(few),
      // Extents are in the texts: each case has its own, and the general form is one for many.
      general: given.stride?.[1] === 3 || given.groups === 3,
      prepare(draw) {
        const { inputs, expected } = prepare(problem, draw);
        return { inputs, expected: [expected] };
      },
    };
  }),
);

/** With an elementwise tail, of which one stores a further output. */
const [first, , second] = sizes as readonly [(typeof sizes)[number], unknown, (typeof sizes)[number]];
const tails = [first, second].map(([given]): Case<ConvProblem> => {
  const problem = problemOf('output', given);
  const width = problem.result[1];
  return {
    name: `gelu of a bias and the ${nameOf('output', given)}`,
    ...spares(),
    problem: { ...problem, epilogue: biasGelu(shapesOf(problem).y, 2) },
    prepare(draw) {
      const { inputs, result, expected } = prepare(problem, draw);
      const bias = draw.f32(width);
      const data = result.data.map((value, i) => geluTanh(value + (bias[i % width] as number)));
      const worst = Math.max(...Array.from(expected.tolerance as ArrayLike<number>));
      return { inputs: [...inputs, bias], expected: [near({ data }, 1e-5, 2 * worst + 1e-6)] };
    },
  };
});
const sums = (['input', 'weight'] as const).map((makes): Case<ConvProblem> => {
  const problem = problemOf(makes, first[0]);
  const shapes = shapesOf(problem);
  return {
    name: `${nameOf(makes, first[0])}, plus a residual`,
    ...spares(),
    problem: { ...problem, epilogue: residual(makes === 'input' ? shapes.x : shapes.weight, 2, 1) },
    prepare(draw) {
      const { inputs, result, expected } = prepare(problem, draw);
      const other = draw.f32(sizeOf(result.shape));
      const values = result.data.map((value, i) => value + (other[i] as number));
      const tolerance = Float64Array.from(expected.tolerance as ArrayLike<number>, (bound) => bound + 1e-6);
      return { inputs: [...inputs, other], expected: [{ dtype: 'f32', values, tolerance } as const, expected] };
    },
  };
});

conformance(conv, [...plain, ...tails, ...sums]);
