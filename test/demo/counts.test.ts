import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';

describe('countCalls', () => {
  it('counts what WebGPU is asked for, and leaves its methods as they were', async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const device = (await adapter?.requestDevice()) as GPUDevice;
    const before = GPUQueue.prototype.submit;
    const { result, counts } = await countCalls(async () => {
      const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_SRC });
      device.queue.submit([device.createCommandEncoder().finish()]);
      // Asks how far the device is, and submits nothing.
      device.queue.submit([]);
      return buffer.size;
    });
    expect(result).toBe(16);
    expect(counts).toEqual({
      dispatches: 0,
      submits: 1,
      buffers: 1,
      bufferBytes: 16,
      bindGroups: 0,
      pipelines: 0,
      maps: 0,
    });
    expect(GPUQueue.prototype.submit).toBe(before);
    await expect(countCalls(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(GPUQueue.prototype.submit).toBe(before);
    device.destroy();
  });
});
