import { ShapeError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions, flag } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { NoAttributes, Op, OpDef } from '../graph/op.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { lstmCell as cellFamily, lstmBackward, lstmCellBackward, lstmForward } from '../kernels/lstm.ts';
import { differentiateComposed } from './autograd.ts';
import { add, constantOf, mul, sigmoid, square, sub, tanh, zeros } from './elementwise.ts';
import { concat, split, stack } from './join.ts';
import { matmul } from './matmul.ts';
import { type ScanStep, scan } from './scan.ts';
import { at, slice } from './slice.ts';
import { reshape, transpose, unsqueeze } from './view.ts';

const f32 = (shape: readonly number[]): TensorType => ({ shape, dtype: 'f32' });
const sizes = (gates: TensorType) => {
  const [T, B, H4] = exactly(3, gates.shape);
  return { T, B, H: H4 / 4 };
};

/** Inputs: gatesX [T, B, 4H], h0, c0 [B, H], W_hh [4H, H]. Outputs: h and c of every step [T, B, H], activated gates. */
const lstmOp: Op<
  [gatesX: Tensor, h0: Tensor, c0: Tensor, weight: Tensor],
  { reverse: boolean },
  [output: Tensor, cells: Tensor, gates: Tensor]
> = {
  name: 'lstm',
  infer: ([gatesX]) => {
    const { T, B, H } = sizes(gatesX);
    return [f32([T, B, H]), f32([T, B, H]), f32([T, B, 4 * H])];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gatesX], attributes: { reverse } }) => familyCall(lstmForward, { ...sizes(gatesX), reverse }),
  },
  gradient: ({ inputs, outputs, attributes }, outputGradients) => {
    const [dOutput, dCells, dActivated] = outputGradients;
    // Only backward reads all cells and the gates: they have a gradient where a gradient is differentiated again.
    if (dActivated) return differentiateComposed(lstmOp, inputs, attributes, outputGradients);
    const [gatesX, h0, c0, weight] = inputs;
    const [output, cells, gates] = outputs;
    const { T, B, H } = sizes(gatesX);
    const { reverse } = attributes;
    const last = reverse ? 0 : T - 1;
    // Forward, only the last cell has a reader; its gradient arrives as that of all cells, zero elsewhere.
    const dStateN = dCells ? stack([zeros([B, H]), at(dCells, last)]) : zeros([2, B, H]);
    const [dGates, dState0] = apply(
      lstmBackwardOp,
      [dOutput ?? zeros([T, B, H]), dStateN, gates, cells, c0, weight],
      attributes,
    );
    return [dGates, at(dState0, 0), at(dState0, 1), recurrentGradient(dGates, output, h0, reverse)];
  },
  decompose: ([gatesX, h0, c0, weight], { reverse }) => {
    const transposed = transpose(weight);
    const step: ScanStep = (carry, slices) => {
      const [h, c] = exactly(2, carry);
      const [output, next, gates] = cellOf(add(nth(slices, 0), matmul(h, transposed)), c);
      return { carry: [output, next], y: [output, next, gates] };
    };
    return scan(step, [h0, c0], [gatesX], { reverse }).ys;
  },
};

/** [T, B, X] as [T·B, X]. */
const rows = (x: Tensor) => reshape(x, [-1, nth(x.shape, 2)]);

/** dW_hh = Σₜ dGatesₜᵀ·hₜ₋₁, one product over all steps; a first state of zeros adds nothing. */
function recurrentGradient(dGates: Tensor, output: Tensor, h0: Tensor, reverse: boolean): Tensor {
  const T = nth(output.shape, 0);
  const product = (gates: Tensor, states: Tensor) => matmul(transpose(rows(gates)), rows(states));
  const first = unsqueeze(h0, 0);
  if (T === 1) return product(dGates, first);
  const before = slice(output, [reverse ? [1, T] : [0, T - 1]]);
  if (constantOf(h0) === 0) return product(slice(dGates, [reverse ? [0, T - 1] : [1, T]]), before);
  return product(dGates, concat(reverse ? [before, first] : [first, before]));
}

