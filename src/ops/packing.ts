import { UnsupportedError } from '../errors.ts';
import { groupBy } from '../graph/groupBy.ts';
import { noGrad } from '../graph/record.ts';
import { sizeOf } from '../graph/shape.ts';
import { type Part, PartedValues, partsOf } from '../graph/source.ts';
import type { State } from '../graph/state.ts';
import { fromHost, type Tensor } from '../tensor.ts';
import { pack, packedSize } from './view.ts';

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
  const packs = groupBy(values.keys(), (state) => state.home?.pack);
  for (const [home, states] of packs) {
    const inOrder = states.sort((a, b) => (a.home?.offset ?? 0) - (b.home?.offset ?? 0));
    const length = inOrder.reduce((sum, { type }) => sum + packedSize(type.shape), 0);
    if (home && length === sizeOf(home.type.shape))
      home.assign(packValues(inOrder.map((state) => values.get(state) as Tensor)));
    else for (const state of inOrder) state.assign(values.get(state) as Tensor);
  }
}
