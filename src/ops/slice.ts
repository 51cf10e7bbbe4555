import { fitting } from '../core/dtype.ts';
import { ShapeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { anyNumber, array, expectKind, listOf, nullable, shown, shownList } from '../core/options.ts';
import { formatShape, normaliseAxis, type Shape } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { literal } from '../kernels/numbers.ts';
import { look, reshape, viewOp } from './view.ts';

/** Parts of a tensor, and tensors as parts of something larger: each is the other's gradient. */

type SliceAttributes = { start: readonly number[]; step: readonly number[]; shape: Shape };
const sliceOp: Op<[x: Tensor], SliceAttributes> = viewOp<SliceAttributes>(
  'slice',
  (_, { shape }) => shape,
  ({ strides, offset }, shape, { start, step }) => ({
    shape,
    strides: strides.map((stride, i) => stride * nth(step, i)),
    offset: strides.reduce((sum, stride, i) => sum + stride * nth(start, i), offset),
  }),
  (dy, x, { start, step }) => {
    if (step.some((each) => each !== 1)) return sliceGradientWithSteps(dy, x, start, step);
    return pad(
      dy,
      start.map((from, i): [number, number] => [from, nth(x.shape, i) - from - nth(dy.shape, i)]),
    );
  },
  (x, { start, step, shape }) => {
    const steps = nth(x.shape, 0);
    return look(sliceOp, x, { start: [0, ...start], step: [1, ...step], shape: [steps, ...shape] });
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
  const extent = nth(x.shape, dimension);
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
    const extent = nth(spread.shape, axis);
    const after = spread.shape.slice(axis + 1);
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
    start.map((from, i): [number, number] => [from, nth(x.shape, i) - from - nth(spread.shape, i)]),
  );
}

const padOp: Op<[x: Tensor], { axis: number; before: number; after: number; value: number }> = {
  name: 'pad',
  infer: ([{ shape, dtype }], { axis, before, after }) => [
    { shape: shape.map((extent, i) => (i === axis ? extent + before + after : extent)), dtype },
  ],
  lowering: {
    kind: 'elementwise',
    indexed: true,
    expression: ([x], { value }, { inside, types, dtype }) =>
      `select(${types[dtype]}(${literal(value, dtype)}), ${x}, ${inside[0]})`,
    window: (layout, _, { attributes: { axis, before }, types: [{ shape }] }) => ({
      layout: { shape, strides: layout.strides, offset: layout.offset - before * nth(layout.strides, axis) },
      axis,
      low: before,
      high: before + nth(layout.shape, axis),
    }),
  },
  gradient: ({ inputs: [x], attributes: { axis, before } }, [dy]) => {
    const extent = nth(x.shape, axis);
    return [
      slice(
        dy,
        dy.shape.map((_, i) => (i === axis ? [before, before + extent] : null)),
      ),
    ];
  },
};
/** x with `[before, after]` elements of `value` added around each dimension. */
export function pad(x: Tensor, widths: readonly (readonly [number, number])[], value = 0): Tensor {
  expectTensor('pad', 'the input', x);
  expectKind('pad', 'widths', widths, listOf(array));
  if (widths.length !== x.rank)
    throw new ShapeError(
      `[pad] ${widths.length} pairs of widths for a tensor of rank ${x.rank}, shape ${formatShape(x.shape)}`,
    );
  fitting('pad', value, x.dtype);
  let padded = x.version;
  for (const [axis, [before, after]] of widths.entries()) {
    if (!Number.isInteger(before) || !Number.isInteger(after) || before < 0 || after < 0) {
      throw new ShapeError(
        `[pad] widths must be integers of at least 0, got ${shownList([before, after])} for dimension ${axis}`,
      );
    }
    if (before + after > 0) padded = applyOne(padOp, [padded], { axis, before, after, value });
  }
  return padded;
}

/** For the registry. */
export const sliceOps = { slice: sliceOp, pad: padOp } satisfies Readonly<Record<string, OpDef>>;
