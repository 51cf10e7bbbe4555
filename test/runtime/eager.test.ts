import { beforeEach, describe, expect, test } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { reachable } from '../../src/graph/node.ts';
import {
  compile,
  currentDevice,
  explain,
  grad,
  type HostArray,
  manualSeed,
  nn,
  noGrad,
  ones,
  optim,
  pad,
  parameter,
  randn,
  readAll,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import { draw } from '../support/draw.ts';
import { announceReads, collectGarbage, device, tensorsHeld, useGpu } from '../support/gpu.ts';

/** Uncompiled use: nothing runs until a value is wanted, and graphs of one structure share a plan. */
useGpu();
beforeEach(() => announceReads(Infinity));

describe('reading', () => {
  test('runs what is behind the value, once', async () => {
    const recorded = tensor([1, 2, 3]).add(1).mul(2);
    expect(await recorded.array()).toEqual([4, 6, 8]);
    expect((await countCalls(() => recorded.data())).counts.dispatches).toBe(0);
  });

  test('several values travel in one staging copy', async () => {
    const [a, b] = [randn([5]).exp(), randn([7]).neg()];
    await readAll([a, b]);
    const { counts: calls } = await countCalls(() => readAll([a, b]));
    expect(calls).toMatchObject({ maps: 1, submits: 1 });
  });

  test('gives item, array, data and a printed text', async () => {
    expect(
      await tensor([
        [1, 2],
        [3, 4],
      ])
        .sum()
        .item(),
    ).toBe(10);
    expect(await tensor([true, false]).not().array()).toEqual([false, true]);
    expect(
      await tensor(new Int32Array([7, -7]))
        .neg()
        .data(),
    ).toEqual(new Int32Array([-7, 7]));
    expect(
      await tensor([
        [1, 2.5],
        [-3, 4],
      ]).print(),
    ).toBe('Tensor([2, 2], f32)\n[[     1, 2.5000],\n [    -3,      4]]');
    await expect(ones([2]).item()).rejects.toThrow(/\[item\] needs a tensor of one element, got \[2\]/);
  });
});

describe('the plan cache', () => {
  test('serves graphs that differ only in their data', async () => {
    const softened = (x: Tensor) => x.mul(3).exp().sum();
    await softened(randn([50])).item();
    expect((await countCalls(() => softened(randn([50])).item())).counts.pipelines).toBe(0);
  });

  test('makes bind groups anew only for what reads other data', async () => {
    const w = draw([8, 8]);
    const both = (x: Tensor) => readAll([x.mul(2), w.matmul(w)]);
    const [a, b] = [tensor([1, 2, 3]), tensor([4, 5, 6])];
    await both(a);
    const { result, counts } = await countCalls(() => both(b));
    expect(counts).toMatchObject({ dispatches: 2, bindGroups: 1 });
    expect([...(result[0] as HostArray)]).toEqual([8, 10, 12]);
  });

  test('holds no plans of choices that were made before the last', async () => {
    const x = ones([3]);
    const chosen = async () => {
      device.choose({});
      using result = x.mul(2);
      await result.data();
      return device.memory().buffers;
    };
    await chosen();
    const buffers = await chosen();
    await chosen();
    // Fewer where what earlier tests have left was collected meanwhile.
    expect(await chosen()).toBeLessThanOrEqual(buffers);
  });

  test('tells graphs apart that differ in attributes or sharing', async () => {
    const x = tensor([1, 2]);
    const y = tensor([1, 2]);
    expect(await x.mul(2).array()).toEqual([2, 4]);
    expect(await x.mul(3).array()).toEqual([3, 6]);
    expect(await x.add(x).array()).toEqual([2, 4]);
    expect(await x.add(y.mul(10)).array()).toEqual([11, 22]);
    expect(await pad(x, [[1, 0]]).array()).toEqual([0, 1, 2]);
    expect(await pad(x, [[0, 1]]).array()).toEqual([1, 2, 0]);
  });
});

describe('state outside of steps', () => {
  test('older values keep the older version, whatever the order of reading', async () => {
    const w = parameter(tensor([1, 2]));
    const before = w.mul(10);
    w.assign(w.add(5));
    const after = w.mul(10);
    expect(await after.array()).toEqual([60, 70]);
    expect(await before.array()).toEqual([10, 20]);
  });

  test('a value recorded before a compiled step keeps the version that was current then, computed or not', async () => {
    const w = parameter(ones([4]));
    const step = compile(() => noGrad(() => w.assign(w.mul(10))));
    await step();
    w.assign(w.add(1));
    const recorded = w.mul(3);
    await step();
    expect([await recorded.array(), await w.array()]).toEqual([Array(4).fill(33), Array(4).fill(110)]);
  });

  test('the same where an optimizer has packed the parameters', async () => {
    const [w, other] = [parameter(ones([4])), parameter(ones([4]))];
    const optimizer = new optim.SGD([w, other], { lr: 1 });
    const plain = () => {
      const loss = w.mul(2).add(other).sum();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    };
    const step = compile(plain);
    await step();
    plain();
    const recorded = w.mul(3);
    await step();
    expect([await recorded.array(), await w.array()]).toEqual([Array(4).fill(-9), Array(4).fill(-5)]);
  });

  test('a long loop of assignments does not keep its history', async () => {
    const w = parameter(ones([4]));
    for (let i = 0; i < 50; i++) {
      w.assign(w.mul(1.01).detach());
      await w.data();
    }
    expect(w.version.node.inputs.length).toBe(0);
    expect((await w.data())[0]).toBeCloseTo(1.01 ** 50, 4);
  });
});

describe('long chains', () => {
  test('are computed on their way, and then forgotten', async () => {
    await collectGarbage();
    let x = tensor([0.3]);
    const { counts } = await countCalls(async () => {
      noGrad(() => {
        for (let i = 0; i < 1400; i++) x = x.mul(0.99).add(0.01); // 2,800 ops
      });
      await x.data();
    });
    expect(counts.submits).toBe(3 + 1); // two on the way, one for the rest, and one to read
    expect(reachable([x]).length).toBe(1);
    expect(await x.item()).toBeCloseTo(1 - 0.7 * 0.99 ** 1400, 5);
  });

  test('may be several that cross', async () => {
    let [a, b] = [tensor([1]), tensor([0])];
    noGrad(() => {
      for (let i = 0; i < 800; i++) [a, b] = [b, a.add(b).mul(0.5)];
    });
    expect(await a.item()).toBeCloseTo(1 / 3, 5);
    expect(await b.item()).toBeCloseTo(1 / 3, 5);
  });

  test('may run side by side, and are computed together', async () => {
    let chains = [1, 2, 3, 4].map((start) => tensor([start]));
    const next = (x: Tensor, i: number) => x.add(chains[(i + 1) % 4] as Tensor).mul(0.5);
    await collectGarbage();
    const { counts } = await countCalls(async () => {
      noGrad(() => {
        for (let i = 0; i < 1200; i++) chains = chains.map(next); // of 2,400 ops each
      });
      await readAll(chains);
    });
    expect(counts.submits).toBe(3 + 1); // as for a single one
    for (const chain of chains) expect(await chain.item()).toBeCloseTo(2.5, 5);
  });

  test('keep what gradients need', async () => {
    const x = tensor([0.5]);
    let y: Tensor = x;
    for (let i = 0; i < 1500; i++) y = y.mul(1.001);
    const [gradient] = grad(y.sum(), [x]);
    expect(await gradient?.item()).toBeCloseTo(1.001 ** 1500, 3);
    expect(await y.item()).toBeCloseTo(0.5 * 1.001 ** 1500, 3);
  });
});

describe('a loop over chunks that carries a detached state', () => {
  /** Truncated backpropagation through time: what the loss of each chunk is, and what it takes. */
  const chunks = (kind: 'LSTM' | 'GRU') => {
    manualSeed(7);
    const model = kind === 'LSTM' ? new nn.LSTM(3, 4) : new nn.GRU(3, 4);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const x = randn([5, 2, 3]);
    const step = (state: readonly Tensor[]) => {
      const [output, last] = model.forward(x, (kind === 'LSTM' ? state : state[0]) as never);
      const next = [last as Tensor | Tensor[]].flat().map((each) => each.detach());
      const loss = output.square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return { loss, state: next };
    };
    const start = () => Array.from({ length: kind === 'LSTM' ? 2 : 1 }, () => zeros([1, 2, 4]));
    return { step, start };
  };

  test.each(['LSTM', 'GRU'] as const)('computes each chunk of an %s once, and keeps nothing of it', async (kind) => {
    const { step, start } = chunks(kind);
    const losses: number[] = [];
    const taken: number[] = [];
    let held = 0;
    let state = start();
    for (let i = 0; i < 14; i++) {
      const { counts } = await countCalls(async () => {
        const made = step(state);
        state = made.state;
        losses.push(await made.loss.item());
      });
      taken.push(counts.dispatches);
      if (i === 3) held = await tensorsHeld(0, 20);
    }
    expect(taken.slice(2)).toEqual(Array(12).fill(taken[1]));
    expect(await tensorsHeld(held, 200)).toBeLessThanOrEqual(held);

    const compiled = chunks(kind);
    const replayed = compile((...carried: Tensor[]) => compiled.step(carried));
    let carried = compiled.start();
    for (const loss of losses) {
      const made = await replayed(...carried);
      carried = made.state;
      expect(await made.loss.item()).toBe(loss);
    }
  });

  test.each(['detach', 'noGrad'])('does so where nobody asks for gradients, too: %s', async (by) => {
    const w = randn([4, 4]);
    let state = zeros([1, 4]);
    const taken: number[] = [];
    for (let i = 0; i < 6; i++) {
      const turn = () => state.matmul(w).tanh();
      const next = by === 'noGrad' ? noGrad(turn) : turn();
      state = by === 'noGrad' ? noGrad(() => next.reshape([4]).reshape([1, 4])) : next.detach();
      taken.push((await countCalls(() => next.sum().data())).counts.dispatches);
    }
    expect(taken.slice(2)).toEqual(Array(4).fill(taken[2]));
  });
});

describe('scope', () => {
  const bytes = 4 * 256 * 256;
  const large = () => randn([256, 256]);
  const live = () => currentDevice().memory().liveBytes;

  test('frees what was made meanwhile, held or not, but for what it returns', async () => {
    const held: Tensor[] = [];
    const work = async () => {
      const x = large();
      const y = x.exp();
      const z = y.mul(2);
      await readAll([y, z]);
      held.push(x, y, z);
      return { z, sums: [y.sum()] };
    };
    await scope(work); // plans are there
    const before = live();
    const { z, sums } = await scope(work);
    expect(live() - before).toBeLessThan(1.5 * bytes);
    expect(held.slice(3).map(({ device: on }) => on !== null)).toEqual([false, false, true]);
    expect(sums[0]?.isComputed).toBe(true);
    expect((await z.data()).length).toBe(256 * 256);
  });

  test('leaves states, what was there before, and what can be computed again', async () => {
    const outside = randn([4]);
    const later = outside.exp();
    let inside = outside;
    const w = parameter(ones([4]));
    await scope(async () => {
      w.assign(w.add(outside));
      inside = outside.mul(3);
      await readAll([w, later, inside]);
    });
    const [x, sum, exp, tripled] = await readAll([outside, w, later, inside]);
    for (let i = 0; i < 4; i++) {
      expect(sum?.[i]).toBeCloseTo(1 + (x?.[i] as number), 5);
      expect(exp?.[i]).toBeCloseTo(Math.exp(x?.[i] as number), 4);
      expect(tripled?.[i]).toBeCloseTo(3 * (x?.[i] as number), 5);
    }
  });

  test('hands on to the scope around it, and frees after an error, too', async () => {
    const held: Tensor[] = [];
    const inner = async () => {
      const y = large().exp();
      await y.data();
      held.push(y);
      return y;
    };
    await scope(async (scope) => {
      const y = await scope(inner);
      expect(y.isComputed).toBe(true);
    });
    const failing = scope(async () => {
      await inner();
      throw new Error('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(held.map(({ isComputed }) => isComputed)).toEqual([false, false]);
  });

  test('leaves what a compiled function has captured', async () => {
    const x = tensor([1, 2]);
    for (const mask of [() => ones([2]).mul(3), () => noGrad(() => ones([2]).mul(3)), () => tensor([3, 3])]) {
      const masked = await scope(async () => {
        const captured = mask();
        const step = compile((x: Tensor) => x.mul(captured));
        expect(await (await step(x)).array()).toEqual([3, 6]);
        return step;
      });
      expect(await (await masked(x)).array()).toEqual([3, 6]);
    }
  });

  test('frees nothing of another that runs beside it', async () => {
    const x = ones([4]);
    await x.data();
    const doubled = async (sign: Promise<void>) => {
      const y = noGrad(() => x.mul(2));
      await y.data();
      await sign;
      expect(await y.add(1).array()).toEqual([3, 3, 3, 3]);
      return y;
    };
    for (const last of [0, 1]) {
      const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const both = [scope(() => doubled(first.promise)), scope(() => doubled(second.promise))] as const;
      (last ? first : second).resolve();
      const one = (await both[1 - last]) as Tensor;
      (last ? second : first).resolve();
      const other = (await both[last]) as Tensor;
      expect(await one.array()).toEqual([2, 2, 2, 2]);
      expect(await other.array()).toEqual([2, 2, 2, 2]);
    }
  });

  test('what is computed again reads the versions that it read', async () => {
    const w = parameter(ones([400]));
    const step = compile(() => noGrad(() => w.assign(w.mul(10))));
    await step();
    let h: Tensor = w;
    await scope(async () => {
      w.assign(w.add(1));
      h = w.mul(3); // of a version that is not there yet
      expect((await h.data())[0]).toBe(33);
    });
    expect(h.isComputed).toBe(false);
    await step();
    expect([(await h.data())[0], (await w.data())[0]]).toEqual([33, 110]);
  });

  test('computes what was assigned before an error', async () => {
    const w = parameter(ones([4]));
    const doubled = compile((x: Tensor) => x.mul(2));
    const failing = scope(async () => {
      const y = await doubled(ones([4]));
      const z = noGrad(() => y.add(1));
      await z.data();
      w.assign(w.add(y).add(z));
      throw new Error('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(await w.array()).toEqual([6, 6, 6, 6]);
  });

  test('disposes of what nothing can bring back', async () => {
    let [result, later] = [tensor([0]), tensor([0])];
    await scope(async () => {
      result = await compile(() => ones([4]).mul(2))();
      later = result.add(1);
    });
    const disposed = /^\[tensor\] this \[4\] tensor was disposed of, .* return it from the scope$/;
    expect(() => result.add(1)).toThrow(disposed);
    await expect(later.data()).rejects.toThrow(disposed);
  });
});

describe('memory', () => {
  test('dispose and using give it back at once', async () => {
    const device = currentDevice();
    const value = randn([100_000]).exp();
    await value.sum().item();
    await value.data();
    const held = device.memory().liveBytes;
    value.dispose();
    expect(device.memory().liveBytes).toBeLessThanOrEqual(held - 400_000);
    expect(() => value.add(1)).toThrow(/was disposed/);
  });

  test('a captured tensor that was disposed of is missed by name', async () => {
    const mask = ones([4]).mul(3);
    const step = compile((x: Tensor) => x.mul(mask));
    await step(ones([4]));
    mask.dispose();
    await expect(step(ones([4]))).rejects.toThrow(/this \[4\] tensor was disposed of/);
  });
});

describe('explain', () => {
  test('shows nodes, kernels, what was fused, grid and memory', () => {
    const text = explain(
      tensor([[1, 2]])
        .matmul(tensor([[1], [2]]))
        .add(1)
        .relu(),
    );
    expect(text).toMatch(/%0 = matmul\(constant\[1, 2\], constant\[2, 1\]\) → f32\[1, 1\]/);
    expect(text).toMatch(/1 dispatches, 1 pipelines, 0 copies/);
    expect(text).toMatch(/matmul\/\w+ \[1, 1\]\s+workgroups 1×1×1\s+fused: add → relu/);
    expect(text).toMatch(/memory: 1 slabs, 256 bytes/);
  });

  test('of a computed value says that nothing would run', () => {
    expect(explain(tensor([1]))).toMatch(/already computed/);
  });
});
