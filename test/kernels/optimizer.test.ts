import type { HostArray } from '../../src/graph/dtype.ts';
import { type ClipNormProblem, type ClipScaleProblem, clipNorm, clipScale } from '../../src/kernels/clip.ts';
import {
  adamHyper,
  adamw,
  type GateProblem,
  gate,
  leftAlone,
  type PackedProblem,
  type SgdProblem,
  sgd,
  sgdHyper,
} from '../../src/kernels/optimizer.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, near } from './conformance.ts';
import type { Draw } from './draw.ts';

/** A pack, and what becomes of a step. */
interface Pack extends PackedProblem {
  /** Whether the submit has failed: then nothing may change. */
  readonly failed?: boolean;
}

// Packs of whole vectors and not, and such whose lanes of a software adapter take several; the gated ones have a block of 64
// to each of their members, and as many groups.
const packs: readonly Pack[] = [
  { N: 1, members: 1, groups: 1, by: 'status' },
  { N: 1027, members: 300, groups: 1, by: 'scale' },
  { N: 1284, members: 3, groups: 1, by: 'scale', failed: true },
  { N: 4099, members: 5, groups: 1, by: 'status' },
  { N: 4100, members: 5, groups: 2, by: 'status' },
  { N: 5000, members: 70, groups: 13, by: 'scale' },
  { N: 20 * 64, members: 20, groups: 20, by: 'gate' },
  { N: 5 * 64 + 3, members: 6, groups: 6, by: 'gate' },
  { N: 70 * 64 + 20, members: 71, groups: 71, by: 'gate' },
];
const nameOf = ({ N, members, groups, by, failed }: Pack) =>
  `${N} elements of ${members} in ${groups} by ${by}${failed ? ', after a failure' : ''}`;

/** A part of a pack that makes a step of its own. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly group: number;
  /** Null where it is left alone. */
  readonly step: number | null;
  readonly scale: number;
}

/** The groups of a pack have as many blocks of 64 elements each, but for the last. */
const endOf = (N: number, groups: number, group: number) =>
  group === groups - 1 ? N : 64 * (group + 1) * Math.floor(N / 64 / groups);

/** What the kernel reads of the step, what it writes of it, and what that means for each part of the pack. */
function turnOf({ N, members, groups, by, failed = false }: Pack, draw: Draw) {
  if (by === 'gate') {
    const rows = Array.from({ length: members }, (_, i) => [1 + (i % 4), 0.5 + i / 64, i, Number(i % 3 !== 2)]);
    const table = Uint32Array.from({ length: Math.ceil(N / 64) }, (_, block) => block);
    const parts = rows.map(
      ([step, scale, group, runs], i): Part => ({
        ...{ start: 64 * i, end: Math.min(N, 64 * (i + 1)), group: group as number, scale: scale as number },
        step: runs ? (step as number) : null,
      }),
    );
    return { inputs: [Float32Array.from(rows.flat()), table], parts, next: [] };
  }
  const scale = by === 'scale' ? (draw.f32(1, 0.2, 0.5)[0] as number) : 1;
  const step = failed ? null : 3;
  const parts = Array.from(
    { length: groups },
    (_, group): Part => ({
      start: group && endOf(N, groups, group - 1),
      end: endOf(N, groups, group),
      group,
      scale,
      step,
    }),
  );
  const next = [exact('i32', new Int32Array(members).fill(failed ? 2 : 3))];
  const scales = by === 'scale' ? [Float32Array.of(scale, Number(!failed))] : [];
  return { inputs: [new Int32Array(members).fill(2), ...scales], parts, next };
}

/** What `rule` makes of each part; a part that makes no step keeps the values of the outputs, inputs `kept`. */
function byParts(
  parts: readonly Part[],
  inputs: readonly HostArray[],
  kept: readonly number[],
  rule: (values: Ref[], part: Part, step: number) => readonly Ref[],
): Float64Array[] {
  const results = kept.map((i) => Float64Array.from(inputs[i] as HostArray));
  for (const part of parts) {
    if (part.step === null) continue;
    const values = inputs.map((data) => ref([part.end - part.start], data.slice(part.start, part.end)));
    values[1] = ref(
      values[1]?.shape as number[],
      values[1]?.data.map((g) => g * part.scale),
    );
    for (const [i, { data }] of rule(values, part, part.step).entries()) results[i]?.set(data, part.start);
  }
  return results;
}

