import { describe, expect, it } from 'vitest';
import * as weft from '../../src/index.ts';
import { compile, nn, optim, readAll, type Tensor } from '../../src/index.ts';
import { draw } from '../support/draw.ts';
import { expectGolden, expectNear, type GoldenCase, given, goldenCases, stored } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

/** The modules of the cases, by the start of their names. */
const modules: Record<string, (name: string) => nn.Module & { forward(x: Tensor, y?: Tensor): Tensor }> = {
  GroupNorm: (name) => (name === 'GroupNorm' ? new nn.GroupNorm(2, 6) : new nn.GroupNorm(4, 4, { eps: 1e-3 })),
  BatchNorm1d: (name) => new nn.BatchNorm1d(3, name.includes('sequence') ? { momentum: 0.3 } : {}),
  BatchNorm2d: () => new nn.BatchNorm2d(3, { eps: 1e-3 }),
  Bilinear: () => new nn.Bilinear(3, 4, 2) as never,
};

const buffersOf = (module: nn.Module) =>
  Object.entries(module).filter((entry): entry is [string, nn.Buffer] => entry[1] instanceof nn.Buffer);

/** Gives a module the parameters and buffers that a case stores. */
function load(module: nn.Module, golden: GoldenCase): void {
  const parameters = module.namedParameters().map(([name]): [string, Tensor] => [name, given(golden, name)]);
  const buffers = buffersOf(module).map(([name]): [string, Tensor] => [name, given(golden, `before.${name}`)]);
  module.loadStateDict(new Map([...parameters, ...buffers]));
}

describe('layers agree with PyTorch', async () => {
  it.for(await goldenCases('layers'))('$name', async (golden) => {
    const module = (modules[golden.name.split('_')[0] as string] as (typeof modules)[string])(golden.name);
    load(module, golden);
    if (golden.name.endsWith('_eval')) module.eval();
    const names = golden.name === 'Bilinear' ? ['x1', 'x2'] : ['x'];
    const inputs = Object.fromEntries(names.map((name) => [name, given(golden, name)]));
    const y = module.forward(...(Object.values(inputs) as [Tensor, Tensor?]));
    await expectGolden(golden, { y }, inputs, module);
    for (const [name, buffer] of buffersOf(module)) {
      const [values] = await read(buffer);
      const wanted = stored(golden, golden.name.endsWith('_eval') ? `before.${name}` : `after.${name}`);
      expect(buffer.shape).toEqual(wanted.shape);
      expectNear(values as ArrayLike<number>, wanted.data, name);
    }
  });
});

