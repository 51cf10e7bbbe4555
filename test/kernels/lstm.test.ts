import { describe, expect, it } from 'vitest';
import type { KernelCall, Variant } from '../../src/kernels/kernel.ts';
import {
  type LstmBackwardProblem,
  type LstmCellProblem,
  type LstmProblem,
  lstmBackward,
  lstmCell,
  lstmCellBackward,
  lstmForward,
} from '../../src/kernels/lstm.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Run, runCall, runProfile, sameBits } from '../support/kernels.ts';
import { type Case, conformance, near } from './conformance.ts';
import { Draw } from './draw.ts';
import { halfBackwards } from './hooks.ts';

// Four different extents each; hidden sizes with and without vectors, below and above a workgroup's slices.
const problems: readonly LstmProblem[] = [
  { T: 1, B: 1, H: 1, reverse: false },
  { T: 3, B: 5, H: 7, reverse: true },
  { T: 5, B: 3, H: 15, reverse: false },
  { T: 2, B: 9, H: 32, reverse: true },
  { T: 4, B: 2, H: 33, reverse: false },
  { T: 3, B: 6, H: 68, reverse: false },
  { T: 2, B: 1, H: 129, reverse: true },
  { T: 2, B: 3, H: 260, reverse: false },
];
const nameOf = ({ T, B, H, reverse }: LstmProblem) => `T ${T}, B ${B}, H ${H}${reverse ? ', from the end' : ''}`;

function forwardInputs(draw: Draw, { T, B, H }: LstmProblem) {
  return [draw.f32(T * B * 4 * H, 2), draw.f32(B * H), draw.f32(B * H), draw.f32(4 * H * H, 1 / Math.sqrt(H))] as const;
}

function forward(draw: Draw, problem: LstmProblem) {
  const { T, B, H, reverse } = problem;
  const inputs = forwardInputs(draw, problem);
  const shapes = [
    [T, B, 4 * H],
    [B, H],
    [B, H],
    [4 * H, H],
  ];
  const outputs = evaluate(
    'lstm',
    inputs.map((data, i) => ref(shapes[i] as number[], data)),
    { reverse },
  );
  return { inputs, outputs: outputs as readonly [Ref, Ref, Ref] };
}

function prepareForward(draw: Draw, problem: LstmProblem) {
  const { inputs, outputs } = forward(draw, problem);
  return { inputs, expected: outputs.map((output) => near(output, 1e-5, 3e-6)) };
}

function prepareBackward(draw: Draw, problem: LstmProblem) {
  const { T, B, H, reverse } = problem;
  const { inputs, outputs } = forward(draw, problem);
  const [cells, gates] = outputs.slice(1).map(({ data }) => Float32Array.from(data)) as [
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
  ];
  const [, , c0, W] = inputs;
  const [dOutput, dStateN] = [draw.f32(T * B * H), draw.f32(2 * B * H)];
  const results = evaluate(
    'lstmBackward',
    [
      ref([T, B, H], dOutput),
      ref([2, B, H], dStateN),
      ref([T, B, 4 * H], gates),
      ref([T, B, H], cells),
      ref([B, H], c0),
      ref([4 * H, H], W),
    ],
    { reverse },
  );
  return {
    inputs: [dOutput, dStateN, gates, cells, c0, W] as const,
    expected: results.map((result) => near(result, 2e-5, 1e-5)),
  };
}

const cases = (prepare: typeof prepareForward | typeof prepareBackward) =>
  problems.map(
    (problem): Case<LstmProblem> => ({ name: nameOf(problem), problem, prepare: (draw) => prepare(draw, problem) }),
  );

/** The gradient of the output comes as an input behind the others, halved and backwards. */
const loaded = [problems[1], problems[5]].map((each): Case<LstmBackwardProblem> => {
  const problem = each as LstmProblem;
  return {
    name: `${nameOf(problem)}, with a fused producer`,
    problem: { ...problem, load: halfBackwards(problem.T * problem.B * problem.H, 6) },
    prepare(draw) {
      const { inputs, expected } = prepareBackward(draw, problem);
      return { inputs: [...inputs, inputs[0].map((x) => 2 * x).reverse()], expected };
    },
  };
});

/** More iterations than software drivers let one invocation make; `steps` makes as few as ever. */
const long: LstmProblem = { T: 1100, B: 1, H: 64, reverse: false };

conformance(lstmForward, cases(prepareForward));
conformance(lstmBackward, [
  ...cases(prepareBackward),
  ...loaded,
  { name: nameOf(long), problem: long, spares: ['steps'], prepare: (draw) => prepareBackward(draw, long) },
]);

const cells: readonly LstmCellProblem[] = [
  { B: 1, H: 1 },
  { B: 3, H: 33 },
  { B: 5, H: 64 },
];

conformance(
  lstmCell,
  cells.map(
    (problem): Case<LstmCellProblem> => ({
      name: `B ${problem.B}, H ${problem.H}`,
      problem,
      prepare(draw) {
        const { B, H } = problem;
        // Beyond where tanh and exp of some drivers overflow.
        const [pre, c] = [draw.f32(B * 4 * H, 100), draw.f32(B * H, 3)];
        const outputs = evaluate('lstmCell', [ref([B, 4 * H], pre), ref([B, H], c)]);
        return { inputs: [pre, c], expected: outputs.map((output) => near(output, 1e-5, 1e-6)) };
      },
    }),
  ),
);

conformance(
  lstmCellBackward,
  cells.map(
    (problem): Case<LstmCellProblem> => ({
      name: `B ${problem.B}, H ${problem.H}`,
      problem,
      prepare(draw) {
        const { B, H } = problem;
        const inputs = [
          draw.f32(B * H),
          draw.f32(B * H),
          draw.f32(B * 4 * H, 0.5, 0.5),
          draw.f32(B * H),
          draw.f32(B * H, 3),
        ];
        const shapes = inputs.map(({ length }) => [B, length / B]);
        const outputs = evaluate(
          'lstmCellBackward',
          inputs.map((data, i) => ref(shapes[i] as number[], data)),
        );
        return { inputs, expected: outputs.map((output) => near(output, 1e-5, 1e-6)) };
      },
    }),
  ),
);

describe('a sequence in chunks', () => {
  /** The call with its one dispatch cut at step 2, as a sequence too long for a watchdog is cut. */
  function cut({ dispatches: [whole] }: KernelCall, T: number): KernelCall {
    if (!whole) throw new Error('no dispatch');
    const part = (start: number, count: number) => ({ ...whole, uniforms: { ...whole.uniforms, start, count } });
    return { dispatches: [part(0, 2), part(2, T - 2)] };
  }

  it.each([
    ['lstmForward', lstmForward, prepareForward],
    ['lstmBackward', lstmBackward, prepareBackward],
  ] as const)('%s gives the bits of the whole', async (_, family, prepare) => {
    for (const problem of [problems[1], problems[5]] as LstmProblem[]) {
      const long = { ...problem, T: 5 };
      const { inputs, expected } = prepare(new Draw(5), long);
      const call = (family.variants.sequence as Variant<LstmProblem>).call(long, runProfile);
      const outputs = expected.map(({ values }) => ({ dtype: 'f32' as const, length: values.length }));
      const [whole] = (await runCall(call, inputs, outputs)) as [Run];
      const [parts] = (await runCall(cut(call, 5), inputs, outputs)) as [Run];
      expect(sameBits(whole, parts)).toBe(true);
    }
  });
});
