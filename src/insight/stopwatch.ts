import { median } from '../core/median.ts';
import { answered } from '../device/answered.ts';
import { deno } from '../device/deno.ts';
import type { Device } from '../device/device.ts';
import { readTimestamps } from './timestamps.ts';

/** The work that is timed: dispatches of one pass. */
export type Work = (pass: GPUComputePassEncoder) => void;

/** Times a pass on a device. */
export interface Stopwatch {
  readonly method: 'timestamps' | 'wall clock';
  /** Passes that take less than this, in milliseconds, are timed poorly. */
  readonly shortest: number;
  /** Milliseconds that the device takes for a pass. */
  time(work: Work): Promise<number>;
}

/** True for a timestamp in nanoseconds of a clock that tells little about a kernel: some browsers round to 65,536 or 100,000. */
export const isCoarse = (timestamp: bigint): boolean => timestamp % 65_536n === 0n || timestamp % 100_000n === 0n;
/** The most runs of one work in a pass. */
const mostRepeats = 2 ** 14;

const onDevice = new WeakMap<Device, Promise<Stopwatch>>();

/** The device's clock where it has one that runs, else the host's. */
export function stopwatchOf(device: Device): Promise<Stopwatch> {
  const known = onDevice.get(device) ?? open(device);
  onDevice.set(device, known);
  known.catch(() => onDevice.delete(device));
  return known;
}

async function open(device: Device): Promise<Stopwatch> {
  if (!device.gpu.features.has('timestamp-query')) return byWallClock(device.gpu);
  const stamps = timestamps(device);
  const module = device.gpu.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
  const pipeline = device.gpu.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const [begin, end] = await stamps((pass) => {
    pass.setPipeline(pipeline);
    pass.dispatchWorkgroups(1);
  });
  if (begin === 0n || end < begin) return byWallClock(device.gpu);
  return {
    method: 'timestamps',
    shortest: isCoarse(begin) && isCoarse(end) ? 5 : 1,
    async time(work) {
      const [from, to] = await stamps(work);
      return Math.max(0, Number(to - from) / 1e6);
    },
  };
}

/** Runs a pass and gives the nanoseconds at which it began and ended. */
function timestamps(device: Device): (work: Work) => Promise<readonly [begin: bigint, end: bigint]> {
  const { gpu } = device;
  const querySet = gpu.createQuerySet({ label: 'weft stopwatch', type: 'timestamp', count: 2 });
  return async (work) => {
    const encoder = gpu.createCommandEncoder({ label: 'weft stopwatch' });
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass({ label: 'weft stopwatch', timestampWrites });
    work(pass);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    const [begin, end] = await readTimestamps(device, querySet, 2);
    return [begin as bigint, end as bigint];
  };
}

/** Times by the host's clock: from the submit until the queue is empty, less the time of an empty pass. */
async function byWallClock(gpu: GPUDevice): Promise<Stopwatch> {
  const run = async (work: Work) => {
    const encoder = gpu.createCommandEncoder({ label: 'weft stopwatch' });
    const pass = encoder.beginComputePass({ label: 'weft stopwatch' });
    work(pass);
    pass.end();
    const start = performance.now();
    gpu.queue.submit([encoder.finish()]);
    const done = gpu.queue.onSubmittedWorkDone();
    const returned = performance.now();
    await answered(gpu.queue, done);
    return (deno ? returned : performance.now()) - start;
  };
  const empty: number[] = [];
  for (let i = 0; i < 5; i++) empty.push(await run(() => {}));
  const overhead = median(empty);
  return {
    method: 'wall clock',
    shortest: 25,
    time: async (work) => Math.max(0, (await run(work)) - overhead),
  };
}

/**
 * Returns a function that gives the milliseconds of one run of `work`, which it repeats as often as it takes to be timed
 * well.
 */
export async function sampler({ time, shortest }: Stopwatch, work: Work): Promise<() => Promise<number>> {
  let count = 1;
  const run = () =>
    time((pass) => {
      for (let i = 0; i < count; i++) work(pass);
    });
  // Runs once before, since some stacks compile at the first run.
  await run();
  return async () => {
    for (;;) {
      const ms = await run();
      if (ms >= shortest || count >= mostRepeats) return ms / count;
      // No more than eight times as many at once: a short time is measured poorly, and a long pass trips watchdogs.
      const factor = Math.min(8, (1.25 * shortest) / Math.max(ms, 1e-6));
      count = Math.min(mostRepeats, Math.ceil(count * Math.max(1.25, factor)));
    }
  };
}
