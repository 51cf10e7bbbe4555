import { beforeEach, describe, expect, test } from 'vitest';
import { mayFail } from '../../src/compile/commit.ts';
import { buildProgram } from '../../src/compile/program.ts';
import { setsStatus } from '../../src/compile/schedule.ts';
import { reachable } from '../../src/graph/node.ts';
import {
  compile,
  crossEntropy,
  defineOp,
  dynamic,
  embedding,
  manualSeed,
  nn,
  noGrad,
  type OpDefinition,
  OutOfMemoryError,
  ones,
  optim,
  parameter,
  randn,
  readAll,
  type Tensor,
  tensor,
  UnsupportedError,
  ValueError,
  zeros,
} from '../../src/index.ts';
import type { OpName } from '../../src/ops/registry.ts';
import { announceReads, device, useGpu } from '../support/gpu.ts';
import { samples } from '../support/samples.ts';

/** A step that fails, for any reason, leaves all state as it was, and nobody hears of it but who asks for what it made. */
useGpu();
beforeEach(() => announceReads(Infinity));

const ids = (...values: number[]) => tensor(new Int32Array(values));
const bad = /^\[embedding\] a token id lies outside \[0, 3\)/;

describe('the status of a submit', () => {
  test('is thrown at each read of what the submit made, and at no other', async () => {
    const table = parameter(randn([3, 2]));
    for (const look of [
      compile((x: Tensor) => embedding(x, table).sum()),
      compile((x: Tensor) => embedding(x, table).expand([100, 3, 2])),
      async (x: Tensor) => embedding(x, table).sum(),
    ]) {
      const results = [];
      for (const each of [ids(0, 1, 2), ids(0, 7, 1), ids(2, 2, 2)]) results.push(await look(each));
      const [first, failed, last] = results as [Tensor, Tensor, Tensor];
      await expect(failed.data()).rejects.toThrow(bad);
      await expect(failed.data()).rejects.toThrow(ValueError);
      await first.data();
      await last.data();
      expect(await ones([2]).add(1).array()).toEqual([2, 2]);
      await table.data();
    }
  });

  test('goes on to what is made of its values', async () => {
    const table = parameter(randn([3, 2]));
    const look = compile((x: Tensor) => embedding(x, table));
    const double = compile((x: Tensor) => x.mul(2));
    const loss = compile((x: Tensor, y: Tensor) => crossEntropy(x, y));
    const [good, failed] = [await look(ids(0, 1)), await look(ids(0, 3))];
    for (const made of [await double(failed), await loss(failed, ids(0, 1)), failed.sum(), good.add(failed)])
      await expect(made.data()).rejects.toThrow(bad);
    for (const made of [await double(good), await loss(good, ids(0, 1)), good.sum()]) await made.data();
  });

  test('that nobody has read shows once, at a later read of the same function', async () => {
    const table = parameter(randn([3, 2]));
    const look = compile((x: Tensor) => embedding(x, table).sum());
    const other = compile((x: Tensor) => embedding(x, table).mean());
    await look(ids(5));
    await look(ids(1));
    await (await other(ids(0))).data();
    const last = await look(ids(2));
    await expect(last.data()).rejects.toThrow(/^\[embedding\] .* \(in an earlier step, whose results nobody has read/);
    await last.data();
    await (await look(ids(0))).data();
  });
});

class Model extends nn.Module {
  readonly weight = parameter(randn([32, 2]));
  readonly other = parameter(randn([3]));
}

/** Reasons for which a step fails: what the good steps are given, and what the bad one is given. */
interface Reason {
  readonly error: RegExp;
  /** The loss of a batch; `bad` ones fail. */
  loss(model: Model, bad: boolean): Tensor;
}

const double = (kernel: OpDefinition['kernel']) => {
  const call = defineOp({
    name: 'double',
    infer: ([x]) => [{ shape: x?.shape ?? [], dtype: 'f32' }],
    kernel,
    gradient: (_, [dy]) => [dy ? dy.mul(2) : null],
  });
  return (x: Tensor) => call([x])[0] as Tensor;
};
const unselectable = double(() => {
  throw new UnsupportedError('[double] no kernel can do this');
});
const misspelt = double(([x]) => ({
  dispatches: [
    {
      kernel: 'double/misspelt',
      source: `struct Params { size: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { y[0] = x[0] * misspelt; }`,
      bindings: [
        { kind: 'input', index: 0 },
        { kind: 'output', index: 0 },
      ],
      uniforms: { size: x?.shape[0] ?? 0 },
      workgroups: [1, 1, 1],
    },
  ],
}));

const input = () => tensor([[0.5, -1]]);
const reasons: Readonly<Record<string, Reason>> = {
  'a binding that is too large': {
    error: /takes \d+ bytes; a kernel of this device can bind/,
    loss: ({ weight }, bad) =>
      (bad ? ones([device.profile.bindingBytes / 4 / 16, 2]).mul(input()) : input())
        .matmul(weight.transpose())
        .tanh()
        .sum(),
  },
  'a kernel that nobody has': {
    error: /\[double\] no kernel can do this/,
    loss: ({ weight }, bad) => (bad ? unselectable(weight) : weight).square().sum(),
  },
  'a shader that does not compile': {
    error: /does not compile on this device/,
    loss: ({ weight }, bad) => (bad ? misspelt(weight) : weight).square().sum(),
  },
  'a bad token id': {
    error: /\[embedding\] a token id lies outside/,
    loss: ({ weight }, bad) =>
      embedding(ids(0, bad ? 99 : 2), weight)
        .square()
        .sum(),
  },
  'a bad target': {
    error: /\[crossEntropy\]/,
    loss: ({ weight }, bad) => crossEntropy(weight, tensor(new Int32Array(32).fill(bad ? 7 : 1))),
  },
  'a bad index to gather': {
    error: /\[gather\]/,
    loss: ({ weight }, bad) =>
      weight
        .gather(tensor(new Int32Array([1, bad ? -1 : 0]), { shape: [1, 2] }), 0)
        .square()
        .sum(),
  },
  'a bad index to scatter to': {
    error: /\[scatterAdd\]/,
    loss: ({ weight }, bad) =>
      ones([5, 2])
        .scatterAdd(tensor(new Int32Array([1, bad ? 5 : 0]), { shape: [1, 2] }), weight.slice([[0, 1]]), 0)
        .square()
        .sum(),
  },
};

/** How a step updates: what there is besides the parameters, and what is done once there are gradients. */
interface Update {
  states(): Tensor[];
  step(): void;
}
const updates: Readonly<Record<string, (model: Model) => Update>> = {
  'no update': () => ({ states: () => [], step: () => {} }),
  'an update by hand': ({ weight, other }) => {
    const momentum = new nn.Buffer(zeros([32, 2]));
    const step = () =>
      noGrad(() => {
        momentum.assign(momentum.mul(0.9).add(weight.grad as Tensor));
        weight.assign(weight.sub(momentum.mul(0.1)));
        other.assign(other.sub((other.grad as Tensor).mul(0.1)));
        for (const each of [weight, other]) each.grad = null;
      });
    return { states: () => [momentum], step };
  },
  'steps of AdamW and of SGD with momentum, clipped': ({ weight, other }) => {
    const adamw = new optim.AdamW([weight], { lr: 0.1 });
    const sgd = new optim.SGD([other], { lr: 0.1, momentum: 0.9 });
    const both = [adamw, sgd];
    const step = () => {
      optim.clipGradNorm([weight, other], 1);
      for (const each of both) each.step();
      for (const each of both) each.zeroGrad();
    };
    return { states: () => both.flatMap((each) => [...each.stateDict().values()]), step };
  },
};

/** A model, a running average that its step keeps, and all that the step may change. */
function subject({ loss }: Reason, update: (model: Model) => Update) {
  manualSeed(3);
  const model = new Model();
  const average = new nn.Buffer(ones([]));
  const { states, step } = update(model);
  const plain = (bad: boolean) => () => {
    const value = loss(model, bad).add(model.other.square().sum());
    value.backward();
    average.assign(average.mul(0.9).add(value.detach()));
    step();
    return value;
  };
  const state = async () => {
    const gradients = [model.weight, model.other].map(({ grad }) => grad);
    const present = gradients.filter((gradient) => gradient !== null);
    const values = await readAll([average, ...model.parameters(), ...states(), ...present]);
    return { values, gradients: gradients.map((gradient) => gradient !== null) };
  };
  return { plain, state };
}

describe.each(Object.entries(reasons))('a step that fails by %s', (_, reason) => {
  const run = async (kind: string, update: (model: Model) => Update, bad: readonly boolean[]) => {
    const { plain, state } = subject(reason, update);
    const compiled = [compile(plain(false)), compile(plain(true))];
    const history = [];
    for (const [i, each] of bad.entries()) {
      const step = kind === 'eager' ? async () => plain(each)() : (compiled[Number(each)] as () => Promise<Tensor>);
      if (each) {
        let loss: Tensor | null = null;
        const failing = async () => {
          loss = await step();
          return loss.data();
        };
        await expect(failing()).rejects.toThrow(reason.error);
        // Again, and nobody else hears of it.
        if (loss) await expect((loss as Tensor).data()).rejects.toThrow(reason.error);
        expect(await ones([2]).add(1).array()).toEqual([2, 2]);
      } else {
        const loss = await step();
        if (i % 2 === 0) await loss.data();
        history.push(await state());
      }
    }
    return history;
  };

  describe.each(Object.entries(updates))('and makes %s', (_, update) => {
    test.each(['eager', 'compiled'])('leaves all state as it was: %s', async (kind) => {
      const expected = await run(kind, update, [false, false, false, false]);
      expect(await run(kind, update, [true, false, false, true, false, false])).toEqual(expected);
    });
  });
});

describe('an eager step that fails', () => {
  const classifier = () => {
    manualSeed(1);
    const model = new nn.Linear(2, 6000);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    const step = (rows: number) => {
      const loss = model
        .forward(ones([rows, 2]))
        .square()
        .mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    };
    return { model, step };
  };
  const tooLarge = /takes 144000000 bytes; a kernel of this device can bind/;

  test('with a batch that is too large changes nothing, and steps after it are as if it had not been', async () => {
    const [one, other, bystander] = [classifier(), classifier(), classifier()];
    for (const { step } of [one, other]) for (let i = 0; i < 2; i++) step(10);
    const before = await other.model.weight.data();
    const loss = one.step(6000);
    // Recorded before anybody could know.
    const next = one.step(10);
    expect(bystander.step(10).isComputed).toBe(false);
    await bystander.model.weight.data();
    await expect(loss.data()).rejects.toThrow(OutOfMemoryError);
    await expect(loss.data()).rejects.toThrow(tooLarge);
    const expected = other.step(10);
    expect([await next.item(), await one.model.weight.data()]).toEqual([
      await expected.item(),
      await other.model.weight.data(),
    ]);
    expect(before).not.toEqual(await one.model.weight.data());
    one.model.weight.assign(zeros([6000, 2]));
    expect((await one.model.stateDict().get('weight')?.data())?.every((value) => value === 0)).toBe(true);
  });

  test('and that nobody has read shows once, at a later read of what its states have made', async () => {
    const [one, bystander] = [classifier(), classifier()];
    one.step(10);
    one.step(6000);
    await bystander.step(10).data();
    await one.model.weight.data();
    const later = one.step(10);
    await expect(later.data()).rejects.toThrow(/^\[step\] an earlier step could not run.*144000000 bytes/);
    await later.data();
    await one.step(10).data();
  });

  test('takes back what a second optimizer made of its gradients', async () => {
    const run = async (bad: boolean) => {
      manualSeed(3);
      const model = new Model();
      const optimizers = [model.weight, model.other].map((each) => new optim.SGD([each], { lr: 0.1, momentum: 0.9 }));
      const step = (fails: boolean) => {
        const loss = (fails ? unselectable(model.weight) : model.weight).square().sum().add(model.other.square().sum());
        loss.backward();
        for (const each of optimizers) each.step();
        for (const each of optimizers) each.zeroGrad();
        return loss;
      };
      step(false);
      if (bad) await expect(step(true).data()).rejects.toThrow(/no kernel can do this/);
      step(false);
      return readAll(model.parameters());
    };
    expect(await run(true)).toEqual(await run(false));
  });

  test('is not felt by what was pending beside it', async () => {
    const [table, other] = [parameter(randn([3, 2])), parameter(ones([2]))];
    const average = new nn.Buffer(zeros([2]));
    other.square().sum().backward();
    average.assign(average.add(3));
    const loss = embedding(ids(7), table).sum();
    loss.backward();
    await expect(loss.data()).rejects.toThrow(bad);
    expect([await other.grad?.array(), await average.array(), table.grad]).toEqual([[2, 2], [3, 3], null]);
  });
});

describe('bad data in an eager step', () => {
  const model = () => {
    const table = parameter(randn([3, 2]));
    const step = (id: number) => {
      const loss = embedding(ids(id), table).square().sum();
      loss.backward();
      noGrad(() => table.assign(table.sub((table.grad as Tensor).mul(0.1))));
      table.grad = null;
      return loss;
    };
    return { table, step };
  };

  test('that nobody has read shows once, at a later step of the same states', async () => {
    const [one, bystander] = [model(), model()];
    await one.step(0).data();
    const before = await one.table.data();
    one.step(8);
    await bystander.step(1).data();
    expect(await one.table.data()).toEqual(before);
    const later = one.step(2);
    await expect(later.data()).rejects.toThrow(/^\[embedding\] .* \(in an earlier step, whose results nobody has read/);
    await later.data();
    await one.step(0).data();
  });

  test('does not touch what is read at the same time', async () => {
    const [one, other] = [model(), model()];
    const [failed, good] = [one.step(4), other.step(1)];
    await expect(readAll([failed, good])).rejects.toThrow(bad);
    await good.data();
    await expect(failed.data()).rejects.toThrow(bad);
  });
});

test.each(['SGD', 'AdamW'] as const)('a metric that finds bad data after a step of %s stops the step', async (kind) => {
  const table = parameter(randn([3, 2]));
  const optimizer = new optim[kind]([table], { lr: 0.1 });
  const step = compile((x: Tensor, look: Tensor) => {
    const rows = embedding(x, table);
    rows.square().sum().backward();
    optimizer.step();
    optimizer.zeroGrad();
    return rows.gather(look, 1);
  });
  const at = (index: number) => tensor(new Int32Array([index]), { shape: [1, 1] });
  await (await step(ids(1), at(0))).data();
  const state = () => readAll([table, ...optimizer.stateDict().values()]);
  const before = await state();
  await expect((await step(ids(2), at(9))).data()).rejects.toThrow(/\[gather\]/);
  expect(await state()).toEqual(before);
  expect(optimizer.steps).toBe(1);
});

test('a metric that finds bad data after the update stops the whole step', async () => {
  const table = parameter(randn([3, 2]));
  const momentum = new nn.Buffer(zeros([3, 2]));
  const step = compile((x: Tensor, look: Tensor) => {
    const rows = embedding(x, table);
    const loss = rows.square().sum();
    loss.backward();
    noGrad(() => momentum.assign(momentum.add(table.grad as Tensor)));
    noGrad(() => table.assign(table.sub(momentum)));
    table.grad = null;
    return [loss, rows.gather(look, 1)];
  });
  const at = (index: number) => tensor(new Int32Array([index]), { shape: [1, 1] });
  await step(ids(1), at(0));
  const before = await readAll([table, momentum]);
  const [loss, metric] = (await step(ids(2), at(9))) as [Tensor, Tensor];
  for (const each of [loss, metric]) await expect(each.data()).rejects.toThrow(/\[gather\]/);
  expect(await readAll([table, momentum])).toEqual(before);
  await ((await step(ids(2), at(1)))[0] as Tensor).data();
  expect(await readAll([table, momentum])).not.toEqual(before);
});

test('a number that can’t be had stops a compiled step before it changes anything', async () => {
  const w = parameter(ones([2]));
  let fails = false;
  const rate = () => {
    if (fails) throw new RangeError('no rate');
    return 2;
  };
  const step = compile(() => {
    noGrad(() => w.assign(w.mul(dynamic(rate))));
    return w.sum();
  });
  const first = await step();
  const later = w.add(1); // of this version, whatever comes
  fails = true;
  await expect(step()).rejects.toThrow('no rate');
  fails = false;
  const second = await step();
  expect(await Promise.all([first, later, second, w].map((each) => each.array()))).toEqual([4, [3, 3], 8, [4, 4]]);
});

test('each op whose kernels set the status says what it is that they have found', () => {
  const names = (Object.keys(samples) as OpName[]).filter((name) => {
    const outputs = samples[name].flatMap((sample) => sample.run(...sample.inputs()));
    const { commands } = buildProgram({ results: outputs, updates: [] }, (tensor) => tensor.isComputed, device.profile);
    const checks = commands.filter(setsStatus);
    for (const check of checks) expect(check, name).toMatchObject({ badData: expect.stringMatching(/^\[\w+\] ./) });
    expect(mayFail(reachable(outputs)), name).toBe(checks.length > 0);
    return checks.length > 0;
  });
  expect(names).toEqual(expect.arrayContaining(['embedding', 'crossEntropy', 'gather', 'scatterAdd']));
});

test.each([
  ['compiled', compile],
  ['eager', (fn: (x: Tensor, table: Tensor) => Tensor) => async (x: Tensor, table: Tensor) => fn(x, table)],
] as const)('one bad id among twenty concurrent reads of %s calls rejects its own', async (_, made) => {
  const table = randn([3, 2]);
  for (const size of [1, 200]) {
    const look = made((x: Tensor, rows: Tensor) => embedding(x, rows).expand([size, 1, 2]).mul(2));
    const calls = Array.from({ length: 20 }, async (_, i) => (await look(ids(i === 7 ? 9 : i % 3), table)).data());
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []))).toEqual([7]);
    expect(outcomes[7]).toMatchObject({ reason: { message: expect.stringMatching(bad) } });
  }
});

