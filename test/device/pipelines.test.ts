import { expect, it } from 'vitest';
import type { Device } from '../../src/device/device.ts';
import { PipelineCache } from '../../src/device/pipelines.ts';
import type { SpecialisedShader } from '../../src/kernels/specialise.ts';

it('a device keeps the pipelines that were used last, and a bounded number of them', async () => {
  const compiled: string[] = [];
  const gpu = {
    pushErrorScope: () => {},
    popErrorScope: async () => null,
    createShaderModule: ({ code }: { code: string }) => code,
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createComputePipelineAsync: async ({ compute }: { compute: { module: string } }) => compiled.push(compute.module),
  };
  const device = { gpu, orLost: <T>(work: Promise<T>) => work } as unknown as Device;
  const cache = new PipelineCache(device);
  const get = (code: string) => cache.get({ code, access: 'rw', fields: [] } as unknown as SpecialisedShader, code);
  for (let i = 0; i < 5000; i++) {
    await get(`${i}`);
    await get('always');
  }
  expect(cache.size).toBe(2048);
  expect(compiled.length).toBe(5001);
  await get('4999');
  expect(compiled.length).toBe(5001);
  await get('0');
  expect(compiled.length).toBe(5002);
});
