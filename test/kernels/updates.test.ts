import { describe, expect, it } from 'vitest';
import type { HostArray } from '../../src/core/dtype.ts';
import { type ClipNormProblem, type ClipScaleProblem, clipNorm, clipScale } from '../../src/kernels/clip.ts';
import { familyCall } from '../../src/kernels/family.ts';
import { mostFindings } from '../../src/kernels/findings.ts';
import type { DeviceProfile, Family } from '../../src/kernels/kernel.ts';
import {
  adagradHyper,
  adamHyper,
  adamw,
  type GateProblem,
  gate,
  leftAlone,
  lionHyper,
  type PackedProblem,
  packedBlock,
  type RuledProblem,
  type RuleName,
  rmspropHyper,
  ruled,
  type SgdProblem,
  sgd,
  sgdHyper,
} from '../../src/kernels/updates.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { profile } from '../support/environment.ts';
import { profiles, type Run, runCall, runProfile, sameBits } from '../support/kernels.ts';
import { type Case, conformance, exact, near } from './conformance.ts';
import { type Draw, drawFor } from './draw.ts';

/** A pack, and what becomes of a step. */
interface Pack extends PackedProblem {
  /** Whether the submit has failed: then nothing may change, and nothing is told of. */
  readonly failed?: boolean;
}

// Packs of whole vectors and not, and such whose lanes of a software adapter take several; the gated ones have a block of 64
// to each of their members, and as many groups.
const packs: readonly Pack[] = (
  [
    { N: 1, members: 1, groups: 1, by: 'counts' },
    { N: 1027, members: 300, groups: 1, by: 'scale' },
    { N: 1284, members: 3, groups: 1, by: 'scale', failed: true },
    { N: 1285, members: 3, groups: 1, by: 'counts', failed: true },
    { N: 4099, members: 5, groups: 1, by: 'counts' },
    { N: 4100, members: 5, groups: 2, by: 'counts' },
    { N: 5000, members: 70, groups: 13, by: 'scale' },
    { N: 20 * 64, members: 20, groups: 20, by: 'gate' },
    { N: 5 * 64 + 3, members: 6, groups: 6, by: 'gate' },
    { N: 70 * 64 + 20, members: 71, groups: 71, by: 'gate' },
  ] as const
).map((pack, i) => ({ ...pack, finding: (7 * i) % mostFindings, firstBlock: 1000 * i }));
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
  const counts = new Int32Array(members).fill(2);
  return { inputs: by === 'scale' ? [withFactor(scale, counts), counts] : [counts], parts, next };
}

/** Counts behind a factor, as updates read them. */
function withFactor(factor: number, counts: Int32Array): Float32Array<ArrayBuffer> {
  const turn = new Int32Array(64 + counts.length);
  turn.set(counts, 64);
  const words = new Float32Array(turn.buffer);
  words[0] = factor;
  return words;
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

const adamwCases = packs.map(
  (problem): Case<Pack> => ({
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
        failed: problem.failed ?? false,
      };
    },
  }),
);

const sgdCases = packs
  .flatMap((pack) => [
    { ...pack, momentum: false },
    { ...pack, momentum: true },
  ])
  .map(
    (problem): Case<Pack & SgdProblem> => ({
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
          failed: problem.failed ?? false,
        };
      },
    }),
  );

/** Settings of a group for each rule, and what the reference has for them. */
const rules = {
  rmsprop: (group: number) => {
    const own = { alpha: Math.fround(0.9), eps: Math.fround(1e-4), momentum: 0, ...rate(group) };
    return { hyper: (end: number) => rmspropHyper(own, end), rule: 'rmsprop', own };
  },
  rmspropMomentum: (group: number) => {
    const own = { alpha: Math.fround(0.9), eps: Math.fround(1e-4), momentum: Math.fround(0.5), ...rate(group) };
    return { hyper: (end: number) => rmspropHyper(own, end), rule: 'rmsprop', own };
  },
  rmspropCentered: (group: number) => {
    const own = { alpha: Math.fround(0.9), eps: Math.fround(1e-4), momentum: 0, ...rate(group) };
    return { hyper: (end: number) => rmspropHyper(own, end), rule: 'rmspropCentered', own };
  },
  adagrad: (group: number) => {
    const own = { lrDecay: Math.fround(0.1), eps: Math.fround(1e-4), initialAccumulatorValue: 0.5, ...rate(group) };
    return { hyper: (end: number) => adagradHyper(own, end), rule: 'adagrad', own };
  },
  lion: (group: number) => {
    const own = { betas: [Math.fround(0.9), Math.fround(0.99)] as const, ...rate(group) };
    return { hyper: (end: number) => lionHyper(own, end), rule: 'lion', own };
  },
} as const;
const rate = (group: number) => ({
  lr: Math.fround(0.01 * (1 + (group % 9))),
  weightDecay: Math.fround(0.1 * (group % 2)),
});

