import { dtypes, type HostArray } from '../core/dtype.ts';
import { sizeOf } from '../core/shape.ts';
import { byteSize } from '../core/types.ts';
import type { BufferRange } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { residenceOf } from './residence.ts';

/** The source that fills an input at each step. */
interface Slot {
  readonly range: BufferRange;
  readonly view: HostArray;
}

/**
 * The inputs of a plan at each step: arguments, dynamic numbers, the key of the generator. They share one buffer, which
 * one call fills.
 */
export class Inputs {
  readonly #device: Device;
  readonly #buffer: GPUBuffer;
  readonly #bytes: ArrayBuffer;
  readonly #slots: ReadonlyMap<Tensor, Slot>;
  readonly #arguments: readonly Slot[];
  readonly #numbers: readonly { readonly slot: Slot; readonly values: () => ArrayLike<number> }[];

  /** `numbers` are evaluated at each step, `placeholders` get the tensors that the step is called with. */
  constructor(
    device: Device,
    placeholders: readonly Tensor[],
    numbers: readonly { readonly leaf: Tensor; readonly values: () => ArrayLike<number> }[],
  ) {
    this.#device = device;
    const leaves = [...placeholders, ...numbers.map(({ leaf }) => leaf)];
    const offsets: number[] = [];
    let size = 0;
    for (const leaf of leaves) {
      offsets.push(size);
      size += Math.ceil(byteSize(leaf) / 256) * 256;
    }
    this.#buffer = device.buffers.create(Math.max(256, size), 'weft inputs');
    this.#bytes = new ArrayBuffer(size);
    const slots = leaves.map(({ dtype, shape }, i): Slot => {
      const offset = offsets[i] as number;
      const view = new dtypes[dtype].array(this.#bytes, offset, sizeOf(shape)) as HostArray;
      return { range: { buffer: this.#buffer, offset }, view };
    });
    this.#slots = new Map(leaves.map((leaf, i) => [leaf, slots[i] as Slot]));
    this.#arguments = slots.slice(0, placeholders.length);
    this.#numbers = numbers.map(({ values }, i) => ({ slot: slots[placeholders.length + i] as Slot, values }));
  }

  /** Where an input lies; undefined for other leaves. */
  range(leaf: Tensor): BufferRange | undefined {
    return this.#slots.get(leaf)?.range;
  }

  /** Brings the values of a step to the device; those that lie there already are copied in the step's own submit. */
  write(tensors: readonly Tensor[], encoder: GPUCommandEncoder): void {
    for (const { slot, values } of this.#numbers) slot.view.set(values());
    for (let i = 0; i < tensors.length; i++) {
      const { version } = tensors[i] as Tensor;
      const { view, range } = this.#arguments[i] as Slot;
      const { host } = version;
      if (host) view.set(host);
      else {
        const source = residenceOf(version).storageOn(this.#device);
        encoder.copyBufferToBuffer(source.buffer, source.offset, range.buffer, range.offset, view.byteLength);
      }
    }
    if (this.#bytes.byteLength > 0) this.#device.gpu.queue.writeBuffer(this.#buffer, 0, this.#bytes);
  }

  destroy(): void {
    this.#device.buffers.destroy(this.#buffer);
  }
}
