import { UnsupportedError } from '../core/errors.ts';
import { groupBy } from '../core/groupBy.ts';
import { nth } from '../core/lists.ts';
import { type Shape, sizeOf } from '../core/shape.ts';
import { fromHost } from '../graph/leaf.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { packedSize, placeOp, segmentOp } from '../graph/packing.ts';
import { applyOne, noGrad } from '../graph/record.ts';
import { type Part, PartedValues, partsOf } from '../graph/source.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { slice } from './slice.ts';
import { reshape } from './view.ts';

const packOp: Op<Tensor[], { length: number; offsets: readonly number[] }> = {
  name: 'pack',
  infer: (inputs, { length }) => [{ shape: [length], dtype: nth(inputs, 0).dtype }],
  lowering: { kind: 'pack' },
  gradient: ({ inputs, attributes: { offsets } }, [dy]) =>
    inputs.map((input, i) => {
      const from = nth(offsets, i);
      return reshape(slice(dy, [[from, from + input.size]]), input.shape);
    }),
};
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

/** The pack of the values as they are now: where all of them have a source, so has the pack, and nothing runs. */
export function packValues(tensors: readonly Tensor[]): Tensor {
  const values = tensors.map((tensor) => tensor.version);
  const parts: Part[] = [];
  let length = 0;
  for (const { source, shape } of values) {
    if (!source) return noGrad(() => pack(values));
    parts.push(...partsOf(source, length));
    length += packedSize(shape);
  }
  return fromHost({ shape: [length], dtype: 'f32' }, new PartedValues(length, parts));
}

/** First values with those of the host in the place of some, from element `offset` on, before anything is computed. */
export function overwritten(x: Tensor, offset: number, values: Tensor): Tensor {
  const [own, over] = [x.version.source, values.version.source];
  if (!own || !over) throw new UnsupportedError('[overwritten] a value has been computed; both must be first values');
  return fromHost(x, new PartedValues(x.size, [...partsOf(own, 0), ...partsOf(over, offset)]));
}

/** Gives many states their next version; those that fill a pack do so as one, without a copy for each. */
export function assignAll(values: ReadonlyMap<State, Tensor>): void {
  const packs = groupBy(values, ([state]) => state.home?.pack);
  for (const [home, states] of packs) {
    const inOrder = states.sort(([a], [b]) => (a.home?.offset ?? 0) - (b.home?.offset ?? 0));
    const length = inOrder.reduce((sum, [{ type }]) => sum + packedSize(type.shape), 0);
    if (home && length === sizeOf(home.type.shape)) home.assign(packValues(inOrder.map(([, value]) => value)));
    else for (const [state, value] of inOrder) state.assign(value);
  }
}

/** For the registry. */
export const packOps = { pack: packOp, segment: segmentOp, place: placeOp } satisfies Readonly<Record<string, OpDef>>;
