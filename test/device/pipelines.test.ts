import { expect, it } from 'vitest';
import type { Device } from '../../src/device/device.ts';
import { PipelineCache } from '../../src/device/pipelines.ts';
import type { SpecialisedShader } from '../../src/kernels/specialise.ts';

/** A cache on a device that compiles nothing, and the texts that it was to compile. */
function fakeCache(): { cache: PipelineCache; compiled: string[] } {
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
  return { cache: new PipelineCache(device), compiled };
}

it('a device keeps the pipelines that were used last, and a bounded number of them', async () => {
  const { cache, compiled } = fakeCache();
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

it('a device compiles four texts with constants, and then the general form of those with other extents', async () => {
  const { cache } = fakeCache();
  const plain = (code: string): SpecialisedShader => ({ code, access: 'rw', fields: [] });
  const shader = (form: string, extent: number) => ({
    ...plain(`${form} ${extent}`),
    general: () => plain(`${form} of any extent`),
  });
  const chosen = (keep: boolean, ...shaders: SpecialisedShader[]) =>
    cache.choose(shaders, keep).map(({ code }) => code);
  const some = [shader('a', 1), shader('a', 2), shader('a', 1), shader('b', 1), plain('c'), shader('a', 3)];
  expect(chosen(true, ...some)).toEqual(some.map(({ code }) => code));
  // What is only looked at takes no room.
  for (const extent of [4, 5, 6]) expect(chosen(false, shader('a', extent))).toEqual([`a ${extent}`]);
  expect(chosen(false, shader('a', 4), shader('a', 5))).toEqual(['a 4', 'a of any extent']);
  expect(chosen(true, shader('a', 7), shader('a', 8), shader('b', 8))).toEqual(['a 7', 'a of any extent', 'b 8']);
  expect(chosen(true, shader('a', 4), shader('a', 2), shader('a', 7))).toEqual(['a of any extent', 'a 2', 'a 7']);
  // What was compiled otherwise is used as well.
  await cache.get(shader('a', 9), 'a');
  expect(chosen(true, shader('a', 9), shader('a', 8))).toEqual(['a 9', 'a of any extent']);
});
