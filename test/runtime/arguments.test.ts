import { beforeEach, describe, expect, it, vi } from 'vitest';
import {
  checkpoint,
  compile,
  DTypeError,
  nn,
  noGrad,
  ones,
  optim,
  type Parameter,
  parameter,
  ShapeError,
  scan,
  scope,
  type Tensor,
  tensor,
  ValueError,
  valueAndGrad,
} from '../../src/index.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

/** What goes into a compiled function and what comes out of it. */
useGpu();
beforeEach(() => announceReads(Infinity));

// The spy keeps what it is given: a function made in a test would keep the tensors of the test.
const nothing = () => {};
const quiet = () => vi.spyOn(console, 'warn').mockImplementation(nothing);

class Pair {
  readonly first = tensor([1]);
}

/** A function that gets its argument as a tensor, whatever the caller gave. */
const asTensor = (value: unknown) => value as Tensor;
const describeTensor = async (value: Tensor) => ({
  dtype: value.dtype,
  shape: value.shape,
  values: await value.array(),
});

describe('results', () => {
  const plain = {
    tokens: 128,
    epoch: 0,
    first: 1,
    negative: -0,
    missing: Number.NaN,
    name: 'step',
    done: false,
    big: 12n,
    none: null,
    nothing: undefined,
  };

  it('that are numbers, strings, booleans, bigint, null and undefined come back as they are', async () => {
    const fn = (x: Tensor) => ({ ...plain, loss: x.sum(), list: [0, 'a', null], map: new Map([['k', 1]]) });
    const step = compile(fn);
    for (let i = 0; i < 2; i++) {
      const { loss, list, map, ...rest } = await step(tensor([1, 2]));
      expect(rest).toEqual(plain);
      expect(list).toEqual([0, 'a', null]);
      expect(map).toEqual(new Map([['k', 1]]));
      expect(await loss.item()).toBe(3);
    }
    expect(step.traces).toBe(1);
  });

  it.for([7, -0, 'text', true, 3n, null, undefined])('may be %s alone', async (value) => {
    expect(await compile(() => value)()).toBe(value);
  });

  it('lie in arrays, plain objects and Maps, empty ones too, which are the caller’s own', async () => {
    const given = Object.create(null) as Record<string, unknown>;
    const step = compile((x: Tensor) => {
      given.own = x.add(1);
      return {
        map: new Map<unknown, unknown>([
          ['a', [x.mul(2), 5]],
          [1, new Map()],
        ]),
        given,
        empty: [{}, []],
        'odd key': x,
      };
    });
    const [one, other] = [await step(tensor([1])), await step(tensor([2]))];
    expect(await (one.map.get('a') as [Tensor])[0].array()).toEqual([2]);
    expect(await (other.map.get('a') as [Tensor])[0].array()).toEqual([4]);
    expect((one.map.get('a') as unknown[])[1]).toBe(5);
    expect(one.map.get(1)).toEqual(new Map());
    expect(Object.getPrototypeOf(one.given)).toBe(null);
    expect(await (other.given.own as Tensor).array()).toEqual([3]);
    expect(await one['odd key'].array()).toEqual([1]);
    expect(one.empty).toEqual([{}, []]);
    expect(one.map).not.toBe(other.map);
    expect(one.empty).not.toBe(other.empty);
  });

  it.for(['alone', 'in an optimizer'])('that are parameters and buffers come back as themselves: %s', async (place) => {
    const [p, b] = [parameter([1, 2]), new nn.Buffer([5])];
    const optimizer = place === 'alone' ? null : new optim.SGD([p], { lr: 1 });
    const step = compile((x: Tensor) => {
      const loss = p.mul(x).sum();
      if (optimizer) {
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
      } else p.assign(p.sub(x));
      b.assign(b.add(1));
      return { loss, p, deep: [new Map([['b', b]])], before: p.detach() };
    });
    const first = await step(tensor([10, 20]));
    expect(first.p).toBe(p);
    expect(await first.p.array()).toEqual([-9, -18]);
    expect(await first.before.array()).toEqual([-9, -18]);
    const second = await step(tensor([1, 1]));
    expect(await second.p.array()).toEqual([-10, -19]);
    expect(second.deep[0]?.get('b')).toBe(b);
    expect(await b.array()).toEqual([7]);
    // A value of its own stays what it was.
    expect(await first.before.array()).toEqual([-9, -18]);
  });

  it('that are parameters which the step only reads, or does not touch, are no copies', async () => {
    const [read, untouched] = [parameter([1]), parameter([2])];
    const step = compile((x: Tensor) => [read.mul(x), read, untouched] as const);
    const [, a, b] = await step(tensor([3]));
    expect([a, b]).toEqual([read, untouched]);
    expect((await step.prepare(tensor([3]))).summary()).toBeDefined();
    read.assign([7]);
    expect([await a.array(), await b.array()]).toEqual([[7], [2]]);
  });

  it('may be an argument, and the same tensor twice', async () => {
    const step = compile((x: Tensor) => [x, x, x.mul(2)]);
    const x = tensor([1, 2]);
    const [a, b, c] = (await step(x)) as [Tensor, Tensor, Tensor];
    expect([await a.array(), await b.array(), await c.array()]).toEqual([
      [1, 2],
      [1, 2],
      [2, 4],
    ]);
  });

  it.for<readonly [what: string, value: () => unknown, message: string]>([
    ['an object of a class', () => ({ m: new Pair() }), '[compile] result.m is a Pair; here may stand tensors'],
    ['a function', () => [() => 1], '[compile] result[0] is a function'],
    ['a symbol', () => Symbol('s'), '[compile] result is a symbol'],
    ['a Set', () => ({ 'odd key': new Set() }), '[compile] result["odd key"] is a Set'],
    ['a Date', () => new Map([['k', [new Date()]]]), '[compile] result.get("k")[0] is a Date'],
    ['a typed array', () => ({ a: [1, Float32Array.of(1)] }), '[compile] result.a[1] is a Float32Array'],
    ['64-bit integers', () => BigInt64Array.of(1n), '[compile] result is a BigInt64Array'],
    ['an ArrayBuffer', () => new ArrayBuffer(4), '[compile] result is an ArrayBuffer'],
    ['a module', () => ({ model: new nn.Dropout(0.5) }), '[compile] result.model is a Dropout'],
    ['a promise', () => ({ p: Promise.reject(new Error('not to be seen')) }), '[compile] result.p is a Promise'],
    ['a Map by objects', () => new Map([[{}, 1]]), '[compile] result is a Map with an Object as a key'],
    ['an array in itself', () => circle(), '[compile] result[0][0]'],
  ])('that are %s are refused', async ([, value, message]) => {
    await expect(compile(value)()).rejects.toThrow(ValueError);
    await expect(compile(value)()).rejects.toThrow(message);
  });

  const circle = () => {
    const array: unknown[] = [];
    array.push(array);
    return array;
  };
});