const ruledCases = packs
  .flatMap((pack, i) =>
    (Object.keys(rules) as RuleName[]).filter((_, j) => j === i % 5 || i > 4).map((rule) => ({ ...pack, rule })),
  )
  .map(
    (problem): Case<Pack & RuledProblem> => ({
      name: `${nameOf(problem)}, ${problem.rule}`,
      problem,
      prepare(draw) {
        const { N, groups, rule } = problem;
        const squares = draw.f32(N, 0.4, 0.5);
        // Means leave a variance of half the mean square or more: one near 0 would be made of rounding errors.
        const further = { rmspropMomentum: [draw.f32(N)], rmspropCentered: [draw.f32(N, 0.2)] };
        const states = [squares, ...(further[rule as keyof typeof further] ?? [])];
        const packed = [draw.f32(N), draw.f32(N), ...states];
        const { inputs, parts, next } = turnOf(problem, draw);
        const settings = Array.from({ length: groups }, (_, group) => rules[rule](group));
        const kept = [0, ...states.map((_, i) => 2 + i)];
        const expected = byParts(parts, packed, kept, (values, { group }, step) => {
          const { rule: name, own } = settings[group] as (typeof settings)[number];
          return evaluate(name, values, { ...own, step });
        });
        const [parameters, gradients, ...others] = packed as [HostArray, HostArray, ...HostArray[]];
        return {
          inputs: [
            parameters,
            gradients,
            Float32Array.from(settings.flatMap(({ hyper }, group) => hyper(endOf(N, groups, group)))),
            ...others,
            ...inputs,
          ],
          expected: [...expected.map((data) => near({ data }, 1e-6, 1e-6)), ...next],
          failed: problem.failed ?? false,
        };
      },
    }),
  );

conformance(adamw, adamwCases);
conformance(sgd, sgdCases);
conformance(ruled, ruledCases);

const floatOf = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0] as number;
const notFinite = { NaN: floatOf(0x7fc00000), '-NaN': floatOf(0xffc00000), '∞': Infinity, '-∞': -Infinity };

interface Change {
  readonly to: 'parameters' | 'gradients';
  readonly element: number;
  readonly value: number;
}

/** What an update tells of its step where inputs are changed so, and the first of its outputs, the parameters. */
async function told<Problem extends Pack>(family: Family<Problem>, each: Case<Problem>, changes: readonly Change[]) {
  const { problem } = each;
  const { inputs, expected, failed = false } = each.prepare(drawFor(`${family.name} ${each.name}`));
  const given = inputs.map((data) => data.slice()) as HostArray[];
  for (const { to, element, value } of changes) (given[to === 'parameters' ? 0 : 1] as HostArray)[element] = value;
  const call = familyCall(family, problem).call(runProfile);
  const outputs = expected.map(({ dtype, values }) => ({ dtype, length: values.length }));
  const [run, reversed] = (await runCall(call, given, outputs, [{}, { reversed: true }], failed)) as [Run, Run];
  expect(sameBits(run, reversed), 'the same bits in reversed order').toBe(true);
  const others = [...run.findings].filter((finding, i) => i !== problem.finding && finding !== 0);
  expect(others, 'what other steps are said to have found').toEqual([]);
  return { finding: run.findings[problem.finding] as number, parameters: [...(run.outputs[0] as HostArray)] };
}

