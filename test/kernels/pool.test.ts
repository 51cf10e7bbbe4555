import { sizeOf } from '../../src/core/shape.ts';
import { type MaxPoolProblem, maxPool, maxPoolBackward, type PoolProblem } from '../../src/kernels/pool.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, magnitudes, near, summed } from './conformance.ts';
import { biasGelu, geluTanh } from './hooks.ts';

type Spans = readonly (readonly [start: number, count: number])[];
type Pair = readonly [number, number];

interface Windows {
  readonly planes: number;
  readonly image: Pair;
  readonly rows: Spans;
  readonly columns: Spans;
  readonly dilation: Pair;
}

const spans = (count: number, step: number, extent: number, length: number): Spans =>
  Array.from({ length: count }, (_, i) => [i * step, Math.min(length, extent - i * step)] as const);

const windows: readonly Windows[] = [
  { planes: 1, image: [1, 1], rows: [[0, 1]], columns: [[0, 1]], dilation: [1, 1] },
  { planes: 6, image: [8, 8], rows: spans(4, 2, 8, 2), columns: spans(4, 2, 8, 2), dilation: [1, 1] },
  { planes: 5, image: [7, 9], rows: spans(6, 1, 7, 3), columns: spans(5, 2, 9, 3), dilation: [1, 1] },
  // Inputs apart: pixels that a window jumps over.
  { planes: 3, image: [9, 13], rows: spans(3, 2, 9, 3), columns: spans(5, 1, 13, 3), dilation: [2, 4] },
  // Pixels between windows, and one row.
  { planes: 33, image: [1, 65], rows: [[0, 1]], columns: spans(13, 5, 65, 2), dilation: [1, 1] },
  // Windows of different sizes, which cover all.
  { planes: 2, image: [5, 3], rows: [[0, 3], [2, 3]], columns: [[0, 1], [0, 2], [1, 1], [1, 2], [2, 1]], dilation: [1, 1] }, // biome-ignore format: a line each
];

const most = (list: Spans) => Math.max(...list.map(([, count]) => count));
const table = (...axes: Spans[]) => Float32Array.from(axes.flat(2) as number[]);
const nameOf = ({ planes, image, rows, columns, dilation }: Windows) =>
  `${planes} planes of [${image}], ${rows.length}×${columns.length} windows up to ${most(rows)}×${most(columns)}, ${dilation} apart`;

const forward = windows.map((given): Case<MaxPoolProblem> => {
  const { planes, image, rows, columns, dilation } = given;
  return {
    name: nameOf(given),
    problem: { planes, image, dilation, result: [rows.length, columns.length], taps: [most(rows), most(columns)] },
    prepare(draw) {
      // Few values, so that some of a window are equal.
      const x = Float32Array.from(draw.i32(planes * sizeOf(image), -4, 5));
      const [values, positions] = evaluate('maxPool', [ref([planes, ...image], x)], { rows, columns, dilation }) as [
        Ref,
        Ref,
      ];
      return { inputs: [x, table(rows, columns)], expected: [exact('f32', values.data), exact('i32', positions.data)] };
    },
  };
});

const special: Case<MaxPoolProblem> = {
  name: 'infinities',
  problem: { planes: 1, image: [1, 8], result: [1, 4], taps: [1, 2], dilation: [1, 1] },
  prepare: () => ({
    inputs: [
      Float32Array.of(2, Infinity, -Infinity, -Infinity, Infinity, 3, -Infinity, -5),
      table([[0, 1]], spans(4, 2, 8, 2)),
    ],
    expected: [exact('f32', [Infinity, -Infinity, Infinity, -5]), exact('i32', [1, 2, 4, 7])],
  }),
};

const tail: Case<MaxPoolProblem> = {
  ...(forward[1] as Case<MaxPoolProblem>),
  name: 'gelu of a bias and the greatest',
  problem: { ...(forward[1] as Case<MaxPoolProblem>).problem, store: biasGelu([6, 4, 4], 2) },
  prepare(draw) {
    const { inputs, expected } = (forward[1] as Case<MaxPoolProblem>).prepare(draw);
    const bias = draw.f32(4);
    const data = Float64Array.from(expected[0]?.values ?? [], (value, i) => geluTanh(value + (bias[i % 4] as number)));
    return { inputs: [...inputs, bias], expected: [near({ data }, 1e-5), expected[1] as never] };
  },
};

conformance(maxPool, [...forward, special, tail]);

/** Which windows may have met a pixel, found by looking at all. */
function metBy(list: Spans, extent: number, dilation: number): Spans {
  return Array.from({ length: extent }, (_, pixel) => {
    const found = list.flatMap(([start, count], window) =>
      Array.from({ length: count }, (_, i) => start + i * dilation).includes(pixel) ? [window] : [],
    );
    const [first = 0, last = -1] = [found[0], found.at(-1)];
    return [first, last - first + 1] as const;
  });
}

const backward = windows.map((given): Case<PoolProblem> => {
  const { planes, image, rows, columns, dilation } = given;
  const [down, across] = [metBy(rows, image[0], dilation[0]), metBy(columns, image[1], dilation[1])];
  const shape = [planes, rows.length, columns.length];
  return {
    name: nameOf(given),
    problem: { planes, image, result: [rows.length, columns.length], taps: [most(down), most(across)] },
    prepare(draw) {
      const x = ref([planes, ...image], draw.i32(planes * sizeOf(image), -4, 5));
      const [, positions] = evaluate('maxPool', [x], { rows, columns, dilation }) as [Ref, Ref];
      const dy = draw.f32(sizeOf(shape));
      const run = (gradient: Ref) =>
        evaluate('maxPoolBackward', [gradient, positions], { image: [planes, ...image] })[0] as Ref;
      const value = ref(shape, dy);
      return {
        inputs: [dy, Int32Array.from(positions.data), table(down, across)],
        expected: [summed(run(value), run(magnitudes(value)), most(down) * most(across))],
      };
    },
  };
});

conformance(maxPoolBackward, backward);
