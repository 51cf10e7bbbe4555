import { DeviceLostError, OutOfMemoryError, UnsupportedError, WeftError } from '../errors.ts';
import { checkChoices } from '../kernels/families.ts';
import { type Choices, type DeviceProfile, defaultProfile, type SelectionProfile } from '../kernels/kernel.ts';
import { leastLoopLimit, loopLimitOf } from '../kernels/loops.ts';
import { anything, declareOptions, type Kind, object, oneOf } from '../options.ts';
import { adviceFor, surroundings } from './advice.ts';
import { BufferPool } from './buffers.ts';
import { type ChoiceStore, storedChoices } from './choiceStore.ts';
import { PipelineCache } from './pipelines.ts';
import { Readback } from './readback.ts';
import type { Recorder } from './recorder.ts';
import { Status } from './status.ts';

export interface InitOptions {
  /**
   * Where adapters come from; by default `navigator.gpu`. For runtimes that have none: `create([])` of Node's package
   * `webgpu`, which weft then keeps for as long as the device, since its devices crash without it.
   */
  gpu?: GPU;
  /** A GPUDevice of your own; weft then asks for no adapter. */
  device?: GPUDevice;
  /** Default `high-performance`. */
  powerPreference?: GPUPowerPreference;
  /** Pins the kernel selection; by default it follows the adapter. */
  profile?: SelectionProfile;
  /**
   * Pins kernel variants by family, or by family and class of shapes; see `Device.choose`. `tuned`: what `tune` has stored
   * for this adapter and this version of weft, if it has.
   */
  choices?: Choices | 'tuned';
  /** Where tuned choices are kept; by default localStorage in a page and a file in Deno. */
  store?: ChoiceStore;
  /** `default` keeps to the limits that every WebGPU device has; by default weft asks for what the adapter offers. */
  limits?: 'default' | 'adapter';
  /**
   * Turns that a kernel's loops may take in one invocation, 1,024 or more: longer work is split into several dispatches. By
   * default what the adapter's driver allows: Mesa's software driver ends loops after 65,535, others never do.
   */
  loopLimit?: number;
}

/** An object with the methods of a WebGPU interface, whoever has made it. */
const having = (wanted: string, method: string): Kind<object> => ({
  wanted,
  accepts: (value): value is object => typeof (value as Record<string, unknown> | null)?.[method] === 'function',
});

const turns: Kind<number> = {
  wanted: `a whole number of turns, ${leastLoopLimit} or more; leave it out for what the adapter allows`,
  accepts: (value): value is number => Number.isInteger(value) && (value as number) >= leastLoopLimit,
};

const initOptions = declareOptions<InitOptions>({
  gpu: having('a GPU, such as navigator.gpu', 'requestAdapter'),
  device: having('a GPUDevice', 'createComputePipeline'),
  powerPreference: oneOf('high-performance', 'low-power'),
  profile: oneOf('gpu', 'software'),
  // Checked with the names of the variants.
  choices: anything,
  store: object,
  limits: oneOf('default', 'adapter'),
  loopLimit: turns,
});

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
  pipelines: number;
}

/**
 * Milliseconds in which the news of a loss follows the first error that it causes: on a busy machine, hundreds after a read
 * that was broken off, which has hardly another reason.
 */
const newsOfLoss = (error: unknown) =>
  /^(Abort|Operation)Error$/.test((error as Error | null)?.name ?? '') ? 1000 : 50;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxStorageBuffersPerShaderStage',
] as const;

/** What was found out of an adapter, and chosen for it. */
interface Found {
  readonly adapter: string;
  readonly selection: SelectionProfile;
  readonly choices: Choices;
  readonly loopLimit: number;
}

/** What can be put back where it was, on another device. */
export interface Recoverable {
  /** Puts it back; gives the step that it was at. */
  restore(): number;
}

