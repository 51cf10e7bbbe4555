import { describe, expect, it } from 'vitest';
import { compile, ones, parameter, randn, type Tensor, tensor } from '../../src/index.ts';
import {
  Buffer,
  Dropout,
  Embedding,
  init,
  LayerNorm,
  Linear,
  LSTM,
  Module,
  MultiHeadAttention,
  RMSNorm,
  Sequential,
} from '../../src/nn/index.ts';
import { AdamW } from '../../src/optim/index.ts';
import { expectNear } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

class Model extends Module {
  readonly weight = parameter(tensor([1, 2, 3]));
  readonly table = new Buffer(tensor([7, 8]));
  readonly blocks = [new Linear(3, 2), new Linear(2, 2, { bias: false })];
  readonly heads = { mean: new Linear(2, 1), tied: this.weight };
  readonly size = 3;
}

const names = [
  'weight',
  'table',
  'blocks.0.weight',
  'blocks.0.bias',
  'blocks.1.weight',
  'heads.mean.weight',
  'heads.mean.bias',
  'heads.tied',
];

describe('a module', () => {
  it('finds its parameters in fields, arrays and objects, in the order of definition, each once', () => {
    const model = new Model();
    expect(model.namedParameters().map(([name]) => name)).toEqual(
      names.filter((name) => name !== 'table' && name !== 'heads.tied'),
    );
    expect(model.parameters()[0]).toBe(model.weight);
    expect(model.modules()).toEqual([model, ...model.blocks, model.heads.mean]);
  });

  it('finds them in Maps, Sets and objects of other classes, nested in any way', async () => {
    class Expert {
      readonly layer = new Linear(2, 2, { bias: false });
      readonly gate = parameter([1]);
    }
    class Mixture extends Module {
      readonly byName = new Map<unknown, unknown>([
        ['b', new Linear(2, 1)],
        [7, [new Dropout(0.5)]],
        [{}, parameter([3])],
      ]);
      readonly set = new Set([new Linear(1, 1, { bias: false }), new Dropout(0.1)]);
      readonly expert = new Expert();
      readonly bare = Object.assign(Object.create(null), { scale: new Buffer([1]) });
      readonly none = [null, undefined, 'text', new Float32Array(3), new Date(), () => new Linear(1, 1)];
    }
    const model = new Mixture();
    expect([...model.stateDict().keys()]).toEqual([
      'byName.b.weight',
      'byName.b.bias',
      'byName.2',
      'set.0.weight',
      'expert.layer.weight',
      'expert.gate',
      'bare.scale',
    ]);
    expect(model.modules()).toHaveLength(6);
    model.eval();
    expect(model.modules().every(({ training }) => !training)).toBe(true);
    const other = new Mixture();
    other.loadStateDict(model.stateDict());
    const [got, want] = [await read(...other.parameters()), await read(...model.parameters())];
    expect(got).toEqual(want);
  });

  it('takes no second name from an optimizer, or another object that holds parts of it or all of it', () => {
    class Trained extends Module {
      readonly optimizer: AdamW;
      readonly helper: { readonly owner: Module; self?: unknown };
      readonly layer = new Linear(2, 1);
      constructor() {
        super();
        this.optimizer = new AdamW(this.layer.parameters());
        class Helper {
          readonly self = this;
          readonly owner: Module;
          constructor(owner: Module) {
            this.owner = owner;
          }
        }
        this.helper = new Helper(this);
      }
    }
    const model = new Trained();
    expect([...model.stateDict().keys()]).toEqual(['layer.weight', 'layer.bias']);
    expect(model.modules()).toEqual([model, model.layer]);
  });

  it('refuses two parts of one name, of which a state would hold only one', () => {
    class Twice extends Module {
      readonly parts = new Map<unknown, unknown>([
        [1, parameter([1])],
        ['1', parameter([2])],
      ]);
    }
    expect(() => new Twice().stateDict()).toThrow('[Module] two parts of one model bear the name parts.1');
  });

  it('switches all modules in it between training and evaluation', () => {
    const model = new Sequential(new Linear(2, 2), new Sequential(new Dropout(0.5)));
    expect(model.training).toBe(true);
    expect(
      model
        .eval()
        .modules()
        .map(({ training }) => training),
    ).toEqual([false, false, false, false]);
    expect(
      model
        .train()
        .modules()
        .every(({ training }) => training),
    ).toBe(true);
  });

  it('has a plan for each mode in a compiled step, and needs no new one on the way back', async () => {
    const model = new Dropout(0.5);
    const step = compile((x: Tensor) => model.forward(x));
    const x = ones([64]);
    announceReads(4);
    for (let i = 0; i < 2; i++) expect(new Set(await (await step(x)).data())).toEqual(new Set([0, 2]));
    model.eval();
    expect(new Set(await (await step(x)).data())).toEqual(new Set([1]));
    model.train();
    expect(new Set(await (await step(x)).data())).toEqual(new Set([0, 2]));
  });
});

