import { ShapeError } from '../errors.ts';
import { keepAtFlush } from '../gpu/run.ts';
import { versionOp } from '../graph/leaf.ts';
import type { Attributes, Node, TensorType } from '../graph/node.ts';
import type { OpDef } from '../graph/op.ts';
import { applyOne, currentTrace, expectTensor } from '../graph/record.ts';
import {
  checkShape,
  expandLayout,
  formatShape,
  type Layout,
  normaliseAxes,
  normaliseAxis,
  reshapeLayout,
  type Shape,
  sameShape,
  sizeOf,
} from '../graph/shape.ts';
import { providePacking } from '../graph/state.ts';
import { copyFamily } from '../kernels/copy.ts';
import { familyCall } from '../kernels/family.ts';
import { anyNumber, array, expectKind, integer, listOf, nullable, shown, shownList } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { constantOf, full } from './elementwise.ts';
import { pad } from './join.ts';
import { sumTo } from './reduce.ts';

/** Ops that move no data: other ways to look at the same memory. */
function viewOp(
  name: string,
  infer: OpDef['infer'],
  layout: (input: Layout, node: Node) => Layout | null,
  gradient: (dy: Tensor, x: Tensor, node: Node) => Tensor,
): OpDef {
  return {
    name,
    infer,
    lowering: { kind: 'view', layout },
    gradient: (node, [dy]) => [dy ? gradient(dy, node.inputs[0] as Tensor, node) : null],
  };
}
/** Records a view; a view of a repeated value is one too. */
function look(op: OpDef, x: Tensor, attributes: Attributes): Tensor {
  const constant = constantOf(x);
  if (constant === null) return applyOne(op, [x], attributes);
  return full((op.infer([x], attributes)[0] as TensorType).shape, constant, x.dtype);
}
const outputShape = (node: Node) => (node.types[0] as TensorType).shape;

