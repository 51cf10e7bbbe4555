import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { profile, runtime, seed } from './environment.ts';

describe('the test environment', () => {
  let device: GPUDevice;

  beforeAll(async () => {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) throw new Error('WebGPU has no adapter here');
    device = await adapter.requestDevice();
    console.log(
      `${runtime}, profile ${profile}, seed ${seed}, adapter ${adapter.info.description || adapter.info.vendor}`,
    );
  });

  afterAll(() => device.destroy());

  it('knows its profile and its seed', () => {
    expect(profile).toBe(import.meta.env.WEFT_PROFILE);
    expect(seed).toBeGreaterThanOrEqual(0);
  });

  it('can ask for a garbage collection', () => {
    expect(typeof (globalThis as { gc?: () => void }).gc).toBe('function');
  });

  it('runs a compute shader and reads its result', async () => {
    const code = /* wgsl */ `
      @group(0) @binding(0) var<storage, read_write> values: array<f32>;
      @compute @workgroup_size(64)
      fn main(@builtin(global_invocation_id) id: vec3u) { values[id.x] = f32(id.x) * 0.5; }`;
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }) },
    });
    const size = 64 * Float32Array.BYTES_PER_ELEMENT;
    const values = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    const staging = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });

    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [{ binding: 0, resource: { buffer: values } }],
      }),
    );
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(values, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);

    await staging.mapAsync(GPUMapMode.READ);
    expect(Array.from(new Float32Array(staging.getMappedRange()))).toEqual(
      Array.from({ length: 64 }, (_, i) => i * 0.5),
    );
  });
});
