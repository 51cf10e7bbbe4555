import { afterEach, describe, expect, test } from 'vitest';
import {
  compile,
  crossEntropy,
  currentDevice,
  DataLoader,
  type Device,
  DeviceLostError,
  init,
  io,
  manualSeed,
  nn,
  ones,
  optim,
  profile,
  type Recovered,
  randn,
  readAll,
  recover,
  type Tensor,
  tensor,
  text,
  train,
  tril,
  tune,
  type WeftError,
} from '../../src/index.ts';
import { runtime, profile as selection } from '../support/environment.ts';

const steps = 12;
const every = 3;

/** What is trained: dropout draws, a buffer counts, a constant is computed outside of the step. */
class Model extends nn.Module {
  embedding = new nn.Embedding(8, 6);
  dropout = new nn.Dropout(0.2);
  norm = new nn.LayerNorm(6);
  out = new nn.Linear(6, 8);
  seen = new nn.Buffer([0]);
  // Computed when it is first read, and captured by the plan.
  readonly mask = tril(ones([6, 6])).add(0.5);

  forward(ids: Tensor): Tensor {
    this.seen.assign(this.seen.add(1));
    return this.out.forward(this.dropout.forward(this.norm.forward(this.embedding.forward(ids).matmul(this.mask))));
  }
}

const ids = Int32Array.from({ length: 200 }, (_, i) => (i * i) % 8);

/** A run of its own, from its beginning. */
function run() {
  manualSeed(7);
  const model = new Model();
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01, schedule: optim.linear({ steps }) });
  const loader = text.batches(ids, { batch: 2, length: 5, seed: 3 });
  const lossOf = (inputs: Tensor, targets: Tensor) => {
    const loss = crossEntropy(model.forward(inputs), targets);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const compiled = compile(lossOf);
  const tensorsOf = ([inputs, targets]: text.Batch) => {
    const shape = [2, 5];
    return [tensor(inputs, { shape }), tensor(targets, { shape })] as const;
  };
  const step = (batch: text.Batch) => lossOf(...tensorsOf(batch));
  const replay = (batch: text.Batch) => compiled(...tensorsOf(batch));
  return { model, optimizer, loader, step, compiled, replay };
}
type Run = ReturnType<typeof run>;

const how = {
  compiled: async ({ replay, loader }: Run) => replay(loader.next().value),
  eager: async ({ step, loader }: Run) => step(loader.next().value),
};

/** What a run has made: losses, and all values at its end. */
async function ending({ model, optimizer }: Run, losses: readonly number[]) {
  const values = [...model.stateDict().values(), ...optimizer.stateDict().values()];
  return { losses, values: await readAll(values), steps: optimizer.steps };
}

async function undisturbed(kind: keyof typeof how) {
  await init({ profile: selection, limits: 'default' });
  const each = run();
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push(await (await how[kind](each)).item());
  const end = await ending(each, losses);
  currentDevice().destroy();
  return end;
}

/** Runs to the end, whatever `disturb` does before a step or while it runs; gives what came out, and where it went on. */
async function disturbed(
  kind: keyof typeof how,
  disturb: (device: Device, step: number, run: Run) => Promise<unknown> | undefined,
) {
  await init({ profile: selection, limits: 'default' });
  const each = run();
  const recovery = await recover({ model: each.model, optimizer: each.optimizer, loader: each.loader, every });
  const losses: number[] = [];
  const wentOn: [at: number, from: number][] = [];
  for (let i = 0; i < steps; i++) {
    const device = currentDevice();
    try {
      const work = how[kind](each).then((loss) => loss.item());
      work.catch(() => {});
      await disturb(device, i, each);
      losses[i] = await work;
    } catch (error) {
      expect(error).toBeInstanceOf(DeviceLostError);
      const from = await device.recovered();
      expect(recovery.step).toBe(from);
      wentOn.push([i, from]);
      i = from - 1;
    }
  }
  const end = await ending(each, losses);
  recovery.stop();
  currentDevice().destroy();
  return { end, wentOn };
}

