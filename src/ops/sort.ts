import { dtypeAmong } from '../core/dtype.ts';
import { nth } from '../core/lists.ts';
import { count, declareOptions, expectKind, flag } from '../core/options.ts';
import { normaliseAxis, sizeOf } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { sort as family } from '../kernels/sort.ts';
import { zeros } from './elementwise.ts';
import { scatterAdd } from './gather.ts';
import { type RandomOptions, randint, randomOptions } from './random.ts';
import { transpose } from './view.ts';

/** The last dimension in order, and the places that its elements come from. */
const sortOp: Op<[x: Tensor], { descending: boolean }, [values: Tensor, indices: Tensor]> = {
  name: 'sort',
  infer: ([{ shape, dtype }]) => [
    { shape, dtype },
    { shape, dtype: 'i32' },
  ],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [{ shape, dtype }], attributes: { descending } }) =>
      familyCall(family, {
        ...{ rows: sizeOf(shape.slice(0, -1)), n: nth(shape, -1), descending },
        dtype: dtypeAmong(dtype, ['f32', 'i32', 'u32']),
      }),
  },
  gradient: ({ inputs: [x], outputs: [, indices] }, [dy]) => [dy ? scatterAdd(zeros(x.shape), indices, dy, -1) : null],
};

/** Options of `sort` and `argsort`. */
export interface SortOptions {
  /** From the greatest to the least; default false. */
  descending?: boolean;
}
const sortOptions = declareOptions<SortOptions>({ descending: flag });

/**
 * The elements of x (f32, i32 or u32) in order along an axis, the last by default, and the places that they come from (i32), both
 * in x's shape. Equal elements keep their order, as with PyTorch's `stable`; NaN counts as more than infinity.
 */
export function sort(x: Tensor, axis = -1, options?: SortOptions): { values: Tensor; indices: Tensor } {
  return sorted('sort', x, axis, options);
}

/** The places that the elements of x come from when they are in order along an axis: the indices of `sort`, i32. */
export function argsort(x: Tensor, axis = -1, options?: SortOptions): Tensor {
  return sorted('argsort', x, axis, options).indices;
}

function sorted(op: string, x: Tensor, axis: number, options: SortOptions | undefined) {
  const { descending = false } = sortOptions(op, options);
  expectDType(op, 'the input', x, ['f32', 'i32', 'u32']);
  expectRank(op, 'the input', x, 1, Infinity);
  const dimension = normaliseAxis(op, axis, x.rank);
  // Rows are sorted where they lie; other axes change places with the last.
  const swapped = (y: Tensor) => (dimension === x.rank - 1 ? y : transpose(y, dimension, -1));
  const [values, indices] = apply(sortOp, [swapped(x)], { descending });
  return { values: swapped(values), indices: swapped(indices) };
}

/**
 * The integers from 0 to n − 1 in a random order, i32 [n]: the order of n random words, of which those that are equal keep theirs.
 * Throws a ValueError where n is no positive integer.
 */
export function randperm(n: number, options?: RandomOptions): Tensor {
  expectKind('randperm', 'n', n, count);
  const given = randomOptions('randperm', options);
  return argsort(randint(-(2 ** 31), 2 ** 31, [n], given));
}

/** For the registry. */
export const sortOps = { sort: sortOp } satisfies Readonly<Record<string, OpDef>>;