const lstmBackwardOp: Op<
  [dOutput: Tensor, dStateN: Tensor, gates: Tensor, cells: Tensor, c0: Tensor, weight: Tensor],
  { reverse: boolean },
  [dGates: Tensor, dState0: Tensor]
> = {
  name: 'lstmBackward',
  infer: ([dOutput]) => {
    const [T, B, H] = exactly(3, dOutput.shape);
    return [f32([T, B, 4 * H]), f32([2, B, H])];
  },
  lowering: {
    kind: 'kernel',
    // A gradient that only the last outputs have is spread over all of them where it is read.
    load: true,
    problem: ({ inputs: [, , gates], attributes: { reverse } }, _, { load }) =>
      familyCall(lstmBackward, { ...sizes(gates), reverse, ...(load ? { load } : {}) }),
  },
  decompose: ([dOutput, dStateN, gates, cells, c0, weight], { reverse }) => {
    const first = unsqueeze(c0, 0);
    const before = reverse ? slice(concat([cells, first]), [[1]]) : slice(concat([first, cells]), [[0, -1]]);
    const step: ScanStep = (carry, slices) => {
      const [dh, dc] = exactly(2, carry);
      const [dy, activated, c, next] = exactly(4, slices);
      const [dGates, dBefore] = cellGradientOf(add(dh, dy), dc, activated, c, next);
      return { carry: [matmul(dGates, weight), dBefore], y: [dGates] };
    };
    const states = [at(dStateN, 0), at(dStateN, 1)];
    const { carry, ys } = scan(step, states, [dOutput, gates, before, cells], { reverse: !reverse });
    return [...ys, stack(carry)];
  },
};

/** Inputs: gates before activation [B, 4H], c [B, H]. Outputs: h', c', activated gates. */
const lstmCellOp: Op<[gates: Tensor, c: Tensor], NoAttributes, [h: Tensor, next: Tensor, activated: Tensor]> = {
  name: 'lstmCell',
  infer: ([gates, c]) => [f32(c.shape), f32(c.shape), f32(gates.shape)],
  lowering: { kind: 'kernel', problem: ({ inputs: [, c] }) => familyCall(cellFamily, cellSizes(c)) },
  gradient: ({ inputs, outputs, attributes }, outputGradients) => {
    const [dh, dc, dActivated] = outputGradients;
    if (dActivated) return differentiateComposed(lstmCellOp, inputs, attributes, outputGradients);
    const [, c] = inputs;
    const [, next, gates] = outputs;
    return apply(lstmCellBackwardOp, [dh ?? zeros(c.shape), dc ?? zeros(c.shape), gates, c, next]);
  },
  decompose: ([gates, c]) => cellOf(gates, c),
};
/** A step in plain ops: h', c' and the activated gates. */
function cellOf(gates: Tensor, c: Tensor): [Tensor, Tensor, Tensor] {
  const [x, y, z, w] = gatesOf(gates);
  const [i, f, g, o] = [sigmoid(x), sigmoid(y), tanh(z), sigmoid(w)];
  const next = add(mul(f, c), mul(i, g));
  return [mul(o, tanh(next)), next, concat([i, f, g, o], 1)];
}

const lstmCellBackwardOp: Op<
  [dh: Tensor, dc: Tensor, gates: Tensor, c: Tensor, next: Tensor],
  NoAttributes,
  [dGates: Tensor, dc: Tensor]