/** Something else that is going on in a program when its device goes. */
const places: Readonly<Record<string, (device: Device, run: Run) => Promise<unknown> | undefined>> = {
  'at once': (device) => void device.destroy(),
  'at once, by the runtime': (device) => void device.gpu.destroy(),
  'after a microtask': async (device) => device.destroy(),
  'after two turns': async (device) => {
    await turns(2);
    device.destroy();
  },
  'when the work is done': async (device) => {
    await device.settled();
    device.destroy();
  },
  'during another read': async (device, { model }) => {
    const reading = readAll(model.parameters());
    device.destroy();
    await reading;
  },
  'during a plan’s compilation': async (device, { model }) => {
    const other = compile((x: Tensor) => model.forward(x).exp().sin().sum());
    const preparing = other(tensor(Int32Array.of(1, 2, 3)));
    device.destroy();
    await preparing;
  },
  'during tune': async (device, { compiled }) => {
    const ids = () => tensor(new Int32Array(10), { shape: [2, 5] });
    const onProgress = () => void device.destroy();
    await tune(compiled, [ids(), ids()], { store: null, rounds: 1, onProgress });
  },
  'during profile': async (device, { model }) => {
    const profiling = profile(() => model.out.weight.mul(2).data());
    await turns(1);
    device.destroy();
    await profiling;
  },
  'while values are brought to it': async (device) => {
    const bringing = readAll([randn([2 ** 18]), ones([2 ** 18]).exp()]);
    device.destroy();
    await bringing;
  },
  'and nobody looks for a while': async (device) => {
    device.destroy();
    await turns(30);
  },
  'while a checkpoint is written': async (device, { model }) => {
    const saving = io.save(model);
    device.destroy();
    await saving;
  },
};

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setTimeout(resolve));
};

