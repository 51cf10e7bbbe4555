import { describe, expect, test } from 'vitest';
import {
  compile,
  type InitOptions,
  init,
  OutOfMemoryError,
  ones,
  randn,
  type Tensor,
  tensor,
  ValueError,
} from '../../src/index.ts';
import { profile } from '../support/environment.ts';
import { device, useGpu } from '../support/gpu.ts';

/** A device of one's own, its memory, and what happens at its limits. */
describe('limits', () => {
  useGpu();

  test('are those that every WebGPU device has, in all tests', () => {
    const { limits, features } = device.gpu;
    expect({
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      storageBytes: limits.maxStorageBufferBindingSize,
      bufferBytes: limits.maxBufferSize,
      invocations: limits.maxComputeInvocationsPerWorkgroup,
      workgroupBytes: limits.maxComputeWorkgroupStorageSize,
      workgroups: limits.maxComputeWorkgroupsPerDimension,
    }).toEqual({
      storageBuffers: 8,
      storageBytes: 2 ** 27,
      bufferBytes: 2 ** 28,
      invocations: 256,
      workgroupBytes: 2 ** 14,
      workgroups: 65535,
    });
    expect([...features]).not.toContain('subgroups');
    const { storageBuffers, bindingBytes, bufferBytes, invocations, workgroupMemory } = device.profile;
    expect([storageBuffers, bindingBytes, bufferBytes]).toEqual([8, 2 ** 27, 2 ** 28]);
    expect([invocations, workgroupMemory]).toEqual([256, 2 ** 14]);
  });

  test('a value that no kernel can bind is refused before anything runs', async () => {
    const tooLarge = device.profile.bindingBytes / 4 + 64;
    await expect(
      ones([tooLarge])
        .mul(tensor([2]))
        .data(),
    ).rejects.toThrow(OutOfMemoryError);
    await expect(
      ones([tooLarge])
        .mul(tensor([2]))
        .data(),
    ).rejects.toThrow(/takes \d+ bytes; a kernel of this device can bind \d+/);
  });

  test('the pool reuses what was released, and trim empties it', () => {
    const before = device.memory();
    const first = device.buffers.allocate(5000, 'a');
    first.release();
    first.release();
    const second = device.buffers.allocate(5001, 'b');
    expect(second.buffer).toBe(first.buffer);
    second.release();
    expect(device.memory().pooledBytes).toBeGreaterThan(0);
    device.buffers.trim();
    expect(device.memory().pooledBytes).toBe(0);
    expect(device.memory().liveBytes).toBe(before.liveBytes);
  });

  test('memory() counts tensors and bytes', async () => {
    const before = device.memory();
    const value = randn([1000]).exp();
    await compile((x: Tensor) => x.mul(2)).prepare(randn([1000]));
    expect(device.memory().pipelines).toBeGreaterThan(0);
    // Recording and preparing put nothing there; what others have forgotten may go meanwhile.
    expect(device.memory().tensors).toBeLessThanOrEqual(before.tensors);
    void value;
  });
});

describe('choices of kernels', () => {
  useGpu();

  test('go before the rule of the family, for plans that were made before, too', async () => {
    const [a, b] = [randn([33, 20]), randn([20, 17])];
    const product = compile((x: Tensor, y: Tensor) => x.matmul(y));
    const kernel = async () => (await product.prepare(a, b)).program.commands.map(({ label }) => label.split(' ')[0]);
    const own = await kernel();
    try {
      device.choose({ matmul: 'registers4' });
      expect(await kernel()).toEqual(['matmul/registers4']);
      device.choose({ matmul: 'gemv' }); // can't do N > 1
      expect(await kernel()).toEqual(own);
    } finally {
      device.choose({});
    }
    expect(await kernel()).toEqual(own);
  });
});

test('init takes a device of the caller’s own', async () => {
  const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
  const gpu = await adapter.requestDevice();
  const own = await init({ device: gpu, profile });
  expect(own.gpu).toBe(gpu);
  const sum = tensor([1, 2]).add(3);
  expect(await sum.array()).toEqual([4, 5]);
  expect(sum.device).toBe(own);
  own.destroy();
});

test.each([
  [{ profile: 'cpu' }, "profile must be 'gpu' or 'software', got 'cpu'"],
  [{ gpu: {} }, 'gpu must be a GPU, such as navigator.gpu, got an object with nothing in it'],
  [{ device: 5 }, 'device must be a GPUDevice, got 5'],
  [{ powerpreference: 'low-power' }, "there is no option 'powerpreference'; is 'powerPreference' meant?"],
  [{ limits: 'most' }, "limits must be 'default' or 'adapter', got 'most'"],
  ['software', "options must be an object like { gpu: … }, got 'software'"],
])('init refuses %o', async (options, message) => {
  await expect(init(options as InitOptions)).rejects.toThrow(ValueError);
  await expect(init(options as InitOptions)).rejects.toThrow(`[init] ${message}`);
});
