import { sizeOf } from '../../src/core/shape.ts';
import { type ResampleProblem, resample } from '../../src/kernels/resample.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import type { Bands } from '../reference/resample.ts';
import { type Case, conformance, magnitudes, near, summed } from './conformance.ts';
import type { Draw } from './draw.ts';
import { biasGelu, geluTanh } from './hooks.ts';

/** Planes, H × W of x, OH × OW of y, and the most numbers of a row of either matrix. */
const sizes = [
  [1, [1, 1], [1, 1], [1, 1]],
  [6, [8, 8], [4, 4], [2, 2]],
  [5, [7, 9], [13, 3], [2, 4]],
  [2, [33, 5], [3, 65], [31, 1]],
  [3, [17, 19], [2, 2], [13, 17]],
] as const;

type Size = (typeof sizes)[number];

/** Rows whose starts don't fall, some of them with fewer numbers, or none. */
function bands(draw: Draw, from: number, to: number, taps: number): Bands {
  return Array.from({ length: to }, (_, i) => {
    const start = Math.floor((i * (from - taps + 1)) / to);
    const count = i === 0 ? taps : Math.floor(draw.next() * (taps + 1));
    return [start, ...draw.f32(count)];
  });
}

function tableOf(list: Bands, taps: number): number[] {
  return list.flatMap(([start = 0, ...numbers]) => [
    start,
    numbers.length,
    ...Array.from({ length: taps }, (_, i) => numbers[i] ?? 0),
  ]);
}

function prepare([planes, from, to, taps]: Size, draw: Draw) {
  const [rows, columns] = [bands(draw, from[0], to[0], taps[0]), bands(draw, from[1], to[1], taps[1])];
  const x = draw.f32(planes * sizeOf(from));
  const run = (value: Ref, of = (number: number) => number) => {
    const each = (list: Bands) => list.map(([start = 0, ...numbers]) => [start, ...numbers.map(of)]);
    return evaluate('resample', [value], { rows: each(rows), columns: each(columns) })[0] as Ref;
  };
  const value = ref([planes, ...from], x);
  const result = run(value);
  return {
    inputs: [x, Float32Array.from([...tableOf(rows, taps[0]), ...tableOf(columns, taps[1])])],
    result,
    expected: summed(result, run(magnitudes(value), Math.abs), taps[0] * taps[1]),
  };
}

const problemOf = ([planes, from, to, taps]: Size): ResampleProblem => ({ planes, from, to, taps });

const plain = sizes.map((size): Case<ResampleProblem> => {
  const [planes, from, to, taps] = size;
  return {
    name: `${planes} planes of [${from}] to [${to}], ${taps[0]}×${taps[1]} to one`,
    problem: problemOf(size),
    prepare(draw) {
      const { inputs, expected } = prepare(size, draw);
      return { inputs, expected: [expected] };
    },
  };
});

const tail: Case<ResampleProblem> = {
  name: 'gelu of a bias and the result',
  problem: { ...problemOf(sizes[1]), store: biasGelu([6, 4, 4], 2) },
  prepare(draw) {
    const { inputs, result } = prepare(sizes[1], draw);
    const bias = draw.f32(4);
    const data = result.data.map((value, i) => geluTanh(value + (bias[i % 4] as number)));
    return { inputs: [...inputs, bias], expected: [near({ data }, 1e-5)] };
  },
};

conformance(resample, [...plain, tail]);
