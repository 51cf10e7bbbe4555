import { describe, expect, it } from 'vitest';
import type { KernelCall, Variant } from '../../src/kernels/kernel.ts';
import {
  type RecurrentBackwardProblem,
  type RecurrentProblem,
  recurrentBackward,
  recurrentForward,
} from '../../src/kernels/recurrent.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Run, runCall, runProfile, sameBits } from '../support/kernels.ts';
import { type Case, conformance, near } from './conformance.ts';
import { Draw } from './draw.ts';
import { halfBackwards } from './hooks.ts';

// Four different extents each; hidden sizes with and without vectors, below and above a workgroup's slices.
const lstm = (T: number, B: number, H: number, reverse: boolean, lengths = false): RecurrentProblem => ({
  ...{ cell: 'lstm', T, B, H, reverse, lengths },
});
const other = (
  cell: 'gru' | 'tanh' | 'relu',
  T: number,
  B: number,
  H: number,
  { reverse = false, lengths = false, bias = false },
): RecurrentProblem => ({ cell, T, B, H, reverse, lengths, bias });

const problems: readonly RecurrentProblem[] = [
  lstm(1, 1, 1, false),
  lstm(3, 5, 7, true),
  lstm(5, 3, 15, false),
  lstm(2, 9, 32, true),
  lstm(4, 2, 33, false),
  lstm(3, 6, 68, false),
  lstm(2, 1, 129, true),
  lstm(2, 3, 260, false),
  // Two blocks of rows in a thread, of which the second is not always whole.
  lstm(3, 13, 72, true),
  lstm(4, 6, 32, true, true),
  // What differs from the LSTM is a step's own: units and rows with and without vectors, few and many.
  other('gru', 3, 5, 7, { reverse: true, bias: true }),
  other('gru', 4, 11, 68, { lengths: true }),
  other('tanh', 3, 5, 7, { reverse: true, lengths: true }),
  other('relu', 4, 9, 32, {}),
];
const nameOf = ({ cell, T, B, H, reverse, lengths, bias }: RecurrentProblem) =>
  [`${cell}: T ${T}, B ${B}, H ${H}`, reverse && 'from the end', lengths && 'with lengths', bias && 'with a bias']
    .filter(Boolean)
    .join(', ');

const gatesOf = { lstm: 4, gru: 3, tanh: 1, relu: 1 } as const;
/** The name of the rule and its attributes. */
const ruleOf = ({ cell, reverse, lengths, bias = false }: RecurrentProblem) =>
  cell === 'lstm' || cell === 'gru'
    ? ([cell, { reverse, lengths, bias }] as const)
    : (['rnn', { reverse, nonlinearity: cell }] as const);

interface Forward {
  readonly inputs: readonly (readonly [
    shape: readonly number[],
    data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
  ])[];
  readonly outputs: readonly Ref[];
}

/** Lengths of which some are 1, some all. */
const lengthsOf = (B: number, T: number) => Int32Array.from({ length: B }, (_, b) => 1 + ((b * 2) % T));

function forward(draw: Draw, problem: RecurrentProblem): Forward {
  const { cell, T, B, H, lengths, bias } = problem;
  const GH = gatesOf[cell] * H;
  const inputs = [
    [[T, B, GH], draw.f32(T * B * GH, 2)],
    [[B, H], draw.f32(B * H)],
    [[GH, H], draw.f32(GH * H, 1 / Math.sqrt(H))],
    ...(cell === 'lstm' ? [[[B, H], draw.f32(B * H)] as const] : []),
    ...(cell === 'gru' && bias ? [[[GH], draw.f32(GH)] as const] : []),
    ...(lengths ? [[[B], lengthsOf(B, T)] as const] : []),
  ] as const;
  const [rule, attributes] = ruleOf(problem);
  return {
    inputs,
    outputs: evaluate(
      rule,
      inputs.map(([shape, data]) => ref(shape, data)),
      attributes,
    ),
  };
}

function prepareForward(draw: Draw, problem: RecurrentProblem) {
  const { inputs, outputs } = forward(draw, problem);
  return { inputs: inputs.map(([, data]) => data), expected: outputs.map((output) => near(output, 1e-5, 3e-6)) };
}

