import { DTypeError, ShapeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { count, either, expectKind, listOf, shownList, tensorLike } from '../core/options.ts';
import { formatShape, normaliseAxis } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { zeros } from './elementwise.ts';
import { expand, squeeze, unsqueeze } from './view.ts';

/**
 * Ops that put tensors side by side. They are elementwise: each element of the result knows which input covers it, so they
 * fuse like any other, and a concatenation of parts that lie side by side already costs nothing.
 */
const concatOp: Op<Tensor[], { axis: number }> = {
  name: 'concat',
  infer: (inputs, { axis }) => {
    const { shape, dtype } = nth(inputs, 0);
    const total = inputs.reduce((sum, input) => sum + nth(input.shape, axis), 0);
    return [{ shape: shape.map((extent, i) => (i === axis ? total : extent)), dtype }];
  },
  lowering: {
    kind: 'elementwise',
    indexed: true,
    expression: (inputs, _, { inside }) => inputs.reduce((rest, x, i) => `select(${rest}, ${x}, ${inside[i]})`),
    window: ({ strides, offset }, index, { inputs, attributes: { axis }, types: [{ shape }] }) => {
      const extents = inputs.map((input) => nth(input.shape, axis));
      const low = extents.slice(0, index).reduce((sum, extent) => sum + extent, 0);
      const high = low + nth(extents, index);
      return { layout: { shape, strides, offset: offset - low * nth(strides, axis) }, axis, low, high };
    },
  },
  gradient: ({ inputs, attributes: { axis } }, [dy]) =>
    split(
      dy,
      inputs.map(({ shape }) => nth(shape, axis)),
      axis,
    ),
  atOnce: {
    apply: (inputs, { axis }, marked) => {
      const steps = nth(nth(inputs, marked.indexOf(true)).shape, 0);
      const all = inputs.map((input, i) => (marked[i] ? input : expand(input, [steps, ...input.shape])));
      return [concat(all, axis + 1)];
    },
  },
};
function expectTensors(op: string, tensors: readonly Tensor[]): void {
  expectKind(op, 'tensors', tensors, listOf(tensorLike));
}

/** Inputs of one concatenation kernel: with the output they fill the eight bindings that every device has. */
const widest = 7;
/** Tensors one after another along an axis; all other dimensions must agree. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  expectTensors('concat', tensors);
  const first = tensors[0];
  if (!first) throw new ShapeError('[concat] no tensors were given');
  const dimension = normaliseAxis('concat', axis, first.rank);
  for (const tensor of tensors) {
    if (tensor.dtype !== first.dtype)
      throw new DTypeError(`[concat] the inputs are ${first.dtype} and ${tensor.dtype}; cast one of them`);
    if (tensor.rank !== first.rank || tensor.shape.some((extent, i) => i !== dimension && extent !== first.shape[i])) {
      throw new ShapeError(
        `[concat] shapes ${formatShape(first.shape)} and ${formatShape(tensor.shape)} must agree except in dimension ${dimension}`,
      );
    }
  }
  if (tensors.length === 1) return first.version;
  if (tensors.length <= widest) return applyOne(concatOp, tensors, { axis: dimension });
  const parts: Tensor[] = [];
  for (let i = 0; i < tensors.length; i += widest) parts.push(concat(tensors.slice(i, i + widest), dimension));
  return concat(parts, dimension);
}
/** Tensors of one shape along a new dimension. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  expectTensors('stack', tensors);
  const rank = (tensors[0]?.rank ?? 0) + 1;
  const dimension = normaliseAxis('stack', axis, rank);
  return concat(
    tensors.map((tensor) => unsqueeze(tensor, dimension)),
    dimension,
  );
}

const splitOp: Op<[x: Tensor], { axis: number; extents: readonly number[] }, Tensor[]> = {
  name: 'split',
  infer: ([{ shape, dtype }], { axis, extents }) =>
    extents.map((part) => ({ shape: shape.map((extent, i) => (i === axis ? part : extent)), dtype })),
  lowering: {
    kind: 'view',
    layout: ({ strides, offset }, { attributes: { axis, extents }, types }, index) => {
      const start = extents.slice(0, index).reduce((sum, extent) => sum + extent, 0);
      return { shape: nth(types, index).shape, strides, offset: offset + start * nth(strides, axis) };
    },
  },
  gradient: ({ types, attributes: { axis } }, gradients) => [
    concat(
      types.map(({ shape, dtype }, i) => gradients[i] ?? zeros(shape, dtype)),
      axis,
    ),
  ],
  atOnce: { apply: ([x], { axis, extents }) => split(x, extents, axis + 1) },
};
/** Parts of the given extents (or of one extent) along an axis. */
export function split(x: Tensor, extents: number | readonly number[], axis = 0): Tensor[] {
  expectTensor('split', 'the input', x);
  expectKind('split', 'extents', extents, either(count, listOf(count)));
  const dimension = normaliseAxis('split', axis, x.rank);
  const whole = nth(x.shape, dimension);
  const list =
    typeof extents === 'number'
      ? Array.from({ length: Math.ceil(whole / extents) }, (_, i) => Math.min(extents, whole - i * extents))
      : extents;
  if (
    list.reduce((sum, extent) => sum + extent, 0) !== whole ||
    list.some((extent) => !Number.isInteger(extent) || extent < 1)
  ) {
    throw new ShapeError(
      `[split] extents ${shownList(list)} must be positive and add up to ${whole}, dimension ${dimension} of ${formatShape(x.shape)}`,
    );
  }
  return [...apply(splitOp, [x], { axis: dimension, extents: [...list] })];
}
/** At most `chunks` parts of one extent along an axis, the last one smaller where it must be, as `torch.chunk`. */
export function chunk(x: Tensor, chunks: number, axis = 0): Tensor[] {
  expectTensor('chunk', 'the input', x);
  expectKind('chunk', 'the number of chunks', chunks, count);
  const dimension = normaliseAxis('chunk', axis, x.rank);
  return split(x, Math.ceil(nth(x.shape, dimension) / chunks), dimension);
}
/** The slices along an axis, without that axis. */
export function unbind(x: Tensor, axis = 0): Tensor[] {
  expectTensor('unbind', 'the input', x);
  const dimension = normaliseAxis('unbind', axis, x.rank);
  return split(x, 1, dimension).map((part) => squeeze(part, dimension));
}
/** For the registry. */
export const joinOps = { concat: concatOp, split: splitOp } satisfies Readonly<Record<string, OpDef>>;
