import { ShapeError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { declareOptions, flag, nullable, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, expectDType } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { recurrentBackward, recurrentForward } from '../kernels/recurrent.ts';
import { differentiateComposed } from './autograd.ts';
import { add, mul, sigmoid, square, sub, tanh, where, zeros } from './elementwise.ts';
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
import { sum } from './reduce.ts';
import { type ScanStep, scan, statesBefore } from './scan.ts';
import { at } from './slice.ts';
import { transpose } from './view.ts';

/** `bias`: whether b_hh [3H] is an input, behind the weight. */
type GruAttributes = RecurrenceAttributes & { readonly bias: boolean };

/**
 * Inputs: gatesX [T, B, 3H], h0 [B, H], W_hh [3H, H], perhaps b_hh [3H] and lengths [B]. Outputs: h of every step [T, B, H], and for
 * the gradient r, z, n and the state's share of n [T, B, 4H]; a step beyond its row's length has a z of 1 and else 0.
 */
const gruOp: Op<
  [gatesX: Tensor, h0: Tensor, weight: Tensor, ...rest: Tensor[]],
  GruAttributes,
  [hidden: Tensor, gates: Tensor]
> = {
  name: 'gru',
  infer: ([gatesX]) => {
    const { T, B, H } = sizesOf(gatesX, 3);
    return [f32([T, B, H]), f32([T, B, 4 * H])];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gatesX], attributes }) =>
      familyCall(recurrentForward, { cell: 'gru', ...sizesOf(gatesX, 3), ...attributes }),
  },
  gradient: ({ inputs, outputs, attributes }, outputGradients) => {
    const [dHidden, dGates] = outputGradients;
    if (dGates) return differentiateComposed(gruOp, inputs, attributes, outputGradients);
    const [, h0, weight] = inputs;
    const [hidden, gates] = outputs;
    const { reverse, bias, lengths } = attributes;
    const [dShares, dH0] = apply(gruBackwardOp, [dHidden ?? zeros(hidden.shape), weight, gates, hidden, h0], {
      reverse,
      lengths,
    });
    const dOfState = at(dShares, 0);
    const weightGradient = recurrentGradient(dOfState, hidden, h0, reverse);
    const rest = [...(bias ? [sum(dOfState, [0, 1])] : []), ...(lengths ? [null] : [])];
    return [at(dShares, 1), dH0, weightGradient, ...rest];
  },
  decompose: ([gatesX, h0, weight, ...rest], { reverse, bias, lengths }) => {
    const transposed = transpose(weight);
    const own = bias ? rest[0] : undefined;
    const step: ScanStep = ([h], [x, active]) => {
      const product = matmul(h as Tensor, transposed);
      const { next, r, z, n, ofState } = cellOf(x as Tensor, own ? add(product, own) : product, h as Tensor);
      if (!active) return { carry: [next], y: [next, concat([r, z, n, ofState], 1)] };
      const kept = where(active, next, h as Tensor);
      const gates = [r, z, n, ofState].map((value, i) => where(active, value, Number(i === 1)));
      return { carry: [kept], y: [kept, concat(gates, 1)] };
    };
    const T = nth(gatesX.shape, 0);
    const active = lengths ? [activeSteps(rest.at(-1) as Tensor, T)] : [];
    return scan(step, [h0], [gatesX, ...active], { reverse }).ys;
  },
};

/** A step in plain ops, from the shares of input and state [B, 3H]: h', the gates, and the state's share of n. */
function cellOf(ofInput: Tensor, ofState: Tensor, h: Tensor) {
  const [xr, xz, xn] = thirds(ofInput);
  const [hr, hz, hn] = thirds(ofState);
  const [r, z] = [sigmoid(add(xr, hr)), sigmoid(add(xz, hz))];
  const n = tanh(add(xn, mul(r, hn)));
  return { next: add(n, mul(z, sub(h, n))), r, z, n, ofState: hn };
}
const thirds = (gates: Tensor) => exactly(3, split(gates, nth(gates.shape, 1) / 3, 1));

