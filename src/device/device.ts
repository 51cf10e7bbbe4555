import { DeviceLostError, OutOfMemoryError, WeftError } from '../core/errors.ts';
import { pause } from '../core/pause.ts';
import { type Choices, type DeviceProfile, defaultProfile, type SelectionProfile } from '../kernels/kernel.ts';
import { answered } from './answered.ts';
import { BufferPool } from './buffers.ts';
import { PipelineCache } from './pipelines.ts';
import { Readback } from './readback.ts';
import type { Recorder } from './recorder.ts';
import { Status } from './status.ts';

/** Bytes and objects that a device holds. */
export interface MemoryReport {
  /** Bytes of buffers in use: tensors, states, plans. */
  liveBytes: number;
  /** Bytes of buffers kept for reuse. */
  pooledBytes: number;
  /** Live GPU buffers. */
  buffers: number;
  /** Tensors whose values lie on the device. */
  tensors: number;
  /** Compiled pipelines. */
  pipelines: number;
}

/**
 * Milliseconds that the news of a loss may take after the first error that the loss causes. On a busy machine it takes
 * hundreds after a read that was broken off, and such a read has hardly another reason; nor has an error that a runtime
 * reports of a call of weft's, as Firefox does between a loss and its news.
 */
function newsOfLoss(error: unknown, isReported: boolean): number {
  if (isReported) return 1000;
  // Errors of weft itself have another reason than the loss.
  if (error instanceof WeftError) return 0;
  return /^(Abort|Operation)Error$/.test((error as Error | null)?.name ?? '') ? 1000 : 50;
}

/** What is known of a device when it is opened. */
export interface Opening {
  /** Vendor, architecture and description of the adapter, as far as the browser tells. */
  readonly adapter: string;
  /** What the rules of kernel families prefer there. */
  readonly selection: SelectionProfile;
  /** Kernel variants that are pinned from the start. */
  readonly choices: Choices;
  /** Turns of its loops that an invocation can take; see `DeviceProfile`. */
  readonly loopLimit: number;
  /** Returns the choices; throws where a family of kernels or a variant does not exist. */
  checked(choices: Choices): Choices;
  /** Opens another device like a lost one and makes it the default; rejects where none can be had. */
  another(lost: Device): Promise<Device>;
}

/** Something that can be restored on another device. */
export interface Recoverable {
  /** Restores it, and returns the step that it was at. */
  restore(): number;
}

/** A GPU device and what weft keeps with it: pipelines, buffers, the first error. */
export class Device {
  /** The WebGPU device underneath. */
  readonly gpu: GPUDevice;
  /**
   * Keeps the object that the device is from, which is not used otherwise: see `InitOptions.gpu`. Null for a device of the
   * caller's.
   */
  source: GPU | null = null;
  #profile: DeviceProfile;
  /** Vendor, architecture and description of the adapter, as far as the browser tells. */
  readonly adapter: string;
  /** Times every dispatch while a function is profiled. */
  recorder: Recorder | null = null;
  /** Every buffer of weft on the device, live or kept for reuse. */
  readonly buffers: BufferPool;
  /** Compiled pipelines, by their shader text. */
  readonly pipelines: PipelineCache;
  /** What reads results back to the host. */
  readonly readback: Readback;
  /** Set by kernels that meet bad data. */
  readonly status: Status;
  readonly #opening: Opening;
  /** What is restored after a loss, as long as somebody else holds it. */
  #recoverable: WeakRef<Recoverable>[] = [];
  #recovered: Promise<number> | null = null;
  #error: Error | null = null;
  /** Errors of the runtime that nobody caught, but for those of its memory. */
  readonly #reported = new WeakSet<Error>();
  #lost: DeviceLostError | null = null;
  /** Rejects when the device is lost; awaits race with it. */
  readonly lost: Promise<never>;

