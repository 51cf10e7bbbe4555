import type { DType } from '../core/dtype.ts';
import { aligned } from '../core/layout.ts';
import { type Shape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { familyCall } from '../kernels/family.ts';
import { place as placeFamily } from '../kernels/place.ts';
import type { Op } from './op.ts';
import { applyOne } from './record.ts';
import type { Tensor } from './tensor.ts';

/** Packs: flat buffers in which many states lie. A state reads its part of one, and puts another value there. */

/** Elements that a tensor takes in a pack: its size rounded up to the alignment of bindings. */
export function packedSize(shape: Shape): number {
  return aligned(sizeOf(shape));
}

/** The part of a pack from element `offset` on, as a tensor of that shape: a view, no copy. */
export const segmentOp: Op<[flat: Tensor], { offset: number; shape: Shape; dtype: DType }> = {
  name: 'segment',
  infer: (_, { shape, dtype }) => [{ shape, dtype }],
  lowering: { kind: 'segment' },
};
/** A part of a pack, as a leaf of its own. */
export const segment = (flat: Tensor, offset: number, { shape, dtype }: TensorType): Tensor =>
  applyOne(segmentOp, [flat], { offset, shape, dtype });

export const placeOp: Op<[flat: Tensor, value: Tensor], { offset: number }> = {
  name: 'place',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [flat, value], attributes: { offset } }) =>
      familyCall(placeFamily, {
        size: value.size,
        padded: packedSize(value.shape),
        offset,
        dtype: flat.dtype,
      }),
  },
};
/** The pack with a value in its place; the gap behind it becomes zero, whatever a kernel for whole packs has left there. */
export const place = (flat: Tensor, value: Tensor, offset: number): Tensor =>
  applyOne(placeOp, [flat, value], { offset });