describe('arguments', () => {
  const values: readonly (readonly [what: string, value: unknown])[] = [
    ['Float32Array', Float32Array.of(1.5, -2)],
    ['Float64Array', Float64Array.of(0.1, -2)],
    ['Int32Array', Int32Array.of(1, -2)],
    ['Uint32Array', Uint32Array.of(1, 4e9)],
    ['Int16Array', Int16Array.of(1, -2)],
    ['Uint16Array', Uint16Array.of(1, 65535)],
    ['Int8Array', Int8Array.of(1, -2)],
    ['Uint8Array', Uint8Array.of(1, 255)],
    ['Uint8ClampedArray', Uint8ClampedArray.of(1, 300)],
    ['a part of an array', Int16Array.of(9, 1, 2, 9).subarray(1, 3)],
    ['numbers', [1, 2]],
    [
      'nested numbers',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    ['booleans', [[true], [false]]],
    ['numbers and booleans', [true, 2]],
  ];

  it('that are arrays follow the rule of tensor, alone and in structures', async () => {
    const step = compile((value: unknown, inner: { list: unknown[]; map: Map<string, unknown> }) => [
      asTensor(value),
      asTensor(inner.list[0]),
      asTensor(inner.map.get('k')),
    ]);
    quiet();
    for (const [what, value] of values) {
      const wanted = await describeTensor(tensor(value as number[]));
      const got = await step(value, { list: [value, ones([1])], map: new Map([['k', value]]) });
      for (const each of got) expect(await describeTensor(each), what).toEqual(wanted);
    }
    vi.restoreAllMocks();
  });

  it('that are arrays of numbers cost no plan for each value', async () => {
    const step = compile((x: unknown, { ids }: { ids: unknown }) => asTensor(x).sum().add(asTensor(ids).sum()));
    for (let i = 0; i < 4; i++) expect(await (await step([[i, 1]], { ids: [i] })).item()).toBe(2 * i + 1);
    expect(await (await compile((x: unknown) => asTensor(x).mul(2))([1, 2])).array()).toEqual([2, 4]);
    expect(step.traces).toBe(1);
  });

  it('that are arrays with tensors in them, or with texts, or empty, stay arrays', async () => {
    const step = compile((list: unknown[], names: string[], none: unknown[]) => [
      (list[0] as Tensor).mul(list[1] as number).add(asTensor(list[2]).sum()),
      list.length,
      names.join(),
      none.length,
    ]);
    expect(await step([tensor([1]), 3, [4, 5]], ['a', 'b'], [])).toEqual([expect.anything(), 3, 'a,b', 0]);
    const [sum] = (await step([tensor([1]), 3, [4, 5]], ['a', 'b'], [])) as [Tensor];
    expect(await sum.item()).toBe(12);
  });

  it.for<readonly [what: string, value: unknown, type: new (message?: string) => Error, message: string]>([
    ['64-bit integers', BigInt64Array.of(1n), DTypeError, '[tensor] a BigInt64Array'],
    ['unsigned 64-bit integers', { a: BigUint64Array.of(1n) }, DTypeError, '[tensor] a BigUint64Array'],
    ['a DataView', new DataView(new ArrayBuffer(4)), DTypeError, '[tensor] a DataView'],
    ['rows of two lengths', [[1, 2], [3]], ShapeError, '[tensor] ragged arrays'],
    ['an ArrayBuffer', new ArrayBuffer(4), ValueError, '[compile] argument 1 is an ArrayBuffer'],
    ['an object of a class', { m: [new Pair()] }, ValueError, '[compile] argument 1.m[0] is a Pair'],
    ['a function', () => 1, ValueError, '[compile] argument 1 is a function'],
    ['a Set', new Set([1]), ValueError, '[compile] argument 1 is a Set'],
    ['a promise', new Promise(() => {}), ValueError, '[compile] argument 1 is a Promise'],
    ['a symbol', Symbol('s'), ValueError, '[compile] argument 1 is a symbol'],
  ])('that are %s are refused, by prepare as well', async ([, value, type, message]) => {
    const step = compile((x: Tensor, _: unknown) => x.add(1));
    for (const refused of [step(tensor([1]), value), step.prepare(tensor([1]), value)]) {
      const error = await refused.catch((error: unknown) => error);
      expect(error).toBeInstanceOf(type);
      expect((error as Error).message).toContain(message);
    }
    expect(step.traces).toBe(0);
  });

  it('that differ have signatures that differ, and those that are equal the same', async () => {
    const step = compile((...args: unknown[]) => args.length);
    const p = [parameter([1]), parameter([1])] as const;
    const different: unknown[][] = [
      ['a', 'b'],
      ['a,string:b'],
      ['a","b'],
      ['a,"b"'],
      [['a', 'b']],
      ['a', ['b']],
      [{ a: 'b' }],
      [{ 'a:b': undefined }],
      [new Map([['a', 'b']])],
      [new Map([[1, 'b']])],
      [new Map([['1', 'b']])],
      [0],
      [-0],
      ['0'],
      [0n],
      [false],
      [null],
      [undefined],
      [],
      [[]],
      [{}],
      [Number.NaN],
      ['NaN'],
      [Infinity],
      [-Infinity],
      [1e21],
      [tensor([1])],
      ['f32[1]'],
      [tensor([1]).cast('i32')],
      [tensor([[1]])],
      [tensor(1)],
      [p[0]],
      [p[1]],
      [{ x: 1, y: 2 }],
      [{ x: { y: 2 } }],
      [{ x: 1 }, { y: 2 }],
    ];
    quiet();
    const signatures = new Set<string>();
    for (const args of different) {
      for (let again = 0; again < 2; again++) {
        await step.prepare(...args);
        signatures.add([...step.plans.keys()].at(-1) as string);
      }
    }
    vi.restoreAllMocks();
    expect(signatures.size).toBe(different.length);
    expect(step.traces).toBe(different.length);
  });

  it('that are numbers reach the function as they are', async () => {
    const step = compile((x: Tensor, by: number) => ({ y: x.mul(1), sign: Object.is(by, -0), by }));
    expect(await step(ones([1]), 0)).toMatchObject({ sign: false, by: 0 });
    expect(await step(ones([1]), -0)).toMatchObject({ sign: true, by: -0 });
    expect((await step(ones([1]), Number.NaN)).by).toBe(Number.NaN);
  });

  it.for(['alone', 'in an optimizer'])('that are parameters stand for their state: %s', async (place) => {
    const [p, other] = [parameter([1, 2]), parameter([3, 4])];
    if (place === 'in an optimizer') new optim.SGD([p, other], { lr: 1 });
    const scale = new nn.Buffer([10]);
    const step = compile((w: Parameter, x: Tensor, factor: nn.Buffer) => {
      const loss = w.mul(x).mul(factor).sum();
      loss.backward();
      factor.assign(factor.add(1));
      return { loss, w };
    });
    quiet();
    const { loss, w } = await step(p, tensor([1, 1]), scale);
    expect(await loss.item()).toBe(30);
    expect(w).toBe(p);
    expect(await p.grad?.array()).toEqual([10, 10]);
    expect(other.grad).toBe(null);
    expect(await scale.array()).toEqual([11]);
    expect(await (await step(other, tensor([1, 1]), scale)).loss.item()).toBe(77);
    expect(await other.grad?.array()).toEqual([11, 11]);
    p.assign([0, 5]);
    expect(await (await step(p, tensor([1, 1]), scale)).loss.item()).toBe(60);
    vi.restoreAllMocks();
  });

  it.for(['alone', 'in an optimizer'])('that are values of parameters are no states: %s', async (place) => {
    const p = parameter([1, 2]);
    if (place === 'in an optimizer') new optim.SGD([p], { lr: 1 });
    const step = compile((x: Tensor) => x.mul(2));
    for (const value of [p.detach(), p.version, p.mul(1)]) expect(await (await step(value)).array()).toEqual([2, 4]);
    p.assign([3, 4]);
    expect(await (await step(p.version)).array()).toEqual([6, 8]);
    expect(step.traces).toBe(1);
  });
});

describe('a call', () => {
  it('takes a copy of arrays, which the caller may fill anew before the step has its turn', async () => {
    const total = compile((x: unknown, inner: unknown[]) => asTensor(x).sum().add(asTensor(inner[0]).sum()));
    const [x, ids, list] = [new Float32Array(2), new Int16Array(1), [0, 0]];
    const waiting: Promise<Tensor>[] = [];
    for (let i = 0; i < 6; i++) {
      x.fill(i);
      ids.fill(100 * i);
      list.fill(i);
      waiting.push(total(x, [ids, 'ids']), total(list, [ids, 'ids']));
    }
    const sums = await Promise.all((await Promise.all(waiting)).map((each) => each.item()));
    expect(sums).toEqual([0, 1, 2, 3, 4, 5].flatMap((i) => [102 * i, 102 * i]));
  });
});

describe('calls that nobody waits for', () => {
  const inTurn = async (waiting: readonly Promise<Tensor>[]) =>
    Promise.all((await Promise.all(waiting)).map((each) => each.item()));

  it('are traced once', async () => {
    const sum = compile((x: unknown) => asTensor(x).sum());
    expect(await inTurn([1, 2, 3, 4, 5, 6].map((i) => sum([i])))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(sum.traces).toBe(1);
  });

  it.for([false, true])('add up gradients; compiled before: %s', async (before) => {
    const w = parameter([1]);
    quiet();
    const step = compile((x: Tensor) => {
      const loss = w.mul(x).sum();
      loss.backward();
      return loss;
    });
    if (before) {
      await step(tensor([1]));
      w.grad = null;
    }
    await inTurn([1, 2, 3].map((i) => step(tensor([i]))));
    expect(await (w.grad as Tensor | null)?.item()).toBe(6);
    vi.restoreAllMocks();
  });

  it('have the modes of the time of the call', async () => {
    const layer = new nn.Dropout(0.5);
    const step = compile((x: Tensor) => layer.forward(x).sum());
    const waiting = [true, false, true, false].map((training) => {
      layer.train(training);
      return step(ones([63]));
    });
    expect((await inTurn(waiting)).map((each) => each === 63)).toEqual([false, true, false, true]);
  });

  it('run in their order, also where the first has to be compiled', async () => {
    const w = parameter([1]);
    const double = compile(() => {
      w.assign(w.mul(2));
      return w.mul(1);
    });
    await double();
    const add = compile(() => {
      w.assign(w.add(10));
      return w.mul(1);
    });
    expect(await inTurn([add(), double(), add()])).toEqual([12, 24, 34]);
  });

  it('go on after one that fails', async () => {
    const step = compile((x: Tensor) => x.reshape([2]).sum());
    const [wrong, right] = await Promise.allSettled([step(ones([3])), step(ones([2]))]);
    expect([wrong?.status, right?.status]).toEqual(['rejected', 'fulfilled']);
  });
});

describe('an async function', () => {
  const late = async () => {
    await Promise.resolve();
    throw new Error('not to be seen');
  };
  const calls: readonly (readonly [what: string, call: () => unknown])[] = [
    ['compile', () => compile(late)()],
    ['compile, in a structure', () => compile(() => ({ loss: late() }))()],
    ['prepare', () => compile(late).prepare()],
    ['checkpoint', () => checkpoint(late as unknown as () => Tensor)()],
    ['scan', () => scan(late as never, [ones([1])], [ones([2, 1])])],
    ['valueAndGrad', () => valueAndGrad(late as unknown as () => Tensor, [])()],
    ['noGrad', () => noGrad(late)],
    ['scope in a trace', () => compile(() => scope(() => late() as never))()],
    ['a compiled function in a trace', () => compile(() => compile(late)())()],
  ];

  it.for(calls)('is refused, and its rejection is taken: %s', async ([, call]) => {
    // Whatever is unhandled fails the run.
    const error = await (async () => call())().catch((error: unknown) => error);
    expect((error as Error).message).toMatch(/async|a Promise|is called inside a compiled function/);
    await new Promise((resolve) => setTimeout(resolve, 0));
  });
});

describe('a parameter that no optimizer holds', () => {
  it('is told once where backward in a compiled step reaches it', async () => {
    const warn = quiet();
    const [held, forgotten, own] = [parameter([1]), parameter([[1]], 'head.weight'), parameter([1])];
    const optimizer = new optim.SGD([held], { lr: 1 });
    const step = compile((x: Tensor) => {
      const loss = x.mul(held).mul(forgotten).mul(own).sum();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      own.assign(own.sub(own.grad as Tensor));
      own.grad = null;
      return loss;
    });
    await step(ones([1]));
    await step(ones([2]));
    expect(warn.mock.calls.flat()).toEqual([
      expect.stringMatching(
        /^\[compile\] backward in a function reaches parameters that no optimizer holds.*: head\.weight \[1, 1\]\. Give them to the optimizer/,
      ),
    ]);
    warn.mockRestore();
  });
});

describe('a scope', () => {
  it('finds what it returns in any object, and leaves other values alone', async () => {
    const kept = await scope(async () => {
      const make = (value: number) => ones([1]).mul(value);
      const pair = Object.assign(new Pair(), { deep: { second: make(1) } });
      return { pair, map: new Map([['k', make(2)]]), set: new Set([make(3)]), host: await make(4).data(), none: null };
    });
    const found = [kept.pair.deep.second, kept.map.get('k'), ...kept.set] as Tensor[];
    expect(await Promise.all(found.map((each) => each.item()))).toEqual([1, 2, 3]);
    expect(kept.host).toEqual(Float32Array.of(4));
  });
});

describe('checkpoint', () => {
  it('gives back whatever structure its function returns', async () => {
    const w = parameter([2]);
    const run = checkpoint((x: Tensor) => ({ y: x.mul(w).exp(), map: new Map([['z', x]]), n: 3, name: 'a', w }));
    const { y, map, n, name, w: same } = run(tensor([1]));
    y.sum().backward();
    expect([n, name, await map.get('z')?.item()]).toEqual([3, 'a', 1]);
    expect(same).toBe(w);
    expect(await w.grad?.item()).toBeCloseTo(Math.exp(2), 4);
  });
});
