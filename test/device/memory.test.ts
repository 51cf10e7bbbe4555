import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  compile,
  crossEntropy,
  type Device,
  init,
  io,
  manualSeed,
  nn,
  OutOfMemoryError,
  ones,
  optim,
  profile,
  randn,
  readAll,
  scope,
  type Tensor,
  tensor,
  tune,
} from '../../src/index.ts';
import { runtime, profile as selection } from '../support/environment.ts';
import { keepLedger, type Ledger } from '../support/memory.ts';

let device: Device;
let ledger: Ledger;

/** A small model that is trained, and what can be done with it. */
function training() {
  manualSeed(1);
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.Dropout(0.1), new nn.Linear(8, 3));
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 });
  const x = tensor(
    Float32Array.from({ length: 20 }, (_, i) => i / 20),
    { shape: [5, 4] },
  );
  const y = tensor(Int32Array.of(0, 1, 2, 0, 1));
  const eager = () => {
    const loss = crossEntropy(model.forward(x) as Tensor, y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const compiled = compile(() => {
    const loss = eager();
    return { loss, weight: (model.parameters()[0] as Tensor).mul(ones([8, 4])) };
  });
  return { model, optimizer, eager, compiled };
}

/** Does all that allocates, one after another; gives what it computed. */
async function everything(): Promise<number[]> {
  const values: number[] = [];
  const take = (data: ArrayLike<number>) => values.push(...Array.from(data));
  const { model, optimizer, eager, compiled } = training();
  for (let i = 0; i < 2; i++) take(await eager().data());
  for (let i = 0; i < 3; i++) {
    const before = model.parameters()[0]?.mul(1);
    const { loss, weight } = await compiled();
    for (const data of await readAll([loss, weight, before as Tensor])) take(data);
  }
  take(await randn([300]).exp().data());
  const held: Tensor[] = [];
  const small = compile((a: Tensor) => Array.from({ length: 600 }, (_, i) => a.add(i)));
  for (let i = 0; i < 2; i++) held.push(...(await small(tensor([i]))));
  for (const data of await readAll(held)) take(data);
  take(
    await scope(async () =>
      (
        await ones([40, 40])
          .matmul(ones([40, 40]))
          .data()
      ).slice(0, 3),
    ),
  );
  take((await io.save(model)).slice(-40));
  for (const value of optimizer.stateDict().values()) take(await value.data());
  return values;
}

const expectExact = () => {
  const { liveBytes, pooledBytes, buffers } = device.memory();
  expect({ bytes: liveBytes + pooledBytes, buffers }).toEqual({ bytes: ledger.bytes, buffers: ledger.buffers });
};

async function anotherDevice(): Promise<void> {
  device?.destroy();
  const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
  const gpu = await adapter.requestDevice();
  ledger = keepLedger(gpu);
  device = await init({ device: gpu, profile: selection });
}

/** A control group whose processes may have so many bytes of memory; null where none can be made. */
async function limited(bytes: number) {
  if (runtime !== 'deno') return null;
  const { mkdir, rmdir, writeFile } = await import('node:fs/promises');
  const { default: process } = await import('node:process');
  for (const [root, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const folder = `${root}/weft-${process.pid}`;
    try {
      await mkdir(folder);
    } catch {
      continue;
    }
    const remove = () => rmdir(folder).catch(() => {});
    try {
      await writeFile(`${folder}/${limit}`, String(bytes));
      return { processes: `${folder}/cgroup.procs`, remove };
    } catch {
      await remove();
    }
  }
  return null;
}

describe('memory of a device', () => {
  beforeEach(anotherDevice);
  afterEach(() => device.destroy());

  test('memory() is the bytes of all buffers created less those destroyed', async () => {
    expectExact();
    await everything();
    expectExact();
    const product = compile((a: Tensor) => a.matmul(a));
    const a = ones([24, 24]);
    for (const method of ['repetition', undefined] as const) {
      await profile(() => product(a), method ? { method } : {});
      expectExact();
    }
    await tune(product, [a], { store: null, rounds: 1 });
    expectExact();
    device.buffers.trim();
    expect(device.memory().pooledBytes).toBe(0);
    expectExact();
  });

  test('memory() tells by how much the process grows, where the device is a processor', async ({ skip }) => {
    skip(runtime !== 'deno' || !/llvmpipe/.test(device.adapter), 'the memory of the device is not that of the process');
    const { Deno } = globalThis as unknown as { Deno: { memoryUsage(): { rss: number } } };
    const step = compile((x: Tensor) => x.add(ones([2048, 2048])).exp());
    const held = [await step(tensor([0]))];
    await device.settled();
    const before = { process: Deno.memoryUsage().rss, device: device.memory().liveBytes };
    for (let i = 0; i < 32; i++) held.push(await step(tensor([i])));
    await device.settled();
    const grown = device.memory().liveBytes - before.device;
    expect(grown).toBe(32 * 2 ** 24);
    const ratio = (Deno.memoryUsage().rss - before.process) / grown;
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
    expect(held).toHaveLength(33);
  });

  describe('a device without memory', () => {
    /** What buffers are for, without what differs from one to the next. */
    const kindOf = (label: string) => label.replace(/\[.*|\d+/g, '').trim();

    /** Some buffers are not asked for where the garbage collector has found others in time. */
    const expectMet = (met: number, all: readonly string[]) => expect(met).toBeGreaterThanOrEqual(all.length - 3);

    /** Everything once on a device of its own, and one buffer of each kind that it asks for. */
    async function kinds(): Promise<{ expected: number[]; kinds: string[] }> {
      // The first buffers are the device's own.
      const own = ledger.asked.length;
      const expected = await everything();
      return { expected, kinds: [...new Set(ledger.asked.slice(own).map(kindOf))] };
    }

    test('for one buffer of whatever kind: what lies unused is dropped, and nobody notices', async () => {
      const { expected, kinds: all } = await kinds();
      expect(all.length).toBeGreaterThan(10);
      let met = 0;
      for (const kind of all) {
        await anotherDevice();
        let refused = false;
        ledger.refuses = (label) => {
          const refuse = !refused && kindOf(label) === kind;
          refused ||= refuse;
          return refuse;
        };
        expect(await everything(), `with a buffer for ${kind} refused`).toEqual(expected);
        met += Number(refused);
        expectExact();
      }
      expectMet(met, all);
    });

    test('for any buffer of a kind: an OutOfMemoryError, and all goes on once there is room', async () => {
      const { expected, kinds: all } = await kinds();
      let met = 0;
      for (const kind of all) {
        await anotherDevice();
        ledger.refuses = (label) => kindOf(label) === kind;
        const outcome = await everything().catch((error: unknown) => error);
        // What was dropped when the first was refused may be room enough.
        const ended = outcome instanceof OutOfMemoryError;
        if (!ended) expect(outcome, `without buffers for ${kind}`).toEqual(expected);
        met += Number(ended);
        expectExact();
        ledger.refuses = () => false;
        expect(await everything(), `after a time without buffers for ${kind}`).toEqual(expected);
        expectExact();
      }
      expectMet(met, all);
    });
  });

  describe('growth', () => {
    const mib = 2 ** 20;
    const held = () => {
      const { liveBytes, pooledBytes } = device.memory();
      return liveBytes + pooledBytes;
    };
    /** The most that is held while a loop of `turns` steps of 16 MiB results runs. */
    async function peakOf(turns: number, body: (step: () => Promise<Tensor>) => Promise<void>): Promise<number> {
      const step = compile((x: Tensor) => x.add(ones([2048, 2048])).exp());
      const x = tensor([0.5]);
      let most = 0;
      for (let i = 0; i < turns; i++) {
        await body(() => step(x));
        most = Math.max(most, held());
      }
      return most;
    }

    test('of results that nobody reads ends where the garbage collector sees them', async () => {
      const peak = await peakOf(100, async (step) => {
        await step();
      });
      expect(peak).toBeLessThanOrEqual(256e6);
    });

    test('of results keeps a process within 640 MiB, where one can be limited', async ({ skip }) => {
      const group = await limited(640 * mib);
      if (!group) return skip('no process can be limited here');
      const { spawn } = await import('node:child_process');
      const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
      const { default: process } = await import('node:process');
      const folder = await mkdtemp('/tmp/weft-memory-');
      const weft = JSON.stringify(new URL('../../src/index.ts', import.meta.url).href);
      const code = `
        import { compile, init, ones, tensor } from ${weft};
        await init({ profile: 'software', limits: 'default' });
        const step = compile((x) => x.add(ones([2048, 2048])).exp());
        for (let i = 0; i < 150; i++) await step(tensor([i]));
        console.log('done');`;
      await writeFile(`${folder}/loop.mjs`, code);
      // In a file of its own, since Deno changes the arguments of processes that run Deno.
      const shell = `echo $$ > ${group.processes} && exec '${process.execPath}' run -A ${folder}/loop.mjs`;
      await writeFile(`${folder}/limited.sh`, shell);
      try {
        const child = spawn('sh', [`${folder}/limited.sh`]);
        let output = '';
        child.stdout.on('data', (text) => {
          output += text;
        });
        const signal = await new Promise((resolve) => child.on('close', (_, killedBy) => resolve(killedBy)));
        expect({ signal, output: output.trim() }).toEqual({ signal: null, output: 'done' });
      } finally {
        await group.remove();
        await rm(folder, { recursive: true });
      }
    });

    test('of results that are disposed of: there is none', async () => {
      const peak = await peakOf(40, async (step) => {
        using _result = await step();
      });
      expect(peak).toBeLessThanOrEqual(34e6);
    });

    test('of what lies unused ends at what is in use, or 128 MiB', () => {
      const storages = Array.from({ length: 40 }, (_, i) => device.buffers.allocate((8 + i / 8) * mib, 'test'));
      for (const storage of storages) storage.release();
      expect(device.memory().pooledBytes).toBeLessThanOrEqual(128 * mib);
      expect(device.memory().pooledBytes).toBeGreaterThan(96 * mib);
      expectExact();
    });

    test('of slabs ends with the largest plan, and goes with it', async () => {
      const sizes = [1, 2, 3, 4, 3, 2, 1];
      // Two values that live at once, neither of them a result.
      const body = compile((x: Tensor) => x.exp().matmul(x.sin()).sum());
      for (const size of sizes) {
        const n = 256 * size;
        await (await body(tensor(new Float32Array(n * n), { shape: [n, n] }))).item();
      }
      const slabs = () => device.buffers.arena.buffers.reduce((sum, { size }) => sum + size, 0);
      const plans = [...body.plans.values()].flat();
      expect(slabs()).toBe(
        Math.max(...plans.map(({ program }) => program.memory.slabs.reduce((sum, size) => sum + size, 0))),
      );
      for (const plan of plans) plan.destroy();
      await new Promise((resolve) => setTimeout(resolve));
      expect(slabs()).toBe(0);
      expectExact();
    });

    test('what lies unused makes room for what is needed', async () => {
      const unused = Array.from({ length: 8 }, () => device.buffers.allocate(8 * mib, 'test'));
      for (const storage of unused) storage.release();
      ledger.refuses = (_, bytes) => ledger.bytes + bytes > 80 * mib;
      expect(
        (
          await ones([5 * mib])
            .exp()
            .data()
        )[0],
      ).toBe(Math.fround(Math.E));
      expect(device.memory().pooledBytes).toBe(0);
      expectExact();
    });

    test('a plan that was refused keeps nothing', async () => {
      const double = compile((x: Tensor) => x.exp().matmul(x).sum());
      await (await double(ones([8, 8]))).item();
      const before = held();
      const x = ones([1024, 1024]);
      ledger.refuses = (_, bytes) => bytes > 2 * mib;
      await expect(double(x)).rejects.toThrow(OutOfMemoryError);
      expect(held()).toBeLessThanOrEqual(before);
      ledger.refuses = () => false;
      expect(await (await double(x)).item()).toBeGreaterThan(0);
    });
  });
});