describe('a run whose device is lost', () => {
  afterEach(() => currentDevice().destroy());

  const all = Object.keys(places);
  // A device that is new compiles all pipelines anew, for which Chromium takes ten times as long.
  const some = ['at once', 'after two turns', 'during profile', 'while a checkpoint is written'];
  for (const kind of ['compiled', 'eager'] as const) {
    let expected: ReturnType<typeof undisturbed> | undefined;

    test.each(kind === 'eager' && runtime === 'chromium' ? some : all)(
      `${kind}, %s: goes on, and ends as if nothing had been`,
      async (place) => {
        expected ??= undisturbed(kind);
        const whole = await expected;
        let at = 7;
        const { end, wentOn } = await disturbed(kind, (device, step, each) => {
          if (step !== at) return undefined;
          at = -1;
          return (places[place] as (typeof places)[string])(device, each);
        });
        expect(end).toEqual(whole);
        expect(wentOn).toHaveLength(1);
        const [[lost, from]] = wentOn as [[number, number]];
        expect(lost).toBeGreaterThanOrEqual(7);
        // The last shadow may have been on its way.
        expect(from).toBeGreaterThanOrEqual(lost - 2 * every);
        expect(from).toBeLessThanOrEqual(lost + 1);
      },
    );
  }

  test('before its first step, after its last shadow, and again and again', async () => {
    const whole = await undisturbed('compiled');
    const lost = new Set<number>();
    const { end, wentOn } = await disturbed('compiled', async (device, step) => {
      if (![0, 2, 6, 11].includes(step) || lost.has(step)) return;
      lost.add(step);
      device.destroy();
    });
    expect(end).toEqual(whole);
    expect(wentOn).toHaveLength(4);
    expect(wentOn[0]).toEqual([0, 0]);
  });

  describe('in train()', () => {
    const count = 60;
    /** The losses of a run, and its end; `disturb` is called after each step. */
    async function trained(kind: 'loader' | 'iterable', disturb?: (step: number) => unknown) {
      await init({ profile: selection, limits: 'default' });
      const { model, optimizer } = run();
      const positioned = text.batches(ids, { batch: 2, length: 5, seed: 4 });
      const losses: number[] = [];
      const recovered: Recovered[] = [];
      const saves: number[] = [];
      const evaluations: number[] = [];
      let made = 0;
      for await (const metrics of train({
        step: {
          loss: (inputs, targets) => {
            const [x, y] = [inputs, targets].map((each) => each.reshape([2, 5])) as [Tensor, Tensor];
            return crossEntropy(model.forward(x), y);
          },
          optimizer,
          clip: 1,
        },
        batches: kind === 'loader' ? disturbing(positioned) : disturbing(positioned)[Symbol.iterator](),
        steps: count,
        every: 20,
        evaluate: (step) => evaluations.push(step),
        checkpoint: {
          save: ({ step, batches: place }) => saves.push(step, JSON.stringify(place).length),
          everySteps: 25,
        },
        ...(disturb ? { recover: { model, every: 4 } } : {}),
      })) {
        losses.push(...metrics.losses);
        expect(losses).toHaveLength(metrics.step);
        if (metrics.recovered) recovered.push(metrics.recovered);
      }
      const end = await ending({ model, optimizer } as Run, losses);
      currentDevice().destroy();
      return { end: { ...end, saves, evaluations, place: positioned.state() }, recovered };

      /** Batches that are told of as they are taken. */
      function disturbing(source: text.BatchIterator) {
        return {
          *[Symbol.iterator]() {
            for (const batch of source) {
              disturb?.(made++);
              yield batch;
            }
          },
          state: () => source.state(),
          restore: (state: ReturnType<typeof source.state>) => source.restore(state),
        };
      }
    }

    test.each(['loader', 'iterable'] as const)(
      'of batches from an %s: losses, saves and evaluations are the same',
      async (kind) => {
        const { end: whole } = await trained(kind);
        const lost = new Set<number>();
        const lose = async (step: number) => {
          if (![0, 1, 13, 14, 26, 50, 59].includes(step) || lost.has(step)) return;
          lost.add(step);
          if (step % 2 === 0) await turns(1);
          currentDevice().destroy();
        };
        const { end, recovered } = await trained(kind, lose);
        expect(end).toEqual(whole);
        expect(recovered.length).toBeGreaterThanOrEqual(4);
        for (const { lostAt, from, adapter } of recovered) {
          expect(from).toBeLessThanOrEqual(lostAt);
          expect(adapter).toBeNull();
        }
      },
    );

    test('of several batches a step: gradients that were on the device are made anew', async () => {
      const accumulated = async (lostAfter: readonly number[]) => {
        await init({ profile: selection, limits: 'default' });
        const { model, optimizer } = run();
        const rows = Array.from({ length: 11 }, (_, i) => [ids.slice(i, i + 6), ids.slice(i + 1, i + 7)] as const);
        const losses: number[] = [];
        const losing = [...lostAfter];
        let lost = 0;
        for await (const metrics of train({
          step: { loss: (x, y) => crossEntropy(model.forward(x), y), optimizer, clip: 1 },
          batches: new DataLoader(rows, { batchSize: 2, shuffle: true, prefetch: 2 }),
          ...{ accumulate: 3, steps: 10, evaluate: () => null, every: 1 },
          ...(losing.length > 0 ? { recover: { model, every: 2 } } : {}),
        })) {
          losses.push(...metrics.losses);
          if (metrics.recovered) lost++;
          if (metrics.step !== losing[0]) continue;
          losing.shift();
          currentDevice().gpu.destroy();
        }
        expect(lost).toBe(lostAfter.length);
        const end = await ending({ model, optimizer } as Run, losses);
        currentDevice().destroy();
        return end;
      };
      expect(await accumulated([1, 6, 9])).toEqual(await accumulated([]));
    });

    test('whose step loses every device gives up', async () => {
      await init({ profile: selection, limits: 'default' });
      const { model, optimizer, loader } = run();
      const metrics = train({
        step: () => {
          currentDevice().destroy();
          return model.out.weight.sum();
        },
        batches: loader,
        steps: 5,
        recover: { model, optimizer },
      });
      let recovered = 0;
      const going = async () => {
        for await (const each of metrics) recovered += Number(each.recovered !== undefined);
      };
      await expect(going()).rejects.toThrow(DeviceLostError);
      expect(recovered).toBe(3);
    });
  });

  test('goes on with kernels that were chosen for it', async () => {
    const device = await init({ profile: selection, limits: 'default', choices: { matmul: 'registers4' } });
    const each = run();
    await recover({ model: each.model, optimizer: each.optimizer });
    device.choose({ ...device.choices, softmax: 'rows' });
    device.destroy();
    await device.recovered();
    expect(currentDevice()).not.toBe(device);
    expect(currentDevice().choices).toEqual({ matmul: 'registers4', softmax: 'rows' });
    expect(currentDevice().gpu.limits.maxStorageBuffersPerShaderStage).toBe(
      device.gpu.limits.maxStorageBuffersPerShaderStage,
    );
  });

  test('is told apart from what can’t go on', async () => {
    const device = await init({ profile: selection, limits: 'default' });
    await expect(device.recovered()).rejects.toThrow('[recovered] the device is not lost');
    const own = randn([3]);
    const doubled = await compile((x: Tensor) => x.mul(2))(own);
    const again = own.mul(2);
    const before = await again.data();
    device.destroy();
    await expect(device.recovered()).rejects.toThrow('[recovered] nothing was kept on the host: call `await recover');
    await init({ profile: selection, limits: 'default' });
    // What has its graph is computed anew, also on another device.
    expect(await again.data()).toEqual(before);
    await expect(doubled.add(1).data()).rejects.toThrow(DeviceLostError);
  });

  test('given by the caller, waits for another one of the caller’s', async () => {
    const open = async () => {
      const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
      return adapter.requestDevice();
    };
    const device = await init({ device: await open(), profile: selection });
    const { model, optimizer } = run();
    await recover({ model, optimizer });
    const before = await model.out.weight.data();
    device.destroy();
    await expect(device.recovered()).rejects.toThrow('weft can open no device like one that was given to it');
    await init({ device: await open(), profile: selection });
    expect(await device.recovered()).toBe(0);
    expect(await model.out.weight.data()).toEqual(before);
  });

  test('is kept at each step that is due, with one submit and one mapping, and no memory of the device', async () => {
    const device = await init({ profile: selection, limits: 'default' });
    const each = run();
    const recovery = await recover({ model: each.model, optimizer: each.optimizer, loader: each.loader, every: 1 });
    const states = [...new Set([...each.model.states, ...each.optimizer.states])];
    expect(recovery.bytes).toBe(states.reduce((sum, { type }) => sum + 4 * type.shape.reduce((a, b) => a * b, 1), 0));
    for (let i = 0; i < 4; i++) await (await each.replay(each.loader.next().value)).item();
    await turns(20);
    const before = device.memory();
    for (let i = 0; i < 20; i++) {
      await (await each.replay(each.loader.next().value)).item();
      await turns(5);
    }
    expect(recovery.step).toBeGreaterThanOrEqual(20);
    const { liveBytes } = device.memory();
    // One staging buffer, which is in use or not.
    expect(liveBytes - before.liveBytes).toBeLessThanOrEqual(recovery.bytes + 1024);
  });

  test.each([
    [{ model: undefined }, '[recover] needs the option model: a Module'],
    [{ model: 5 }, '[recover] model must be a Module, got 5'],
    [{ optimizer: {} }, '[recover] optimizer must be an optimizer, got an object with nothing in it'],
    [{ every: 0 }, '[recover] every must be a positive integer, got 0'],
    [{ loader: [] }, '[recover] loader must be something with state() and restore(), such as a DataLoader'],
  ])('%o is no run', async (options, message) => {
    await init({ profile: selection, limits: 'default' });
    const { model, optimizer } = run();
    const refused = await recover({ model, optimizer, ...options } as never).catch((error: WeftError) => error);
    expect((refused as WeftError).message).toContain(message);
  });
});