conformance(
  adamw,
  packs.map(
    (problem): Case<PackedProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const { N, groups } = problem;
        const packed = [draw.f32(N), draw.f32(N), draw.f32(N, 0.5), draw.f32(N, 0.4, 0.5)];
        const { inputs, parts, next } = turnOf(problem, draw);
        const settings = Array.from({ length: groups }, (_, group) => ({
          lr: Math.fround(1e-2 * (1 + (group % 9))),
          betas: [Math.fround(0.9), Math.fround(0.95)] as const,
          eps: Math.fround(1e-8),
          weightDecay: Math.fround(0.1 * (group % 4)),
          decoupled: group % 2 === 0,
        }));
        const expected = byParts(parts, packed, [0, 2, 3], (values, { group }, step) => {
          const own = settings[group] as (typeof settings)[number];
          const [beta1, beta2] = own.betas;
          return evaluate(own.decoupled ? 'adamw' : 'adam', values, { ...own, beta1, beta2, step });
        });
        return {
          inputs: [
            ...packed,
            Float32Array.from(settings.flatMap((own, group) => adamHyper(own, endOf(N, groups, group)))),
            ...inputs,
          ],
          expected: [...expected.map((data) => near({ data }, 1e-6, 1e-6)), ...next],
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
          const { N, groups, momentum } = problem;
          const packed = [draw.f32(N), draw.f32(N), ...(momentum ? [draw.f32(N)] : [])];
          const { inputs, parts, next } = turnOf(problem, draw);
          const settings = Array.from({ length: groups }, (_, group) => ({
            lr: Math.fround(0.1 * (1 + (group % 9))),
            momentum: momentum ? Math.fround(0.9) : 0,
            nesterov: momentum && group % 3 === 1,
            weightDecay: Math.fround(0.1 * (group % 2)),
          }));
          const expected = byParts(parts, packed, momentum ? [0, 2] : [0], (values, { group }, step) => {
            if (step === 1 && values[2]) values[2] = ref(values[2].shape);
            return evaluate('sgd', values, { ...settings[group], step });
          });
          const [parameters, gradients, ...buffer] = packed as [HostArray, HostArray, HostArray?];
          return {
            inputs: [
              parameters,
              gradients,
              Float32Array.from(settings.flatMap((own, group) => sgdHyper(own, endOf(N, groups, group)))),
              ...(buffer as HostArray[]),
              ...inputs,
            ],
            expected: [...expected.map((data) => near({ data }, 1e-6, 1e-6)), ...next],
          };
        },
      }),
    ),
);

conformance(
  gate,
  [
    { members: 1, clipped: false },
    { members: 150, clipped: true },
    { members: 65, clipped: true, failed: true },
  ].map(
    ({ failed = false, ...problem }): Case<GateProblem> => ({
      name: `${problem.members} members${problem.clipped ? ', clipped' : ''}${failed ? ', after a failure' : ''}`,
      problem,
      prepare(draw) {
        const { members, clipped } = problem;
        const counts = draw.i32(members, 0, 9);
        const groups = Uint32Array.from({ length: members }, (_, i) => (i % 5 === 3 ? leftAlone : i % 7));
        const scale = clipped ? [Float32Array.of(0.25, Number(!failed))] : [];
        const runs = Array.from(groups, (group) => group !== leftAlone && !failed);
        const next = counts.map((count, i) => count + Number(runs[i]));
        const rows = Array.from(next, (count, i) => [count, clipped ? 0.25 : 1, groups[i] as number, Number(runs[i])]);
        return {
          inputs: [counts, groups, ...scale],
          expected: [exact('i32', next), exact('f32', Float32Array.from(rows.flat()))],
        };
      },
    }),
  ),
);

/** Norm, and the factor that brings it down to maxNorm. */
function clipping(squares: Float64Array, maxNorm: number) {
  const norm = Math.sqrt(squares.reduce((a, b) => a + b, 0));
  return [[norm], [Math.min(1, maxNorm / (norm + 1e-6)), 1]].map((x) => near({ data: Float64Array.from(x) }, 2e-6));
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
      problem: { N, maxNorm, strict: false },
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
      problem: { count, maxNorm, strict: false },
      prepare(draw) {
        const squares = draw.f32(count, 2, 2);
        return { inputs: [squares], expected: clipping(Float64Array.from(squares), maxNorm) };
      },
    }),
  ),
);
