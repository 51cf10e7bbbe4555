import { rowMajorStrides } from '../../src/core/layout.ts';
import { sizeOf } from '../../src/core/shape.ts';
import type { Operand } from '../../src/kernels/kernel.ts';
import { type Ref, ref } from '../reference/index.ts';
import { flatIndex, indices } from '../reference/ref.ts';
import type { Draw } from './draw.ts';

/** How an operand lies in its buffer. */
export interface Placement {
  /** Order of its dimensions in memory, outermost first; as they are where left out. */
  readonly order?: readonly number[];
  /** Dimensions of which one element serves all indices: stride 0. */
  readonly broadcast?: readonly number[];
  /** Elements before the first one, and behind each run of the innermost dimension in memory. */
  readonly offset?: number;
  readonly gap?: number;
}

export function place(
  shape: readonly number[],
  { order, broadcast = [], offset = 0, gap = 0 }: Placement = {},
): Operand {
  const inMemory = order ?? shape.map((_, i) => i);
  const extents = inMemory.map((dimension) => (broadcast.includes(dimension) ? 1 : (shape[dimension] as number)));
  const last = extents.length - 1;
  const dense = rowMajorStrides(extents.with(last, (extents[last] as number) + gap));
  const strides = shape.map((_, dimension) =>
    broadcast.includes(dimension) ? 0 : (dense[inMemory.indexOf(dimension)] as number),
  );
  return { shape, strides, offset, dtype: 'f32' };
}

/** A buffer for an operand, NaN wherever it has no element, and its logical value. */
export function fill(operand: Operand, draw: Draw, scale = 1): { buffer: Float32Array<ArrayBuffer>; value: Ref } {
  const { shape, strides, offset } = operand;
  const at = (index: readonly number[]) => offset + index.reduce((sum, i, d) => sum + i * (strides[d] as number), 0);
  const buffer = new Float32Array(at(shape.map((extent) => extent - 1)) + 1).fill(Number.NaN);
  const value = ref(shape, new Float64Array(sizeOf(shape)));
  for (const index of indices(shape)) {
    const place = at(index);
    if (Number.isNaN(buffer[place])) buffer[place] = scale * (2 * draw.next() - 1);
    value.data[flatIndex(shape, index)] = buffer[place] as number;
  }
  return { buffer, value };
}
