import { HostValues } from '../graph/dtype.ts';
import { noGrad } from '../graph/record.ts';
import { sizeOf } from '../graph/shape.ts';
import type { State } from '../graph/state.ts';
import { fromHost, type Tensor } from '../tensor.ts';
import { pack, packedSize } from './view.ts';

/** The pack of the values as they are now: made on the host where all of them lie there, so that nothing runs. */
export function packValues(tensors: readonly Tensor[]): Tensor {
  const values = tensors.map((tensor) => tensor.version);
  const parts = values.flatMap(({ hostValues, shape }) =>
    hostValues ? [{ hostValues, size: packedSize(shape) }] : [],
  );
  if (parts.length < values.length) return noGrad(() => pack(values));
  const length = parts.reduce((total, { size }) => total + size, 0);
  const flat = new HostValues(() => {
    const all = new Float32Array(length);
    let offset = 0;
    for (const { hostValues, size } of parts) {
      all.set(hostValues.array, offset);
      offset += size;
    }
    return all;
  });
  return fromHost({ shape: [length], dtype: 'f32' }, flat);
}

/** Gives many states their next version; those that fill a pack do so as one, without a copy for each. */
export function assignAll(values: ReadonlyMap<State, Tensor>): void {
  // Map.groupBy is younger than the oldest engines that weft runs on.
  const packs = new Map<State | undefined, State[]>();
  for (const state of values.keys()) {
    const pack = state.home?.pack;
    const members = packs.get(pack);
    if (members) members.push(state);
    else packs.set(pack, [state]);
  }
  for (const [home, states] of packs) {
    const inOrder = states.sort((a, b) => (a.home?.offset ?? 0) - (b.home?.offset ?? 0));
    const length = inOrder.reduce((sum, { type }) => sum + packedSize(type.shape), 0);
    if (home && length === sizeOf(home.type.shape))
      home.assign(packValues(inOrder.map((state) => values.get(state) as Tensor)));
    else for (const state of inOrder) state.assign(values.get(state) as Tensor);
  }
}
