import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import {
  compile,
  embedding,
  grad,
  ones,
  type Parameter,
  parameter,
  randn,
  sum,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { Linear } from '../../src/nn/index.ts';
import {
  Adagrad,
  Adam,
  AdamW,
  type CommonSettings,
  clipGradNorm,
  clipGradValue,
  Lion,
  Muon,
  type Optimizer,
  RMSprop,
  SGD,
} from '../../src/optim/index.ts';
import { expectNear, type GoldenCase, given, goldenCases, stored } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const cases = await goldenCases('optimizer');

type Settings = Record<string, unknown>;
/** What all optimizers do, whatever their settings. */
type AnyOptimizer = Pick<Optimizer<CommonSettings>, 'step' | 'zeroGrad' | 'steps' | 'stateDict' | 'loadStateDict'>;
type Make = new (trained: never, options: Settings) => AnyOptimizer;
const optimizers: Readonly<Record<string, Make>> = {
  sgd: SGD,
  adam: Adam,
  adamw: AdamW,
  rmsprop: RMSprop,
  adagrad: Adagrad,
  lion: Lion,
  muon: Muon,
};

/** The optimizer of a case, with a group for each of its two parameters. */
function optimizerOf(golden: GoldenCase) {
  const {
    groups = {},
    present,
    ...options
  } = golden.options as Settings & {
    groups?: Record<string, Settings>;
    present?: Record<string, string>;
  };
  const parameters = { w: parameter(given(golden, 'w')), b: parameter(given(golden, 'b')) };
  const trained = Object.entries(parameters).map(([name, each]) => ({ params: [each], ...groups[name] }));
  const Make = optimizers[golden.name.split('_')[0] as string] as Make;
  /** Whether a parameter has a gradient in step n. */
  const has = (name: 'w' | 'b', n: number) => present?.[name]?.[n] !== '-';
  return { ...parameters, has, optimizer: new Make(trained as never, options) };
}

/** Slice `step` of a stored tensor [10, …]. */
function atStep(golden: GoldenCase, name: string, step: number): Float32Array<ArrayBuffer> {
  const { data, shape } = stored(golden, name);
  const size = data.length / (shape[0] as number);
  return data.slice(step * size, (step + 1) * size) as Float32Array<ArrayBuffer>;
}

// Dampening is the one option of PyTorch's SGD that weft leaves out.
const trained = cases.filter(
  ({ name }) => Object.hasOwn(optimizers, name.split('_')[0] as string) && name !== 'sgd_dampening',
);

describe.for(['compiled', 'eager'])('ten steps agree with PyTorch, %s', (mode) => {
  it.for(trained)('$name', async (golden) => {
    const { w, b, has, optimizer } = optimizerOf(golden);
    const step = (dw: Tensor, db: Tensor, hasW: boolean, hasB: boolean) => {
      if (hasW) sum(w.mul(dw)).backward();
      if (hasB) sum(b.mul(db)).backward();
      optimizer.step();
      optimizer.zeroGrad();
    };
    const run = mode === 'compiled' ? compile(step) : step;
    for (let n = 0; n < 10; n++) {
      const [dw, db] = [
        tensor(atStep(golden, 'dw', n), { shape: w.shape }),
        tensor(atStep(golden, 'db', n), { shape: b.shape }),
      ];
      await run(dw, db, has('w', n), has('b', n));
      const [gotW, gotB] = (await read(w, b)) as [Float32Array, Float32Array];
      expectNear(gotW, atStep(golden, 'w_steps', n), `w after step ${n}`, 1e-6);
      expectNear(gotB, atStep(golden, 'b_steps', n), `b after step ${n}`, 1e-6);
    }
  });
});

describe('clipping agrees with PyTorch', () => {
  it.for(cases.filter(({ name }) => name.startsWith('clip')))('$name', async (golden) => {
    // Alone, packed by an optimizer, and with a parameter in between that has no gradient.
    for (const packed of [false, true]) {
      const [w, b, other] = [parameter(ones([3, 4])), parameter(ones([5])), parameter(ones([70]))];
      if (packed) new SGD([w, other, b]);
      w.grad = given(golden, 'dw');
      b.grad = given(golden, 'db');
      const { maxNorm, clipValue } = golden.options as { maxNorm?: number; clipValue?: number };
      const norm = maxNorm === undefined ? null : clipGradNorm([w, b], maxNorm);
      if (clipValue !== undefined) clipGradValue([w, b], clipValue);
      const [dw, db, gotNorm] = (await read(w.grad, b.grad, ...(norm ? [norm] : []))) as Float32Array[];
      expectNear(dw as Float32Array, stored(golden, 'dw_clipped').data, 'w', 1e-6);
      expectNear(db as Float32Array, stored(golden, 'db_clipped').data, 'b', 1e-6);
      if (gotNorm) expectNear(gotNorm, stored(golden, 'norm').data, 'norm', 1e-6);
      expect(other.grad).toBeNull();
    }
  });
});

/** A model, a loss, and a step with clipping. */
function training(make: (model: Linear) => AnyOptimizer) {
  const model = new Linear(3, 4);
  model.loadStateDict({ weight: randn([4, 3]), bias: randn([4]) });
  const optimizer = make(model);
  const step = compile((x: Tensor) => {
    const loss = sum(model.forward(x).square());
    loss.backward();
    const norm = clipGradNorm(model.parameters(), 0.5);
    optimizer.step();
    optimizer.zeroGrad();
    return { loss, norm };
  });
  return { model, optimizer, step };
}

describe('clipGradNorm before step()', () => {
  it('is two dispatches; the update, which reads its factor, is a third', async () => {
    const parameters = [parameter(randn([3, 3])), parameter(randn([5])), parameter(randn([64]))];
    const optimizer = new AdamW(parameters.toReversed());
    const step = compile(() => {
      for (const each of parameters) each.grad = each;
      clipGradNorm(parameters, 1);
      optimizer.step();
      optimizer.zeroGrad();
    });
    await step();
    const {
      counts: { dispatches },
    } = await countCalls(async () => {
      await step();
    });
    expect(dispatches).toBe(3);
  });

  it('counts in every use of the gradients, also where no optimizer takes them', async () => {
    const [w, b] = [parameter(ones([2])), parameter(ones([2]))];
    new AdamW([w, b]);
    const values = async (clip: () => void) => {
      w.grad = tensor([3, 0]);
      b.grad = tensor([0, 4]);
      clip();
      const [dw, db] = await read(w.grad as Tensor, b.grad as Tensor);
      return [...(dw as Float32Array), ...(db as Float32Array)];
    };
    // A part of the pack only, and twice over: 5 → 1 → 0.5.
    expectNear(await values(() => clipGradNorm([w], 1)), [1, 0, 0, 4], 'w alone');
    expectNear(await values(() => [1, 0.5].map((norm) => clipGradNorm([w, b], norm))), [0.3, 0, 0, 0.4], 'twice');
    const normThenValue = () => {
      clipGradNorm([w, b], 1);
      clipGradValue([w, b], 0.7);
    };
    expectNear(await values(normThenValue), [0.6, 0, 0, 0.7], 'norm, then value');
  });

  it('is taken into account by step() after another use', async () => {
    const steps = async (between: (w: Parameter) => void) => {
      const [w, b] = [parameter(ones([2])), parameter(ones([2]))];
      const optimizer = new SGD([w, b], { lr: 1 });
      w.grad = tensor([3, 0]);
      b.grad = tensor([0, 4]);
      clipGradNorm([w, b], 1);
      between(w);
      optimizer.step();
      const [gotW, gotB] = await read(w, b);
      return [...(gotW as Float32Array), ...(gotB as Float32Array)];
    };
    expectNear(await steps(() => {}), [0.4, 1, 1, 0.2], 'clipped');
    expectNear(await steps((w) => (w.grad = (w.grad as Tensor).mul(2))), [-0.2, 1, 1, 0.2], 'scaled after clipping');
    expectNear(await steps((w) => (w.grad = null)), [1, 1, 1, 0.2], 'forgotten after clipping');
  });

  it('counts once in an update that is two', async () => {
    const settings = { lr: 0.1, alpha: 0.9, momentum: 0.5, weightDecay: 0.1, eps: 0.1, centered: true };
    const steps = async (dw: number[], limit: number, isLeftAlone: boolean) => {
      const [w, b] = [parameter(ones([2])), parameter(ones([2]))];
      const optimizer = new RMSprop([w, b], settings);
      for (let n = 0; n < 3; n++) {
        w.grad = tensor(dw);
        if (!isLeftAlone) b.grad = tensor([0, 0]);
        clipGradNorm([w], limit);
        optimizer.step();
        optimizer.zeroGrad();
      }
      return (await read(w))[0] as Float32Array;
    };
    for (const isLeftAlone of [false, true])
      expectNear(await steps([3, 4], 1, isLeftAlone), await steps([0.6, 0.8], 9, isLeftAlone), 'w', 1e-5);
  });

  it('clips over several optimizers together', async () => {
    const [w, b] = [parameter(ones([2])), parameter(ones([2]))];
    const both = [new SGD([w], { lr: 1 }), new SGD([b], { lr: 1 })];
    w.grad = tensor([3, 0]);
    b.grad = tensor([0, 4]);
    const norm = clipGradNorm([w, b], 1);
    for (const each of both) each.step();
    const [gotW, gotB, gotNorm] = await read(w, b, norm);
    expectNear([...(gotW as Float32Array), ...(gotB as Float32Array)], [0.4, 1, 1, 0.2], 'both');
    expect(gotNorm).toEqual(Float32Array.of(5));
  });
});

describe('an optimizer', () => {
  it('gathers parameters in one pack without changing them, and takes them from another', async () => {
    const [a, b] = [parameter(tensor([1, 2])), parameter(tensor([[3], [4]]))];
    new SGD([b, a]);
    expect(a.state.home?.pack).toBe(b.state.home?.pack);
    expect([b, a].map(({ state }) => state.home?.offset)).toEqual([0, 64]);
    const first = new SGD([a], { lr: 1 });
    new SGD([a, b], { lr: 1 });
    expect(await read(a, b)).toEqual([Float32Array.of(1, 2), Float32Array.of(3, 4)]);
    a.grad = ones([2]);
    expect(() => first.step()).toThrow('[SGD] its parameters have been given to another optimizer, which has them now');
  });

  it('leaves values taken before the step as they were', async () => {
    const w = parameter(tensor([1, 2]));
    const optimizer = new SGD([w], { lr: 1 });
    const before = w.mul(1);
    const version = w.detach();
    w.grad = ones([2]);
    optimizer.step();
    expect(await read(before, version, w)).toEqual([
      Float32Array.of(1, 2),
      Float32Array.of(1, 2),
      Float32Array.of(0, 1),
    ]);
  });

  it('takes learning rates from numbers, schedules and functions, and traces nothing for them', async () => {
    const w = parameter(tensor([0, 0, 0]));
    const optimizer = new SGD([w], { lr: (step) => 10 ** -step, schedule: (step) => step + 1 });
    const step = compile(() => {
      w.grad = ones([3]).neg();
      optimizer.step();
      optimizer.zeroGrad();
    });
    await step();
    await step();
    expect(optimizer.steps).toBe(2);
    expect(optimizer.learningRate()).toBeCloseTo(0.03, 12);
    await step();
    const [value] = (await read(w)) as [Float32Array];
    expect(value[0]).toBeCloseTo(1 + 0.2 + 0.03, 6);
    (optimizer.groups[0] as { lr: number }).lr = 0;
    await step();
    expect((await read(w))[0]).toEqual(value);
    expect(step.traces).toBe(1);
  });

  it.for(['compiled', 'eager'])('leaves a parameter without gradient alone, bit for bit, %s', async (mode) => {
    for (const make of [
      (ps: Parameter[]) => new AdamW(ps, { lr: 0.1, weightDecay: 0.5 }),
      (ps: Parameter[]) => new SGD(ps, { lr: 0.1, weightDecay: 0.5, momentum: 0.9 }),
    ]) {
      const [a, b] = [parameter(randn([70])), parameter(randn([5]))];
      const optimizer: AnyOptimizer = make([a, b]);
      const step = (both: boolean) => {
        a.grad = a;
        if (both) b.grad = b;
        clipGradNorm([a, b], 1);
        optimizer.step();
        optimizer.zeroGrad();
      };
      const run = mode === 'compiled' ? compile(step) : step;
      await run(true);
      const of = (name: string) => [...optimizer.stateDict()].filter(([key]) => key.startsWith(`state.${name}.`));
      const before = await read(b, ...of('1').map(([, value]) => value));
      const steps = before.slice(1).map((_, i) => of('1')[i]?.[0]);
      for (let n = 0; n < 2; n++) await run(false);
      const after = new Map(of('1'));
      expect(await read(b, ...steps.map((name) => after.get(name as string) as Tensor))).toEqual(before);
      expect(await read(...[0, 1].map((i) => optimizer.stateDict().get(`state.${i}.step`) as Tensor))).toEqual([
        Int32Array.of(3),
        Int32Array.of(1),
      ]);
      expect(optimizer.steps).toBe(3);
    }
  });

  it('goes on from the steps of each parameter', async () => {
    const make = () => {
      const parameters = [parameter(ones([3])), parameter(ones([2]))] as const;
      return { parameters, optimizer: new AdamW(parameters, { lr: 0.1 }) };
    };
    const [first, second] = [make(), make()];
    const step = ({ parameters: [a, b], optimizer }: typeof first, both: boolean) => {
      a.grad = a.square();
      if (both) b.grad = b.square();
      optimizer.step();
      optimizer.zeroGrad();
    };
    step(first, false);
    step(first, true);
    for (const [i, each] of second.parameters.entries()) each.assign((first.parameters[i] as Parameter).version);
    second.optimizer.loadStateDict(first.optimizer.stateDict());
    for (const each of [first, second]) step(each, true);
    expect(await read(...second.parameters)).toEqual(await read(...first.parameters));
    expect(second.optimizer.steps).toBe(3);
    // A file that only has the steps of the optimizer counts them for all.
    const plain = new Map([...first.optimizer.stateDict()].filter(([name]) => !/\.\d\.step$/.test(name)));
    second.optimizer.loadStateDict(plain);
    expect([...second.optimizer.stateDict().keys()]).toEqual([...plain.keys()]);
  });

  it.for(['compiled', 'eager'])('takes any number of groups, %s', async (mode) => {
    for (const groups of [1, 2, 3, 7, 8, 9, 10, 13, 17, 20]) {
      const parameters = Array.from({ length: groups }, () => parameter(tensor([0])));
      const optimizer = new SGD(parameters.map((each, i) => ({ params: [each], lr: i + 1 })));
      const step = () => {
        for (const each of parameters) each.grad = tensor([-1]);
        const norm = clipGradNorm(parameters, 100);
        optimizer.step();
        optimizer.zeroGrad();
        return norm;
      };
      const norm = await (mode === 'compiled' ? compile(step) : step)();
      const values = await read(...parameters, norm);
      expect(values.slice(0, groups).map(([value]) => value)).toEqual(parameters.map((_, i) => i + 1));
      expect((values[groups] as Float32Array)[0]).toBeCloseTo(Math.sqrt(groups), 5);
    }
  });

  it.for([
    ['AdamW', (model: Linear) => new AdamW(model.parameters(), { lr: 0.1 })],
    ['SGD', (model: Linear) => new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, nesterov: true })],
  ] as const)('%s goes on from its state as if it had never stopped, bit for bit', async ([, make]) => {
    const x = randn([5, 3]);
    const whole = training(make);
    const start = whole.model.stateDict();
    for (let n = 0; n < 4; n++) await whole.step(x);

    const first = training(make);
    first.model.loadStateDict(start);
    for (let n = 0; n < 2; n++) await first.step(x);
    const second = training(make);
    await second.step(x);
    second.model.loadStateDict(first.model.stateDict());
    second.optimizer.loadStateDict(first.optimizer.stateDict());
    for (let n = 0; n < 2; n++) await second.step(x);
    expect(await read(...second.model.parameters())).toEqual(await read(...whole.model.parameters()));
    expect(second.step.traces).toBe(1);
    expect(second.optimizer.steps).toBe(4);
  });

  it('names its state as PyTorch numbers parameters', async () => {
    const [a, b] = [parameter(ones([2, 3])), parameter(ones([4]))];
    const dict = new AdamW([{ params: [b] }, { params: [a], weightDecay: 0 }]).stateDict();
    expect([...dict].map(([name, { shape }]) => [name, shape])).toEqual([
      ['step', []],
      ['state.0.exp_avg', [4]],
      ['state.1.exp_avg', [2, 3]],
      ['state.0.exp_avg_sq', [4]],
      ['state.1.exp_avg_sq', [2, 3]],
    ]);
    const centered = [{ params: [b], centered: true }, { params: [a] }];
    expect(() => new RMSprop(centered)).toThrow('[RMSprop] centered must be the same in all groups');
    expect([...new RMSprop([a], { centered: true, momentum: 0.9 }).stateDict().keys()]).toEqual([
      ...['step', 'state.0.square_avg', 'state.0.grad_avg', 'state.0.momentum_buffer'],
    ]);
    expect(() => new Adam([a]).loadStateDict(dict)).toThrow(
      /does not fit Adam:\n {2}unexpected \(2\): state.1.exp_avg, state.1.exp_avg_sq\n {2}mismatched/,
    );
  });

  it('steps over parameters that were computed on the GPU', async () => {
    const w = parameter(randn([3]).mul(0).add(2));
    const optimizer = new SGD([w], { lr: 1 });
    w.grad = grad(sum(w.square()), [w])[0] as Tensor;
    optimizer.step();
    announceReads(1);
    expect(await w.data()).toEqual(Float32Array.of(-2, -2, -2));
  });

  it('says what is wrong with its settings', () => {
    const w = parameter(ones([2]));
    expect(() => new SGD([w], { lr: -1 })).toThrow(
      '[SGD] lr must be a finite number of at least 0, or a function, got -1',
    );
    expect(() => new AdamW([w], { lr: Number.NaN })).toThrow(
      '[AdamW] lr must be a finite number of at least 0, or a function, got NaN',
    );
    expect(() => new AdamW([w], { weightDecay: -0.1 })).toThrow(
      '[AdamW] weightDecay must be a finite number of at least 0, got -0.1',
    );
    expect(() => new Adam([w], { betas: [0.9, 1] })).toThrow('[Adam] betas[1] must be at least 0 and below 1, got 1');
    expect(() => new Adam([w], { eps: Number.NaN })).toThrow(
      '[Adam] eps must be a finite number of at least 0, got NaN',
    );
    expect(() => new SGD([w], { momentum: -1 })).toThrow(
      '[SGD] momentum must be a finite number of at least 0, got -1',
    );
    expect(() => new SGD([w], { nesterov: true })).toThrow('[SGD] momentum with nesterov must be positive, got 0');
    expect(() => new SGD([{ params: [w], lr: -2 }])).toThrow(
      '[SGD] lr must be a finite number of at least 0, or a function, got -2',
    );
    expect(() => new SGD([])).toThrow('[SGD] got no parameters');
    expect(() => new SGD([w, w])).toThrow('[SGD] a parameter is given twice');
    expect(() => new SGD([ones([2])] as never)).toThrow(
      '[SGD] takes parameters, or groups { params, … } of them; parameter(tensor) makes one',
    );
  });

  it('says what is wrong with a step', () => {
    const w = parameter(ones([2]));
    const optimizer = new SGD([w], { lr: (step) => (step > 0 ? Number.NaN : 1) });
    expect(() => optimizer.step()).toThrow('[SGD] step() found no gradient; call loss.backward() first');
    expect(() => clipGradNorm([w], 1)).toThrow(
      '[clipGradNorm] no parameter has a gradient; call loss.backward() first',
    );
    w.grad = ones([2]);
    expect(() => clipGradNorm([w], Number.NaN)).toThrow('[clipGradNorm] maxNorm must be a positive number, got NaN');
    expect(() => clipGradValue([w], -1)).toThrow('[clipGradValue] the limit must be a positive number, got -1');
    optimizer.step();
    expect(() => optimizer.step()).toThrow('[SGD] lr in step 1 must be a finite number of at least 0, got NaN');
  });
});

