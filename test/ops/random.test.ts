import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { defaultGenerator } from '../../src/core/random.ts';
import {
  bernoulli,
  categorical,
  checkpoint,
  compile,
  dropout,
  full,
  Generator,
  grad,
  manualSeed,
  normal,
  rand,
  randint,
  randn,
  sample,
  scan,
  stack,
  type Tensor,
  tensor,
  uniform,
} from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

/** A call of each random op: what the tests below walk. */
const calls: Readonly<Record<string, () => Tensor>> = {
  rand: () => rand([3, 5]),
  uniform: () => uniform([4, 8], { low: -1, high: 3 }),
  randn: () => randn([3, 5]),
  normal: () => normal([4, 8], { mean: 2, std: 0.5 }),
  bernoulli: () => bernoulli(0.4, [4, 8]),
  'bernoulli of a tensor': () => bernoulli(full([7], 0.6)),
  randint: () => randint(-5, 1000, [4, 8]),
  dropout: () => dropout(full([3, 5], 2), 0.5),
  categorical: () => categorical(full([9, 50], 0)),
  sample: () => sample(full([9, 50], 0), { temperature: 0.9 }),
};
const all = () => Object.values(calls).map((call) => call());

describe('random ops', () => {
  it('give what the reference makes of the words of the generator', async () => {
    manualSeed(2n ** 63n + 5n);
    await check(uniform([5]), uniform([3, 67]), uniform([1030]), ...all());
    await check(
      ...[
        uniform([6], { low: -0.1, high: 0.1 }),
        uniform([8], { low: 1e8, high: 2e8 }),
        uniform([3], { low: 2, high: 2 }),
      ],
      ...[randint(-(2 ** 31), 2 ** 31, [6]), randint(0, 1, [4]), randint(7, 2 ** 31, [5]), randn([1000])],
      ...[bernoulli(tensor([0, 1, 0.5, -1, 2])), bernoulli(0, [4]), bernoulli(1, [5])],
    );
  });

  it('repeat with the seed, and differ from draw to draw', async () => {
    manualSeed(7);
    const [a, b] = [await read(...all()), await read(...all())];
    manualSeed(7);
    expect(await read(...all())).toEqual(a);
    for (const [i, name] of Object.keys(calls).entries()) expect(b[i], name).not.toEqual(a[i]);
  });

  it('are fresh at every step of a compiled function, with the bits of the same calls uncompiled', async () => {
    const step = compile(all);
    manualSeed(11);
    const compiled = [await read(...(await step())), await read(...(await step()))];
    manualSeed(11);
    expect(compiled).toEqual([await read(...all()), await read(...all())]);
    expect(step.traces).toBe(1);
  });

  it('take a generator of their own', async () => {
    const draw = (generator: Generator) => [
      rand([5], { generator }),
      randn([5], { generator }),
      normal([5], { generator }),
      randint(0, 100, [5], { generator }),
      bernoulli(0.5, [20], { generator }),
      bernoulli(full([20], 0.5), { generator }),
      dropout(full([20], 1), 0.5, { generator }),
    ];
    const own = new Generator(3);
    const step = compile(() => draw(own));
    const before = defaultGenerator.position;
    const compiled = [await read(...(await step())), await read(...(await step()))];
    const eager = new Generator(3);
    expect(compiled).toEqual([await read(...draw(eager)), await read(...draw(eager))]);
    expect(defaultGenerator.position).toBe(before);
    expect(own.position).toBe(14);
  });

  it('have fixed bits', async () => {
    manualSeed(1);
    const [uniforms, integers, mask, normals] = (await read(
      uniform([4], { low: -1, high: 1 }),
      randint(-100, 100, [4]),
      bernoulli(0.5, [8]),
      randn([4]),
    )) as [Float32Array, Int32Array, Float32Array, Float32Array];
    expect([...uniforms]).toEqual([0.7805182933807373, 0.7893693447113037, 0.17145180702209473, 0.42253613471984863]);
    expect([...integers]).toEqual([-95, -49, -56, -15]);
    expect([...mask]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
    for (const [i, wanted] of [-0.096983984, -1.0934093, -1.4412496, 2.3970664].entries())
      expect(Math.abs((normals[i] as number) - wanted)).toBeLessThan(1e-6 * Math.max(1, Math.abs(wanted)));
  });

  it('have the moments of their distributions', async () => {
    manualSeed(1);
    const n = 40_000;
    const [uniforms, normals, coins, dice] = (await read(
      uniform([n]),
      randn([n]),
      bernoulli(0.3, [n]),
      randint(1, 7, [n]),
    )) as [Float32Array, Float32Array, Float32Array, Int32Array];
    const moment = (values: ArrayLike<number>, power: number) =>
      Array.from(values).reduce((sum, value) => sum + value ** power, 0) / n;
    // Five standard deviations of each mean.
    const near = (values: ArrayLike<number>, power: number, wanted: number, deviation: number) =>
      expect(Math.abs(moment(values, power) - wanted)).toBeLessThan((5 * deviation) / Math.sqrt(n));
    near(uniforms, 1, 1 / 2, Math.sqrt(1 / 12));
    near(uniforms, 2, 1 / 3, Math.sqrt(4 / 45));
    near(normals, 1, 0, 1);
    near(normals, 2, 1, Math.sqrt(2));
    near(normals, 3, 0, Math.sqrt(15));
    near(normals, 4, 3, Math.sqrt(96));
    near(coins, 1, 0.3, Math.sqrt(0.21));
    near(dice, 1, 3.5, Math.sqrt(35 / 12));
    expect(new Set(dice)).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  });

  it('make NaN of a probability that is NaN', async () => {
    const [few, many] = await read(
      bernoulli(tensor([Number.NaN, 1])),
      bernoulli(tensor([0, Number.NaN, 1, Number.NaN])),
    );
    expect([...(few ?? []), ...(many ?? [])]).toEqual([Number.NaN, 1, 0, Number.NaN, 1, Number.NaN]);
  });

  it('share one pipeline, whatever the shape and the settings', async () => {
    const draws = (shape: number[], low: number) => [uniform(shape, { low, high: 5 }), normal(shape, { mean: low })];
    await read(...draws([3, 4], 0));
    const { counts } = await countCalls(() => read(...draws([2, 8], 1), ...draws([20], 2), ...draws([5, 4, 4], 3)));
    expect(counts.pipelines).toBe(0);
  });

  it('say what they want', () => {
    expect(() => uniform([2], { low: 1, high: 0 })).toThrow(
      '[uniform] needs low ≤ high, and f32 numbers between them, got 1 and 0',
    );
    expect(() => rand([2], { high: Infinity })).toThrow('[rand] high must be a finite number, got Infinity');
    expect(() => normal([2], { std: -1 })).toThrow('[normal] std must be a finite number of at least 0, got -1');
    expect(() => randint(0, 0, [2])).toThrow('[randint] needs integers −2³¹ ≤ low < high ≤ 2³¹, got 0 and 0');
    expect(() => randint(0, 1.5, [2])).toThrow('[randint] needs integers');
    expect(() => bernoulli(2, [2])).toThrow('[bernoulli] the probability must be in [0, 1], got 2');
    expect(() => bernoulli(tensor(Int32Array.of(1)))).toThrow('[bernoulli] p must be f32, got i32');
    expect(() => randn([0])).toThrow('[randn] every extent must be a positive integer');
  });
});

describe('random ops in the body of a scan', () => {
  const draws = (x: Tensor) =>
    dropout(x.add(randn([5])), 0.4)
      .add(uniform([5]))
      .add(bernoulli(0.5, [5]));
  const xs = () => draw([6, 5]);
  const scanned = (values: Tensor, reverse = false) =>
    scan(
      ([c], [x]) => {
        const next = draws((c as Tensor).mul(0.5).add(x as Tensor));
        return { carry: [next], y: [next] };
      },
      [values.at(0).mul(0)],
      [values],
      { reverse },
    ).ys[0] as Tensor;

  it('are fresh at each turn: the numbers of a loop', async () => {
    const values = xs();
    for (const reverse of [false, true]) {
      manualSeed(5);
      const [together] = await read(scanned(values, reverse));
      manualSeed(5);
      const rows: Tensor[] = [];
      let c = values.at(0).mul(0);
      for (let i = 0; i < 6; i++) {
        const t = reverse ? 5 - i : i;
        c = draws(c.mul(0.5).add(values.at(t)));
        rows[t] = c;
      }
      const [looped] = await read(stack(rows, 0));
      expect(together).toEqual(looped);
    }
  });

  it('give the values of the reference, and the same numbers in backward', () =>
    checkGradients((x) => scanned(x as Tensor), [xs()]));

  it('are fresh at every step of a compiled function, and equal its uncompiled calls', async () => {
    const values = xs();
    const step = compile((x: Tensor) => {
      const y = scanned(x);
      return [y, ...grad(y.sum(), [x]), uniform([3])];
    });
    manualSeed(8);
    const compiled = [await read(...(await step(values))), await read(...(await step(values)))];
    expect(compiled[0]).not.toEqual(compiled[1]);
    manualSeed(8);
    for (const expected of compiled) {
      const y = scanned(values);
      const [own, gradient, after] = await read(y, ...grad(y.sum(), [values]), uniform([3]));
      expect(own).toEqual(expected[0]);
      expect(gradient).toEqual(expected[1]);
      expect(after).toEqual(expected[2]);
    }
  });

  it('are fresh at each turn of a scan within', async () => {
    manualSeed(4);
    const inner = () => scan(() => ({ carry: [], y: [uniform([2])] }), [], [], { length: 3 }).ys[0] as Tensor;
    const nested = scan(() => ({ carry: [], y: [inner()] }), [], [], { length: 2 }).ys[0] as Tensor;
    const [values] = await read(nested);
    expect(new Set(values).size).toBe(12);
    manualSeed(4);
    const [loop] = await read(stack([inner(), inner()], 0));
    expect(values).toEqual(loop);
  });

  it('give the same numbers where a checkpoint computes them again', async () => {
    const values = xs();
    const gradient = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor) => {
      manualSeed(6);
      return grad(wrap((x) => scanned(x).square())(values).sum(), [values])[0] as Tensor;
    };
    const [plain, again] = await read(
      gradient((f) => f),
      gradient(checkpoint),
    );
    expect(again).toEqual(plain);
  });
});

describe('dropout', () => {
  it('scales what it keeps, and drops the same in backward', () =>
    checkGradients((x) => dropout(x as Tensor, 0.3), [draw([5, 13])]));
  it('of probability 0 is the tensor itself, of probability 1 zero', async () => {
    const x = draw([3]);
    expect(dropout(x, 0)).toBe(x);
    expect((await read(dropout(x, 1).abs()))[0]).toEqual(new Float32Array(3));
  });
});
