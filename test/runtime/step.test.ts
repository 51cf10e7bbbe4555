import { beforeEach, describe, expect, test, vi } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { verifyPlan } from '../../src/compile/memory.ts';
import {
  compile,
  crossEntropy,
  dropout,
  dynamic,
  embedding,
  grad,
  layerNorm,
  manualSeed,
  ones,
  parameter,
  randn,
  readAll,
  scaledDotProductAttention,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { residenceOf } from '../../src/runtime/residence.ts';
import { announceReads, device, useGpu } from '../support/gpu.ts';

/** A compiled step is one submit, and after the first call it creates and traces nothing. */
useGpu();
beforeEach(() => announceReads(Infinity));

function smallModel() {
  manualSeed(1);
  const table = parameter(randn([7, 8]));
  const weight = parameter(randn([8, 24]));
  const gain = parameter(ones([8]));
  const loss = (ids: Tensor, targets: Tensor) => {
    const x = layerNorm(embedding(ids, table), gain);
    const heads = x.matmul(weight).reshape([2, 5, 3, 2, 4]).permute([2, 0, 3, 1, 4]).split(1, 0);
    const [q, k, v] = heads.map((part) => part.squeeze([0])) as [Tensor, Tensor, Tensor];
    const mixed = scaledDotProductAttention(q, k, v, { causal: true }).permute([0, 2, 1, 3]).reshape([2, 5, 8]);
    return crossEntropy(x.add(mixed).matmul(table.transpose()), targets);
  };
  return { parameters: [table, weight, gain], loss };
}
const ids = () => tensor(new Int32Array([0, 1, 2, 3, 4, 5, 6, 0, 1, 2]), { shape: [2, 5] });
const targets = () => tensor(new Int32Array([1, 2, 3, 4, 5, 6, 0, 1, 2, 3]), { shape: [2, 5] });

function trainingStep() {
  const model = smallModel();
  const rate = { value: 0.1 };
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = model.loss(x, y);
    loss.backward();
    for (const each of model.parameters) {
      each.assign(each.sub((each.grad as Tensor).mul(dynamic(() => rate.value))));
      each.grad = null;
    }
    return loss;
  });
  return { ...model, step, rate };
}