/** Parameters, states and counts, as they are now. */
async function everything(parameters: readonly Parameter[], optimizer: AnyOptimizer) {
  return [optimizer.steps, await read(...parameters, ...optimizer.stateDict().values())];
}

describe.for(['compiled', 'eager'])('a step that fails changes nothing, %s', (mode) => {
  const makes = {
    AdamW: (ps: Parameter[]) => new AdamW(ps, { lr: 0.1 }),
    'AdamW in groups': (ps: Parameter[]) => new AdamW(ps.map((each) => ({ params: [each], lr: 0.1 }))),
    SGD: (ps: Parameter[]) => new SGD(ps, { lr: 0.1, momentum: 0.9 }),
  };
  it.for(Object.keys(makes) as (keyof typeof makes)[])('%s', async (name) => {
    announceReads(mode === 'compiled' ? 12 : 8);
    for (const clipped of [false, true]) {
      const table = parameter(randn([5, 3]));
      const scale = parameter(ones([3]));
      const optimizer: AnyOptimizer = makes[name]([table, scale]);
      const step = (ids: Tensor) => {
        const loss = sum(embedding(ids, table).mul(scale).square());
        loss.backward();
        if (clipped) clipGradNorm([table, scale], 1);
        optimizer.step();
        optimizer.zeroGrad();
        return loss;
      };
      const run = mode === 'compiled' ? compile(step) : step;
      const [good, bad] = [tensor(Int32Array.of(0, 4)), tensor(Int32Array.of(0, 9))];
      await (await run(good)).item();
      const before = await everything([table, scale], optimizer);
      await expect((await run(bad)).item()).rejects.toThrow('[embedding]');
      expect(await everything([table, scale], optimizer)).toEqual(before);
      await (await run(good)).item();
      expect(optimizer.steps).toBe(2);
      if (mode === 'eager') continue;
      // Two failures that nobody reads show at the next read of the function's results.
      await run(bad);
      await run(bad);
      await expect((await run(good)).item()).rejects.toThrow('nobody has read');
      expect(optimizer.steps).toBe(3);
    }
  });

  it('says so for errorIfNonfinite, and makes all gradients NaN without it', async () => {
    announceReads(4);
    for (const [value, strict] of [
      [Number.NaN, true],
      [Infinity, true],
      [Number.NaN, false],
    ] as const) {
      const [w, b] = [parameter(ones([3])), parameter(ones([2]))];
      const optimizer: AnyOptimizer = new AdamW([w, b]);
      const step = (dw: Tensor) => {
        w.grad = dw;
        b.grad = ones([2]);
        const norm = clipGradNorm([w, b], 1, { errorIfNonfinite: strict });
        const gradients = [w.grad, b.grad].map((each) => each.mul(1));
        optimizer.step();
        optimizer.zeroGrad();
        return { norm, gradients };
      };
      const run = mode === 'compiled' ? compile(step) : step;
      await run(ones([3]));
      const before = await everything([w, b], optimizer);
      const { norm, gradients } = await run(tensor([1, value, 2]));
      if (strict) {
        await expect(norm.item()).rejects.toThrow('[clipGradNorm] the norm of the gradients is not finite');
        expect(await everything([w, b], optimizer)).toEqual(before);
      } else {
        for (const each of await read(norm, ...gradients, w, b))
          expect([...each].every((x) => Number.isNaN(x))).toBe(true);
        expect(optimizer.steps).toBe(2);
      }
    }
  });
});
