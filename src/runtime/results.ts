import type { TensorType } from '../core/types.ts';
import { byteSize } from '../core/types.ts';
import type { Storage } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import { type ReadRequest, Staging } from '../device/readback.ts';
import { statusBytes, type Verdict } from '../device/status.ts';
import type { Tensor } from '../graph/tensor.ts';
import { statusWords } from '../kernels/findings.ts';
import { mostInFlight } from './backPressure.ts';
import { residenceOf } from './residence.ts';

/** The largest result, in bytes, that gets a slot of the ring; the loss is one. */
export const slotBytes = 256;
/** Slots of the ring: results of one step beyond these have memory of their own. */
export const slotCount = 1024;
/** Room for the status in front of the results in a staging buffer. */
const head = statusBytes;
/**
 * Staging buffers, as many as a loop needs that reads the result of each step without waiting: those of all steps under
 * way, and of some that are done.
 */
const stagingCount = mostInFlight + 2;

export function smallResult(tensor: TensorType): boolean {
  return byteSize(tensor) <= slotBytes;
}

/**
 * Memory of small results. Each step's results take the next slots of one buffer, so that a loop allocates nothing; a
 * result that is still held when its slot comes round again moves to a buffer of its own. The same results also go to a
 * staging buffer, so that reading them costs one mapping and no submit.
 */
export class ResultRing {
  readonly #device: Device;
  readonly #buffer: GPUBuffer;
  readonly #owners = new Array<{ tensor: WeakRef<Tensor>; storage: Storage } | undefined>(slotCount);
  readonly #staging: Staging[];
  #next = 0;
  #current: Staging | null = null;
  #position = 0;
  #verdict: Verdict | null = null;

  constructor(device: Device, resultsPerStep: number) {
    this.#device = device;
    this.#buffer = device.buffers.create(slotCount * slotBytes, 'weft small results');
    this.#staging = Array.from(
      { length: stagingCount },
      () => new Staging(device.buffers, head + Math.max(1, resultsPerStep) * slotBytes),
    );
  }

  /** Chooses a staging buffer for the step that is being encoded, of which `verdict` tells; none where all are being read. */
  nextStep(encoder: GPUCommandEncoder, verdict: Verdict | null): void {
    const staging = this.#staging.shift() as Staging;
    this.#staging.push(staging);
    this.#current = staging.busy ? null : staging;
    this.#position = 0;
    this.#verdict = verdict;
    if (!this.#current) return;
    this.#current.generation++;
    const word = verdict?.place;
    if (word) encoder.copyBufferToBuffer(word.buffer, word.offset, this.#current.buffer, 0, statusBytes);
  }

  /** Memory for results that are still held where the next `count` are to lie, by their slots. */
  allocateMoves(count: number): Map<number, Storage> {
    const slots = Array.from({ length: count }, (_, i) => (this.#next + i) % slotCount);
    return new Map(slots.flatMap((slot) => (this.#tensorAt(slot) ? [[slot, this.#allocateMove()]] : [])));
  }

  /** Copies a result to the next slot and makes `tensor` its owner; who had the slot moves to the memory in `moves`. */
  take(tensor: Tensor, source: ReadRequest, moves: ReadonlyMap<number, Storage>, encoder: GPUCommandEncoder): void {
    const slot = this.#next++ % slotCount;
    const place = moves.get(slot);
    if (place) this.#moveOut(slot, place, encoder);
    const offset = slot * slotBytes;
    encoder.copyBufferToBuffer(source.buffer, source.offset, this.#buffer, offset, source.bytes);
    const storage: Storage = { buffer: this.#buffer, offset, bytes: source.bytes, release: () => {} };
    const residence = residenceOf(tensor);
    residence.settle(this.#device, storage);
    residence.verdict = this.#verdict;
    this.#owners[slot] = { tensor: new WeakRef(tensor), storage };
    const staging = this.#current;
    if (!staging) return;
    const at = head + this.#position++ * slotBytes;
    encoder.copyBufferToBuffer(source.buffer, source.offset, staging.buffer, at, source.bytes);
    const { generation } = staging;
    const verdict = this.#verdict;
    residence.staged = async () => {
      if (staging.generation !== generation) return null;
      const all = await this.#device.guarded(staging.read());
      if (verdict) {
        verdict.learn(new Uint32Array(all, 0, statusWords));
        if (verdict.unknown.length > 0) return null;
        await this.#device.readback.learnEarlier([verdict]);
        verdict.check();
      }
      return all.slice(at, at + source.bytes);
    };
  }

  /**
   * Gives the memory back. Results that are still held move out before, and where there is no memory for them, they stay; reads
   * that are under way come to their end.
   */
  destroy(): void {
    for (const staging of this.#staging) staging.destroy();
    const held = [...this.#owners.keys()].filter((slot) => this.#tensorAt(slot));
    if (held.length === 0) this.#device.buffers.destroy(this.#buffer);
    else this.#moveAll(held).catch(() => {});
  }

  async #moveAll(held: readonly number[]): Promise<void> {
    const { gpu, buffers } = this.#device;
    const places = await buffers.secured(() => held.map(() => this.#allocateMove()));
    const encoder = gpu.createCommandEncoder({ label: 'weft kept results' });
    for (const [i, slot] of held.entries()) this.#moveOut(slot, places[i] as Storage, encoder);
    gpu.queue.submit([encoder.finish()]);
    buffers.destroy(this.#buffer);
  }

  /** The tensor in a slot, unless nobody holds it, it was disposed of, or lies elsewhere by now. */
  #tensorAt(slot: number): Tensor | null {
    const owner = this.#owners[slot];
    const tensor = owner?.tensor.deref();
    return tensor?.isComputed && residenceOf(tensor).storageOn(this.#device) === owner?.storage ? tensor : null;
  }

  #allocateMove(): Storage {
    return this.#device.buffers.allocate(slotBytes, 'weft kept result');
  }

  #moveOut(slot: number, place: Storage, encoder: GPUCommandEncoder): void {
    const tensor = this.#tensorAt(slot);
    if (!tensor) {
      place.release();
      return;
    }
    encoder.copyBufferToBuffer(this.#buffer, slot * slotBytes, place.buffer, 0, place.bytes);
    residenceOf(tensor).settle(this.#device, place);
  }
}

export function ringOf(device: Device, resultsPerStep: number): ResultRing {
  return new ResultRing(device, resultsPerStep);
}