describe('a replayed step', () => {
  test('makes one submit and creates nothing', async () => {
    const { step } = trainingStep();
    await (await step(ids(), targets())).item();
    await (await step(ids(), targets())).item();
    const plan = await step.prepare(ids(), targets());
    const { counts: calls } = await countCalls(async () => {
      for (let i = 0; i < 5; i++) await step(ids(), targets());
    });
    expect(calls).toEqual({
      dispatches: 5 * plan.summary().dispatches,
      submits: 5,
      buffers: 0,
      bindGroups: 0,
      pipelines: 0,
      maps: 0,
      bufferBytes: 0,
    });
    expect(step.traces).toBe(1);
  });

  test('finds what it reads on the device once it is prepared', async () => {
    const { step, parameters } = trainingStep();
    await step.prepare(ids(), targets());
    expect(parameters.map(({ version }) => [version.source, version.device])).toEqual(
      parameters.map(() => [null, device]),
    );
  });

  test('reads its loss with one mapping and no further submit', async () => {
    const { step } = trainingStep();
    await (await step(ids(), targets())).item();
    const loss = await step(ids(), targets());
    expect((await countCalls(() => loss.item())).counts).toMatchObject({ maps: 1, submits: 0, buffers: 0 });
  });

  test('lowers the loss, and plain calls give the same bits', async () => {
    const compiled = trainingStep();
    const plain = smallModel();
    for (let i = 0; i < 4; i++) {
      const expected = plain.loss(ids(), targets());
      const gradients = grad(expected, plain.parameters);
      for (const [p, each] of plain.parameters.entries())
        each.assign(each.sub((gradients[p] as Tensor).mul(0.1)).detach());
      expect(await (await compiled.step(ids(), targets())).item()).toBe(await expected.item());
    }
    expect(await compiled.parameters[0]?.data()).toEqual(await plain.parameters[0]?.data());
  });

  test('keeps each step’s result, also when a thousand are held', async () => {
    const w = parameter(ones([1]));
    const step = compile(() => {
      w.assign(w.add(1));
      return w.mul(2);
    });
    const results: Tensor[] = [];
    for (let i = 0; i < 1100; i++) results.push(await step());
    expect(await results[0]?.item()).toBe(4);
    expect(await results[500]?.item()).toBe(1004);
    expect(await results[1099]?.item()).toBe(2202);
  });

  test('leaves results to who holds them, and gives back the rest, when its plan goes', async () => {
    const double = compile((x: Tensor) => x.mul(2));
    // Four plans of a signature are kept; each choice makes another.
    const result = async (value: number) => {
      device.choose({});
      return double(tensor([value, value]));
    };
    const results: Tensor[] = [];
    for (let i = 0; i < 4; i++) results.push(await result(i));
    const before = device.memory().liveBytes;
    const reading = results.map((each) => each.data());
    results.push(...(await Promise.all(results.map((_, i) => result(4 + i)))));
    for (const [i, values] of (await Promise.all(reading)).entries()) expect([...values]).toEqual([2 * i, 2 * i]);
    // The first four results have moved to memory of their own.
    expect(device.memory().liveBytes).toBeLessThanOrEqual(before + 4 * 256);
    for (const [i, each] of results.entries()) expect((await each.data())[1]).toBe(2 * i);
  });

  test('has its results read where they lie by then, when its plan goes between a read and its copy', async () => {
    const double = compile((x: Tensor) => x.mul(2));
    const x = tensor([1, 2]);
    const results = [await double(x), await double(x), ones([300])];
    const place = () => residenceOf(results[0] as Tensor).storageOn(device).buffer;
    const ring = place();
    const make = device.readback.stagingFor.bind(device.readback);
    const stagingFor = vi.spyOn(device.readback, 'stagingFor').mockImplementation(async (requests) => {
      for (const plan of [...double.plans.values()].flat()) plan.destroy();
      // Until results have moved, and what they lay in is gone.
      await vi.waitUntil(() => place() !== ring);
      return make(requests);
    });
    try {
      const [first, second] = await readAll(results);
      expect([...(first ?? []), ...(second ?? [])]).toEqual([2, 4, 2, 4]);
      expect(stagingFor).toHaveBeenCalledTimes(1);
    } finally {
      stagingFor.mockRestore();
    }
  });

  test('runs at once for more signatures than plans are kept of', async () => {
    const sum = compile((x: Tensor) => x.sum());
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const sizes = Array.from({ length: 24 }, (_, i) => i + 1);
    const before = device.memory().liveBytes;
    try {
      expect(await Promise.all(sizes.map(async (size) => (await sum(ones([size]))).item()))).toEqual(sizes);
    } finally {
      warn.mockRestore();
    }
    // Sixteen plans stay, with a ring of 256 KiB each.
    expect(device.memory().liveBytes - before).toBeLessThan(17 * 2 ** 18);
  });

  test('keeps as many plans as it is told, and says so where that is too few', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    try {
      const lengths = Array.from({ length: 20 }, (_, i) => tensor(new Float32Array(i + 1)));
      const [few, enough] = [
        compile((x: Tensor) => x.add(1), { plans: 3 }),
        compile((x: Tensor) => x.add(1), { plans: 20 }),
      ];
      for (let round = 0; round < 2; round++) for (const x of lengths) await enough(x);
      expect([enough.traces, enough.plans.size]).toEqual([20, 20]);
      expect(warn).not.toHaveBeenCalled();
      for (let round = 0; round < 2; round++) for (const x of lengths.slice(0, 4)) await few(x);
      expect([few.traces, few.plans.size]).toEqual([8, 3]);
      expect(warn).toHaveBeenCalledTimes(1);
      expect(warn.mock.calls[0]?.[0]).toContain(
        'called with more than 3 in turn. Keep more of them, compile(fn, { plans: 6 })',
      );
    } finally {
      warn.mockRestore();
    }
    expect(() => compile(() => {}, { plans: 0 })).toThrow('[compile] plans must be a positive integer, got 0');
  });

  test('gives results larger than a slot of the ring as their own memory', async () => {
    const double = compile((x: Tensor) => x.mul(2));
    const first = await double(ones([1000]));
    const second = await double(ones([1000]).mul(3));
    expect([(await first.data())[999], (await second.data())[999]]).toEqual([2, 6]);
  });

  test('proves its memory plan', async () => {
    const { step } = trainingStep();
    const { program } = await step.prepare(ids(), targets());
    verifyPlan(program.problem, program.memory);
    expect(program.memory.slabs.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(program.memory.lowerBound);
  });
});