const reshapeOp = viewOp(
  'reshape',
  ([x], { shape }) => [{ shape: shape as Shape, dtype: (x as TensorType).dtype }],
  (input, node) => reshapeLayout(input, outputShape(node)),
  (dy, x) => reshape(dy, x.shape),
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

const permuteOp = viewOp(
  'permute',
  ([x], { order }) => [
    {
      shape: (order as number[]).map((axis) => (x as TensorType).shape[axis] as number),
      dtype: (x as TensorType).dtype,
    },
  ],
  (input, node) => {
    const order = node.attributes.order as number[];
    return {
      shape: outputShape(node),
      strides: order.map((axis) => input.strides[axis] as number),
      offset: input.offset,
    };
  },
  (dy, _, node) => {
    const order = node.attributes.order as number[];
    return permute(
      dy,
      order.map((_axis, i) => order.indexOf(i)),
    );
  },
);
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

const sliceOp = viewOp(
  'slice',
  ([x], { shape }) => [{ shape: shape as Shape, dtype: (x as TensorType).dtype }],
  (input, node) => {
    const { start, step } = node.attributes as { start: number[]; step: number[] };
    return {
      shape: outputShape(node),
      strides: input.strides.map((stride, i) => stride * (step[i] as number)),
      offset: input.strides.reduce((offset, stride, i) => offset + stride * (start[i] as number), input.offset),
    };
  },
  (dy, x, node) => {
    const { start, step } = node.attributes as { start: number[]; step: number[] };
    if (step.some((each) => each !== 1)) return sliceGradientWithSteps(dy, x, start, step);
    return pad(
      dy,
      start.map((from, i): [number, number] => [from, (x.shape[i] as number) - from - (dy.shape[i] as number)]),
    );
  },
);
/** Elements [start, stop) of each dimension, every `step`-th; negative bounds count from the end, missing ones are the whole. */
export function slice(
  x: Tensor,
  ranges: readonly (readonly [start?: number, stop?: number, step?: number] | null)[],
): Tensor {
  expectTensor('slice', 'the input', x);
  expectKind('slice', 'ranges', ranges, listOf(nullable(array)));
  if (ranges.length > x.rank)
    throw new ShapeError(
      `[slice] ${ranges.length} ranges for a tensor of rank ${x.rank}, shape ${formatShape(x.shape)}`,
    );
  for (const bound of ranges.flatMap((range) => range ?? []))
    if (bound !== undefined) expectKind('slice', 'a bound', bound, anyNumber);
  const start: number[] = [];
  const step: number[] = [];
  const shape = x.shape.map((extent, i) => {
    const [from = 0, to = extent, by = 1] = ranges[i] ?? [];
    const first = from < 0 ? from + extent : from;
    const last = to < 0 ? to + extent : to;
    if (!Number.isInteger(by) || by < 1)
      throw new ShapeError(
        `[slice] the step of dimension ${i} must be a positive integer, got ${shown(by)}; use flip to reverse`,
      );
    if (!Number.isInteger(first) || !Number.isInteger(last) || first < 0 || last > extent || first >= last) {
      throw new ShapeError(
        `[slice] [${from}, ${to}) selects nothing of dimension ${i} of ${formatShape(x.shape)}, or reaches outside; bounds must be within [0, ${extent}], start below stop`,
      );
    }
    start.push(first);
    step.push(by);
    return Math.ceil((last - first) / by);
  });
  return look(sliceOp, x, { start, step, shape });
}
/** One position of a dimension, which goes: `at(x, -1, 0)` is the last row. */
export function at(x: Tensor, index: number, axis = 0): Tensor {
  expectTensor('at', 'the input', x);
  const dimension = normaliseAxis('at', axis, x.rank);
  expectKind('at', 'the index', index, anyNumber);
  const extent = x.shape[dimension] as number;
  const position = index < 0 ? index + extent : index;
  if (!Number.isInteger(position) || position < 0 || position >= extent)
    throw new ShapeError(`[at] index ${shown(index)} is out of range for dimension ${axis} of ${formatShape(x.shape)}`);
  const part = slice(
    x,
    x.shape.map((_, i) => (i === dimension ? [position, position + 1] : null)),
  );
  return reshape(
    part,
    x.shape.filter((_, i) => i !== dimension),
  );
}
/** Elements that a step jumped over get a gradient of 0: the gradient is spread with zeros between, then padded. */
function sliceGradientWithSteps(dy: Tensor, x: Tensor, start: readonly number[], step: readonly number[]): Tensor {
  let spread = dy;
  for (const [axis, by] of step.entries()) {
    if (by === 1) continue;
    const before = spread.shape.slice(0, axis);
    const [extent, ...after] = spread.shape.slice(axis) as [number, ...number[]];
    const column = reshape(spread, [...before, extent, 1, ...after]);
    const padded = pad(
      column,
      column.shape.map((_, i): [number, number] => [0, i === axis + 1 ? by - 1 : 0]),
    );
    spread = slice(reshape(padded, [...before, extent * by, ...after]), [
      ...before.map(() => null),
      [0, (extent - 1) * by + 1],
    ]);
  }
  return pad(
    spread,
    start.map((from, i): [number, number] => [from, (x.shape[i] as number) - from - (spread.shape[i] as number)]),
  );
}

const expandOp = viewOp(
  'expand',
  ([x], { shape }) => [{ shape: shape as Shape, dtype: (x as TensorType).dtype }],
  (input, node) => expandLayout(input, outputShape(node)),
  (dy, x) => sumTo(dy, x.shape),
);
/** Dimensions of extent 1 repeated to `shape`, and new ones in front; −1 keeps an extent. */
export function expand(x: Tensor, shape: Shape): Tensor {
  expectTensor('expand', 'the input', x);
  expectKind('expand', 'the shape', shape, listOf(integer));
  const missing = shape.length - x.rank;
  const target = shape.map((extent, i) => (extent === -1 && i >= missing ? (x.shape[i - missing] as number) : extent));
  checkShape('expand', target);
  if (missing < 0 || x.shape.some((extent, i) => extent !== 1 && extent !== target[i + missing])) {
    throw new ShapeError(
      `[expand] ${formatShape(x.shape)} does not broadcast to ${shownList(shape)}: only dimensions of extent 1 can be repeated`,
    );
  }
  return look(expandOp, x, { shape: target });
}

const flipOp = viewOp(
  'flip',
  ([x]) => [x as TensorType].map(({ shape, dtype }) => ({ shape, dtype })),
  (input, node) => {
    const axes = node.attributes.axes as number[];
    return {
      shape: input.shape,
      strides: input.strides.map((stride, i) => (axes.includes(i) ? -stride : stride)),
      offset: axes.reduce(
        (offset, axis) => offset + (input.strides[axis] as number) * ((input.shape[axis] as number) - 1),
        input.offset,
      ),
    };
  },
  (dy, _, node) => flip(dy, node.attributes.axes as number[]),
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

/** True for what is computed, and for what looks at it another way. */
function isView(x: Tensor): boolean {
  let tensor = x.version;
  while (!tensor.isComputed) {
    const { inputs, op } = tensor.node;
    if (inputs.length !== 1 || (op.lowering.kind !== 'view' && op.lowering.kind !== 'segment')) return false;
    tensor = inputs[0] as Tensor;
  }
  return true;
}

// ── packs: many tensors in one flat buffer ───────────────────────────────────────────────────────────────────────────

const packOp: OpDef = {
  name: 'pack',
  infer: (inputs, { length }) => [{ shape: [length as number], dtype: (inputs[0] as TensorType).dtype }],
  lowering: { kind: 'pack' },
  gradient: ({ inputs, attributes }, [dy]) =>
    inputs.map((input, i) => {
      const from = (attributes.offsets as number[])[i] as number;
      return dy ? reshape(slice(dy, [[from, from + input.size]]), input.shape) : null;
    }),
};
/** Elements that a tensor takes in a pack: its size rounded up to the alignment of bindings, 64 elements. */
export function packedSize(shape: Shape): number {
  return Math.ceil(sizeOf(shape) / 64) * 64;
}
/**
 * Tensors of one type, flat, one after another; what lies between them is zero. An absent one leaves its place.
 */
export function pack(tensors: readonly (Tensor | { readonly shape: Shape; readonly absent: true })[]): Tensor {
  const offsets: number[] = [];
  const present: Tensor[] = [];
  let length = 0;
  for (const each of tensors) {
    if (!('absent' in each)) {
      offsets.push(length);
      present.push(each);
    }
    length += packedSize(each.shape);
  }
  return applyOne(packOp, present, { length, offsets });
}

const segmentOp: OpDef = {
  name: 'segment',
  infer: (_, { shape, dtype }) => [{ shape: shape as Shape, dtype: dtype as TensorType['dtype'] }],
  lowering: { kind: 'segment' },
};
/** A value in its place in a pack; the gap behind it becomes zero, whatever a kernel for whole packs has left there. */
const placeOp: OpDef = {
  name: 'place',
  infer: ([flat]) => [{ shape: (flat as TensorType).shape, dtype: (flat as TensorType).dtype }],
  lowering: {
    kind: 'kernel',
    problem: (node) =>
      familyCall(copyFamily, {
        size: sizeOf((node.inputs[1] as Tensor).shape),
        padded: packedSize((node.inputs[1] as Tensor).shape),
        offset: node.attributes.offset as number,
        dtype: (node.inputs[0] as Tensor).dtype,
      }),
  },
};
providePacking({
  segment: (flat, offset, { shape, dtype }) => applyOne(segmentOp, [flat], { offset, shape, dtype }),
  place: (flat, value, offset) => applyOne(placeOp, [flat, value], { offset }),
});

/** For the registry. */
export const viewOps = {
  reshape: reshapeOp,
  permute: permuteOp,
  slice: sliceOp,
  expand: expandOp,
  flip: flipOp,
  pack: packOp,
  segment: segmentOp,
  place: placeOp,
} satisfies Readonly<Record<string, OpDef>>;
