import { ShapeError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions, flag } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { NoAttributes, Op, OpDef } from '../graph/op.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { lstmCell as cellFamily, lstmCellBackward } from '../kernels/lstm.ts';
import { recurrentBackward, recurrentForward } from '../kernels/recurrent.ts';
import { differentiateComposed } from './autograd.ts';
import { add, less, mul, sigmoid, square, sub, tanh, where, zeros } from './elementwise.ts';
import { concat, split, stack } from './join.ts';
import { lengthsLike } from './lengths.ts';
import { matmul } from './matmul.ts';
import {
  activeSteps,
  checkRecurrence,
  f32,
  ownLengths,
  ownSteps,
  type RecurrenceAttributes,
  type RecurrenceOptions,
  recurrentGradient,
  sizesOf,
} from './recurrent.ts';
import { type ScanStep, scan, statesBefore } from './scan.ts';
import { at, slice } from './slice.ts';
import { transpose } from './view.ts';

/**
 * Inputs: gatesX [T, B, 4H], h0 [B, H], W_hh [4H, H], c0 [B, H], perhaps lengths [B]. Outputs: h and c of every step [T, B, H],
 * activated gates, of which those of a step beyond its row's length are -1.
 */
const lstmOp: Op<
  [gatesX: Tensor, h0: Tensor, weight: Tensor, c0: Tensor, ...lengths: Tensor[]],
  RecurrenceAttributes,
  [hidden: Tensor, cells: Tensor, gates: Tensor]
> = {
  name: 'lstm',
  infer: ([gatesX]) => {
    const { T, B, H } = sizesOf(gatesX, 4);
    return [f32([T, B, H]), f32([T, B, H]), f32([T, B, 4 * H])];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gatesX], attributes }) =>
      familyCall(recurrentForward, { cell: 'lstm', ...sizesOf(gatesX, 4), ...attributes }),
  },
  gradient: ({ inputs, outputs, attributes }, outputGradients) => {
    const [dHidden, dCells, dActivated] = outputGradients;
    // Only backward reads all cells and the gates: they have a gradient where a gradient is differentiated again.
    if (dActivated) return differentiateComposed(lstmOp, inputs, attributes, outputGradients);
    const [gatesX, h0, weight, c0] = inputs;
    const [hidden, cells, gates] = outputs;
    const { T, B, H } = sizesOf(gatesX, 4);
    const { reverse } = attributes;
    // Forward, only the last cell has a reader; its gradient arrives as that of all cells, zero elsewhere.
    const dC = dCells ? [at(dCells, reverse ? 0 : T - 1)] : [];
    const [dGates, dState0] = apply(lstmBackwardOp, [dHidden ?? zeros([T, B, H]), weight, gates, cells, c0, ...dC], {
      ...attributes,
      dC: dC.length > 0,
    });
    return [
      dGates,
      at(dState0, 0),
      recurrentGradient(dGates, hidden, h0, reverse),
      at(dState0, 1),
      ...(attributes.lengths ? [null] : []),
    ];
  },
  decompose: ([gatesX, h0, weight, c0, ...lengths], { reverse }) => {
    const transposed = transpose(weight);
    const step: ScanStep = (carry, [x, active]) => {
      const [h, c] = exactly(2, carry);
      const cell = cellOf(add(x as Tensor, matmul(h, transposed)), c);
      const before = [h, c, -1] as const;
      const [output, next, gates] = active
        ? exactly(
            3,
            cell.map((value, i) => where(active, value, nth(before, i))),
          )
        : cell;
      return { carry: [output, next], y: [output, next, gates] };
    };
    const T = nth(gatesX.shape, 0);
    return scan(step, [h0, c0], [gatesX, ...lengths.map((each) => activeSteps(each, T))], { reverse }).ys;
  },
};

/** From what the forward pass has left; dC [B, H] is the gradient of the last c. */
const lstmBackwardOp: Op<
  [dHidden: Tensor, weight: Tensor, gates: Tensor, cells: Tensor, c0: Tensor, ...dC: Tensor[]],
  RecurrenceAttributes & { readonly dC: boolean },
  [dGates: Tensor, dState0: Tensor]
> = {
  name: 'lstmBackward',
  infer: ([dHidden]) => {
    const [T, B, H] = exactly(3, dHidden.shape);
    return [f32([T, B, 4 * H]), f32([2, B, H])];
  },
  lowering: {
    kind: 'kernel',
    // A gradient that only the last outputs have is spread over all of them where it is read.
    load: true,
    problem: ({ inputs: [, , gates], attributes }, _, { load }) =>
      familyCall(recurrentBackward, { cell: 'lstm', ...sizesOf(gates, 4), ...attributes, ...(load ? { load } : {}) }),
  },
  decompose: ([dHidden, weight, gates, cells, c0, ...dC], { reverse, lengths }) => {
    const step: ScanStep = (carry, slices) => {
      const [dh, dc] = exactly(2, carry);
      const [dy, activated, c, next] = exactly(4, slices);
      const dNext = add(dh, dy);
      const [dGates, dBefore] = cellGradientOf(dNext, dc, activated, c, next);
      if (!lengths) return { carry: [matmul(dGates, weight), dBefore], y: [dGates] };
      const rests = less(slice(activated, [null, [0, 1]]), 0);
      const own = where(rests, 0, dGates);
      return { carry: [add(matmul(own, weight), where(rests, dNext, 0)), where(rests, dc, dBefore)], y: [own] };
    };
    const states = [zeros(c0.shape), dC[0] ?? zeros(c0.shape)];
    const before = statesBefore(cells, c0, reverse);
    const { carry, ys } = scan(step, states, [dHidden, gates, before, cells], { reverse: !reverse });
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

const lstmOptions = declareOptions<RecurrenceOptions>({ reverse: flag, lengths: lengthsLike });

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
  options?: RecurrenceOptions,
): { output: Tensor; h: Tensor; c: Tensor } {
  const { reverse = false, lengths } = lstmOptions('lstm', options);
  const { T, B } = checkRecurrence('lstm', 4, gatesX, { h0, c0 }, weight);
  const own = ownLengths('lstm', lengths, B, T);
  const attributes = { reverse, lengths: own !== undefined };
  const [hidden, cells] = apply(lstmOp, [gatesX, h0, weight, c0, ...(own ? [own] : [])], attributes);
  return { ...ownSteps(hidden, attributes, own), c: at(cells, reverse ? 0 : T - 1) };
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
