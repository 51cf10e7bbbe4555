import { ShapeError, ValueError } from '../core/errors.ts';
import { either, expectKind, integer, type Kind, listOf, shownList, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectDType } from '../graph/record.ts';
import { Tensor } from '../graph/tensor.ts';
import { tensor } from './create.ts';
import { add, cast, sub } from './elementwise.ts';
import { lookedUp } from './gather.ts';
import { iota } from './indexing.ts';

/** How much of each sequence of a batch counts: a tensor [B] of i32 or u32, whose values may vary from step to step, or numbers. */
export type Lengths = Tensor | readonly number[];

/** What an option for lengths takes. */
export const lengthsLike = either(tensorLike, listOf(integer)) as Kind<Lengths>;

/**
 * Lengths of B sequences of up to T as a tensor. Throws where they are not of that number, or as numbers outside [least, T]; those
 * of a tensor are not known here, and whoever reads them has to look.
 */
export function lengthsOf(
  op: string,
  lengths: Lengths,
  B: number,
  T: number,
  { name = 'lengths', least = 1 }: { readonly name?: string; readonly least?: number } = {},
): Tensor {
  expectKind(op, name, lengths, lengthsLike);
  if (lengths instanceof Tensor) {
    expectDType(op, name, lengths, ['i32', 'u32']);
    if (!sameShape(lengths.shape, [B]))
      throw new ShapeError(
        `[${op}] ${name} must be [${B}], one for each row of the batch, got ${formatShape(lengths.shape)}`,
      );
    return lengths;
  }
  if (lengths.length !== B || lengths.some((length) => length < least || length > T))
    throw new ValueError(
      `[${op}] ${name} must be ${B} integers, one for each row of the batch, from ${least} to ${T}, got ${shownList(lengths)}`,
    );
  return tensor(Int32Array.from(lengths));
}

/** What `checkedLengths` has looked up, and among how many. */
const checked = new WeakMap<Tensor, number>();

/**
 * The same as i32, looked up among 1 to T where their values are not known here, so that one that is none is told of at the
 * next read. Lengths that many layers share are looked up once.
 */
export function checkedLengths(op: string, lengths: Lengths, B: number, T: number, name = 'lengths'): Tensor {
  const own = lengthsOf(op, lengths, B, T, { name });
  if (checked.get(own) === T) return own;
  const complaint = `[${op}] a length lies outside [1, ${T}], the steps of a sequence`;
  const known =
    lengths instanceof Tensor ? add(lookedUp(iota([T], 0), sub(cast(own, 'i32'), 1), 0, complaint), 1) : own;
  checked.set(known, T);
  return known;
}
