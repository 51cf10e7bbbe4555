import { exactly, nth } from '../core/lists.ts';
import { declareOptions, flag, oneOf } from '../core/options.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { recurrentBackward, recurrentForward } from '../kernels/recurrent.ts';
import { add, cast, greater, mul, relu, square, sub, tanh, where, zeros } from './elementwise.ts';
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
} from './recurrent.ts';
import { type ScanStep, scan } from './scan.ts';
import { transpose } from './view.ts';

/** What the sum of the shares goes through in a plain recurrence. */
export type Nonlinearity = 'tanh' | 'relu';
export const nonlinearityKind = oneOf('tanh', 'relu');

type RnnAttributes = RecurrenceAttributes & { readonly nonlinearity: Nonlinearity };
const problemOf = ({ shape }: Tensor, { nonlinearity, ...attributes }: RnnAttributes) => {
  const [T, B, H] = exactly(3, shape);
  return { cell: nonlinearity, T, B, H, ...attributes };
};

/** Inputs: gatesX [T, B, H], h0 [B, H], W_hh [H, H], perhaps lengths [B]. Output: h of every step [T, B, H]. */
const rnnOp: Op<[gatesX: Tensor, h0: Tensor, weight: Tensor, ...lengths: Tensor[]], RnnAttributes, [hidden: Tensor]> = {
  name: 'rnn',
  infer: ([gatesX]) => [f32(gatesX.shape)],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gatesX], attributes }) => familyCall(recurrentForward, problemOf(gatesX, attributes)),
  },
  gradient: ({ inputs, outputs: [hidden], attributes }, [dHidden]) => {
    const [, h0, weight, ...lengths] = inputs;
    const [dGates, dH0] = apply(rnnBackwardOp, [dHidden, weight, hidden, ...lengths], attributes);
    return [dGates, dH0, recurrentGradient(dGates, hidden, h0, attributes.reverse), ...lengths.map(() => null)];
  },
  decompose: ([gatesX, h0, weight, ...lengths], { reverse, nonlinearity }) => {
    const transposed = transpose(weight);
    const act = nonlinearity === 'tanh' ? tanh : relu;
    const step: ScanStep = ([h], [x, active]) => {
      const next = act(add(x as Tensor, matmul(h as Tensor, transposed)));
      const kept = active ? where(active, next, h as Tensor) : next;
      return { carry: [kept], y: [kept] };
    };
    const T = nth(gatesX.shape, 0);
    return scan(step, [h0], [gatesX, ...lengths.map((each) => activeSteps(each, T))], { reverse }).ys;
  },
};

/** From the states of the forward pass. */
const rnnBackwardOp: Op<
  [dHidden: Tensor, weight: Tensor, hidden: Tensor, ...lengths: Tensor[]],
  RnnAttributes,
  [dGates: Tensor, dH0: Tensor]
> = {
  name: 'rnnBackward',
  infer: ([dHidden]) => {
    const [, B, H] = exactly(3, dHidden.shape);
    return [f32(dHidden.shape), f32([B, H])];
  },
  lowering: {
    kind: 'kernel',
    load: true,
    problem: ({ inputs: [, , hidden], attributes }, _, { load }) =>
      familyCall(recurrentBackward, { ...problemOf(hidden, attributes), ...(load ? { load } : {}) }),
  },
  decompose: ([dHidden, weight, hidden, ...lengths], { reverse, nonlinearity }) => {
    const slope = (h: Tensor) => (nonlinearity === 'tanh' ? sub(1, square(h)) : cast(greater(h, 0), 'f32'));
    const step: ScanStep = ([dh], [dy, h, active]) => {
      const d = add(dh as Tensor, dy as Tensor);
      const dGates = mul(d, slope(h as Tensor));
      const own = active ? where(active, dGates, 0) : dGates;
      const before = matmul(own, weight);
      return { carry: [active ? add(before, where(active, 0, d)) : before], y: [own] };
    };
    const T = nth(hidden.shape, 0);
    const xs = [dHidden, hidden, ...lengths.map((each) => activeSteps(each, T))];
    const { carry, ys } = scan(step, [zeros([nth(hidden.shape, 1), nth(hidden.shape, 2)])], xs, { reverse: !reverse });
    return [nth(ys, 0), nth(carry, 0)];
  },
};

/** Options of `rnn`. */
export interface RnnOptions extends RecurrenceOptions {
  /** Default `tanh`. */
  nonlinearity?: Nonlinearity;
}
const rnnOptions = declareOptions<RnnOptions>({
  reverse: flag,
  lengths: lengthsLike,
  nonlinearity: nonlinearityKind,
});

/**
 * The plain recurrence h' = tanh(gatesX + W_hh·h), or relu, over a whole sequence (Elman 1990), in a handful of dispatches.
 * `gatesX` [T, B, H] is the input's share, biases included: x·W_ihᵀ + b_ih + b_hh. h0 [B, H]; weight W_hh [H, H]. Gives the output
 * [T, B, H] and the last h [B, H]; `reverse` runs from T−1 to 0.
 */
export function rnn(gatesX: Tensor, h0: Tensor, weight: Tensor, options?: RnnOptions): { output: Tensor; h: Tensor } {
  const { reverse = false, lengths, nonlinearity = 'tanh' } = rnnOptions('rnn', options);
  const { T, B } = checkRecurrence('rnn', 1, gatesX, { h0 }, weight);
  const own = ownLengths('rnn', lengths, B, T);
  const attributes = { reverse, lengths: own !== undefined, nonlinearity };
  const [hidden] = apply(rnnOp, [gatesX, h0, weight, ...(own ? [own] : [])], attributes);
  return ownSteps(hidden, attributes, own);
}

/** For the registry. */
export const rnnOps = { rnn: rnnOp, rnnBackward: rnnBackwardOp } satisfies Readonly<Record<string, OpDef>>;