describe('what changes from step to step', () => {
  test('dynamic numbers are read at each replay', async () => {
    const { step, rate, parameters } = trainingStep();
    await step(ids(), targets());
    const before = await parameters[1]?.data();
    rate.value = 0;
    await step(ids(), targets());
    expect(await parameters[1]?.data()).toEqual(before);
    expect(step.traces).toBe(1);
  });

  test('shapes, types and plain arguments belong to the signature', async () => {
    const scale = compile((x: Tensor, factor: number) => x.mul(factor));
    expect(await (await scale(ones([2]), 2)).array()).toEqual([2, 2]);
    expect(await (await scale(ones([3]), 2)).array()).toEqual([2, 2, 2]);
    expect(await (await scale(ones([2]), 5)).array()).toEqual([5, 5]);
    expect(await (await scale(ones([2]), 2)).array()).toEqual([2, 2]);
    expect(scale.traces).toBe(3);
  });

  test('typed arrays go straight in, nested results come out', async () => {
    const both = compile((x: Float32Array, options: { y: Tensor }) => ({
      sum: (x as unknown as Tensor).add(options.y),
      parts: [options.y.neg()],
    }));
    const result = await both(new Float32Array([1, 2]), { y: tensor([10, 20]) });
    expect(await result.sum.array()).toEqual([11, 22]);
    expect(await (result.parts[0] as Tensor).array()).toEqual([-10, -20]);
  });

  test('tensors that lie on the device are copied in within the same submit', async () => {
    const twice = compile((x: Tensor) => x.mul(2));
    const first = await twice(tensor([1, 2]));
    const { counts: calls } = await countCalls(async () => {
      await twice(first);
    });
    expect(calls.submits).toBe(1);
    expect(await (await twice(await twice(first))).array()).toEqual([8, 16]);
  });

  test('random numbers differ from step to step and equal those of plain calls', async () => {
    const mask = compile(() => [dropout(ones([64]), 0.5), dropout(ones([64]), 0.5)]);
    manualSeed(5);
    const [a, b] = (await mask()) as [Tensor, Tensor];
    const [c] = (await mask()) as [Tensor, Tensor];
    manualSeed(5);
    const plain = [dropout(ones([64]), 0.5), dropout(ones([64]), 0.5), dropout(ones([64]), 0.5)] as [
      Tensor,
      Tensor,
      Tensor,
    ];
    expect(await a.data()).toEqual(await plain[0].data());
    expect(await b.data()).toEqual(await plain[1].data());
    expect(await c.data()).toEqual(await plain[2].data());
    expect(await a.data()).not.toEqual(await c.data());
  });
});

describe('state', () => {
  test('a value taken before the step keeps the old version', async () => {
    const w = parameter(tensor([1, 2, 3]));
    const step = compile(() => {
      w.assign(w.mul(10));
      return w.sum();
    });
    await step();
    const lazy = w.add(1);
    const same = w.mul(1);
    await step();
    expect(await lazy.array()).toEqual([11, 21, 31]);
    expect(await same.array()).toEqual([10, 20, 30]);
    expect(await w.array()).toEqual([100, 200, 300]);
  });

  test('inside a step, reads after an assignment see the new version, reads before it the old', async () => {
    const w = parameter(tensor([1, 2]));
    const step = compile(() => {
      const before = w.mul(1);
      w.assign(w.add(10));
      const between = w.mul(2);
      w.assign(w.add(100));
      return [before, between, w.add(0)];
    });
    const [before, between, after] = (await step()) as [Tensor, Tensor, Tensor];
    expect([await before.array(), await between.array(), await after.array()]).toEqual([
      [1, 2],
      [22, 24],
      [111, 112],
    ]);
    expect(await w.array()).toEqual([111, 112]);
  });

  test('two states can trade places', async () => {
    const [a, b] = [parameter(tensor([1, 1])), parameter(tensor([2, 2]))];
    const swap = compile(() => {
      const old = a.version;
      a.assign(b);
      b.assign(old);
      return [];
    });
    await swap();
    expect([await a.array(), await b.array()]).toEqual([
      [2, 2],
      [1, 1],
    ]);
    await swap();
    expect([await a.array(), await b.array()]).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test('gradients add up across steps until they are dropped', async () => {
    const w = parameter(tensor([3]));
    const step = compile(() => {
      const loss = w.square().sum();
      loss.backward();
      return loss;
    });
    await step();
    expect(await w.grad?.item()).toBe(6);
    await step();
    await step();
    expect(await w.grad?.item()).toBe(18);
    expect(step.traces).toBe(2); // without and with a gradient to add to
    w.grad = null;
    await step();
    expect(await (w.grad as Tensor | null)?.item()).toBe(6);
    expect(step.traces).toBe(2);
  });
});

describe('mistakes', () => {
  test('reading inside a compiled function', async () => {
    for (const read of [
      (x: Tensor) => x.data(),
      (x: Tensor) => x.item(),
      (x: Tensor) => x.array(),
      (x: Tensor) => x.print(),
      (x: Tensor) => readAll([x]),
    ]) {
      const wrong = compile((x: Tensor) => {
        void read(x.mul(2));
        return x;
      });
      await expect(wrong(ones([1]))).rejects.toThrow(/a value is read inside a compiled function/);
    }
  });

  test('a traced value that leaked out', async () => {
    let leaked: Tensor | undefined;
    const leak = compile((x: Tensor) => {
      leaked = x.mul(2);
      return leaked.add(1);
    });
    await leak(ones([1]));
    expect(() => (leaked as Tensor).add(1)).toThrow(/leaked out/);
  });

  test('a captured number that changes, in debug mode', async () => {
    let factor = 2;
    const step = compile((x: Tensor) => x.mul(factor), { debug: true });
    expect(await (await step(ones([1]))).item()).toBe(2);
    expect(await (await step(ones([1]))).item()).toBe(2);
    factor = 3;
    await expect(step(ones([1]))).rejects.toThrow(
      /records something else than when it was traced; node 0 was\n.*"value":2.*\nand is now\n.*"value":3/,
    );
  });

  test('an argument that is no data', async () => {
    const step = compile((x: unknown) => x as Tensor);
    await expect(step(new Set())).rejects.toThrow(/argument 0 is a Set/);
  });
});
