import { type DType, dtypeAmong } from '../core/dtype.ts';
import { DTypeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { declareOptions, flag } from '../core/options.ts';
import { normaliseAxes, type Shape, sizeOf } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { reduce as family, type ReduceKind } from '../kernels/reduce.ts';
import { cast, div, equal, exp, mul, sub } from './elementwise.ts';
import { expand, permute, reshape } from './view.ts';

/**
 * Reductions over any axes. The op itself reduces neighbouring axes, so that the tensor is [outer, n, inner]; the functions
 * bring other axes together first.
 */
const reduceOp: Op<[x: Tensor], { kind: ReduceKind; outer: number; n: number; inner: number }> = {
  name: 'reduce',
  infer: ([{ dtype }], { kind, outer, inner }) => [{ shape: [outer, inner], dtype: isIndex(kind) ? 'i32' : dtype }],
  lowering: {
    kind: 'kernel',
    load: true,
    store: true,
    rowSum: ({ attributes: { kind, outer, n, inner }, types: [{ dtype }] }) =>
      kind === 'sum' && outer === 1 && dtype === 'f32' ? { rows: n, columns: inner } : null,
    problem: ({ attributes, inputs: [{ dtype }] }, _, { load, store }) =>
      familyCall(family, {
        ...attributes,
        dtype: dtypeAmong(dtype, ['f32', 'i32', 'u32']),
        ...(load ? { load } : {}),
        ...(store ? { store } : {}),
      }),
  },
  gradient: ({ attributes: { kind, outer, n, inner }, inputs: [x], outputs: [y] }, [dy]) => {
    if (isIndex(kind)) return [null];
    const spread = (tensor: Tensor) => expand(reshape(tensor, [outer, 1, inner]), [outer, n, inner]);
    switch (kind) {
      case 'sum':
        return [spread(dy)];
      case 'mean':
        return [spread(mul(dy, 1 / n))];
      case 'sumSquares':
        return [mul(mul(x, 2), spread(dy))];
      case 'logSumExp':
        return [mul(exp(sub(x, spread(y))), spread(dy))];
      default: {
        // Equal extremes share the gradient, as PyTorch's amax does.
        const hit = cast(equal(x, spread(y)), 'f32');
        const count = applyReduce('sum', hit, outer, n, inner);
        return [mul(hit, spread(div(dy, count)))];
      }
    }
  },
};

const isIndex = (kind: ReduceKind) => kind === 'argMax' || kind === 'argMin';

function applyReduce(kind: ReduceKind, x: Tensor, outer: number, n: number, inner: number): Tensor {
  return applyOne(reduceOp, [reshape(x, [outer, n, inner])], { kind, outer, n, inner });
}

/** Options of reductions over axes, such as `sum` and `max`. */
export interface ReduceOptions {
  /** Whether reduced dimensions are kept with extent 1; default false. */
  keepDims?: boolean;
}
export const reduceOptions = declareOptions<ReduceOptions>({ keepDims: flag });
export type Axes = number | readonly number[] | null;

function reduceOver(
  name: string,
  kind: ReduceKind,
  x: Tensor,
  axes: Axes | undefined,
  options: ReduceOptions | undefined,
  types: readonly DType[],
): Tensor {
  expectTensor(name, 'the input', x);
  const { keepDims = false } = reduceOptions(name, options);
  if (!types.includes(x.dtype))
    throw new DTypeError(`[${name}] the input must be ${types.join(' or ')}, got ${x.dtype}; use .cast('${types[0]}')`);
  const chosen = normaliseAxes(name, axes, x.rank);
  const kept = x.shape.map((_, i) => i).filter((i) => !chosen.includes(i));
  const target = x.shape.flatMap((extent, i) => (chosen.includes(i) ? (keepDims ? [1] : []) : [extent]));
  const n = sizeOf(chosen.map((axis) => nth(x.shape, axis)));
  const contiguous = chosen.every((axis, i) => i === 0 || axis === nth(chosen, i - 1) + 1);
  const ordered = contiguous ? x : permute(x, [...kept, ...chosen]);
  const outer = contiguous ? sizeOf(x.shape.slice(0, chosen[0] ?? 0)) : sizeOf(kept.map((axis) => nth(x.shape, axis)));
  const inner = contiguous && chosen.length > 0 ? sizeOf(x.shape.slice(nth(chosen, -1) + 1)) : 1;
  if (chosen.length === 0) return reshape(applyReduce(kind, x, sizeOf(x.shape), 1, 1), target);
  return reshape(applyReduce(kind, ordered, outer, n, inner), target);
}

const number: readonly DType[] = ['f32', 'i32', 'u32'];
const reduction =
  (name: string, kind: ReduceKind, types: readonly DType[] = ['f32']) =>
  (x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor =>
    reduceOver(name, kind, x, axes, options, types);

/**
 * Sum of f32, i32 or u32 numbers over the axes; over all where none are given. Throws a ShapeError where there is no such
 * axis, or one is named twice.
 */
export const sum = reduction('sum', 'sum', number);
/** Mean of f32 numbers over the axes; axes as for `sum`. */
export const mean = reduction('mean', 'mean');
/**
 * Largest of f32, i32 or u32 numbers over the axes; axes as for `sum`. Equal ones share the gradient, as in PyTorch's
 * amax.
 */
export const max = reduction('max', 'max', number);
/**
 * Smallest of f32, i32 or u32 numbers over the axes; axes as for `sum`. Equal ones share the gradient, as in PyTorch's
 * amin.
 */
export const min = reduction('min', 'min', number);
/** ln Σ eˣ of f32 numbers over the axes, without overflow; axes as for `sum`. */
export const logSumExp = reduction('logSumExp', 'logSumExp');
/** Σ x² of f32 numbers over the axes, the square of the norm; axes as for `sum`. */
export const sumSquares = reduction('sumSquares', 'sumSquares');

/** Position (i32) of the largest element along an axis, the first of equals; of the flat tensor where no axis is given. */
export function argMax(x: Tensor, axis?: number, options?: ReduceOptions): Tensor {
  return reduceOver('argMax', 'argMax', x, axis, options, number);
}
/** Position (i32) of the smallest element along an axis, the first of equals; of the flat tensor where no axis is given. */
export function argMin(x: Tensor, axis?: number, options?: ReduceOptions): Tensor {
  return reduceOver('argMin', 'argMin', x, axis, options, number);
}

/** True where an element of bool x is true along the axes; axes as for `sum`. */
export function any(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  expectDType('any', 'the input', x, ['bool']);
  return cast(reduceOver('any', 'max', cast(x, 'i32'), axes, options, number), 'bool');
}
/** True where all elements of bool x are true along the axes; axes as for `sum`. */
export function all(x: Tensor, axes?: Axes, options?: ReduceOptions): Tensor {
  expectDType('all', 'the input', x, ['bool']);
  return cast(reduceOver('all', 'min', cast(x, 'i32'), axes, options, number), 'bool');
}

/** Sums a tensor down to a shape that broadcasts to its own: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const missing = x.rank - shape.length;
  const axes = x.shape.flatMap((extent, i) => (i < missing || (shape[i - missing] === 1 && extent !== 1) ? [i] : []));
  return axes.length === 0 ? reshape(x, shape) : reshape(sum(x, axes), shape);
}

/** For the registry. */
export const reduceOps = { reduce: reduceOp } satisfies Readonly<Record<string, OpDef>>;