function prepareBackward(draw: Draw, problem: RecurrentBackwardProblem) {
  const { cell, T, B, H } = problem;
  const { inputs, outputs } = forward(draw, problem);
  const [, h0, weight, c0] = inputs;
  // What the kernel forward left, rounded.
  const left = outputs.map(({ shape, data }) => [shape, Float32Array.from(data)] as const);
  const given = [
    [[T, B, H], draw.f32(T * B * H)] as const,
    weight,
    ...(cell === 'lstm' ? [left[2], left[1], c0] : cell === 'gru' ? [left[1], left[0], h0] : [left[0]]),
    ...(problem.dC ? [[[B, H], draw.f32(B * H)] as const] : []),
    ...(problem.lengths && gatesOf[cell] === 1 ? [inputs.at(-1)] : []),
  ] as Forward['inputs'];
  const [rule, attributes] = ruleOf(problem);
  const results = evaluate(
    `${rule}Backward`,
    given.map(([shape, data]) => ref(shape, data)),
    attributes,
  );
  return { inputs: given.map(([, data]) => data), expected: results.map((result) => near(result, 2e-5, 1e-5)) };
}

const backwards = problems.map(
  (problem, i): RecurrentBackwardProblem => ({
    ...problem,
    dC: problem.cell === 'lstm' && i % 2 === 1,
  }),
);

/** The gradient of the output comes as an input behind the others, halved and backwards. */
const loaded = [backwards[1], backwards[5], backwards[9], backwards[11]].map((each): Case<RecurrentBackwardProblem> => {
  const problem = each as RecurrentBackwardProblem;
  const inputs = { lstm: 5 + Number(problem.dC), gru: 5, tanh: 3 + Number(problem.lengths), relu: 3 }[problem.cell];
  return {
    name: `${nameOf(problem)}, with a fused producer`,
    problem: { ...problem, load: halfBackwards(problem.T * problem.B * problem.H, inputs) },
    prepare(draw) {
      const { inputs, expected } = prepareBackward(draw, problem);
      const [dOutput] = inputs as [Float32Array<ArrayBuffer>];
      return { inputs: [...inputs, dOutput.map((x) => 2 * x).reverse()], expected };
    },
  };
});

/** More iterations than software drivers let one invocation make; `steps` makes as few as ever. */
const long = lstm(1100, 1, 64, false);

conformance(
  recurrentForward,
  problems.map(
    (problem): Case<RecurrentProblem> => ({
      name: nameOf(problem),
      problem,
      prepare: (draw) => prepareForward(draw, problem),
    }),
  ),
);
conformance(recurrentBackward, [
  ...backwards.map(
    (problem): Case<RecurrentBackwardProblem> => ({
      name: nameOf(problem),
      problem,
      prepare: (draw) => prepareBackward(draw, problem),
    }),
  ),
  ...loaded,
  { name: nameOf(long), problem: long, spares: ['steps'], prepare: (draw) => prepareBackward(draw, long) },
]);

describe('a sequence in chunks', () => {
  /** The call with its one dispatch cut at step 2, as a sequence too long for a watchdog is cut. */
  function cut({ dispatches: [whole] }: KernelCall, T: number): KernelCall {
    if (!whole) throw new Error('no dispatch');
    const part = (start: number, count: number) => ({ ...whole, uniforms: { ...whole.uniforms, start, count } });
    return { dispatches: [part(0, 2), part(2, T - 2)] };
  }

  it.each([
    ['recurrentForward', recurrentForward, prepareForward],
    ['recurrentBackward', recurrentBackward, prepareBackward],
  ] as const)('%s gives the bits of the whole', async (_, family, prepare) => {
    for (const problem of [problems[1], problems[5], problems[8], problems[10], problems[11]] as RecurrentProblem[]) {
      const long = { ...problem, T: 5 };
      const { inputs, expected } = prepare(new Draw(5), long);
      const call = (family.variants.sequence as Variant<RecurrentProblem>).call(long, runProfile);
      const outputs = expected.map(({ values }) => ({ dtype: 'f32' as const, length: values.length }));
      const [whole] = (await runCall(call, inputs, outputs)) as [Run];
      const [parts] = (await runCall(cut(call, 5), inputs, outputs)) as [Run];
      expect(sameBits(whole, parts)).toBe(true);
    }
  });
});
