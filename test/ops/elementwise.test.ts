import { describe, expect, it } from 'vitest';
import * as weft from '../../src/index.ts';
import { type Tensor, tensor } from '../../src/index.ts';
import { interpret } from '../reference/interpret.ts';
import { check, checkGradients } from '../support/check.ts';
import { choose, draw, drawApart, drawBool, drawIds } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

type Unary = (x: Tensor) => Tensor;
type Binary = (a: Tensor | number, b: Tensor | number) => Tensor;

/** Ops of any real number. */
const everywhere: Record<string, Unary> = {
  neg: weft.neg,
  abs: weft.abs,
  exp: weft.exp,
  square: weft.square,
  sin: weft.sin,
  cos: weft.cos,
  tanh: weft.tanh,
  sigmoid: weft.sigmoid,
  erf: weft.erf,
  relu: weft.relu,
  silu: weft.silu,
  softplus: weft.softplus,
  leakyRelu: (x) => weft.leakyRelu(x, { slope: 0.2 }),
  elu: (x) => weft.elu(x, { alpha: 0.7 }),
  gelu: (x) => weft.gelu(x),
  'gelu, tanh form': (x) => weft.gelu(x, { approximate: 'tanh' }),
  clamp: (x) => weft.clamp(x, -0.805, 1.005),
};
/** Ops of positive numbers. */
const positive: Record<string, Unary> = {
  log: weft.log,
  sqrt: weft.sqrt,
  rsqrt: weft.rsqrt,
  reciprocal: weft.reciprocal,
};
/** Ops that only step. */
const steps: Record<string, Unary> = {
  sign: weft.sign,
  floor: weft.floor,
  'cast to i32': (x) => x.cast('i32'),
  'cast to bool': (x) => x.cast('bool'),
};
const arithmetic: Record<string, Binary> = {
  add: weft.add,
  sub: weft.sub,
  mul: weft.mul,
  div: weft.div,
  maximum: weft.maximum,
  minimum: weft.minimum,
};
const comparisons: Record<string, Binary> = {
  equal: weft.equal,
  notEqual: weft.notEqual,
  less: weft.less,
  lessEqual: weft.lessEqual,
  greater: weft.greater,
  greaterEqual: weft.greaterEqual,
};

describe('elementwise ops agree with PyTorch', async () => {
  it.for(await goldenCases('elementwise'))('$name', ({ load }) =>
    checkGolden(load(), ({ x, a, b, condition }, options, name) => {
      const op = name.replace(/_.*/, '');
      if (op === 'clamp')
        return {
          y: weft.clamp(x as Tensor, (options.min as number) ?? -Infinity, (options.max as number) ?? Infinity),
        };
      if (op === 'where') return { y: weft.where((condition as Tensor).cast('bool'), a as Tensor, b as Tensor) };
      const f = (weft as unknown as Record<string, (...x: unknown[]) => Tensor>)[op] as (...x: unknown[]) => Tensor;
      const y = x ? f(x, options) : f(a, b);
      return { y: y.dtype === 'bool' ? y.cast('i32') : y };
    }),
  );
});

describe('elementwise ops agree with float64', () => {
  it.for(Object.entries({ ...everywhere, ...steps }))('%s', async ([, f]) => {
    await check(f(draw([257], -4, 4)), f(draw([3, 5], -30, 30)));
  });
  it.for(Object.entries(positive))('%s', async ([, f]) => {
    await check(f(draw([257], 0.01, 4)), f(draw([3, 5], 1, 1000)));
  });
  it.for(Object.entries({ ...arithmetic, ...comparisons }))('%s', async ([, f]) => {
    await check(
      f(draw([129]), drawApart([129])),
      f(draw([3, 1, 5]), drawApart([4, 1])),
      f(drawApart([2, 3]), 1.5),
      f(2, drawApart([2, 3])),
    );
  });

  it('pow', () =>
    check(
      weft.pow(draw([65], 0.1, 4), draw([65])),
      weft.pow(draw([9], -3, -0.1), tensor([3])),
      weft.pow(draw([9], -3, -0.1), 2),
    ));

  it('are those of f32 at the ends of its range', async () => {
    const ends = tensor([-Infinity, -3e38, -1e4, -100, 100, 1e4, 3e38, Infinity, 0, NaN]);
    const functions = Object.entries(everywhere).filter(([name]) => !/sin|cos/.test(name));
    const roots = functions.map(([, f]) => f(ends));
    const expected = interpret(roots);
    const actual = await read(...roots);
    for (const [i, [name]] of functions.entries()) {
      const want = Array.from(expected[i]?.value.data ?? [], Math.fround);
      const close = [...(actual[i] ?? [])].map((got, j) =>
        Math.abs(got - (want[j] as number)) <= 1e-6 * Math.abs(want[j] as number) + 1e-37 ? want[j] : got,
      );
      expect(close, name).toEqual(want);
    }
  });

  it('sin and cos of large angles', () => check(weft.sin(draw([64], -1000, 1000)), weft.cos(draw([64], -1000, 1000))));
});