describe('stateDict and loadStateDict', () => {
  it('carry values from one model to another, buffers and tied parameters included', async () => {
    const [from, to] = [new Model(), new Model()];
    const dict = from.stateDict();
    expect([...dict.keys()]).toEqual(names);
    expect(to.loadStateDict(dict)).toEqual({ missing: [], unexpected: [], mismatched: [] });
    const [got, want] = [await read(...to.stateDict().values()), await read(...dict.values())];
    expect(got).toEqual(want);
  });

  it('take plain objects too', async () => {
    const model = new Linear(2, 1);
    model.loadStateDict({ weight: tensor([[3, 4]]), bias: tensor([5]) });
    expect(await read(model.forward(tensor([1, 10])))).toEqual([Float32Array.of(48)]);
  });

  it('give values that later steps leave alone', async () => {
    const model = new Linear(2, 1);
    const before = model.stateDict();
    const [weight] = await read(model.weight);
    const step = compile(() => model.weight.assign(model.weight.add(1)));
    await step();
    const inBetween = model.stateDict();
    await step();
    const values = (await read(
      before.get('weight') as Tensor,
      inBetween.get('weight') as Tensor,
      model.weight,
    )) as Float32Array[];
    for (const [steps, value] of values.entries())
      expectNear(
        value,
        (weight as Float32Array).map((each) => each + steps),
        `${steps}`,
      );
  });

  it.for(['alone', 'in an optimizer'])('recompile nothing: parameters %s', async (place) => {
    const model = new Linear(2, 1);
    if (place === 'in an optimizer') new AdamW(model.parameters());
    const step = compile((x: Tensor) => model.forward(x));
    const x = tensor([1, 10]);
    await step(x);
    model.loadStateDict({ weight: tensor([[3, 4]]), bias: tensor([5]) });
    announceReads(2);
    expect(await (await step(x)).item()).toBe(48);
    model.loadStateDict({ weight: tensor([[1, 2]]) }, { strict: false });
    expect(await (await step(x)).item()).toBe(26);
    expect(step.traces).toBe(1);
  });

  it('follow parameters that move into an optimizer after a step was compiled', async () => {
    const model = new Linear(2, 1, { bias: false });
    const step = compile((x: Tensor) => model.forward(x));
    await step(ones([2]));
    new AdamW(model.parameters());
    model.loadStateDict({ weight: tensor([[3, 4]]) });
    announceReads(1);
    expect(await (await step(tensor([1, 10]))).item()).toBe(43);
  });

  it('list in one error all that is missing, unexpected and mismatched, and load nothing', async () => {
    const model = new Linear(2, 1);
    const [before] = await read(model.bias as Tensor);
    const wrong = { bias: tensor([9]), weight: tensor([[1], [2]]), scale: tensor(1), wieght: tensor([[1, 2]]) };
    expect(() => model.loadStateDict(wrong)).toThrow(
      '[loadStateDict] this state does not fit Linear:\n' +
        '  unexpected (2): scale, wieght\n' +
        '  mismatched (1): weight is f32 [1, 2] here, f32 [2, 1] in what is loaded\n' +
        'Nothing was loaded; { strict: false } loads what fits.',
    );
    expect(() => model.loadStateDict({})).toThrow('missing (2): weight, bias');
    expect(() => model.loadStateDict({ weight: tensor([[1, 2]]), bias: tensor([1], { dtype: 'i32' }) })).toThrow(
      'bias is f32 [1] here, i32 [1] in',
    );
    expect(await read(model.bias as Tensor)).toEqual([before]);
  });

  it('load what fits and report the rest if not strict', async () => {
    const model = new Linear(2, 1);
    const report = model.loadStateDict({ bias: tensor([9]), scale: tensor(1) }, { strict: false });
    expect(report).toEqual({ missing: ['weight'], unexpected: ['scale'], mismatched: [] });
    expect(await read(model.bias as Tensor)).toEqual([Float32Array.of(9)]);
  });
});

