import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compile, crossEntropy, type Device, init, nn, optim, type Tensor, tensor } from '../../src/index.ts';
import { profile, soak } from '../support/environment.ts';

/** A small model, a step of it, and a batch. */
function training() {
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.LayerNorm(8), new nn.Linear(8, 3));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = crossEntropy(model.forward(x) as Tensor, y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const x = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i));
  const batch = () => [tensor(x, { shape: [5, 4] }), tensor(Int32Array.of(0, 1, 2, 0, 1))] as const;
  return { step, batch };
}

async function collect(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void };
  for (let turn = 0; turn < 20; turn++) {
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('memory in the long run', () => {
  let device: Device;
  beforeAll(async () => {
    device = await init({ profile, limits: 'default' });
  });
  afterAll(() => device.destroy());

  test('of a training loop stays what it is', async () => {
    const steps = soak ? 10_000 : 400;
    const { step, batch } = training();
    const run = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const loss = await step(...batch());
        if (i % 50 === 0) await loss.item();
      }
      await device.settled();
    };
    await run(100);
    await collect();
    const before = device.memory();
    await run(steps);
    await collect();
    const { liveBytes, pipelines, pooledBytes } = device.memory();
    expect({ liveBytes, pipelines }).toEqual({ liveBytes: before.liveBytes, pipelines: before.pipelines });
    // Losses that the garbage collector had not come to when their slots were wanted: 256 bytes each.
    expect(pooledBytes).toBeLessThanOrEqual(256 * 1024);
  });

  test('of models that are made and dropped is given back', async () => {
    const models = soak ? 1000 : 40;
    const make = async () => {
      const { step, batch } = training();
      await (await step(...batch())).item();
    };
    for (let i = 0; i < 5; i++) await make();
    await collect();
    const before = device.memory();
    let most = 0;
    for (let i = 0; i < models; i++) {
      await make();
      if (i % 10 === 9) await collect();
      most = Math.max(most, device.memory().liveBytes);
    }
    await collect();
    const after = device.memory();
    expect(after.pipelines).toBe(before.pipelines);
    // The last one may still be on the stack.
    const perModel = (before.liveBytes + before.pooledBytes) / 2;
    expect(after.liveBytes).toBeLessThanOrEqual(before.liveBytes + perModel);
    expect(most).toBeLessThan(before.liveBytes + 12 * (2 ** 18 + 2 ** 16));
  });
});