describe('integers and booleans', () => {
  const ints = () => tensor(Int32Array.of(-7, -1, 0, 3, 7, 100));
  const others = () => tensor(Int32Array.of(2, -3, 5, 3, -7, 9));

  it('count in i32', async () => {
    const [a, b] = [ints(), others()];
    await check(
      a.add(b),
      a.sub(b),
      a.mul(b),
      a.div(b),
      a.maximum(b),
      a.minimum(b),
      a.neg(),
      a.abs(),
      a.clamp(-2, 5),
      a.less(b),
      a.equal(b),
    );
  });
  it('count in u32', async () => {
    const [a, b] = [tensor(Uint32Array.of(1, 2, 4000000000, 9)), tensor(Uint32Array.of(3, 2, 1, 4))];
    await check(a.add(b), a.sub(b), a.mul(b), a.div(b), a.greater(b), a.neg());
  });
  it('cast between all types', async () => {
    const float = tensor([-1.7, -0.2, 0, 0.9, 2.5]);
    const [i, u, b] = [ints(), tensor(Uint32Array.of(0, 1, 5)), drawBool([5])];
    await check(
      float.cast('i32'),
      float.abs().cast('u32'),
      float.cast('bool'),
      i.cast('f32'),
      i.cast('bool'),
      u.cast('f32'),
      u.cast('i32'),
      b.cast('f32'),
      b.cast('i32'),
      b.cast('u32'),
    );
  });
  it('combine conditions', async () => {
    const [a, b] = [drawBool([33]), drawBool([33])];
    await check(a.and(b), a.or(b), a.not(), a.equal(b), weft.where(a, drawIds([33], 9), 5), weft.where(a, b, b.not()));
  });
});

describe('gradients of elementwise ops are what differences show', () => {
  it.for(Object.entries(everywhere))('%s', ([, f]) => checkGradients((x) => f(x as Tensor), [drawApart([3, 5])]));
  it.for(Object.entries(positive))('%s', ([, f]) => checkGradients((x) => f(x as Tensor), [draw([3, 5], 0.2, 3)]));
  it.for(Object.entries(arithmetic))('%s', ([, f]) => {
    const all = drawApart([32]);
    const [a, b] = all.split([20, 12]) as [Tensor, Tensor];
    const values = (x: Tensor) => x.reshape(x.size === 20 ? [4, 5] : [3, 4, 1]);
    // Slices of a leaf are no leaves: the check differentiates with respect to the whole.
    void [a, b];
    return checkGradients(
      (x) => {
        const [p, q] = (x as Tensor).split([20, 12]) as [Tensor, Tensor];
        return f(values(p), values(q));
      },
      [all],
    );
  });
  it('pow', () => checkGradients((a, b) => weft.pow(a as Tensor, b as Tensor), [draw([2, 5], 0.3, 3), draw([5])]));
  it('where', () => {
    const condition = drawBool([2, 1, 4]);
    return checkGradients((a, b) => weft.where(condition, a as Tensor, b as Tensor), [draw([3, 4]), draw([3, 1])]);
  });
  it('of gelu, twice', () =>
    checkGradients(
      (x) =>
        weft
          .grad((x as Tensor).gelu().sum(), [x as Tensor])[0]
          ?.add(weft.grad((x as Tensor).gelu({ approximate: 'tanh' }).sum(), [x as Tensor])[0] as Tensor) as Tensor,
      [draw([7])],
    ));
});

describe('broadcasting', () => {
  it.for([
    [[], [3]],
    [[1], [2, 3]],
    [
      [3, 1, 5],
      [4, 1],
    ],
    [
      [2, 1, 1, 3],
      [1, 5, 4, 1],
    ],
    [[64], [65, 64]],
    [
      [33, 1],
      [33, 31],
    ],
  ])('[%j] with [%j]', async ([a, b]) => {
    const f = choose(Object.values(arithmetic).slice(0, 3));
    await checkGradients((x, y) => f(x as Tensor, y as Tensor), [draw(a as number[]), draw(b as number[])]);
  });
});

describe('chains', () => {
  it('fuse into one kernel and store what is read elsewhere', async () => {
    const [x, y] = [draw([17, 12]), draw([12])];
    const middle = x.mul(y).add(1);
    await check(middle.tanh().mul(middle).sub(x), middle, middle.relu().sum(1));
  });
  it('take more inputs than a kernel has bindings', async () => {
    const inputs = Array.from({ length: 12 }, () => draw([37]));
    await check(inputs.reduce((total, x, i) => (i % 2 ? total.mul(x) : total.add(x))));
  });
  it('may be long', async () => {
    let x = draw([65], -1, 1);
    for (let i = 0; i < 60; i++) x = i % 3 ? x.mul(1.01).add(0.01) : x.sin();
    await check(x);
  });
});
