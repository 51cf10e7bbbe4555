import { describe, expect, it } from 'vitest';
import {
  compile,
  crossEntropy,
  type Device,
  DeviceLostError,
  init,
  io,
  manualSeed,
  nn,
  optim,
  profile,
  readAll,
  scope,
  type Tensor,
  tensor,
  train,
  tune,
} from '../../src/index.ts';
import { runtime, profile as selection } from '../support/environment.ts';

/** A small model on a device of its own, and a step of it. */
interface Site {
  readonly device: Device;
  readonly model: nn.Module;
  readonly optimizer: optim.Adam;
  readonly step: () => Tensor;
  readonly compiled: () => Promise<Tensor>;
}

async function site(): Promise<Site> {
  const device = await init({ profile: selection, limits: 'default' });
  manualSeed(1);
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.Linear(8, 3));
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 });
  const x = tensor(
    Float32Array.from({ length: 20 }, (_, i) => i / 20),
    { shape: [5, 4] },
  );
  const y = tensor(Int32Array.of(0, 1, 2, 0, 1));
  const step = () => {
    const loss = crossEntropy(model.forward(x) as Tensor, y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  return { device, model, optimizer, step, compiled: compile(step) };
}

/** What a program may be doing when its device goes. */
const works: Readonly<Record<string, (site: Site) => Promise<unknown>>> = {
  'the first step': async ({ compiled }) => (await compiled()).item(),
  'steps whose losses nobody reads': async ({ compiled }) => {
    for (let i = 0; i < 20; i++) await compiled();
  },
  'steps that nobody waits for': async ({ compiled }) => Promise.all(Array.from({ length: 6 }, () => compiled())),
  'steps that are read': async ({ compiled }) => {
    for (let i = 0; i < 8; i++) await (await compiled()).item();
  },
  'eager steps that are read': async ({ step }) => {
    for (let i = 0; i < 4; i++) await step().item();
  },
  'eager steps that nobody reads': async ({ step, device }) => {
    for (let i = 0; i < 4; i++) step();
    await device.settled();
  },
  'reads at once': ({ model }) => Promise.all([...model.parameters()].map((each) => each.data())),
  'one read of all': ({ model }) => readAll([...model.parameters()]),
  'making a plan': ({ compiled }) => (compiled as unknown as { prepare(): Promise<unknown> }).prepare(),
  tuning: ({ compiled }) => tune(compiled as never, [] as never, { store: null, rounds: 1 }),
  profiling: ({ compiled }) => profile(compiled),
  'a checkpoint': async ({ model, optimizer }) => [await io.save(model), await io.save(optimizer)],
  'a training loop': async ({ compiled }) => {
    for await (const { loss } of train({ step: compiled, batches: [[]], steps: 8 })) expect(loss).toBeGreaterThan(0);
  },
  'a scope': ({ step }) => scope(async () => step().item()),
};

/** When it goes: before the work begins, while its first call runs, and at several turns of the event loop after that. */
const times: Readonly<Record<string, () => Promise<void> | void>> = {
  'at once': () => {},
  'in a microtask': async () => {},
  'in the next turn': () => new Promise((resolve) => setTimeout(resolve)),
  'after 8 ms': () => new Promise((resolve) => setTimeout(resolve, 8)),
  'after 40 ms': () => new Promise((resolve) => setTimeout(resolve, 40)),
};

/** A device and its pipelines take Chromium a second. */
const places = runtime === 'deno' ? ['before', ...Object.keys(times)] : ['at once', 'after 8 ms'];

describe.each(Object.keys(works))('a device that is lost during %s', (name) => {
  const work = works[name] as (typeof works)[string];

  it.each(places)('%s', async (when) => {
    const made = await site();
    const { device } = made;
    if (when === 'before') device.destroy();
    const result = work(made).then(
      () => null,
      (error: unknown) => error,
    );
    if (when !== 'before') {
      await times[when]?.();
      // As a browser or a driver would, of which weft hears later.
      device.gpu.destroy();
    }
    const error = await result;
    // Work may have come to its end before.
    if (error !== null)
      expect(String(error)).toMatch(/^DeviceLostError: \[device\] the GPU device was lost \(destroyed\)/);
    else expect(when).not.toBe('before');
    expect(error === null || error instanceof DeviceLostError).toBe(true);
    await device.lost.catch(() => {});
    for (const next of Object.values(works)) await expect(next(made)).rejects.toBeInstanceOf(DeviceLostError);
  });
});

describe('an error that is reported before the news of the loss that causes it', () => {
  it.each(['the first step', 'reads at once', 'steps that are read'])('in %s', async (name) => {
    const made = await site();
    const { gpu } = made.device;
    await made.compiled();
    // As Firefox does.
    const error = new GPUValidationError('a buffer is invalid');
    gpu.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
    const result = (works[name] as (typeof works)[string])(made);
    setTimeout(() => gpu.destroy(), 100);
    await expect(result).rejects.toThrow(/^\[device\] the GPU device was lost/);
  });

  it('is told where there is no loss', async () => {
    const { device, model } = await site();
    const error = new GPUValidationError('a buffer is invalid');
    device.gpu.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error }));
    await expect(model.parameters()[0]?.data()).rejects.toThrow('[device] a buffer is invalid');
    device.destroy();
  });
});
