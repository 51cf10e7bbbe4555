import { ShapeError } from '../errors.ts';
import type { TensorType } from '../graph/node.ts';
import type { OpDef } from '../graph/op.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import { formatShape, sameShape } from '../graph/shape.ts';
import { familyCall } from '../kernels/family.ts';
import { lstmCell as cellFamily, lstmBackward, lstmCellBackward, lstmForward } from '../kernels/lstm.ts';
import type { Tensor } from '../tensor.ts';
import { constantOf, zeros } from './elementwise.ts';
import { concat, split, stack } from './join.ts';
import { matmul } from './matmul.ts';
import { at, reshape, slice, transpose, unsqueeze } from './view.ts';

const f32 = (shape: readonly number[]): TensorType => ({ shape, dtype: 'f32' });
const sizes = (gates: TensorType) => {
  const [T, B, H4] = gates.shape as [number, number, number];
  return { T, B, H: H4 / 4 };
};

/** Inputs: gatesX [T, B, 4H], h0, c0 [B, H], W_hh [4H, H]. Outputs: h and c of every step [T, B, H], activated gates. */
const lstmOp: OpDef = {
  name: 'lstm',
  infer: ([gates]) => {
    const { T, B, H } = sizes(gates as TensorType);
    return [f32([T, B, H]), f32([T, B, H]), f32([T, B, 4 * H])];
  },
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [gates], attributes }) =>
      familyCall(lstmForward, { ...sizes(gates as Tensor), reverse: attributes.reverse as boolean }),
  },
  gradient: ({ inputs, outputs, attributes }, [dOutput, dCells]) => {
    const [gatesX, h0, c0, weight] = inputs as [Tensor, Tensor, Tensor, Tensor];
    const [output, cells, gates] = outputs as [Tensor, Tensor, Tensor];
    const { T, B, H } = sizes(gatesX);
    const reverse = attributes.reverse as boolean;
    const last = reverse ? 0 : T - 1;
    // Only the last cell has a reader; its gradient arrives as that of all cells, zero elsewhere.
    const dStateN = dCells ? stack([zeros([B, H]), at(dCells, last)]) : zeros([2, B, H]);
    const [dGates, dState0] = apply(
      lstmBackwardOp,
      [dOutput ?? zeros([T, B, H]), dStateN, gates, cells, c0, weight],
      attributes,
    ) as [Tensor, Tensor];
    return [dGates, at(dState0, 0), at(dState0, 1), recurrentGradient(dGates, output, h0, reverse)];
  },
  decompose: ([gatesX, h0, c0, weight], { reverse }) => {
    const { T } = sizes(gatesX as Tensor);
    let [h, c] = [h0 as Tensor, c0 as Tensor];
    const outputs: Tensor[] = [];
    const cells: Tensor[] = [];
    for (let step = 0; step < T; step++) {
      const t = reverse ? T - 1 - step : step;
      const [i, f, g, o] = split(
        at(gatesX as Tensor, t).add(matmul(h, transpose(weight as Tensor))),
        h.shape[1] as number,
        1,
      ) as [Tensor, Tensor, Tensor, Tensor];
      c = f.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
      h = o.sigmoid().mul(c.tanh());
      outputs[t] = h;
      cells[t] = c;
    }
    return [stack(outputs), stack(cells)];
  },
};

/** dW_hh = Σₜ dGatesₜᵀ·hₜ₋₁, one product over all steps; a first state of zeros adds nothing. */
function recurrentGradient(dGates: Tensor, output: Tensor, h0: Tensor, reverse: boolean): Tensor {
  const T = output.shape[0] as number;
  const product = (gates: Tensor, states: Tensor) =>
    matmul(transpose(reshape(gates, [-1, gates.shape[2] as number])), reshape(states, [-1, states.shape[2] as number]));
  const first = unsqueeze(h0, 0);
  if (T === 1) return product(dGates, first);
  const before = slice(output, [reverse ? [1, T] : [0, T - 1]]);
  if (constantOf(h0) === 0) return product(slice(dGates, [reverse ? [0, T - 1] : [1, T]]), before);
  return product(dGates, concat(reverse ? [before, first] : [first, before]));
}