describe('layers', () => {
  it('have the shapes and the names of PyTorch', () => {
    const shapes = (module: Module) =>
      Object.fromEntries(module.namedParameters().map(([name, { shape }]) => [name, shape]));
    expect(shapes(new Linear(3, 5))).toEqual({ weight: [5, 3], bias: [5] });
    expect(shapes(new Embedding(7, 3))).toEqual({ weight: [7, 3] });
    expect(shapes(new LayerNorm(4))).toEqual({ weight: [4], bias: [4] });
    expect(shapes(new LayerNorm(4, { bias: false }))).toEqual({ weight: [4] });
    expect(shapes(new RMSNorm(4))).toEqual({ weight: [4] });
    expect(shapes(new Sequential(new Linear(3, 5), new Dropout(0.1), new LayerNorm(5)))).toEqual({
      '0.weight': [5, 3],
      '0.bias': [5],
      '2.weight': [5],
      '2.bias': [5],
    });
    expect(shapes(new MultiHeadAttention(4, 2))).toEqual({
      in_proj_weight: [12, 4],
      in_proj_bias: [12],
      'out_proj.weight': [4, 4],
      'out_proj.bias': [4],
    });
  });

  it('start where those of PyTorch start', async () => {
    const spread = async (x: Tensor) => {
      const [values] = (await read(x)) as [Float32Array];
      const mean = values.reduce((a, b) => a + b) / values.length;
      const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
      return { mean, std, largest: values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
    };
    const weight = await spread(new Linear(100, 60).weight);
    expect(weight.std * Math.sqrt(300)).toBeCloseTo(1, 1);
    expect(weight.largest).toBeLessThanOrEqual(0.1);
    const rows = await spread(new Embedding(100, 60).weight);
    expect(rows.mean).toBeCloseTo(0, 1);
    expect(rows.std).toBeCloseTo(1, 1);
    expect(
      (await spread((new LSTM(9, 25) as unknown as Record<string, Tensor>).weight_ih_l0 as Tensor)).largest,
    ).toBeLessThanOrEqual(0.2);
    const attention = new MultiHeadAttention(40, 2);
    expect((await spread(attention.in_proj_weight)).std * Math.sqrt(80)).toBeCloseTo(1, 1);
    expect((await spread(attention.out_proj.bias as Tensor)).largest).toBe(0);
  });

  it('compute what their ops compute', async () => {
    const x = randn([3, 4]);
    const [linear, norm, rms] = [new Linear(4, 4), new LayerNorm(4), new RMSNorm(4)];
    const chain = new Sequential(linear, norm, rms);
    const centred = linear.forward(x).sub(linear.forward(x).mean(-1, { keepDims: true }));
    const normal = centred.div(centred.square().mean(-1, { keepDims: true }).add(1e-5).sqrt());
    const wanted = normal.div(normal.square().mean(-1, { keepDims: true }).add(1e-5).sqrt());
    const [got, want] = await read(chain.forward(x), wanted);
    expectNear(got as Float32Array, want as Float32Array, 'chain', 1e-5);
  });

  it('say what they want', () => {
    expect(() => new Linear(0, 2)).toThrow('[Linear] inFeatures must be a positive integer, got 0');
    expect(() => new Linear(2, 2).forward(ones([3]))).toThrow(
      '[Linear] the last dimension of [3] must be inFeatures, 2',
    );
    expect(() => new Dropout(1.5)).toThrow('[Dropout] the probability must be in [0, 1], got 1.5');
    expect(() => new Embedding(3, Number.NaN)).toThrow('[Embedding] width must be a positive integer, got NaN');
    expect(() => init.orthogonal([3])).toThrow(
      '[orthogonal] needs a shape of two or more dimensions, [out, in, …], got [3]',
    );
    expect(() => init.normal([3], { std: -1 })).toThrow('[normal] std must be a finite number of at least 0, got -1');
    expect(() => init.uniform([3], { low: 1, high: 0 })).toThrow(
      '[uniform] needs low ≤ high, and f32 numbers between them, got 1 and 0',
    );
    expect(() => init.constant([3], Number.NaN)).toThrow('[constant] the value must be a finite number, got NaN');
  });
});
