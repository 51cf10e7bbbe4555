import { describe, expect, it } from 'vitest';
import {
  type Alignment,
  additiveAttention,
  compile,
  dotAttention,
  generalAttention,
  grad,
  type Lengths,
  nn,
  type Tensor,
  tensor,
  ValueError,
} from '../../src/index.ts';
import { checkFused, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

type Source = Record<'queries' | 'keys' | 'values' | 'v', Tensor>;
type Options = { lengths?: Lengths };
const forms: Readonly<Record<string, (source: Source, options: Options) => Alignment>> = {
  additive: ({ queries, keys, values, v }, options) => additiveAttention(queries, keys, values, v, options),
  dot: ({ queries, keys, values }, options) => dotAttention(queries, keys, values, options),
  general: ({ queries, keys, values, v }, options) => generalAttention(queries, keys, values, v, options),
};
const formOf = (name: string) => forms[name.split('_')[0] as string] as (typeof forms)[string];

describe('attention over a source agrees with PyTorch', async () => {
  it.for(await goldenCases('additiveAttention'))('$name', ({ load }) =>
    checkGolden(load(), ({ lengths, ...source }, _, name) => ({
      ...formOf(name)(source as Source, lengths ? { lengths } : {}),
    })),
  );
});

const shapes = (B: number, Q: number, S: number, A: number, D: number) => [[B, Q, A], [B, S, A], [B, S, D], [A]];
const drawn = (...sizes: Parameters<typeof shapes>) =>
  shapes(...sizes).map((shape) => draw(shape, -1, 1)) as [Tensor, Tensor, Tensor, Tensor];

describe('additiveAttention', () => {
  it.for([
    [1, 1, 1, 1, 1],
    [2, 3, 5, 4, 8],
    [3, 1, 33, 7, 3],
    [2, 17, 9, 12, 65],
    [65, 1, 4, 3, 2],
    [1, 2, 130, 33, 4],
  ] as const)('B %i, Q %i, S %i, A %i, D %i, with lengths and without', async ([B, Q, S, A, D]) => {
    const lengths = tensor(Int32Array.from({ length: B }, (_, b) => 1 + ((b + S - 1) % S)));
    const finite = B * Q * S * A < 400;
    for (const options of [{}, { lengths }])
      await checkGradients(
        (q, k, x, v) => Object.values(additiveAttention(q as Tensor, k as Tensor, x as Tensor, v as Tensor, options)),
        drawn(B, Q, S, A, D),
        { finite },
      );
  });

  it('is what its definition in plain ops gives', async () => {
    const [q, k, x, v] = drawn(3, 4, 5, 6, 7);
    for (const options of [{}, { lengths: [5, 1, 3] }])
      await checkFused(additiveAttention(q, k, x, v, options).context);
  });

  it('is one dispatch, and two with all gradients, of the weights too', async () => {
    const step = compile((q: Tensor, k: Tensor, x: Tensor, v: Tensor, lengths: Tensor, seed: Tensor, own: Tensor) => {
      const { context, weights } = additiveAttention(q, k, x, v, { lengths });
      const loss = context.mul(seed).sum().add(weights.mul(own).sum());
      return [context, weights, ...grad(loss, [q, k, x, v])];
    });
    const forward = compile((q: Tensor, k: Tensor, x: Tensor, v: Tensor, lengths: Tensor) =>
      Object.values(additiveAttention(q, k, x, v, { lengths })),
    );
    const given = drawn(3, 2, 5, 4, 8);
    const lengths = tensor(Int32Array.of(1, 5, 2));
    const kernels = async (plan: Promise<{ summary(): { kernels: Readonly<Record<string, number>> } }>) =>
      (await plan).summary().kernels;
    const [only, all] = [
      await kernels(forward.prepare(...given, lengths)),
      await kernels(step.prepare(...given, lengths, draw([3, 2, 8]), draw([3, 2, 5]))),
    ];
    const dispatches = (names: Readonly<Record<string, number>>) => Object.values(names).reduce((a, b) => a + b, 0);
    expect(dispatches(only)).toBe(1);
    const own = Object.entries(all).filter(([name]) => name.startsWith('additiveAttention'));
    expect(dispatches(Object.fromEntries(own))).toBe(3);
    // Beside them the gradients of the products, which are those of the sums spread out.
    expect(dispatches(all)).toBeLessThanOrEqual(6);
  });

  it('takes lengths that vary as an input of one plan', async () => {
    const step = compile((q: Tensor, k: Tensor, x: Tensor, v: Tensor, lengths: Tensor) =>
      additiveAttention(q, k, x, v, { lengths }),
    );
    const [q, k, x, v] = drawn(2, 2, 4, 3, 3);
    for (const ends of [
      [1, 4],
      [3, 2],
    ]) {
      const { context } = await step(q, k, x, v, tensor(Int32Array.from(ends)));
      const [planned, eager] = await read(context, additiveAttention(q, k, x, v, { lengths: ends }).context);
      expect(planned).toEqual(eager);
    }
  });

  it('does not look at what lies behind a length, and gives it no gradient', async () => {
    const [q, , , v] = drawn(2, 3, 4, 5, 6);
    const padded = (width: number) => {
      const whole = draw([2, 4, width]).host as Float32Array<ArrayBuffer>;
      const values = Float32Array.from(whole).fill(Number.NaN, 2 * width, 4 * width);
      return tensor(values, { shape: [2, 4, width] });
    };
    const [k, x] = [padded(5), padded(6)];
    const { context, weights } = additiveAttention(q, k, x, v, { lengths: [2, 4] });
    const short = additiveAttention(
      q.slice([[0, 1]]),
      k.slice([
        [0, 1],
        [0, 2],
      ]),
      x.slice([
        [0, 1],
        [0, 2],
      ]),
      v,
    );
    const objective = context.square().sum().add(weights.square().sum());
    const values = await read(
      context.at(0),
      weights.at(0).slice([null, [0, 2]]),
      short.context.at(0),
      short.weights.at(0),
      weights.at(0).slice([null, [2, 4]]),
      ...grad(objective, [q, k, x, v]),
    );
    const [, , , , behind, dq, dk, dx, dv] = values.map((each) => Array.from(each, (value) => value + 0));
    expect(values[0]).toEqual(values[2]);
    expect(values[1]).toEqual(values[3]);
    expect(behind).toEqual(new Array(6).fill(0));
    for (const gradient of [dq, dk, dx, dv]) expect(gradient?.every(Number.isFinite)).toBe(true);
    expect(dk?.slice(10, 20)).toEqual(new Array(10).fill(0));
    expect(dx?.slice(12, 24)).toEqual(new Array(12).fill(0));
  });

  it('lets a NaN through, in either direction', async () => {
    const [q, k, x, v] = drawn(1, 2, 3, 4, 2);
    const spoiled = tensor(
      Float32Array.from(q.host as Float32Array, (value, i) => (i === 5 ? Number.NaN : value)),
      { shape: q.shape },
    );
    const { context } = additiveAttention(spoiled, k, x, v);
    const [values, dk] = await read(context, ...grad(context.sum(), [k]));
    expect([...(values ?? [])].map(Number.isNaN)).toEqual([false, false, true, true]);
    expect([...(dk ?? [])].every(Number.isNaN)).toBe(true);
  });
});

describe('dotAttention and generalAttention', () => {
  it('have the gradients that differences show, lengths included', async () => {
    const [q, k, x] = drawn(2, 3, 4, 5, 6);
    const lengths = tensor(Uint32Array.of(4, 2));
    await checkGradients(
      (a, b, c) => Object.values(dotAttention(a as Tensor, b as Tensor, c as Tensor, { lengths })),
      [q, k, x],
    );
    await checkGradients(
      (a, b, c, w) =>
        Object.values(generalAttention(a as Tensor, b as Tensor, c as Tensor, w as Tensor, { lengths: [4, 2] })),
      [q, draw([2, 4, 3]), x, draw([5, 3])],
    );
  });
});

describe('nn.AdditiveAttention', () => {
  it('projects queries and source, the source once for many calls', async () => {
    const attention = new nn.AdditiveAttention(3, 5, 4, { bias: true });
    expect([...attention.stateDict().keys()]).toEqual(['query.weight', 'key.weight', 'key.bias', 'v']);
    const [queries, source, lengths] = [draw([2, 6, 3]), draw([2, 7, 5]), [7, 2]];
    const whole = attention.forward(queries, source, { lengths });
    const keys = attention.project(source);
    const one = attention.forward(queries.at(4, 1), source, { keys, lengths: tensor(Int32Array.from(lengths)) });
    expect([one.context.shape, one.weights.shape]).toEqual([
      [2, 5],
      [2, 7],
    ]);
    await checkGradients(() => Object.values(whole), [...attention.parameters()], { finite: false });
    const [context, weights, own, ownWeights] = await read(
      whole.context.at(4, 1),
      whole.weights.at(4, 1),
      one.context,
      one.weights,
    );
    for (const [a, b] of [
      [context, own],
      [weights, ownWeights],
    ])
      for (const [i, value] of (a as Float32Array).entries()) expect(b?.[i]).toBeCloseTo(value, 6);
  });
});

describe('bad input', () => {
  const [q, k, x, v] = [() => draw([2, 1, 3]), () => draw([2, 4, 3]), () => draw([2, 4, 5]), () => draw([3])];
  it.for<[string, () => unknown, string]>([
    [
      'keys of another width',
      () => additiveAttention(q(), draw([2, 4, 2]), x(), v()),
      '[additiveAttention] for queries [2, 1, 3] the keys must be [2, S, 3] and the values [2, S, D], got [2, 4, 2]',
    ],
    ['values of another length', () => dotAttention(q(), k(), draw([2, 5, 5])), 'got [2, 4, 3] and [2, 5, 5]'],
    ['v', () => additiveAttention(q(), k(), x(), draw([4])), 'v must be [3], the last dimension of queries and keys'],
    [
      'a weight',
      () => generalAttention(q(), k(), x(), draw([2, 3])),
      '[generalAttention] the weight must be [3, 3], the widths of queries and keys, got [2, 3]',
    ],
    [
      'a length of 0',
      () => dotAttention(q(), k(), x(), { lengths: [0, 4] }),
      '[dotAttention] lengths must be 2 integers, one for each row of the batch, from 1 to 4, got [0, 4]',
    ],
    ['a length above S', () => additiveAttention(q(), k(), x(), v(), { lengths: [1, 5] }), 'from 1 to 4, got [1, 5]'],
    ['too many lengths', () => additiveAttention(q(), k(), x(), v(), { lengths: [1, 2, 3] }), 'must be 2 integers'],
    [
      'lengths that are no integers',
      () => additiveAttention(q(), k(), x(), v(), { lengths: [1.5, 2] }),
      '[additiveAttention] lengths must be a tensor, or an array, each of it an integer',
    ],
    [
      'lengths of another shape',
      () => additiveAttention(q(), k(), x(), v(), { lengths: tensor(Int32Array.of(1)) }),
      '[additiveAttention] lengths must be [2], one for each row of the batch, got [1]',
    ],
    [
      'lengths of another type',
      () => additiveAttention(q(), k(), x(), v(), { lengths: draw([2]) }),
      'lengths must be i32 or u32',
    ],
  ])('%s', ([, call, message]) => expect(call).toThrow(message));

  it.for([
    [0, 4],
    [1, 5],
    [-1, 2],
  ])('lengths %i and %i in a tensor', async (ends) => {
    const lengths = tensor(Int32Array.from(ends));
    const additive = additiveAttention(q(), k(), x(), v(), { lengths }).context;
    await expect(read(additive)).rejects.toThrow(
      '[additiveAttention] a length lies outside [1, 4], the positions of a source',
    );
    await expect(read(dotAttention(q(), k(), x(), { lengths }).context)).rejects.toThrow(ValueError);
  });
});