/** A GPU device and what weft keeps with it: pipelines, buffers, the first error. */
export class Device {
  readonly gpu: GPUDevice;
  /** Where the device is from; null for a device of the caller's. Kept, not used: see `InitOptions.gpu`. */
  source: GPU | null = null;
  #profile: DeviceProfile;
  /** Vendor, architecture and description of the adapter, as far as the browser tells. */
  readonly adapter: string;
  /** Times every dispatch while a function is profiled. */
  recorder: Recorder | null = null;
  readonly buffers: BufferPool;
  readonly pipelines: PipelineCache;
  readonly readback: Readback;
  /** Set by kernels that meet bad data. */
  readonly status: Status;
  /** What it was opened with: another one like it can be. */
  readonly #options: InitOptions;
  /** What is put back where it was when the device is lost, as long as somebody else holds it. */
  #recoverable: WeakRef<Recoverable>[] = [];
  #recovered: Promise<number> | null = null;
  #error: Error | null = null;
  #lost: DeviceLostError | null = null;
  /** Rejects when the device is lost; awaits race with it. */
  readonly lost: Promise<never>;

  constructor(gpu: GPUDevice, options: InitOptions, { adapter, selection, choices, loopLimit }: Found) {
    this.gpu = gpu;
    this.#options = options;
    this.adapter = adapter;
    const { limits } = gpu;
    this.#profile = {
      selection,
      choices: { ...checkChoices(choices) },
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
      this.#error ??= uncaptured(event.error);
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
    this.#profile = { ...this.#profile, choices: { ...checkChoices(choices) } };
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
    await this.orLost(Promise.race([this.gpu.queue.onSubmittedWorkDone(), this.lost]));
    this.check();
  }