> = {
  name: 'lstmCellBackward',
  infer: ([, , gates, c]) => [f32(gates.shape), f32(c.shape)],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [, , , c] }) => familyCall(lstmCellBackward, cellSizes(c)),
  },
  decompose: (inputs) => cellGradientOf(...inputs),
};
/** Gradients of a step in plain ops: those of the gates before activation and of c. */
function cellGradientOf(dh: Tensor, dc: Tensor, gates: Tensor, c: Tensor, next: Tensor): [Tensor, Tensor] {
  const [i, f, g, o] = gatesOf(gates);
  const t = tanh(next);
  const dNext = add(dc, mul(mul(dh, o), sub(1, square(t))));
  const slope = (s: Tensor) => mul(s, sub(1, s)); // of the sigmoid with the value s
  const parts = [
    mul(mul(dNext, g), slope(i)),
    mul(mul(dNext, c), slope(f)),
    mul(mul(dNext, i), sub(1, square(g))),
    mul(mul(dh, t), slope(o)),
  ];
  return [concat(parts, 1), mul(dNext, f)];
}
const gatesOf = (gates: Tensor) => exactly(4, split(gates, nth(gates.shape, 1) / 4, 1));
const cellSizes = ({ shape }: TensorType) => {
  const [B, H] = exactly(2, shape);
  return { B, H };
};

interface LSTMOptions {
  /** From the last step to the first; default false. */
  reverse?: boolean;
}
const lstmOptions = declareOptions<LSTMOptions>({ reverse: flag });

/**
 * An LSTM over a whole sequence (Hochreiter and Schmidhuber 1997; gates i, f, g, o), in a handful of dispatches. `gatesX`
 * [T, B, 4H] is the input's share of the gates, biases included: x·W_ihᵀ + b_ih + b_hh, one product for all steps.
 * h0, c0 [B, H]; weight W_hh [4H, H]. Gives the output [T, B, H] and the last h and c [B, H]; `reverse` runs from T−1 to 0.
 */
export function lstm(
  gatesX: Tensor,
  h0: Tensor,
  c0: Tensor,
  weight: Tensor,
  options?: LSTMOptions,
): { output: Tensor; h: Tensor; c: Tensor } {
  const { reverse = false } = lstmOptions('lstm', options);
  for (const [name, x] of [
    ['gatesX', gatesX],
    ['h0', h0],
    ['c0', c0],
    ['the weight', weight],
  ] as const)
    expectDType('lstm', name, x, ['f32']);
  expectRank('lstm', 'gatesX', gatesX, 3);
  const { T, B, H } = sizes(gatesX);
  if (
    !Number.isInteger(H) ||
    !sameShape(h0.shape, [B, H]) ||
    !sameShape(c0.shape, [B, H]) ||
    !sameShape(weight.shape, [4 * H, H])
  ) {
    throw new ShapeError(
      `[lstm] for gatesX ${formatShape(gatesX.shape)} = [T, B, 4H], h0 and c0 must be [B, H] and the weight [4H, H], got ${formatShape(h0.shape)}, ${formatShape(c0.shape)} and ${formatShape(weight.shape)}`,
    );
  }
  const [output, cells] = apply(lstmOp, [gatesX, h0, c0, weight], { reverse });
  const last = reverse ? 0 : T - 1;
  return { output, h: at(output, last), c: at(cells, last) };
}

/** One LSTM step: gates before activation [B, 4H] (x·W_ihᵀ + h·W_hhᵀ + biases), c [B, H] → h' and c' [B, H]. */
export function lstmCell(gates: Tensor, c: Tensor): { h: Tensor; c: Tensor } {
  expectDType('lstmCell', 'the gates', gates, ['f32']);
  expectRank('lstmCell', 'c', c, 2);
  const { B, H } = cellSizes(c);
  if (!sameShape(gates.shape, [B, 4 * H]))
    throw new ShapeError(
      `[lstmCell] for c ${formatShape(c.shape)} the gates must be [${B}, ${4 * H}], got ${formatShape(gates.shape)}`,
    );
  const [h, next] = apply(lstmCellOp, [gates, c]);
  return { h, c: next };
}

/** For the registry. */
export const lstmOps = {
  lstm: lstmOp,
  lstmBackward: lstmBackwardOp,
  lstmCell: lstmCellOp,
  lstmCellBackward: lstmCellBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
