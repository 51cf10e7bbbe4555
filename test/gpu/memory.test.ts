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
import { profile as selection } from '../support/environment.ts';
import { keepLedger, type Ledger } from '../support/memory.ts';

let device: Device;
let ledger: Ledger;

beforeEach(async () => {
  const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
  const gpu = await adapter.requestDevice();
  ledger = keepLedger(gpu);
  device = await init({ device: gpu, profile: selection });
});
afterEach(() => device.destroy());

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

describe('memory()', () => {
  test('is the bytes of all buffers created less those destroyed', async () => {
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
});

describe('a device without memory', () => {
  /** What buffers are for, without what differs from one to the next. */
  const kindOf = (label: string) => label.replace(/\[.*|\d+/g, '').trim();

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
    for (const kind of all) {
      await anotherDevice();
      let refused = false;
      ledger.refuses = (label) => {
        const refuse = !refused && kindOf(label) === kind;
        refused ||= refuse;
        return refuse;
      };
      expect(await everything(), `with a buffer for ${kind} refused`).toEqual(expected);
      expect(refused).toBe(true);
      expectExact();
    }
  });

  test('for any buffer of a kind: an OutOfMemoryError, and all goes on once there is room', async () => {
    const { expected, kinds: all } = await kinds();
    for (const kind of all) {
      await anotherDevice();
      ledger.refuses = (label) => kindOf(label) === kind;
      await expect(everything(), `without buffers for ${kind}`).rejects.toThrow(OutOfMemoryError);
      expectExact();
      ledger.refuses = () => false;
      expect(await everything(), `after a time without buffers for ${kind}`).toEqual(expected);
      expectExact();
    }
  });
});

async function anotherDevice(): Promise<void> {
  device.destroy();
  const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
  const gpu = await adapter.requestDevice();
  ledger = keepLedger(gpu);
  device = await init({ device: gpu, profile: selection });
}