  /**
   * The same promise, but that it rejects with the loss of the device where that is behind its error: what a runtime says of
   * work on a lost device is one of many things, and the news of the loss may come a moment after it.
   */
  async orLost<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      // What weft itself throws has another reason. Nothing may wait for `lost` here: it would keep what the error holds.
      const patience = error instanceof WeftError ? 0 : newsOfLoss(error);
      const end = performance.now() + patience;
      // By the clock: in a page that is hidden, each pause takes a second.
      while (!this.#lost && performance.now() < end) await pause(5);
      throw this.#lost ?? error;
    }
  }

  get isLost(): boolean {
    return this.#lost !== null;
  }

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

  /** Has `recovered` put back what this is of. @internal */
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
    const device = await this.#another();
    for (const each of kept) device.keep(each);
    return Math.min(...kept.map((each) => each.restore()));
  }

  /** Another device like this one, which may take a while to be had: a browser may be starting its GPU process again. */
  async #another(): Promise<Device> {
    // The caller may have opened one meanwhile.
    if (defaultDevice && !defaultDevice.isLost) return defaultDevice;
    if (this.#options.device)
      throw new UnsupportedError(
        '[recovered] weft can open no device like one that was given to it: call `await init({ device })` with a new one first',
      );
    const profile = this.#profile.selection;
    const start = performance.now();
    for (;;) {
      try {
        return await init({ ...this.#options, profile, choices: this.choices });
      } catch (error) {
        const mayPass = error instanceof UnsupportedError || !(error instanceof WeftError);
        const waited = performance.now() - start;
        if (!mayPass || waited > longestWait) throw error;
        await pause(Math.max(100, waited / 2));
      }
    }
  }

  /** Gives the device back. What was not read is lost. */
  destroy(): void {
    // The news takes a while.
    this.#lost ??= lossOf('destroyed', 'destroy() was called');
    this.gpu.destroy();
    // A process of Node's ends when nothing holds it.
    this.source = null;
  }
}

/** Milliseconds in which another device should be had. */
const longestWait = 30_000;

const lossOf = (reason: string, message: string) =>
  new DeviceLostError(
    `[device] the GPU device was lost (${reason}): ${message || 'no reason given'}; call init() again and load your last checkpoint, or see \`recover\``,
  );

function uncaptured(error: GPUError): Error {
  // By name: not every runtime has the class as a global.
  if (error.constructor.name === 'GPUOutOfMemoryError')
    return new OutOfMemoryError(`[device] out of GPU memory: ${error.message}`);
  return new WeftError(`[device] ${error.message}`);
}

let defaultDevice: Device | null = null;
/** Calls of `init`, and the one that the default device is from: of two at once, the later call counts. */
let calls = 0;
let latest = 0;

/** Whether there has been an `init()`. */
export const hasDevice = (): boolean => defaultDevice !== null;

/** The device of the last `init()`. */
export function currentDevice(): Device {
  if (!defaultDevice) throw new UnsupportedError('[device] there is no device yet: call `await init()` first');
  return defaultDevice;
}

/**
 * Finds an adapter, opens a device and makes it the default for tensors that follow.
 * Throws UnsupportedError where there is no WebGPU, saying what to do in this browser or runtime, or no such kernel as was
 * chosen; ValueError for options that there are not; FormatError where tuned choices are asked for and the store holds something else.
 */
export async function init(given: InitOptions = {}): Promise<Device> {
  const call = ++calls;
  const options = initOptions('init', given);
  if (options.choices !== undefined && options.choices !== 'tuned') checkChoices(options.choices);
  const device = options.device ? await wrap(options.device, options) : await open(options);
  if (call > latest) [defaultDevice, latest] = [device, call];
  return device;
}

async function wrap(gpu: GPUDevice, options: InitOptions): Promise<Device> {
  const adapter = describe(gpu.adapterInfo);
  const software = gpu.adapterInfo?.isFallbackAdapter || isSoftware(adapter);
  const chosen = await selectionOf(adapter, software, options);
  return new Device(gpu, options, { adapter, ...chosen, loopLimit: loopLimitOf(adapter, software, options.loopLimit) });
}

async function open(options: InitOptions): Promise<Device> {
  const api = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!api) throw new UnsupportedError(`[init] ${adviceFor('WebGPU', surroundings(globalThis))}`);
  const adapter = await api.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
  if (!adapter) throw new UnsupportedError(`[init] ${adviceFor('adapter', surroundings(globalThis))}`);
  const requiredLimits: Record<string, number> = {};
  if (options.limits !== 'default') for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
  const features = (['shader-f16', 'subgroups', 'timestamp-query'] as GPUFeatureName[]).filter((feature) =>
    adapter.features.has(feature),
  );
  const description = describe(adapter.info);
  const software = adapter.info.isFallbackAdapter || isSoftware(description);
  // Before the device is opened: a store may fail.
  const chosen = await selectionOf(description, software, options);
  const gpu = await adapter.requestDevice({
    label: 'weft',
    requiredLimits,
    requiredFeatures: options.limits === 'default' ? [] : features,
  });
  const loopLimit = loopLimitOf(description, software, options.loopLimit);
  const device = new Device(gpu, options, { adapter: description, ...chosen, loopLimit });
  device.source = api;
  return device;
}

async function selectionOf(
  adapter: string,
  software: boolean,
  { profile: selection = software ? 'software' : 'gpu', choices = {}, store }: InitOptions,
): Promise<{ selection: SelectionProfile; choices: Choices }> {
  if (choices !== 'tuned') return { selection, choices };
  return { selection, choices: (await storedChoices({ adapter, profile: { selection } }, store)) ?? {} };
}

function describe(info: GPUAdapterInfo | undefined): string {
  if (!info) return 'unknown adapter';
  // Some drivers give bare numbers for vendor and device; they tell a reader nothing.
  const parts = [info.vendor, info.architecture, info.device, info.description].filter(
    (part) => part && !/^\d+$/.test(part),
  );
  return [...new Set(parts)].join(' ') || 'unknown adapter';
}

function isSoftware(description: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(description);
}
