import { answered } from '../device/answered.ts';
import type { BufferPool } from '../device/buffers.ts';
import { bufferUsage, mapMode } from '../device/flags.ts';

/** Nanoseconds that the first `count` queries of a set hold, once all that is submitted has run. */
export async function readTimestamps(
  { gpu, buffers }: { readonly gpu: GPUDevice; readonly buffers: BufferPool },
  querySet: GPUQuerySet,
  count: number,
): Promise<BigUint64Array> {
  const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = bufferUsage;
  const label = 'weft timestamps';
  const size = 8 * count;
  const resolved = buffers.create(size, label, QUERY_RESOLVE | COPY_SRC);
  const staging = buffers.create(size, label, COPY_DST | MAP_READ);
  try {
    const encoder = gpu.createCommandEncoder({ label });
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    await answered(gpu.queue, staging.mapAsync(mapMode.READ));
    return new BigUint64Array(staging.getMappedRange(0, size).slice(0));
  } finally {
    buffers.destroy(resolved);
    buffers.destroy(staging);
  }
}
