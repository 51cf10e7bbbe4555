import { ShapeError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { constantOf, where } from './elementwise.ts';
import { checkedLengths, type Lengths } from './lengths.ts';
import { sequenceMask } from './masks.ts';
import { matmul } from './matmul.ts';
import { statesBefore } from './scan.ts';
import { at, slice } from './slice.ts';
import { reshape, transpose, unsqueeze } from './view.ts';

/** Options of a recurrence over a sequence. */
export interface RecurrenceOptions {
  /** From the last step to the first; default false. */
  reverse?: boolean;
  /**
   * How many of the T steps are each row's own; default all. Outputs past a row's end are 0, its last state is that at its own
   * end, and `reverse` starts there. One outside [1, T] throws a ValueError: as a number at once, in a tensor at the next read.
   */
  lengths?: Lengths;
}

/** What kernels and definitions of recurrences are told. */
export type RecurrenceAttributes = {
  readonly reverse: boolean;
  /** Whether lengths are the last input. */
  readonly lengths: boolean;
};

export const f32 = (shape: readonly number[]): TensorType => ({ shape, dtype: 'f32' });

/** The lengths of an option as the kernels want them: [B] of i32. */
export function ownLengths(op: string, lengths: Lengths | undefined, B: number, T: number): Tensor | undefined {
  return lengths === undefined ? undefined : checkedLengths(op, lengths, B, T);
}

/** Which steps are a row's own: [T, B, 1]. */
export const activeSteps = (lengths: Tensor, T: number): Tensor => unsqueeze(transpose(sequenceMask(lengths, T)), -1);

/** The output and the last state of a row's own steps, from the states of all steps [T, B, H], which stay beyond them. */
export function ownSteps(hidden: Tensor, { reverse }: RecurrenceAttributes, lengths?: Tensor) {
  const T = nth(hidden.shape, 0);
  const output = lengths ? where(activeSteps(lengths, T), hidden, 0) : hidden;
  return { output, h: at(hidden, reverse ? 0 : T - 1) };
}

/** [T, B, X] as [T·B, X]. */
const rows = (x: Tensor) => reshape(x, [-1, nth(x.shape, 2)]);

/** dW_hh = Σₜ dGatesₜᵀ·hₜ₋₁, one product over all steps; a first state of zeros adds nothing. */
export function recurrentGradient(dGates: Tensor, hidden: Tensor, h0: Tensor, reverse: boolean): Tensor {
  const T = nth(hidden.shape, 0);
  const product = (gates: Tensor, states: Tensor) => matmul(transpose(rows(gates)), rows(states));
  const first = unsqueeze(h0, 0);
  if (T === 1) return product(dGates, first);
  const before = slice(hidden, [reverse ? [1, T] : [0, T - 1]]);
  if (constantOf(h0) === 0) return product(slice(dGates, [reverse ? [0, T - 1] : [1, T]]), before);
  return product(dGates, statesBefore(hidden, h0, reverse));
}

/** The sizes behind gates [T, B, G·H]. */
export function sizesOf({ shape }: TensorType, G: number) {
  const [T, B, width] = exactly(3, shape);
  return { T, B, H: width / G };
}

/** Throws where the inputs of a recurrence of G gates do not fit together; gives its sizes. */
export function checkRecurrence(op: string, G: number, gatesX: Tensor, states: Record<string, Tensor>, weight: Tensor) {
  for (const [name, x] of Object.entries({ gatesX, ...states, 'the weight': weight }))
    expectDType(op, name, x, ['f32']);
  expectRank(op, 'gatesX', gatesX, 3);
  const [T, B, width] = gatesX.shape as readonly [number, number, number];
  const H = width / G;
  const fits = Object.values(states).every(({ shape }) => sameShape(shape, [B, H]));
  if (!Number.isInteger(H) || !fits || !sameShape(weight.shape, [G * H, H])) {
    const GH = G === 1 ? 'H' : `${G}H`;
    const got = [...Object.values(states), weight].map(({ shape }) => formatShape(shape));
    throw new ShapeError(
      `[${op}] for gatesX ${formatShape(gatesX.shape)} = [T, B, ${GH}], ${Object.keys(states).join(' and ')} must be [B, H] and the weight [${GH}, H], got ${got.slice(0, -1).join(', ')} and ${got.at(-1)}`,
    );
  }
  return { T, B, H };
}
