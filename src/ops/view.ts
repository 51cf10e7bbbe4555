import { ShapeError } from '../core/errors.ts';
import { expandLayout, type Layout, reshapeLayout } from '../core/layout.ts';
import { nth } from '../core/lists.ts';
import { expectKind, integer, listOf, shownList } from '../core/options.ts';
import { checkShape, formatShape, normaliseAxes, normaliseAxis, type Shape, sameShape, sizeOf } from '../core/shape.ts';
import type { Attributes, TensorType } from '../core/types.ts';
import { versionOp } from '../graph/leaf.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { keepAtFlush } from '../graph/pending.ts';
import { applyOne, currentTrace, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { constantOf, full } from './elementwise.ts';

/**
 * Ops that move no data: other ways to look at the same memory. `atOnce` looks in the same way at x with one more dimension
 * in front.
 */
export function viewOp<Own extends Attributes>(
  name: string,
  shapeOf: (x: TensorType, attributes: Own) => Shape,
  layout: (input: Layout, shape: Shape, attributes: Own) => Layout | null,
  gradient: (dy: Tensor, x: Tensor, attributes: Own) => Tensor,
  atOnce: (x: Tensor, attributes: Own) => Tensor,
): Op<[x: Tensor], Own> {
  return {
    name,
    infer: ([x], attributes) => [{ shape: shapeOf(x, attributes), dtype: x.dtype }],
    lowering: {
      kind: 'view',
      layout: (input, { types: [{ shape }], attributes }) => layout(input, shape, attributes),
    },
    gradient: ({ inputs: [x], attributes }, [dy]) => [gradient(dy, x, attributes)],
    atOnce: { apply: ([x], attributes) => [atOnce(x, attributes)] },
  };
}
/** Records a view; a view of a repeated value is one too. */
export function look<Own extends Attributes>(op: Op<[x: Tensor], Own>, x: Tensor, attributes: Own): Tensor {
  const constant = constantOf(x);
  if (constant === null) return applyOne(op, [x], attributes);
  const [{ shape }] = op.infer([x], attributes);
  return full(shape, constant, x.dtype);
}

const reshapeOp = viewOp<{ shape: Shape }>(
  'reshape',
  (_, { shape }) => shape,
  (input, shape) => reshapeLayout(input, shape),
  (dy, x) => reshape(dy, x.shape),
  (x, { shape }) => reshape(x, [nth(x.shape, 0), ...shape]),
);
/** The same elements in another shape; one extent may be −1 and follows from the rest. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  expectTensor('reshape', 'the input', x);
  expectKind('reshape', 'the shape', shape, listOf(integer));
  const known = shape.filter((extent) => extent !== -1);
  if (shape.length - known.length > 1)
    throw new ShapeError(`[reshape] at most one extent may be -1, got ${formatShape(shape)}`);
  const size = sizeOf(x.shape);
  const target = shape.map((extent) => (extent === -1 ? size / sizeOf(known) : extent));
  if (sizeOf(target) !== size || target.some((extent) => !Number.isInteger(extent) || extent < 1)) {
    throw new ShapeError(`[reshape] ${formatShape(x.shape)} has ${size} elements and can't become ${shownList(shape)}`);
  }
  return sameShape(target, x.shape) ? x.version : look(reshapeOp, x, { shape: target });
}

const permuteOp = viewOp<{ order: readonly number[] }>(
  'permute',
  (x, { order }) => order.map((axis) => nth(x.shape, axis)),
  ({ strides, offset }, shape, { order }) => ({ shape, strides: order.map((axis) => nth(strides, axis)), offset }),
  (dy, _, { order }) =>
    permute(
      dy,
      order.map((_axis, i) => order.indexOf(i)),
    ),
  (x, { order }) => permute(x, [0, ...order.map((axis) => axis + 1)]),
);
/** Whether a tensor is another one with its dimensions in another order. */
export const isPermuted = (x: Tensor): boolean => x.version.node.op === permuteOp;
/** Dimension i of the result is dimension `order[i]` of x. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  expectTensor('permute', 'the input', x);
  expectKind('permute', 'the order', order, listOf(integer));
  const axes = order.map((axis) => normaliseAxis('permute', axis, x.rank));
  if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
    throw new ShapeError(
      `[permute] the order must name each of the ${x.rank} dimensions of ${formatShape(x.shape)} once, got ${shownList(order)}`,
    );
  }
  return look(permuteOp, x, { order: axes });
}
/** Swaps two dimensions; the last two where none are given. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  expectTensor('transpose', 'the input', x);
  const order = x.shape.map((_, i) => i);
  const [first, second] = [normaliseAxis('transpose', a, x.rank), normaliseAxis('transpose', b, x.rank)];
  order[first] = second;
  order[second] = first;
  return permute(x, order);
}

const expandOp = viewOp<{ shape: Shape }>(
  'expand',
  (_, { shape }) => shape,
  (input, shape) => expandLayout(input, shape),
  // Gives the gradient in the broadcast shape: the driver sums it.
  (dy) => dy,
  (x, { shape }) => {
    const steps = nth(x.shape, 0);
    const added = shape.map(() => 1).slice(x.rank - 1);
    return expand(reshape(x, [steps, ...added, ...x.shape.slice(1)]), [steps, ...shape]);
  },
);
/** Dimensions of extent 1 repeated to `shape`, and new ones in front; −1 keeps an extent. */
export function expand(x: Tensor, shape: Shape): Tensor {
  expectTensor('expand', 'the input', x);
  expectKind('expand', 'the shape', shape, listOf(integer));
  const missing = shape.length - x.rank;
  const target = shape.map((extent, i) => (extent === -1 && i >= missing ? nth(x.shape, i - missing) : extent));
  checkShape('expand', target);
  if (missing < 0 || x.shape.some((extent, i) => extent !== 1 && extent !== target[i + missing])) {
    throw new ShapeError(
      `[expand] ${formatShape(x.shape)} does not broadcast to ${shownList(shape)}: only dimensions of extent 1 can be repeated`,
    );
  }
  return look(expandOp, x, { shape: target });
}

const flipOp = viewOp<{ axes: readonly number[] }>(
  'flip',
  ({ shape }) => shape,
  ({ strides, offset }, shape, { axes }) => ({
    shape,
    strides: strides.map((stride, i) => (axes.includes(i) ? -stride : stride)),
    offset: axes.reduce((start, axis) => start + nth(strides, axis) * (nth(shape, axis) - 1), offset),
  }),
  (dy, _, { axes }) => flip(dy, axes),
  (x, { axes }) =>
    flip(
      x,
      axes.map((axis) => axis + 1),
    ),
);
/** The order of elements reversed along the axes; along all where none are given. */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  expectTensor('flip', 'the input', x);
  return look(flipOp, x, { axes: normaliseAxes('flip', axes, x.rank) });
}