  constructor(gpu: GPUDevice, opening: Opening) {
    const { adapter, selection, choices, loopLimit } = opening;
    this.gpu = gpu;
    this.#opening = opening;
    this.adapter = adapter;
    const { limits } = gpu;
    this.#profile = {
      selection,
      choices: { ...choices },
      storageBuffers: Math.max(defaultProfile.storageBuffers, limits.maxStorageBuffersPerShaderStage),
      workgroupMemory: limits.maxComputeWorkgroupStorageSize,
      invocations: limits.maxComputeInvocationsPerWorkgroup,
      bindingBytes: limits.maxStorageBufferBindingSize,
      bufferBytes: limits.maxBufferSize,
      subgroups: gpu.features.has('subgroups'),
      loopLimit,
    };
    this.buffers = new BufferPool(gpu, (error) => {
      this.#error ??= error;
    });
    this.pipelines = new PipelineCache(this);
    this.readback = new Readback(this);
    this.status = new Status(this.buffers);
    gpu.addEventListener('uncapturederror', (event) => {
      const error = uncaptured(event.error);
      if (!(error instanceof OutOfMemoryError)) this.#reported.add(error);
      this.#error ??= error;
      event.preventDefault?.();
    });
    this.lost = gpu.lost.then(({ reason, message }) => {
      this.#lost ??= lossOf(reason, message);
      throw this.#lost;
    });
    this.lost.catch(() => {});
  }

  /** What kernel selection knows of the device. */
  get profile(): DeviceProfile {
    return this.#profile;
  }

  /**
   * Pins kernel variants from now on: names of variants by family (`{ matmul: 'tiled64' }`), or by family and class of
   * shapes. A variant that can't do a problem is passed over. Plans that were made under other choices are made anew at
   * their next use. Throws UnsupportedError where a family or a variant is not there, ValueError for anything but an object.
   */
  choose(choices: Choices): void {
    this.#profile = { ...this.#profile, choices: { ...this.#opening.checked(choices) } };
  }

  /** The kernel variants that are pinned: with them and a seed, a run can be repeated on this device. */
  get choices(): Choices {
    return this.#profile.choices ?? {};
  }

  /** Throws the first error since the last call, or the loss of the device. */
  check(): void {
    if (this.#lost) throw this.#lost;
    const error = this.#error;
    this.#error = null;
    if (error) throw error;
  }

  /** Waits until all that was submitted has run, then checks: the news of an error comes a moment after what failed. */
  async settled(): Promise<void> {
    const { queue } = this.gpu;
    await this.guarded(Promise.race([answered(queue, queue.onSubmittedWorkDone()), this.lost]));
  }

  /** As `check`, but that an error which the loss may be behind waits for the news of it. */
  checked(): Promise<void> {
    return this.guarded(Promise.resolve());
  }

  /** Waits for work of the runtime, a mapping say, then reports errors that came up. */
  guarded<T>(work: Promise<T>): Promise<T> {
    return this.orLost(this.#checked(work));
  }

  async #checked<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      // Throws in place of an error of the work, of which it knows more.
      this.check();
    }
  }

  /**
   * Waits for `work`, and rejects with the loss of the device where that is behind its error: what a runtime says of work
   * on a lost device varies, and the news of the loss may come a moment later.
   */
  async orLost<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      // Nothing may wait for `lost` here: it would keep what the error holds.
      const patience = newsOfLoss(error, this.#reported.has(error as Error));
      const end = performance.now() + patience;
      // Counts by the clock: in a hidden page each pause takes a second.
      while (!this.#lost && performance.now() < end) await pause(5);
      throw this.#lost ?? error;
    }
  }

  /** True once the device is lost: nothing runs on it any more. */
  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** Bytes and objects that the device holds now. */
  memory(): MemoryReport {
    return { ...this.buffers.report(), pipelines: this.pipelines.size };
  }

  /**
   * After a loss: opens another device like this one and makes it the default, puts there what `recover` has kept, and gives
   * the step to go on from; where several things were kept, the least of their steps. Rejects with a WeftError where nothing
   * was kept or nothing was lost, with an UnsupportedError where no device can be had within half a minute.
   */
  recovered(): Promise<number> {
    this.#recovered ??= this.#recover().catch((error: unknown) => {
      this.#recovered = null;
      throw error;
    });
    return this.#recovered;
  }

  /** Registers something for `recovered` to restore. @internal */
  keep(recoverable: Recoverable): void {
    this.forgo(recoverable);
    this.#recoverable.push(new WeakRef(recoverable));
  }

  /** The opposite of `keep`. @internal */
  forgo(recoverable: Recoverable): void {
    this.#recoverable = this.#recoverable.filter((each) => ![undefined, recoverable].includes(each.deref()));
  }

  async #recover(): Promise<number> {
    const kept = this.#recoverable.flatMap((each) => each.deref() ?? []);
    if (!this.isLost) throw new WeftError('[recovered] the device is not lost; there is nothing to recover from');
    if (kept.length === 0)
      throw new WeftError(
        '[recovered] nothing was kept on the host: call `await recover({ model, optimizer })` before the first step, or load your last checkpoint',
      );
    const device = await this.#opening.another(this);
    for (const each of kept) device.keep(each);
    return Math.min(...kept.map((each) => each.restore()));
  }

  /** Gives the device back. What was not read is lost. */
  destroy(): void {
    // Does not wait for the news, which takes a while.
    this.#lost ??= lossOf('destroyed', 'destroy() was called');
    this.gpu.destroy();
    // Lets a process of Node end, which it does when nothing holds the source.
    this.source = null;
  }
}

const lossOf = (reason: string, message: string) =>
  new DeviceLostError(
    `[device] the GPU device was lost (${reason}): ${message || 'no reason given'}; call init() again and load your last checkpoint, or see \`recover\``,
  );

function uncaptured(error: GPUError): Error {
  // Compares the name, since not every runtime has the class as a global.
  if (error.constructor.name === 'GPUOutOfMemoryError')
    return new OutOfMemoryError(`[device] out of GPU memory: ${error.message}`);
  return new WeftError(`[device] ${error.message}`);
}
