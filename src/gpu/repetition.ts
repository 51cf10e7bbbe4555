import type { Device } from './device.ts';
import type { RecordedDispatch } from './recorder.ts';

/** A sample is at least this long, in milliseconds, or holds `mostRepeats` dispatches. */
const shortestSample = 25;
const mostRepeats = 2048;
const rounds = 3;

/**
 * Milliseconds of each dispatch, found by running it many times: the slope between n and 2n of them, so that submitting and
 * waiting cancel. What a dispatch writes is replaced by a copy, so that no state of the program changes. Dispatches of one
 * pipeline and grid are measured once.
 */
export async function timesByRepetition(device: Device, dispatches: readonly RecordedDispatch[]): Promise<number[]> {
  const known = new Map<string, Promise<number>>();
  const pipelines = [...new Set(dispatches.map(({ pipeline }) => pipeline))];
  const times: number[] = [];
  for (const each of dispatches) {
    const sizes = each.bindings.map(({ size }) => size);
    const key = [pipelines.indexOf(each.pipeline), ...each.workgroups, ...sizes].join();
    const time = known.get(key) ?? slope(device.gpu, each);
    known.set(key, time);
    times.push(await time);
  }
  device.check();
  return times;
}

async function slope(gpu: GPUDevice, dispatch: RecordedDispatch): Promise<number> {
  const { group, release } = onCopies(gpu, dispatch);
  const run = async (count: number) => {
    const encoder = gpu.createCommandEncoder({ label: 'weft profile' });
    const pass = encoder.beginComputePass({ label: dispatch.label });
    pass.setPipeline(dispatch.pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < count; i++) pass.dispatchWorkgroups(...dispatch.workgroups);
    pass.end();
    const start = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  try {
    await run(1);
    let count = 1;
    while (count < mostRepeats && (await run(count)) < shortestSample) count *= 2;
    const slopes: number[] = [];
    for (let i = 0; i < rounds; i++) slopes.push((await run(2 * count)) - (await run(count)));
    return Math.max(0, slopes.sort((a, b) => a - b)[rounds >> 1] as number) / count;
  } finally {
    release();
  }
}

/** The dispatch's bind group with copies of all buffers that it writes. */
function onCopies(gpu: GPUDevice, { label, layout, bindings, access }: RecordedDispatch) {
  const copies: GPUBuffer[] = [];
  const encoder = gpu.createCommandEncoder({ label: 'weft profile' });
  const entries = bindings.map((resource, binding): GPUBindGroupEntry => {
    if (binding === 0 || access[binding - 1] === 'r') return { binding, resource };
    const { STORAGE, COPY_DST } = GPUBufferUsage;
    const copy = gpu.createBuffer({ label: `weft profile ${label}`, size: resource.size, usage: STORAGE | COPY_DST });
    encoder.copyBufferToBuffer(resource.buffer, resource.offset, copy, 0, resource.size);
    copies.push(copy);
    return { binding, resource: { buffer: copy } };
  });
  gpu.queue.submit([encoder.finish()]);
  const group = gpu.createBindGroup({ label: `weft profile ${label}`, layout, entries });
  const release = () => {
    for (const copy of copies) copy.destroy();
  };
  return { group, release };
}
