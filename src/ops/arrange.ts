import { ShapeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { count, declareOptions, either, expectKind, integer, listOf, nullable } from '../core/options.ts';
import { formatShape, normaliseAxis, sizeOf } from '../core/shape.ts';
import { expectDType, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cast, less, sub, where } from './elementwise.ts';
import { lookedUp } from './gather.ts';
import { iota } from './indexing.ts';
import { concat, split } from './join.ts';
import { expand, permute, reshape } from './view.ts';

/** The elements of a tensor in another order, or several times. */

/**
 * Elements moved by `shifts` places along `axes`, those that leave at the end coming in at the start, as `torch.roll`: one
 * number each, or arrays of one length. Without axes the tensor is rolled as if it were flat.
 */
export function roll(x: Tensor, shifts: number | readonly number[], axes?: number | readonly number[] | null): Tensor {
  expectTensor('roll', 'the input', x);
  expectKind('roll', 'shifts', shifts, either(integer, listOf(integer)));
  expectKind('roll', 'axes', axes ?? null, nullable(either(integer, listOf(integer))));
  if (axes === undefined || axes === null) return reshape(roll(reshape(x, [sizeOf(x.shape)]), shifts, 0), x.shape);
  const listed = (each: number | readonly number[]) => (typeof each === 'number' ? [each] : each);
  const [moves, along] = [listed(shifts), listed(axes)];
  if (moves.length !== along.length)
    throw new ShapeError(`[roll] ${moves.length} shifts for ${along.length} axes: there must be one for each`);
  return moves.reduce((y: Tensor, move, i) => rolled(y, move, normaliseAxis('roll', nth(along, i), x.rank)), x.version);
}

function rolled(x: Tensor, move: number, axis: number): Tensor {
  const extent = nth(x.shape, axis);
  const last = ((move % extent) + extent) % extent;
  if (last === 0) return x;
  const [head, tail] = split(x, [extent - last, last], axis) as [Tensor, Tensor];
  return concat([tail, head], axis);
}

/**
 * The tensor side by side with itself, `repeats[i]` times along dimension i, as `torch.Tensor.repeat`; more numbers than
 * dimensions add new ones in front.
 */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  expectTensor('repeat', 'the input', x);
  expectKind('repeat', 'repeats', repeats, listOf(count));
  if (repeats.length < x.rank)
    throw new ShapeError(
      `[repeat] ${repeats.length} numbers for the ${x.rank} dimensions of ${formatShape(x.shape)}: there must be one for each, or more`,
    );
  const shape = [...Array<number>(repeats.length - x.rank).fill(1), ...x.shape];
  const apart = reshape(
    x,
    shape.flatMap((extent) => [1, extent]),
  );
  const repeated = expand(
    apart,
    shape.flatMap((extent, i) => [nth(repeats, i), extent]),
  );
  return reshape(
    repeated,
    shape.map((extent, i) => extent * nth(repeats, i)),
  );
}

/** Options of `reverseSequence`: where time and batch are. */
export interface ReverseSequenceOptions {
  /** The dimension that is turned round; default 0. */
  timeAxis?: number;
  /** The dimension of the sequences; default 1. */
  batchAxis?: number;
}
const reverseOptions = declareOptions<ReverseSequenceOptions>({ timeAxis: integer, batchAxis: integer });

/**
 * Sequences x [T, B, ...] turned round, each within its own length [B] (i32 or u32): y[t, b] = x[lengths[b] − 1 − t, b] for
 * t < lengths[b]; what lies behind stays. A length above T throws a ValueError at the next read, one below 0 counts as 0.
 */
export function reverseSequence(x: Tensor, lengths: Tensor, options?: ReverseSequenceOptions): Tensor {
  expectTensor('reverseSequence', 'the input', x);
  expectDType('reverseSequence', 'lengths', lengths, ['i32', 'u32']);
  const { timeAxis = 0, batchAxis = 1 } = reverseOptions('reverseSequence', options);
  const time = normaliseAxis('reverseSequence', timeAxis, x.rank);
  const batch = normaliseAxis('reverseSequence', batchAxis, x.rank);
  if (time === batch) throw new ShapeError(`[reverseSequence] timeAxis and batchAxis are both dimension ${time}`);
  const B = nth(x.shape, batch);
  if (lengths.rank !== 1 || lengths.shape[0] !== B)
    throw new ShapeError(
      `[reverseSequence] lengths must be [${B}], dimension ${batch} of ${formatShape(x.shape)}, got ${formatShape(lengths.shape)}`,
    );
  const order = x.shape.map((_, i) => i).filter((i) => i !== time && i !== batch);
  const sorted = permute(x, [time, batch, ...order]);
  const [T, rest] = [nth(x.shape, time), order.map((i) => nth(x.shape, i))];
  const t = iota([T, B], 0);
  const ends = expand(reshape(cast(lengths, 'i32'), [1, B]), [T, B]);
  const places = where(less(t, ends), sub(sub(ends, 1), t), t);
  const index = expand(reshape(places, [T, B, ...rest.map(() => 1)]), [T, B, ...rest]);
  const turned = lookedUp(sorted, index, 0, `[reverseSequence] a length lies above ${T}, the steps of a sequence`);
  const back = [time, batch, ...order];
  return permute(
    turned,
    x.shape.map((_, i) => back.indexOf(i)),
  );
}
