import { ShapeError, ValueError } from '../core/errors.ts';
import { count, expectKind, integer, listOf, shownList } from '../core/options.ts';
import { broadcastShapes, formatShape, sameShape } from '../core/shape.ts';
import { expectDType, expectRank, expectTensor } from '../graph/record.ts';
import { Tensor } from '../graph/tensor.ts';
import { tensor } from './create.ts';
import { cast, less, where } from './elementwise.ts';
import { iota } from './indexing.ts';
import { unsqueeze } from './view.ts';

/** x with `value` where the mask (bool, of a shape that broadcasts to that of x) is true; no gradient goes there. */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  expectTensor('maskedFill', 'the input', x);
  expectDType('maskedFill', 'the mask', mask, ['bool']);
  if (!sameShape(broadcastShapes('maskedFill', [x.shape, mask.shape]), x.shape))
    throw new ShapeError(
      `[maskedFill] the mask ${formatShape(mask.shape)} does not broadcast to the input, ${formatShape(x.shape)}`,
    );
  return where(mask, value, x);
}

/**
 * Which places lie within sequences of these lengths: bool [..., T], true at t < length. Lengths are a tensor [...] of i32 or
 * u32, or an array of numbers, of which the greatest is the default of T.
 */
export function sequenceMask(lengths: Tensor | readonly number[], T?: number): Tensor {
  if (T !== undefined) expectKind('sequenceMask', 'T', T, count);
  if (lengths instanceof Tensor) {
    expectDType('sequenceMask', 'lengths', lengths, ['i32', 'u32']);
    expectRank('sequenceMask', 'lengths', lengths, 0, Infinity);
    if (T === undefined)
      throw new ValueError(
        '[sequenceMask] the lengths are a tensor, whose values are not known here: say how long the mask is, sequenceMask(lengths, T)',
      );
    return less(iota([...lengths.shape, T], -1), unsqueeze(cast(lengths, 'i32'), -1));
  }
  expectKind('sequenceMask', 'lengths', lengths, listOf(integer));
  const longest = Math.max(0, ...lengths);
  if (lengths.length === 0 || lengths.some((length) => length < 0) || longest > (T ?? longest))
    throw new ValueError(
      `[sequenceMask] lengths must be one or more integers of at least 0${T === undefined ? '' : ` and at most ${T}`}, got ${shownList(lengths)}`,
    );
  if (longest === 0 && T === undefined)
    throw new ValueError('[sequenceMask] all lengths are 0: say how long the mask is');
  return sequenceMask(tensor(Int32Array.from(lengths)), T ?? longest);
}
