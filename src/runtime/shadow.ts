import { dtypes, type HostArray, HostValues } from '../core/dtype.ts';
import { byteSize } from '../core/types.ts';
import type { Device } from '../device/device.ts';
import type { ReadRequest, Staging } from '../device/readback.ts';
import { fromHost } from '../graph/leaf.ts';
import type { Source } from '../graph/source.ts';
import { pendingStates, type State } from '../graph/state.ts';
import { readAll } from './eager.ts';
import { residenceOf } from './residence.ts';

/** A copy on the host of the values that states had at one moment; it survives the device. */
export class Shadow {
  readonly #values: readonly (readonly [State, Source])[];

  constructor(values: readonly (readonly [State, Source])[]) {
    this.#values = values;
  }

  /** Bytes of host memory. */
  get bytes(): number {
    return this.#values.reduce((sum, [{ type }]) => sum + byteSize(type), 0);
  }

  /** Gives the states their values again, on whatever device is used next; what was pending is forgotten. */
  restore(): void {
    for (const [state, source] of this.#values) {
      pendingStates.delete(state);
      state.commit(fromHost(state.type, source));
    }
  }
}

/** True where the states can be copied as they are: each has been computed. */
export function areSettled(states: readonly State[]): boolean {
  return states.every((state) => !pendingStates.has(state) && state.committed.isComputed);
}

/** A buffer to copy the states to. */
export function shadowStaging(device: Device, states: readonly State[]): Promise<Staging> {
  return device.readback.stagingFor(onDevice(states).map(({ committed }) => ({ bytes: byteSize(committed) })));
}

/**
 * Takes a shadow of settled states, as they are after all that was submitted so far. They are copied to `staging` at once,
 * in a submit of their own, and come to the host later: the queue does not wait for that.
 */
export async function shadowOf(device: Device, states: readonly State[], staging: Staging): Promise<Shadow> {
  const here = onDevice(states);
  const requests = here.map(({ committed }): ReadRequest => {
    const { buffer, offset } = residenceOf(committed).storageOn(device);
    return { buffer, offset, bytes: byteSize(committed) };
  });
  const sources = states.map((state) => [state, state.committed.source] as const);
  const bytes = await device.readback.copy(requests, staging);
  const arrays = new Map(here.map((state, i) => [state, hostValues(state, bytes[i] as ArrayBuffer)]));
  return new Shadow(sources.map(([state, source]) => [state, arrays.get(state) ?? (source as Source)]));
}

/** Takes a shadow of states with recorded updates, whatever is recorded after them. */
export async function shadowOfRecorded(states: readonly State[]): Promise<Shadow> {
  const arrays = await readAll(states.map((state) => state.value));
  return new Shadow(states.map((state, i) => [state, new HostValues(arrays[i] as HostArray)]));
}

/** The states whose values are on a device, and not in a source. */
const onDevice = (states: readonly State[]) => states.filter(({ committed }) => committed.source === null);

const hostValues = ({ type }: State, bytes: ArrayBuffer) =>
  new HostValues(new dtypes[type.dtype].array(bytes) as HostArray);