const lstmBackwardOp: OpDef = {
  name: 'lstmBackward',
  infer: ([dOutput]) => {
    const [T, B, H] = (dOutput as TensorType).shape as [number, number, number];
    return [f32([T, B, 4 * H]), f32([2, B, H])];
  },
  lowering: {
    kind: 'kernel',
    // A gradient that only the last outputs have is spread over all of them where it is read.
    load: true,
    problem: ({ inputs: [, , gates], attributes }, _, { load }) =>
      familyCall(lstmBackward, {
        ...sizes(gates as Tensor),
        reverse: attributes.reverse as boolean,
        ...(load ? { load } : {}),
      }),
  },
};

/** Inputs: gates before activation [B, 4H], c [B, H]. Outputs: h', c', activated gates. */
const lstmCellOp: OpDef = {
  name: 'lstmCell',
  infer: ([gates, c]) => [f32((c as TensorType).shape), f32((c as TensorType).shape), f32((gates as TensorType).shape)],
  lowering: { kind: 'kernel', problem: ({ inputs: [, c] }) => familyCall(cellFamily, cellSizes(c as Tensor)) },
  gradient: ({ inputs: [, c], outputs }, [dh, dc]) => {
    const [, next, gates] = outputs as [Tensor, Tensor, Tensor];
    const { shape } = next;
    return apply(lstmCellBackwardOp, [dh ?? zeros(shape), dc ?? zeros(shape), gates, c as Tensor, next]);
  },
  decompose: ([gates, c]) => {
    const [i, f, g, o] = split(gates as Tensor, (c as Tensor).shape[1] as number, 1) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const next = f
      .sigmoid()
      .mul(c as Tensor)
      .add(i.sigmoid().mul(g.tanh()));
    return [o.sigmoid().mul(next.tanh()), next];
  },
};
const lstmCellBackwardOp: OpDef = {
  name: 'lstmCellBackward',
  infer: ([, , gates, c]) => [f32((gates as TensorType).shape), f32((c as TensorType).shape)],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [, , , c] }) => familyCall(lstmCellBackward, cellSizes(c as Tensor)),
  },
};
const cellSizes = (c: TensorType) => ({ B: c.shape[0] as number, H: c.shape[1] as number });

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
  { reverse = false }: { reverse?: boolean } = {},
): { output: Tensor; h: Tensor; c: Tensor } {
  for (const [name, x] of [
    ['gatesX', gatesX],
    ['h0', h0],
    ['c0', c0],
    ['the weight', weight],
  ] as const)
    expectDType('lstm', name, x.dtype, ['f32']);
  expectRank('lstm', 'gatesX', gatesX.shape, 3);
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
  const [output, cells] = apply(lstmOp, [gatesX, h0, c0, weight], { reverse }) as [Tensor, Tensor, Tensor];
  const last = reverse ? 0 : T - 1;
  return { output, h: at(output, last), c: at(cells, last) };
}

/** One LSTM step: gates before activation [B, 4H] (x·W_ihᵀ + h·W_hhᵀ + biases), c [B, H] → h' and c' [B, H]. */
export function lstmCell(gates: Tensor, c: Tensor): { h: Tensor; c: Tensor } {
  expectDType('lstmCell', 'the gates', gates.dtype, ['f32']);
  expectRank('lstmCell', 'c', c.shape, 2);
  const { B, H } = cellSizes(c);
  if (!sameShape(gates.shape, [B, 4 * H]))
    throw new ShapeError(
      `[lstmCell] for c ${formatShape(c.shape)} the gates must be [${B}, ${4 * H}], got ${formatShape(gates.shape)}`,
    );
  const [h, next] = apply(lstmCellOp, [gates, c]) as [Tensor, Tensor, Tensor];
  return { h, c: next };
}

/** For the registry. */
export const lstmOps = {
  lstm: lstmOp,
  lstmBackward: lstmBackwardOp,
  lstmCell: lstmCellOp,
  lstmCellBackward: lstmCellBackwardOp,
} satisfies Readonly<Record<string, OpDef>>;