/** Updates that meet what is not finite are made, and tell of the first block of 64 elements where that is. */
function tells<Problem extends Pack>(family: Family<Problem>, cases: readonly Case<Problem>[], huge: number): void {
  const ofGradient = ({ firstBlock }: Pack, element: number) =>
    0xffffffff - firstBlock - Math.floor(element / packedBlock);
  const ofValue = (problem: Pack, element: number) => ofGradient(problem, element) - 0x80000000;
  const due = cases.filter(
    ({ problem }) =>
      profile === 'gpu' ||
      JSON.stringify(familyCall(family, problem).call(profiles[0] as DeviceProfile)) !==
        JSON.stringify(familyCall(family, problem).call(runProfile)),
  );
  describe.for(due)(`${family.name} of $name`, (each) => {
    const { problem } = each;
    const { N, by, failed = false } = problem;
    const runs = (element: number) => !failed && (by !== 'gate' || Math.floor(element / packedBlock) % 3 !== 2);
    const elements = [0, Math.floor(N / 2), N - 1].filter((element, i, all) => all.indexOf(element) === i);

    it.for(Object.entries(notFinite))('of a gradient or a parameter that is %s', async ([, value]) => {
      for (const element of elements) {
        const gradient = await told(family, each, [{ to: 'gradients', element, value }]);
        const parameter = await told(family, each, [{ to: 'parameters', element, value }]);
        expect(gradient.finding).toBe(runs(element) ? ofGradient(problem, element) : 0);
        expect(parameter.finding).toBe(runs(element) ? ofValue(problem, element) : 0);
        for (const { parameters } of [gradient, parameter]) parameters[element] = 0;
        expect([...gradient.parameters, ...parameter.parameters].every(Number.isFinite)).toBe(true);
        const made = await told(family, each, [{ to: 'gradients', element, value }]);
        expect(Number.isFinite(made.parameters[element])).toBe(!runs(element));
      }
    });

    it('of the first of several, and of gradients before parameters', async () => {
      const [first, , last = first] = elements as [number, number?, number?];
      const bad = (to: Change['to'], element: number): Change => ({ to, element, value: Number.NaN });
      const both = await told(family, each, [bad('gradients', first), bad('gradients', last)]);
      expect(both.finding).toBe(runs(first) ? ofGradient(problem, first) : 0);
      const mixed = await told(family, each, [bad('parameters', first), bad('gradients', last)]);
      const expected = runs(last) ? ofGradient(problem, last) : ofValue(problem, first);
      expect(mixed.finding).toBe(runs(first) ? expected : 0);
    });

    it('of nothing where all is finite, however small or large', async () => {
      for (const element of elements) {
        for (const value of [-0, 1e-40, -1e-40, huge, -huge]) {
          const { finding } = await told(family, each, [{ to: 'gradients', element, value }]);
          expect(finding, `${value}`).toBe(0);
        }
      }
    });

    it('of finite gradients that make too large a value', async () => {
      for (const element of elements) {
        // A square of 1e42, or a step of some 1e37 from the largest number. Lion goes no further than its learning rate.
        if ('rule' in problem && problem.rule === 'lion') return;
        const [parameter, value] = family.name === 'sgd' ? [floatOf(0xff7fffff), 2e38] : [0, 1e21];
        const { finding } = await told(family, each, [
          { to: 'parameters', element, value: parameter },
          { to: 'gradients', element, value },
        ]);
        expect(finding).toBe(runs(element) ? ofValue(problem, element) : 0);
      }
    });
  });
}
tells(adamw, adamwCases, 1e18);
tells(sgd, sgdCases, 1e38);
tells(ruled, ruledCases, 1e18);

conformance(
  gate,
  [
    { members: 1, scaled: false, skips: null },
    { members: 150, scaled: true, skips: null },
    { members: 65, scaled: true, skips: null, failed: true },
    { members: 150, scaled: false, skips: 3, worst: 0 },
    { members: 65, scaled: true, skips: 3, worst: 1e38 },
    { members: 65, scaled: true, skips: mostFindings - 1, scale: Infinity, worst: 1 },
    { members: 65, scaled: true, skips: 0, worst: Number.NaN },
    { members: 150, scaled: false, skips: 5, worst: Infinity },
    { members: 65, scaled: false, skips: 5, worst: Infinity, failed: true },
  ].map(
    ({ failed = false, scale = 0.25, worst = null, ...problem }): Case<GateProblem> => ({
      name: `${problem.members} members${problem.scaled ? `, scaled by ${scale}` : ''}${
        worst === null ? '' : `, of gradients up to ${worst}`
      }${failed ? ', after a failure' : ''}`,
      problem,
      prepare(draw) {
        const { members, scaled, skips } = problem;
        const counts = draw.i32(members, 0, 9);
        const groups = Uint32Array.from({ length: members }, (_, i) => (i % 5 === 3 ? leftAlone : i % 7));
        const given = [...(scaled ? [scale] : []), ...(worst === null ? [] : [worst])];
        const skipped = skips !== null && !failed && !given.every(Number.isFinite);
        const runs = Array.from(groups, (group) => group !== leftAlone && !failed && !skipped);
        const next = counts.map((count, i) => count + Number(runs[i]));
        const rows = Array.from(next, (count, i) => [count, scaled ? scale : 1, groups[i] as number, Number(runs[i])]);
        return {
          inputs: [counts, groups, ...given.map((value) => Float32Array.of(value))],
          expected: [exact('i32', next), exact('f32', Float32Array.from(rows.flat()))],
          failed,
          findings: skipped ? { [skips]: 1 } : {},
        };
      },
    }),
  ),
);

/** Norm, and the factor that brings it down to maxNorm. */
function clipping(squares: Float64Array, maxNorm: number) {
  const norm = Math.sqrt(squares.reduce((a, b) => a + b, 0));
  return [[norm], [Math.min(1, maxNorm / (norm + 1e-6))]].map((x) => near({ data: Float64Array.from(x) }, 2e-6));
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
