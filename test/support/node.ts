import { createRequire } from 'node:module';

/** WebGPU for Node, by the package `webgpu`: as a page has it, in globals, since tests use those. weft itself needs none. */
if (!('GPUBuffer' in globalThis)) {
  const { create, globals } = createRequire(new URL('../../bench/static/', import.meta.url))('webgpu');
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) }, configurable: true });
}
