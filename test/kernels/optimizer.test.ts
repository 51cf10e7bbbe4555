import type { HostArray } from '../../src/graph/dtype.ts';
import {
  adamHyper,
  adamw,
  type ClipNormProblem,
  type ClipScaleProblem,
  clipNorm,
  clipScale,
  type PackedProblem,
  type SgdProblem,
  sgd,
  sgdHyper,
} from '../../src/kernels/optimizer.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, near } from './conformance.ts';

// Groups that end on vectors and that do not; the last takes all eight.
const packs: readonly PackedProblem[] = [
  { ends: [1], clipped: false },
  { ends: [1027], clipped: true },
  { ends: [256, 260, 1284], clipped: true },
  { ends: [3, 5, 64, 65, 300, 301, 400, 513], clipped: false },
];
const nameOf = ({ ends, clipped }: PackedProblem) => `groups up to ${ends.join(', ')}${clipped ? ', clipped' : ''}`;

/** Each group's part of the inputs through `rule`, put together again. */
function byGroups(
  ends: readonly number[],
  inputs: readonly HostArray[],
  rule: (parts: Ref[], group: number) => readonly Ref[],
): Float64Array[] {
  const results: number[][] = [];
  for (const [group, end] of ends.entries()) {
    const start = ends[group - 1] ?? 0;
    const parts = inputs.map((data) => ref([end - start], data.slice(start, end)));
    for (const [i, { data }] of rule(parts, group).entries()) {
      const result = results[i] ?? [];
      result.push(...data);
      results[i] = result;
    }
  }
  return results.map((values) => Float64Array.from(values));
}

const scaled = (gradients: Float32Array<ArrayBuffer>, scale: Float32Array<ArrayBuffer> | undefined) =>
  scale ? Float32Array.from(gradients, (g) => g * (scale[0] as number)) : gradients;

conformance(
  adamw,
  packs.map(
    (problem): Case<PackedProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const { ends, clipped } = problem;
        const N = ends.at(-1) as number;
        const [parameters, gradients, mean] = [draw.f32(N), draw.f32(N), draw.f32(N, 0.5)];
        const square = draw.f32(N, 0.4, 0.5);
        const scale = clipped ? [draw.f32(1, 0.2, 0.5)] : [];
        const settings = ends.map((_, group) => ({
          lr: Math.fround(1e-2 * (group + 1)),
          betas: [Math.fround(0.9), Math.fround(0.95)] as const,
          eps: Math.fround(1e-8),
          weightDecay: Math.fround(0.1 * group),
          decoupled: group % 2 === 0,
          step: 3,
        }));
        const hyper = Float32Array.from(settings.flatMap(adamHyper));
        const expected = byGroups(ends, [parameters, scaled(gradients, scale[0]), mean, square], (parts, group) => {
          const own = settings[group] as (typeof settings)[number];
          const [beta1, beta2] = own.betas;
          return evaluate(own.decoupled ? 'adamw' : 'adam', parts, { ...own, beta1, beta2 });
        });
        return {
          inputs: [parameters, gradients, mean, square, hyper, ...scale],
          expected: expected.map((data) => near({ data }, 1e-6, 1e-6)),
        };
      },
    }),
  ),
);

conformance(
  sgd,
  packs
    .flatMap((pack) => [
      { ...pack, momentum: false },
      { ...pack, momentum: true },
    ])
    .map(
      (problem): Case<SgdProblem> => ({
        name: `${nameOf(problem)}${problem.momentum ? ', with momentum' : ''}`,
        problem,
        prepare(draw) {
          const { ends, clipped, momentum } = problem;
          const N = ends.at(-1) as number;
          const [parameters, gradients] = [draw.f32(N), draw.f32(N)];
          const buffer = momentum ? [draw.f32(N)] : [];
          const scale = clipped ? [draw.f32(1, 0.2, 0.5)] : [];
          const settings = ends.map((_, group) => ({
            lr: Math.fround(0.1 * (group + 1)),
            momentum: momentum ? Math.fround(0.9) : 0,
            nesterov: momentum && group % 3 === 1,
            weightDecay: Math.fround(0.1 * (group % 2)),
            first: group % 3 === 2,
          }));
          const hyper = Float32Array.from(settings.flatMap(sgdHyper));
          const inputs = [parameters, scaled(gradients, scale[0]), ...buffer];
          const expected = byGroups(ends, inputs, (parts, group) => {
            const own = settings[group] as (typeof settings)[number];
            if (own.first && parts[2]) parts[2] = ref(parts[2].shape);
            return evaluate('sgd', parts, { ...own, step: own.first ? 1 : 2 }).slice(0, momentum ? 2 : 1);
          });
          return {
            inputs: [parameters, gradients, hyper, ...buffer, ...scale],
            expected: expected.map((data) => near({ data }, 1e-6, 1e-6)),
          };
        },
      }),
    ),
);

/** Norm, and the factor that brings it down to maxNorm. */
function clipping(squares: Float64Array, maxNorm: number) {
  const norm = Math.sqrt(squares.reduce((a, b) => a + b, 0));
  return [norm, Math.min(1, maxNorm / (norm + 1e-6))].map((x) => near({ data: Float64Array.of(x) }, 2e-6));
}

conformance(
  clipNorm,
  (
    [
      [1, 1],
      [64, 1],
      [1027, 100],
      [8192, 5],
      [70004, 1],
      [140001, 1000],
    ] as const
  ).map(
    ([N, maxNorm]): Case<ClipNormProblem> => ({
      name: `${N} gradients to ${maxNorm}`,
      problem: { N, maxNorm },
      prepare(draw) {
        const gradients = draw.f32(N, 2);
        return {
          inputs: [gradients],
          expected: clipping(
            Float64Array.from(gradients, (g) => g * g),
            maxNorm,
          ),
        };
      },
    }),
  ),
);

conformance(
  clipScale,
  (
    [
      [1, 1],
      [65, 100],
      [512, 5],
    ] as const
  ).map(
    ([count, maxNorm]): Case<ClipScaleProblem> => ({
      name: `${count} sums of squares to ${maxNorm}`,
      problem: { count, maxNorm },
      prepare(draw) {
        const squares = draw.f32(count, 2, 2);
        return { inputs: [squares], expected: clipping(Float64Array.from(squares), maxNorm) };
      },
    }),
  ),
);
