import { expect, test } from 'vitest';
import { bufferUsage, mapMode, shaderStage } from '../../src/device/flags.ts';
import {
  compile,
  currentDevice,
  init,
  nn,
  OutOfMemoryError,
  optim,
  profile,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { profile as selection } from '../support/environment.ts';

/** Node's package `webgpu` gives a device and sets no globals: nothing of weft may need them. */

test('the numbers are the ones that WebGPU has', () => {
  const numbers = (flags: object, names: object) =>
    Object.fromEntries(Object.keys(names).map((name) => [name, (flags as Record<string, unknown>)[name]]));
  expect(numbers(GPUBufferUsage, bufferUsage)).toEqual(bufferUsage);
  expect(numbers(GPUMapMode, mapMode)).toEqual(mapMode);
  expect(numbers(GPUShaderStage, shaderStage)).toEqual(shaderStage);
});

const sources: Record<string, string> = import.meta.glob('../../src/**/*.ts', {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** `GPUBufferUsage.X`, `= GPUBufferUsage`, `instanceof GPUError`, …: types stand behind `:`, `<`, `|`, `as` or a word. */
const asValue =
  /\bGPU[A-Z]\w*\s*[.(]|(?:\b(?:instanceof|new|typeof)|[^=]={1,3}|\?\?|\.\.\.)\s*GPU[A-Z]\w*(?![\w<>]|\[\])/;

function valuesOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '').replace(/`[^`]*`|'[^'\n]*'/g, "''");
  return code.split('\n').filter((line) => asValue.test(line) && !/^\s*(export )?type /.test(line));
}

test('no source uses a global of WebGPU as a value', () => {
  expect(Object.keys(sources).length).toBeGreaterThan(100);
  expect(
    Object.entries(sources).flatMap(([path, source]) => valuesOf(source).map((line) => `${path}: ${line}`)),
  ).toEqual([]);
});

test.each([
  ['const usage = GPUBufferUsage.STORAGE;', true],
  ['const { STORAGE } = GPUBufferUsage;', true],
  ['if (error instanceof GPUOutOfMemoryError) return;', true],
  ["if (typeof GPUBuffer === 'undefined') return;", true],
  ['constructor(gpu: GPUDevice, buffers: readonly GPUBuffer[] = []) {', false],
  ['#pipelines: readonly (GPUComputePipeline | null)[];', false],
  ['const features = names as GPUFeatureName[]; // GPUFeatureName.x', false],
  ['type Layout = GPUBindGroupLayout | null;', false],
])('that sweep judges %j', (source, found) => {
  expect(valuesOf(source).length > 0).toBe(found);
});

test('training, reading, profiling and errors work without the globals', async () => {
  const scope = globalThis as Record<string, unknown>;
  const names = Object.getOwnPropertyNames(globalThis).filter((name) => /^GPU[A-Z]/.test(name));
  expect(names).toContain('GPUBufferUsage');
  const { gpu } = navigator;
  const kept = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
  let device: Awaited<ReturnType<typeof init>> | undefined;
  try {
    for (const name of names) delete scope[name];
    expect('GPUBufferUsage' in globalThis).toBe(false);
    device = await init({ gpu, profile: selection });
    const model = new nn.Linear(2, 1);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const step = compile((x: Tensor) => {
      const loss = model.forward(x).square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    const x = tensor([[1, 2]]);
    const [first, second] = [await (await step(x)).item(), await (await step(x)).item()];
    expect(second).toBeLessThan(first);
    expect(await x.mul(2).array()).toEqual([[2, 4]]);
    expect(`${await profile(() => step(x))}`).toContain('ms');
    // An error of the class that the runtime has, though nobody can name it.
    const event = Object.assign(new Event('uncapturederror'), {
      error: new (class GPUOutOfMemoryError {
        message = 'full';
      })(),
    });
    device.gpu.dispatchEvent(event);
    expect(() => currentDevice().check()).toThrow(OutOfMemoryError);
  } finally {
    for (const [name, descriptor] of kept) Object.defineProperty(globalThis, name, descriptor as PropertyDescriptor);
    device?.destroy();
  }
});