describe('batch norm', () => {
  it('keeps its running values in compiled steps too, and no gradient goes there', async () => {
    const [compiled, eager] = [new nn.BatchNorm1d(3), new nn.BatchNorm1d(3)];
    const optimizer = new optim.SGD(compiled.parameters(), { lr: 0.1 });
    const step = compile((x: Tensor) => {
      const loss = compiled
        .forward(x)
        .square()
        .mul(draw([3]))
        .sum();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    for (let i = 0; i < 3; i++) {
      const x = draw([4, 3]);
      await step(x);
      eager.forward(x);
    }
    announceReads(1);
    const values = await readAll([compiled, eager].flatMap((module) => [...module.stateDict().values()].slice(2)));
    for (const i of [0, 1, 2]) expectNear(values[i] as Float32Array, values[3 + i] as Float32Array, `buffer ${i}`);
    expect([...(values[2] ?? [])]).toEqual([3]);
  });

  it('uses the batch where nothing is kept, in evaluation too', async () => {
    const module = new nn.BatchNorm1d(3, { trackRunningStats: false, affine: false });
    expect(module.stateDict().size).toBe(0);
    const x = draw([5, 3]);
    const [trained, evaluated] = await read(module.forward(x), module.eval().forward(x));
    expect(trained).toEqual(evaluated);
  });

  it('says what it does not take', () => {
    const message = (call: () => unknown) => expect(call);
    message(() => new nn.BatchNorm1d(3).forward(draw([1, 3]))).toThrow(
      '[BatchNorm1d] one value per channel has no variance',
    );
    message(() => new nn.BatchNorm1d(3).forward(draw([2, 4]))).toThrow(
      '[BatchNorm1d] the input must be [B, 3, ...], got [2, 4]',
    );
    message(() => new nn.BatchNorm2d(3).forward(draw([2, 3]))).toThrow(
      '[BatchNorm2d] the input must have 4 dimensions',
    );
    message(() => new nn.GroupNorm(2, 3)).toThrow('[GroupNorm] 2 groups do not divide 3 channels');
    message(() => new nn.Bilinear(2, 3, 1).forward(draw([4, 2]), draw([5, 3]))).toThrow(
      '[Bilinear] the inputs must be [..., 2] and [..., 3]',
    );
    message(() => new nn.Flatten(2, 1).forward(draw([2, 3, 4]))).toThrow(
      '[Flatten] dimension 2 of [2, 3, 4] lies behind 1',
    );
  });
});

describe('activations and shapes', () => {
  it('are the functions of their names', async () => {
    const x = draw([2, 3]);
    const pairs: [nn.Layer, Tensor][] = [
      [new nn.ReLU(), weft.relu(x)],
      [new nn.LeakyReLU({ slope: 0.3 }), weft.leakyRelu(x, { slope: 0.3 })],
      [new nn.ELU({ alpha: 2 }), weft.elu(x, { alpha: 2 })],
      [new nn.GELU(), weft.gelu(x)],
      [new nn.GELU({ approximate: 'tanh' }), weft.gelu(x, { approximate: 'tanh' })],
      [new nn.SiLU(), weft.silu(x)],
      [new nn.Tanh(), weft.tanh(x)],
      [new nn.Sigmoid(), weft.sigmoid(x)],
      [new nn.Softplus(), weft.softplus(x)],
      [new nn.Softmax(0), weft.softmax(x, 0)],
      [new nn.LogSoftmax(), weft.logSoftmax(x)],
      [new nn.Identity(), x],
    ];
    const values = await read(...pairs.flatMap(([layer, y]) => [new nn.Sequential(layer).forward(x), y]));
    for (const i of pairs.keys()) expect(values[2 * i], `${i}`).toEqual(values[2 * i + 1]);
  });

  it('Flatten makes one dimension of several', () => {
    const x = draw([2, 3, 4, 5]);
    expect(new nn.Flatten().forward(x).shape).toEqual([2, 60]);
    expect(new nn.Flatten(-3, 2).forward(x).shape).toEqual([2, 12, 5]);
    expect(new nn.Flatten(0).forward(x).shape).toEqual([120]);
  });
});

describe('modules in lists and by name', () => {
  it('are found, named and gone through in order', () => {
    const list = new nn.ModuleList([new nn.Linear(2, 3), new nn.ReLU()]).push(new nn.Linear(3, 1));
    expect(list.namedParameters().map(([name]) => name)).toEqual(['0.weight', '0.bias', '2.weight', '2.bias']);
    expect([...list].length).toBe(3);
    expect(list.at(-1)).toBe([...list][2]);
    expect(() => list.at(3)).toThrow('[ModuleList] there is no module 3 among 3');

    const dict = new nn.ModuleDict({ encoder: new nn.Linear(2, 2), head: new nn.Linear(2, 1) });
    expect(dict.namedParameters().map(([name]) => name)[2]).toBe('head.weight');
    expect(dict.has('head') && !dict.has('tail')).toBe(true);
    expect([...dict].map(([name]) => name)).toEqual(['encoder', 'head']);
    expect(() => dict.get('tail')).toThrow("[ModuleDict] there is no module 'tail', only encoder, head");
    expect(() => new nn.ModuleDict({ train: new nn.Linear(1, 1) })).toThrow(
      "[ModuleDict] a module can't be called 'train'",
    );
  });
});

describe('chrono', () => {
  it('gives forget gates ln u, input gates the opposite, and the others 0', async () => {
    const [values] = await read(nn.init.chrono(64, 100));
    const [i, f, rest] = [values?.slice(0, 64), values?.slice(64, 128), values?.slice(128)] as Float32Array[];
    expect(Array.from(f ?? [], (x) => -x)).toEqual(Array.from(i ?? []));
    expect(rest?.every((x) => x === 0)).toBe(true);
    const u = Array.from(f ?? [], Math.exp);
    expect(Math.min(...u)).toBeGreaterThanOrEqual(1 - 1e-6);
    expect(Math.max(...u)).toBeLessThan(99 + 1e-3);
    // 64 draws of a uniform: within 5 standard deviations of its mean, 50.
    const mean = u.reduce((a, b) => a + b) / 64;
    expect(Math.abs(mean - 50)).toBeLessThan((5 * 98) / Math.sqrt(12 * 64));
  });
});