/** One step: h' = (1 − z)∘n + z∘h with reset r and update z: shares [B, 3H] of input and state, in the order r, z, n. */
export const gruStep = (ofInput: Tensor, ofState: Tensor, h: Tensor): Tensor => cellOf(ofInput, ofState, h).next;

/** From what the forward pass has left. Outputs: gradients of the shares of state and input [2, T, B, 3H], and of h0. */
const gruBackwardOp: Op<
  [dHidden: Tensor, weight: Tensor, gates: Tensor, hidden: Tensor, h0: Tensor],
  RecurrenceAttributes,
  [dShares: Tensor, dH0: Tensor]
> = {
  name: 'gruBackward',
  infer: ([dHidden]) => {
    const [T, B, H] = exactly(3, dHidden.shape);
    return [f32([2, T, B, 3 * H]), f32([B, H])];
  },
  lowering: {
    kind: 'kernel',
    load: true,
    problem: ({ inputs: [, , gates], attributes }, _, { load }) =>
      familyCall(recurrentBackward, { cell: 'gru', ...sizesOf(gates, 4), ...attributes, ...(load ? { load } : {}) }),
  },
  decompose: ([dHidden, weight, gates, hidden, h0], { reverse }) => {
    const step: ScanStep = ([dh], slices) => {
      const [dy, kept, before] = exactly(3, slices);
      const [r, z, n, ofState] = exactly(4, split(kept, nth(kept.shape, 1) / 4, 1));
      const d = add(dh as Tensor, dy);
      const slope = (s: Tensor) => mul(s, sub(1, s)); // of the sigmoid with the value s
      const dN = mul(mul(d, sub(1, z)), sub(1, square(n)));
      const dR = mul(mul(dN, ofState), slope(r));
      const dZ = mul(mul(d, sub(before, n)), slope(z));
      const shares = [concat([dR, dZ, mul(dN, r)], 1), concat([dR, dZ, dN], 1)] as const;
      return { carry: [add(mul(d, z), matmul(shares[0], weight))], y: [...shares] };
    };
    const xs = [dHidden, gates, statesBefore(hidden, h0, reverse)];
    const { carry, ys } = scan(step, [zeros(h0.shape)], xs, { reverse: !reverse });
    return [stack(ys), nth(carry, 0)];
  },
};

/** Options of `gru`. */
export interface GruOptions extends RecurrenceOptions {
  /** Bias of the state's share, b_hh [3H]; default none. */
  bias?: Tensor | null;
}
const gruOptions = declareOptions<GruOptions>({
  reverse: flag,
  lengths: lengthsLike,
  bias: nullable(tensorLike),
});

/**
 * Gated recurrent units over a whole sequence (Cho et al. 2014, with the biases where PyTorch has them; gates r, z, n), in a
 * handful of dispatches. `gatesX` [T, B, 3H] is the input's share of the gates: x·W_ihᵀ + b_ih, one product for all steps. h0
 * [B, H]; weight W_hh [3H, H]. Gives the output [T, B, H] and the last h [B, H]; `reverse` runs from T−1 to 0.
 */
export function gru(gatesX: Tensor, h0: Tensor, weight: Tensor, options?: GruOptions): { output: Tensor; h: Tensor } {
  const { reverse = false, lengths, bias } = gruOptions('gru', options);
  const { T, B, H } = checkRecurrence('gru', 3, gatesX, { h0 }, weight);
  if (bias) {
    expectDType('gru', 'the bias', bias, ['f32']);
    if (!sameShape(bias.shape, [3 * H]))
      throw new ShapeError(`[gru] the bias must be [3H] = [${3 * H}], got ${formatShape(bias.shape)}`);
  }
  const own = ownLengths('gru', lengths, B, T);
  const attributes = { reverse, lengths: own !== undefined, bias: Boolean(bias) };
  const [hidden] = apply(gruOp, [gatesX, h0, weight, ...(bias ? [bias] : []), ...(own ? [own] : [])], attributes);
  return ownSteps(hidden, attributes, own);
}

/** For the registry. */
export const gruOps = { gru: gruOp, gruBackward: gruBackwardOp } satisfies Readonly<Record<string, OpDef>>;
