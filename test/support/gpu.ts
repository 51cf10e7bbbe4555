import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { Generator } from '../../src/core/random.ts';
import { useDevice } from '../../src/device/current.ts';
import { type Device, type HostArray, init, readAll, type Tensor } from '../../src/index.ts';
import { profile, runtime, seed } from './environment.ts';

/**
 * What every test that runs on the GPU stands on: one device at default limits for all files of a run, memory that is
 * poisoned before each test, inputs drawn from the run's seed, and a failure for each WebGPU error, for each mapping that
 * the test did not announce, and for tensors that stay on the device when nobody holds them any more.
 *
 * A test file calls `useGpu()` at its top level and reads results with `read()`.
 */
export function useGpu(): void {
  let tensorsBefore: number;
  let failed = false;

  beforeAll(async () => {
    device = await sharedDevice();
    // What other files hold stays: no need to wait for it to go.
    tensorsBefore = await tensorsHeld(0, 3);
  });

  beforeEach(({ task }) => {
    // Each test draws the same inputs whether it runs alone or among others.
    generator.manualSeed(BigInt(hash(`${seed} ${task.name}`)));
    mappings = 0;
    announced = 0;
    device.buffers.poison();
  });

  afterEach(async ({ task }) => {
    failed ||= task.result?.state === 'fail';
    await device.gpu.queue.onSubmittedWorkDone();
    device.check();
    expect(mappings, 'mapAsync was called other than by a read that the test announced').toBeLessThanOrEqual(announced);
  });

  afterAll(async () => {
    // The report of a failed test holds what the test held, and in Firefox nobody can call for the garbage collector.
    if (failed || runtime === 'firefox') return;
    const tensors = await tensorsHeld(tensorsBefore, 200);
    expect(tensors, 'tensors that nobody holds are still on the device').toBeLessThanOrEqual(tensorsBefore);
  });
}

/** The device that the tests share. */
export let device: Device;

/** Where the tests draw their inputs; starts anew with each test. */
export const generator = new Generator();

/** The values of tensors, with one submit and one mapping for all of them. */
export async function read(...tensors: readonly Tensor[]): Promise<HostArray[]> {
  announceReads(1);
  try {
    return await readAll(tensors);
  } catch (error) {
    // A read that fails may ask once more, for the fate of the submits before it.
    announceReads(1);
    throw error;
  }
}

/** Tells that the test is about to read values `count` times other than by `read()`. */
export function announceReads(count: number): void {
  announced += count;
}

let mappings = 0;
let announced = 0;
const mapAsync = GPUBuffer.prototype.mapAsync;
GPUBuffer.prototype.mapAsync = function (...range) {
  mappings++;
  return mapAsync.apply(this, range);
};

/** Slabs that exist from the start can be poisoned before the first plan runs in them. */
const slabs = Array.from({ length: 8 }, () => 2 ** 18);

async function sharedDevice(): Promise<Device> {
  // A test may have made another device the default one, or lost this one. Another would compile all pipelines again.
  if (device && !device.isLost) {
    useDevice(device);
    return device;
  }
  const opened = await init({ profile, limits: 'default' });
  opened.buffers.arena.join(slabs);
  opened.buffers.arena.reserve(slabs);
  return opened;
}

/** Lets the garbage collector take what other tests have left: a plan that goes may submit a copy of a result that is held. */
export async function collectGarbage(): Promise<void> {
  await tensorsHeld(0, 3);
}

/**
 * Tensors on the device, once the garbage collector has taken what it can: collects until there are at most `expected`, or
 * `turns` times.
 */
export async function tensorsHeld(expected: number, turns: number): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  // Finalizers run in turns of the event loop that follow the collection, on a busy machine some of them late.
  for (let turn = 0; turn < turns; turn++) {
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (device.memory().tensors <= expected) break;
  }
  return device.memory().tensors;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let bits = 0x811c9dc5;
  for (const character of text) bits = Math.imul(bits ^ (character.codePointAt(0) as number), 0x01000193);
  return bits >>> 0;
}
