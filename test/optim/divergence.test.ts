import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import {
  compile,
  dynamic,
  embedding,
  ones,
  type Parameter,
  parameter,
  randn,
  sum,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { mostFindings } from '../../src/kernels/findings.ts';
import {
  Adam,
  AdamW,
  type CommonSettings,
  clipGradNorm,
  type Divergence,
  type Optimizer,
  RMSprop,
  SGD,
  type StepOptions,
} from '../../src/optim/index.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

/**
 * An optimizer's kernel tells where a gradient or a parameter is not finite: the news comes with what is read of the step,
 * or of a later one. A step whose gradients are not finite is made as PyTorch makes it, or left out.
 */
useGpu();

type AnyOptimizer = Pick<
  Optimizer<CommonSettings>,
  'step' | 'zeroGrad' | 'steps' | 'skipped' | 'diverged' | 'stateDict' | 'loadStateDict'
>;
type Options = Partial<Pick<CommonSettings, 'lr'> & StepOptions>;
/** Each parameter in a pack of its own, as very large ones are. */
class InPacks extends AdamW {
  protected override get packElements(): number {
    return 1;
  }
}
const makes: Readonly<Record<string, (parameters: readonly Parameter[], options?: Options) => AnyOptimizer>> = {
  SGD: (parameters, options) => new SGD(parameters, { lr: 0.1, ...options }),
  'SGD with momentum': (parameters, options) => new SGD(parameters, { lr: 0.1, momentum: 0.9, ...options }),
  Adam: (parameters, options) => new Adam(parameters, { lr: 0.1, ...options }),
  AdamW: (parameters, options) => new AdamW(parameters, { lr: 0.1, weightDecay: 0, ...options }),
  'RMSprop, centered, with momentum': (parameters, options) =>
    new RMSprop(parameters, { lr: 0.1, alpha: 0.9, momentum: 0.5, centered: true, ...options }),
  'AdamW in packs': (parameters, options) => new InPacks(parameters, { lr: 0.1, weightDecay: 0, ...options }),
  'AdamW in groups': (parameters, options) =>
    new AdamW(
      parameters.map((each, i) => ({ params: [each], weightDecay: i % 2 ? 0 : 1e-3 })),
      { lr: 0.1, ...options },
    ),
};
const modes = ['compiled', 'eager'] as const;
type Mode = (typeof modes)[number];

interface Setting {
  readonly make: keyof typeof makes;
  readonly mode: Mode;
  readonly clipped?: boolean;
  /** Whether one of the parameters is left alone, so that each has a turn of its own. */
  readonly apart?: boolean;
  readonly options?: Options;
}

/**
 * Three parameters, and a step whose gradients are 1, but for an element of the second, which is given. A fourth parameter
 * has no gradient, and one that is frozen has an old one: neither is finite.
 */
function subject({ make, mode, clipped = false, apart = false, options }: Setting) {
  const parameters = [ones([70]), ones([5]), ones([3, 30])].map((each) => parameter(each)) as [
    Parameter,
    Parameter,
    Parameter,
  ];
  const [first, second, third] = parameters;
  const [absent, frozen] = [parameter(tensor([Number.NaN])), parameter(tensor([Infinity]))];
  frozen.grad = tensor([Number.NaN]);
  frozen.requiresGrad = false;
  const all = apart ? [absent, first, frozen, second, third] : parameters;
  const optimizer = (makes[make] as (typeof makes)[string])(all, options);
  const plain = (gradient: Tensor) => {
    const loss = sum(first)
      .add(sum(second.mul(gradient)))
      .add(sum(third));
    loss.backward();
    if (clipped) clipGradNorm(parameters, 1);
    optimizer.step();
    for (const each of parameters) each.grad = null;
    return loss;
  };
  const compiled = compile(plain);
  const step = async (value = 1): Promise<Tensor> =>
    (mode === 'compiled' ? compiled : plain)(tensor([1, 1, value, 1, 1]));
  return { parameters, second, optimizer, step };
}

const settings = (Object.keys(makes) as (keyof typeof makes)[]).flatMap((make) =>
  modes.flatMap((mode) => [
    { make, mode, clipped: false, apart: false },
    { make, mode, clipped: true, apart: false },
    { make, mode, clipped: false, apart: true },
    { make, mode, clipped: true, apart: true },
  ]),
);
const titled = (list: readonly Setting[]) =>
  list.map((each) => ({
    ...each,
    title: [each.make, each.mode, ...(each.clipped ? ['clipped'] : []), ...(each.apart ? ['one left alone'] : [])].join(
      ', ',
    ),
  }));

const bad = [Number.NaN, Infinity, -Infinity];

/** Reads a loss; a second mapping brings the news of steps that nobody has read of. */
async function loss(step: Promise<Tensor> | Tensor): Promise<number> {
  announceReads(2);
  return (await step).item();
}

describe.for(titled(settings))('$title', (setting) => {
  it('tells the step and the parameter of a gradient that is NaN, ∞ or -∞', async () => {
    const { second, parameters, optimizer, step } = subject(setting);
    const [start, values] = [optimizer.stateDict(), parameters.map((each) => each.version)];
    for (const value of bad) {
      await loss(step());
      await step();
      expect(optimizer.diverged).toBeNull();
      await loss(step(value));
      expect(optimizer.diverged).toEqual({ step: 3, parameter: second });
      expect(optimizer.diverged?.parameter).toBe(second);
      // The step was made, and all that follow: the first stays.
      expect(optimizer.steps).toBe(3);
      expect(Number.isFinite((await read(second))[0]?.[2])).toBe(false);
      await loss(step());
      expect([optimizer.diverged?.step, optimizer.skipped]).toEqual([3, 0]);
      optimizer.loadStateDict(start);
      for (const [i, each] of parameters.entries()) each.assign(values[i] as Tensor);
    }
  });

  it('tells of finite gradients that bring a parameter to ∞', async () => {
    const lr = (step: number) => (step === 2 ? 1e37 : 0);
    const { second, optimizer, step } = subject({ ...setting, options: { lr } });
    second.assign(tensor([1, 1, -3.402e38, 1, 1]));
    await loss(step());
    await loss(step());
    expect(optimizer.diverged).toBeNull();
    await loss(step());
    expect((await read(second))[0]?.[2]).toBe(-Infinity);
    expect(optimizer.diverged).toEqual({ step: 3, parameter: second });
  });

  it('tells of nothing while all is finite, however small or large', async () => {
    const { second, optimizer, step } = subject(setting);
    for (const value of [-0, 1e-45, -1e-40, 0, 1e15, -1e15]) await loss(step(value));
    second.assign(tensor([1e15, -1e-45, -0, 0, 1e-40]));
    for (let n = 0; n < 3; n++) await step();
    await loss(step());
    expect(optimizer.diverged).toBeNull();
    expect([optimizer.steps, optimizer.skipped]).toEqual([10, 0]);
  });

  it('leaves out a step of such gradients where that is asked for', async () => {
    const skipping = { ...setting, options: { nonFinite: 'skip' as const } };
    const [{ parameters, optimizer, step }, other] = [subject(skipping), subject(skipping)];
    for (const each of [step, other.step]) await loss(each());
    const before = await everything(parameters, optimizer);
    for (const [i, value] of bad.entries()) {
      await loss(step(value));
      expect([optimizer.steps, optimizer.skipped, optimizer.diverged]).toEqual([1, i + 1, null]);
    }
    expect(await everything(parameters, optimizer)).toEqual(before);
    // As if they had not been; and those that nobody reads of are known with the next.
    await step(Number.NaN);
    await step();
    await step(Infinity);
    for (const each of [step, other.step, other.step]) await loss(each());
    expect(await everything(parameters, optimizer)).toEqual(await everything(other.parameters, other.optimizer));
    expect([optimizer.steps, optimizer.skipped, other.optimizer.skipped]).toEqual([3, 5, 0]);
  });
});

/** Parameters, moments and counts, bit for bit. */
async function everything(parameters: readonly Parameter[], optimizer: AnyOptimizer) {
  const dict = optimizer.stateDict();
  const values = await read(...parameters, ...dict.values());
  return [[...dict.keys()], ...values.map(({ buffer }) => [...new Uint32Array(buffer)])];
}

describe.for(modes)('what nobody has read, %s,', (mode) => {
  it('is told by a later read, as of the step that it was', async () => {
    const { second, optimizer, step } = subject({ make: 'AdamW', mode });
    await loss(step());
    await step();
    await step(Number.NaN);
    await step();
    expect(optimizer.diverged).toBeNull();
    await loss(step());
    expect(optimizer.diverged).toEqual({ step: 3, parameter: second });
  });

  it('is told by whatever is read next, if it is a parameter', async () => {
    const { second, optimizer, step } = subject({ make: 'SGD', mode, options: { nonFinite: 'skip' } });
    for (const value of [1, Number.NaN, 1]) await step(value);
    announceReads(2);
    await second.data();
    expect([optimizer.steps, optimizer.skipped]).toEqual([2, 1]);
  });

  it('counts no step that has failed before, or was left out', async () => {
    const table = parameter(ones([3, 2]));
    const optimizer = new SGD([table], { lr: 1, nonFinite: 'skip' });
    const plain = (ids: Tensor, factor: Tensor) => {
      const value = sum(embedding(ids, table)).mul(factor.at(0));
      value.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return value;
    };
    const compiled = compile(plain);
    const run = async (id: number, factor: number) =>
      (mode === 'compiled' ? compiled : plain)(tensor(Int32Array.of(id)), tensor([factor]));
    await run(0, 1);
    await run(9, 1);
    await run(0, Infinity);
    await run(0, 1);
    // A gradient that is finite, and a step that is not.
    (optimizer.groups[0] as { lr: number }).lr = 1e5;
    await run(1, 3e38);
    announceReads(2);
    const last = await run(1, 1);
    // What came first is an error that nobody has read of; what is learned beside it stays.
    if (mode === 'compiled') await expect(last.item()).rejects.toThrow('nobody has read');
    else await last.item().catch(() => {});
    expect(optimizer.diverged).toEqual({ step: 3, parameter: table });
    expect([optimizer.steps, optimizer.skipped]).toEqual([4, 1]);
  });
});

describe('the news', () => {
  const descent = (parameters: Parameter[], gradients: readonly Tensor[], optimizer: AnyOptimizer) => {
    for (const [i, each] of parameters.entries()) each.grad = gradients[i] as Tensor;
    optimizer.step();
    optimizer.zeroGrad();
  };

  it('is of each optimizer by itself, in one function or in several', async () => {
    const [a, b, c] = [ones([3]), ones([4]), ones([5])].map((each) => parameter(each)) as [
      Parameter,
      Parameter,
      Parameter,
    ];
    const [first, second, other] = [new AdamW([a]), new SGD([b]), new SGD([c], { momentum: 0.9 })];
    const step = compile((da: Tensor, db: Tensor) => {
      descent([a], [da], first);
      descent([b], [db], second);
      return sum(a).add(sum(b));
    });
    const apart = compile((dc: Tensor) => {
      descent([c], [dc], other);
      return sum(c);
    });
    const nan = (size: number) => tensor(new Float32Array(size).fill(Number.NaN));
    await loss(step(ones([3]), ones([4])));
    await loss(step(ones([3]), nan(4)));
    await loss(apart(ones([5])));
    expect([first, second, other].map(({ diverged }) => diverged)).toEqual([null, { step: 2, parameter: b }, null]);
    await loss(step(nan(3), nan(4)));
    await loss(apart(nan(5)));
    const news: (Divergence | null)[] = [
      { step: 3, parameter: a },
      { step: 2, parameter: b },
      { step: 2, parameter: c },
    ];
    expect([first, second, other].map(({ diverged }) => diverged)).toEqual(news);
  });

  it('is of the right one of many steps that one function makes, as far as there are words for them', async () => {
    const w = parameter(ones([2]));
    const [optimizer, other] = [new SGD([w], { lr: 1 }), new SGD([parameter(ones([3]))], { lr: 1 })];
    const many = (count: number) =>
      compile((at: Tensor) => {
        for (let n = 0; n < count; n++)
          descent([w], [at.equal(n).cast('f32').mul(3e38).mul(3e38).add(1).expand([2])], optimizer);
        return sum(w);
      });
    const at = (n: number) => tensor(Int32Array.of(n));
    const count = mostFindings + 2;
    await loss(many(count)(at(99)));
    expect(optimizer.diverged).toBeNull();
    await loss(many(count)(at(mostFindings - 1)));
    expect(optimizer.diverged).toEqual({ step: count + mostFindings, parameter: w });
    optimizer.loadStateDict(optimizer.stateDict());
    w.assign(ones([2]));
    await loss(many(count)(at(mostFindings + 1)));
    expect([optimizer.diverged, other.diverged]).toEqual([null, null]);
    const skipping = new SGD([w], { nonFinite: 'skip' });
    const toMany = compile(() => {
      for (let n = 0; n <= mostFindings; n++) descent([w], [ones([2])], skipping);
    });
    await expect(toMany()).rejects.toThrow(
      `[SGD] a compiled function can make ${mostFindings} steps where one may be left out`,
    );
  });

  it('is forgotten when a state is loaded, and comes anew', async () => {
    const { second, optimizer, step, parameters } = subject({ make: 'AdamW', mode: 'compiled' });
    const good = optimizer.stateDict();
    await loss(step(Number.NaN));
    const unread = await step();
    expect(optimizer.diverged).toEqual({ step: 1, parameter: second });
    optimizer.loadStateDict(good);
    for (const each of parameters) each.assign(ones(each.shape));
    expect([optimizer.diverged, optimizer.steps]).toEqual([null, 0]);
    await loss(unread);
    expect(optimizer.diverged).toBeNull();
    await loss(step());
    expect(optimizer.diverged).toBeNull();
    await loss(step(Infinity));
    expect(optimizer.diverged).toEqual({ step: 2, parameter: second });
  });

  it('tells of a mean square that has overflowed, where the parameter is finite still', async () => {
    for (const Make of [Adam, AdamW]) {
      const [a, b] = [parameter(ones([3])), parameter(ones([3]))];
      const optimizer = new Make([a, b]);
      const step = compile((db: Tensor) => {
        descent([a, b], [ones([3]), db], optimizer);
        return sum(b);
      });
      expect(Number.isFinite(await loss(step(tensor([1, 1e21, 1]))))).toBe(true);
      expect(optimizer.diverged).toEqual({ step: 1, parameter: b });
    }
  });

  it.for(Object.keys(makes))('comes with a learning rate of 0, too: %s', async (make) => {
    for (const value of bad) {
      const { second, optimizer, step } = subject({ make, mode: 'compiled', options: { lr: 0 } });
      await loss(step(value));
      expect(optimizer.diverged).toEqual({ step: 1, parameter: second });
    }
  });

  it('names what it can where clipping has made NaN of the gradients of several optimizers', async () => {
    const [a, b, c] = [ones([70]), ones([4]), ones([5])].map((each) => parameter(each)) as [
      Parameter,
      Parameter,
      Parameter,
    ];
    const both = [new SGD([a, b]), new AdamW([c])];
    const step = compile((db: Tensor) => {
      for (const each of [a, c]) each.grad = ones(each.shape);
      b.grad = db;
      const norm = clipGradNorm([a, b, c], 1);
      for (const each of both) each.step();
      return norm;
    });
    await loss(step(tensor([1, 2, Number.NaN, 3])));
    expect(both.map(({ diverged }) => diverged?.parameter)).toEqual([b, c]);
  });

  it('is not of the gaps between parameters, though eps is 0', async () => {
    const w = parameter(tensor([1, 2]));
    const optimizer = new AdamW([w], { eps: 0 });
    const step = compile(() => {
      descent([w], [ones([2])], optimizer);
      return sum(w);
    });
    await loss(step());
    expect(optimizer.diverged).toBeNull();
  });

  it('costs no dispatch; leaving steps out costs two for one pack', async () => {
    const dispatches = async (options: Options) => {
      const { step } = subject({ make: 'AdamW', mode: 'compiled', clipped: true, options });
      await step();
      return (await countCalls(() => step())).counts.dispatches;
    };
    const [update, skip] = [await dispatches({}), await dispatches({ nonFinite: 'skip' })];
    expect(skip - update).toBe(2);
  });
});

describe('a step that is left out', () => {
  it('leaves other optimizers their steps', async () => {
    const [a, b] = [parameter(ones([3])), parameter(ones([3]))];
    const [first, second] = [new SGD([a], { lr: 1, nonFinite: 'skip' }), new SGD([b], { lr: 1, nonFinite: 'skip' })];
    const step = compile((da: Tensor) => {
      a.grad = da;
      b.grad = ones([3]);
      for (const each of [first, second]) each.step();
      return sum(b);
    });
    await loss(step(tensor([1, 1, Number.NaN])));
    expect(await read(a, b)).toEqual([Float32Array.of(1, 1, 1), Float32Array.of(0, 0, 0)]);
    expect([first, second].map(({ steps, skipped }) => [steps, skipped])).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  it('is left out for what clipping has brought from elsewhere', async () => {
    const [a, b] = [parameter(ones([3])), parameter(ones([3]))];
    const [first, second] = [new SGD([a], { lr: 1 }), new SGD([b], { lr: 1, nonFinite: 'skip' })];
    const step = compile((da: Tensor) => {
      a.grad = da;
      b.grad = ones([3]);
      const norm = clipGradNorm([a, b], 1);
      for (const each of [first, second]) each.step();
      return norm;
    });
    await loss(step(tensor([1, 1, Number.NaN])));
    expect((await read(b))[0]).toEqual(Float32Array.of(1, 1, 1));
    expect([second.skipped, second.steps, first.steps]).toEqual([1, 0, 1]);
  });

  it('makes steps whose values overflow all the same, and tells of them', async () => {
    const w = parameter(ones([3]));
    const optimizer = new SGD([w], { lr: 1e10, nonFinite: 'skip' });
    const step = compile(() => {
      w.grad = ones([3]).mul(1e38);
      optimizer.step();
      return sum(w);
    });
    await loss(step());
    expect([optimizer.steps, optimizer.skipped, optimizer.diverged]).toEqual([1, 0, { step: 1, parameter: w }]);
  });

  it.for(modes)('lets a loss scale find its size, %s', async (mode) => {
    const w = parameter(randn([40]));
    const optimizer = new SGD([w], { lr: 1e-34, momentum: 0.9, nonFinite: 'skip' });
    let scale = 2 ** 24;
    const plain = () => {
      const factor = dynamic(() => scale);
      // Gradients of some 1e32 before they are scaled.
      const value = w.mul(1e16).square().sum();
      value.mul(factor).backward();
      w.grad = (w.grad as Tensor).div(factor);
      optimizer.step();
      optimizer.zeroGrad();
      return value;
    };
    const compiled = compile(plain);
    const scales: number[] = [];
    for (let n = 0; n < 12; n++) {
      const { skipped } = optimizer;
      await loss((mode === 'compiled' ? compiled : plain)());
      scales.push(scale);
      if (optimizer.skipped > skipped) scale /= 2;
    }
    const left = optimizer.skipped;
    expect(left).toBeGreaterThan(0);
    expect(scales).toEqual(Array.from({ length: 12 }, (_, n) => 2 ** (24 - Math.min(n, left))));
    expect([optimizer.steps, optimizer.diverged]).toEqual([12 - left, null]);
    expect([...((await read(w))[0] as Float32Array)].every(Number.isFinite)).toBe(true);
  });
});

it('is an option of the whole optimizer, and no other', () => {
  const w = parameter(ones([2]));
  expect(() => new SGD([w], { nonFinite: 'ignore' as never })).toThrow(
    "[SGD] nonFinite must be 'update' or 'skip', got 'ignore'",
  );
  expect(() => new AdamW([{ params: [w], nonFinite: 'skip' } as never])).toThrow(
    "[AdamW] there is no option 'nonFinite'",
  );
});