test('no promise is left that rejects unheard', async () => {
  const unheard: unknown[] = [];
  const note = (event: Event) => {
    event.preventDefault();
    unheard.push((event as PromiseRejectionEvent).reason);
  };
  globalThis.addEventListener('unhandledrejection', note);
  try {
    const inner: (...args: unknown[]) => Promise<Tensor> = compile((x: Tensor) => x.mul(2)) as never;
    const broken = compile((_: Tensor): Tensor => {
      throw new Error('the body');
    });
    const nested = compile((x: Tensor) => inner(x));
    const later = compile(async (x: Tensor) => {
      await null;
      throw new Error(`later ${x.shape}`);
    });
    const reads = compile((x: Tensor) => {
      void x.mul(2).item();
      return x;
    });
    const x = ones([2]);
    await expect(reads(x)).rejects.toThrow(/^\[read\] a value is read inside/);
    await expect(broken(x)).rejects.toThrow('the body');
    await expect(nested(x)).rejects.toThrow(/^\[compile\] a compiled function is called inside/);
    await expect(later(x)).rejects.toThrow(/^\[compile\]/);
    await expect(broken.prepare(x)).rejects.toThrow('the body');
    await expect(inner({})).rejects.toThrow();
    await expect(inner(randn([2]), new Date())).rejects.toThrow();
    expect(() => noGrad(async () => x.mul(2))).toThrow();
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    globalThis.removeEventListener('unhandledrejection', note);
  }
  expect(unheard).toEqual([]);
});
