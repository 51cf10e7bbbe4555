import { median } from '../core/median.ts';
import type { Device } from '../device/device.ts';
import type { RecordedDispatch } from '../device/recorder.ts';
import { sampler, stopwatchOf } from './stopwatch.ts';

const rounds = 3;

/**
 * Measures the milliseconds of each dispatch by running it many times. What a dispatch writes is replaced by a copy, so
 * that no state of the program changes. Dispatches of one pipeline and grid are measured once.
 */
export async function timesByRepetition(device: Device, dispatches: readonly RecordedDispatch[]): Promise<number[]> {
  const known = new Map<string, Promise<number>>();
  const pipelines = [...new Set(dispatches.map(({ pipeline }) => pipeline))];
  const times: number[] = [];
  for (const each of dispatches) {
    const sizes = each.bindings.map(({ size }) => size);
    const key = [pipelines.indexOf(each.pipeline), ...each.workgroups, ...sizes].join();
    const time = known.get(key) ?? timeOf(device, each);
    known.set(key, time);
    times.push(await time);
  }
  device.check();
  return times;
}

async function timeOf(device: Device, dispatch: RecordedDispatch): Promise<number> {
  const { group, release } = onCopies(device, dispatch);
  try {
    const sample = await sampler(await stopwatchOf(device), (pass) => {
      pass.setPipeline(dispatch.pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...dispatch.workgroups);
    });
    const samples: number[] = [];
    for (let i = 0; i < rounds; i++) samples.push(await sample());
    return median(samples);
  } finally {
    release();
  }
}

/** The dispatch's bind group with copies of all buffers that it writes. */
function onCopies({ gpu, buffers }: Device, { label, layout, bindings, access }: RecordedDispatch) {
  const copies: GPUBuffer[] = [];
  const encoder = gpu.createCommandEncoder({ label: 'weft profile' });
  const entries = bindings.map((resource, binding): GPUBindGroupEntry => {
    if (binding === 0 || access[binding - 1] === 'r') return { binding, resource };
    const copy = buffers.create(resource.size, `weft profile ${label}`);
    encoder.copyBufferToBuffer(resource.buffer, resource.offset, copy, 0, resource.size);
    copies.push(copy);
    return { binding, resource: { buffer: copy, size: resource.size } };
  });
  gpu.queue.submit([encoder.finish()]);
  const group = gpu.createBindGroup({ label: `weft profile ${label}`, layout, entries });
  const release = () => {
    for (const copy of copies) buffers.destroy(copy);
  };
  return { group, release };
}
