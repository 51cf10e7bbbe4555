import { UnsupportedError, WeftError } from '../core/errors.ts';
import { anything, declareOptions, type Kind, object, oneOf } from '../core/options.ts';
import { pause } from '../core/pause.ts';
import { currentDevice, hasDevice, useDevice } from '../device/current.ts';
import { Device, type Opening } from '../device/device.ts';
import { checkChoices } from '../kernels/choices.ts';
import type { Choices, SelectionProfile } from '../kernels/kernel.ts';
import { leastLoopLimit, loopLimitOf } from '../kernels/loopLimit.ts';
import type { ChoiceStore } from './choiceStore.ts';

/** Which device `init` opens, and how its kernels are chosen. */
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
  /** Where tuned choices are kept; by default localStorage in a page and a file in Deno and Node. */
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
  // `checkChoices` checks these, which knows the names of the variants.
  choices: anything,
  store: object,
  limits: oneOf('default', 'adapter'),
  loopLimit: turns,
});

const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxStorageBuffersPerShaderStage',
] as const;

/**
 * How many calls of `init` there were, and which of them made the default device: of two at once, the later call counts.
 */
let calls = 0;
let latest = 0;

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
  if (call > latest) {
    useDevice(device);
    latest = call;
  }
  return device;
}

async function wrap(gpu: GPUDevice, options: InitOptions): Promise<Device> {
  const adapter = describe(gpu.adapterInfo);
  const software = gpu.adapterInfo?.isFallbackAdapter || isSoftware(adapter);
  const chosen = await selectionOf(adapter, software, options);
  const loopLimit = loopLimitOf(adapter, software, options.loopLimit);
  return new Device(gpu, { adapter, ...chosen, loopLimit, ...ways(options) });
}

async function open(options: InitOptions): Promise<Device> {
  const api = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!api) throw new UnsupportedError(`[init] ${await advice('WebGPU')}`);
  const adapter = await api.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
  if (!adapter) throw new UnsupportedError(`[init] ${await advice('adapter')}`);
  const requiredLimits: Record<string, number> = {};
  if (options.limits !== 'default') for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
  const features = (['shader-f16', 'subgroups', 'timestamp-query'] as GPUFeatureName[]).filter((feature) =>
    adapter.features.has(feature),
  );
  const description = describe(adapter.info);
  const software = adapter.info.isFallbackAdapter || isSoftware(description);
  // Reads the store before the device is opened, since it may fail.
  const chosen = await selectionOf(description, software, options);
  const gpu = await adapter.requestDevice({
    label: 'weft',
    requiredLimits,
    requiredFeatures: options.limits === 'default' ? [] : features,
  });
  const loopLimit = loopLimitOf(description, software, options.loopLimit);
  const device = new Device(gpu, { adapter: description, ...chosen, loopLimit, ...ways(options) });
  device.source = api;
  return device;
}

/** What to do where this is missing. Like the store of choices, a page loads it when it needs it. */
async function advice(missing: 'WebGPU' | 'adapter'): Promise<string> {
  const { adviceFor, surroundings } = await import('../device/advice.ts');
  return adviceFor(missing, surroundings(globalThis));
}

async function selectionOf(
  adapter: string,
  software: boolean,
  { profile: selection = software ? 'software' : 'gpu', choices = {}, store }: InitOptions,
): Promise<{ selection: SelectionProfile; choices: Choices }> {
  if (choices !== 'tuned') return { selection, choices };
  const { storedChoices } = await import('./choiceStore.ts');
  return { selection, choices: (await storedChoices({ adapter, profile: { selection } }, store)) ?? {} };
}

/** The functions that a device needs and only this file can provide. */
const ways = (options: InitOptions): Pick<Opening, 'checked' | 'another'> => ({
  checked: checkChoices,
  another: (lost) => another(lost, options),
});

/** Milliseconds to wait for another device. */
const longestWait = 30_000;

/** Opens another device like the lost one. That may take a while: a browser may be starting its GPU process again. */
async function another(lost: Device, options: InitOptions): Promise<Device> {
  // Takes the device that the caller may have opened meanwhile.
  if (hasDevice() && !currentDevice().isLost) return currentDevice();
  if (options.device)
    throw new UnsupportedError(
      '[recovered] weft can open no device like one that was given to it: call `await init({ device })` with a new one first',
    );
  const profile = lost.profile.selection;
  const start = performance.now();
  for (;;) {
    try {
      return await init({ ...options, profile, choices: lost.choices });
    } catch (error) {
      const mayPass = error instanceof UnsupportedError || !(error instanceof WeftError);
      const waited = performance.now() - start;
      if (!mayPass || waited > longestWait) throw error;
      await pause(Math.max(100, waited / 2));
    }
  }
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