/** Removes dimensions of extent 1: all, or the named ones. */
export function squeeze(x: Tensor, axes?: number | readonly number[]): Tensor {
  expectTensor('squeeze', 'the input', x);
  const chosen =
    axes === undefined
      ? x.shape.flatMap((extent, i) => (extent === 1 ? [i] : []))
      : normaliseAxes('squeeze', axes, x.rank);
  const wrong = chosen.find((axis) => x.shape[axis] !== 1);
  if (wrong !== undefined)
    throw new ShapeError(
      `[squeeze] dimension ${wrong} of ${formatShape(x.shape)} has extent ${x.shape[wrong]}; only extents of 1 can go`,
    );
  return reshape(
    x,
    x.shape.filter((_, i) => !chosen.includes(i)),
  );
}
/** Puts a dimension of extent 1 at `axis` of the result. */
export function unsqueeze(x: Tensor, axis: number): Tensor {
  expectTensor('unsqueeze', 'the input', x);
  const position = normaliseAxis('unsqueeze', axis, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, position), 1, ...x.shape.slice(position)]);
}

/**
 * The value without its history: constant to `backward`. Outside of compiled functions it is computed no later than the next
 * read or step, and then forgets what it came from: the state that goes from one chunk of a sequence to the next.
 */
export function detach(x: Tensor): Tensor {
  const value = applyOne(versionOp, [x]);
  if (!currentTrace() && !isView(value)) keepAtFlush(value);
  return value;
}

/** True for values that are computed, and for views of them. */
function isView(x: Tensor): boolean {
  let tensor = x.version;
  while (!tensor.isComputed) {
    const { inputs, op } = tensor.node;
    const [source, ...others] = inputs;
    if (!source || others.length > 0 || (op.lowering.kind !== 'view' && op.lowering.kind !== 'segment')) return false;
    tensor = source;
  }
  return true;
}

/** For the registry. */
export const viewOps = {
  reshape: reshapeOp,
  permute: permuteOp,
  expand: expandOp,
  flip: flipOp,
} satisfies Readonly<Record<string, OpDef>>;
