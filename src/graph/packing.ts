import { alignment } from '../core/layout.ts';
import { type Shape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { familyCall } from '../kernels/family.ts';
import { place as placeFamily } from '../kernels/place.ts';
import type { OpDef } from './op.ts';
import { applyOne } from './record.ts';
import type { Tensor } from './tensor.ts';

/** What states need of packs, where many lie in one flat buffer: to read a part, and to put another value there. */

/** Elements that a tensor takes in a pack: its size rounded up to the alignment of bindings. */
export function packedSize(shape: Shape): number {
  return Math.ceil(sizeOf(shape) / alignment) * alignment;
}

export const segmentOp: OpDef = {
  name: 'segment',
  infer: (_, { shape, dtype }) => [{ shape: shape as Shape, dtype: dtype as TensorType['dtype'] }],
  lowering: { kind: 'segment' },
};
/** A part of a pack, as a leaf of its own. */
export const segment = (flat: Tensor, offset: number, { shape, dtype }: TensorType): Tensor =>
  applyOne(segmentOp, [flat], { offset, shape, dtype });

export const placeOp: OpDef = {
  name: 'place',
  infer: ([flat]) => [{ shape: (flat as TensorType).shape, dtype: (flat as TensorType).dtype }],
  lowering: {
    kind: 'kernel',
    problem: (node) =>
      familyCall(placeFamily, {
        size: sizeOf((node.inputs[1] as Tensor).shape),
        padded: packedSize((node.inputs[1] as Tensor).shape),
        offset: node.attributes.offset as number,
        dtype: (node.inputs[0] as Tensor).dtype,
      }),
  },
};
/** The pack with a value in its place; the gap behind it becomes zero, whatever a kernel for whole packs has left there. */
export const place = (flat: Tensor, value: Tensor, offset: number): Tensor =>
  applyOne(placeOp, [flat, value], { offset });
