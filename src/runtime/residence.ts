import { UnsupportedError } from '../core/errors.ts';
import { formatShape } from '../core/shape.ts';
import { byteSize } from '../core/types.ts';
import { type Ballast, giveBallast, takeBallast } from '../device/ballast.ts';
import type { Storage } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import type { Verdict } from '../device/status.ts';
import { computedLeaf, versionOp } from '../graph/leaf.ts';
import type { Source } from '../graph/source.ts';
import { stateOf } from '../graph/state.ts';
import type { OnDevice, Tensor } from '../graph/tensor.ts';
import { type Berth, berthFor, fillBerth } from './fill.ts';
import { noteSettled } from './openScopes.ts';

/** Frees GPU memory of tensors that nobody holds any more. */
const forgotten = new FinalizationRegistry<Storage>((storage) => storage.release());

/** Where the value of a tensor lies, and what the runtime knows of it. */
export class Residence implements OnDevice {
  readonly #tensor: Tensor;
  /** Brings the bytes from the staging buffer of the step that made them; null once that has moved on. */
  staged: (() => Promise<ArrayBuffer | null>) | null = null;
  /** The verdict of the submit that made the value, where its kernels may have met bad data. */
  verdict: Verdict | null = null;
  /** True for a tensor that a compiled function has captured, or a scope has returned: no scope frees it. */
  kept = false;
  #device: Device | null = null;
  #storage: Storage | null = null;
  /** Stands for the memory on the device in the eyes of the garbage collector. */
  #ballast: Ballast | null = null;

  constructor(tensor: Tensor) {
    this.#tensor = tensor;
  }

  get isThere(): boolean {
    return this.device !== null;
  }

  /** The device that the value lies on, once it does. What was on a lost one lies nowhere, if it can be had again. */
  get device(): Device | null {
    if (this.#device?.isLost && !this.#isFinal) this.release();
    return this.#device;
  }

  /** True for a value that nothing can bring back: no source has it, no graph computes it. */
  get #isFinal(): boolean {
    return this.#tensor.source === null && this.#tensor.node.op.lowering.kind === 'leaf';
  }

  /** Where the value lies on `device`; brings it there from its source. */
  storageOn(device: Device): Storage {
    if (this.#storage && this.device === device) return this.#storage;
    const { source, shape, node } = this.#tensor;
    if (this.device)
      throw new UnsupportedError(
        this.device.isLost
          ? `[device] this ${formatShape(shape)} tensor lay on a device that was lost; make it anew`
          : '[device] a tensor of another device is used; read its values and make a tensor of them on this one',
      );
    if (!source) {
      this.#tensor.expectHeld();
      throw new UnsupportedError(`[tensor] ${node.op.name} ${formatShape(shape)} is used before it is computed`);
    }
    return this.upload(device, this.berthOn(device));
  }

  /** Memory for the value. */
  allocateOn({ buffers }: Device): Storage {
    return buffers.allocate(byteSize(this.#tensor), this.#label);
  }

  /** Memory for the value of a source. */
  berthOn(device: Device): Berth {
    return berthFor(device, this.#tensor.source as Source, byteSize(this.#tensor), this.#label);
  }

  /** Brings the value from its source to the memory on `device` that is now its own. */
  upload(device: Device, berth: Berth): Storage {
    const tensor = this.#tensor;
    fillBerth(device, berth, tensor.source as Source);
    this.settle(device, berth.storage);
    // Steps write new versions of a state over the old one; the source would be stale then.
    if (stateOf(tensor)) tensor.source = null;
    return berth.storage;
  }

  /** What the memory is called in messages. */
  get #label(): string {
    return `weft ${this.#tensor.node.op.name} ${formatShape(this.#tensor.shape)}`;
  }

  /** Takes over the memory that now holds the value. */
  settle(device: Device, storage: Storage): void {
    const tensor = this.#tensor;
    forgotten.unregister(tensor);
    forgotten.register(tensor, storage, tensor);
    this.#device = device;
    this.#storage = storage;
    if (!stateOf(tensor)) this.#ballast ??= takeBallast(storage.bytes);
    noteSettled(tensor);
    // Makes a value that no gradient goes through a leaf: otherwise the values of a loop would keep the graph of all of
    // it.
    const { op, differentiable } = tensor.node;
    const final = stateOf(tensor) !== undefined || op === versionOp || !differentiable;
    if (final && op.lowering.kind !== 'leaf') tensor.node = computedLeaf(tensor).node;
  }

  /** Frees the memory of a value that can be had again, from its source or from the graph; disposes of any other. */
  forget(): void {
    if (this.#isFinal) dispose(this.#tensor);
    else this.release();
  }

  /** Frees the memory. */
  release(): void {
    forgotten.unregister(this.#tensor);
    if (this.#storage) giveBallast(this.#storage.bytes);
    this.#storage?.release();
    this.#storage = null;
    this.#device = null;
    this.#ballast = null;
  }

  /** Puts other memory with the same value in place of the tensor's; the old memory is the caller's. */
  exchangeStorage(storage: Storage): Storage {
    const tensor = this.#tensor;
    const old = this.#storage as Storage;
    forgotten.unregister(tensor);
    forgotten.register(tensor, storage, tensor);
    this.#storage = storage;
    tensor.source = null;
    tensor.observed = false;
    return old;
  }
}

/** The residence of a tensor; null where the runtime has had nothing to do with it. */
export const knownResidence = (tensor: Tensor): Residence | null => tensor.onDevice as Residence | null;

/** What the kernels that made the value had to say, where they may have met bad data. */
export const verdictOf = (tensor: Tensor): Verdict | null => knownResidence(tensor)?.verdict ?? null;

export function residenceOf(tensor: Tensor): Residence {
  tensor.onDevice ??= new Residence(tensor);
  return tensor.onDevice as Residence;
}

/** True for a value that has a source, and is on no device yet. */
export const isAbroad = (tensor: Tensor): boolean => tensor.source !== null && !(tensor.onDevice?.isThere ?? false);

/** Frees the memory at once, for good. */
export function dispose(tensor: Tensor): void {
  knownResidence(tensor)?.release();
  tensor.source = null;
  tensor.disposed = true;
}
