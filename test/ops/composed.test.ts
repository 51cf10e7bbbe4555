import { describe, expect, it } from 'vitest';
import * as weft from '../../src/index.ts';
import { type Tensor, tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawBool } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

interface Options {
  readonly axis: number;
  readonly axes: number[];
  readonly keepDims: boolean;
  readonly correction: number;
  readonly p: number | string;
  readonly eps: number;
  readonly shifts: number[];
  readonly repeats: number[];
  readonly value: number;
}
type Inputs = Record<'x' | 'a' | 'b' | 'ids' | 'mask' | 'lengths' | 'logits' | 'targets' | 'input' | 'target', Tensor>;
type Case = (x: Inputs & { weight?: Tensor; posWeight?: Tensor }, o: Options) => Record<string, Tensor>;

/** How each function is called for the cases of PyTorch that begin with its name. */
const functions: Record<string, Case> = {
  variance: ({ x }, { axes, ...o }) => ({ y: weft.variance(x, axes, pick(o, 'keepDims', 'correction')) }),
  std: ({ x }, { axes, ...o }) => ({ y: weft.std(x, axes, pick(o, 'keepDims')) }),
  norm: ({ x }, { axes, keepDims, p }) => ({ y: weft.norm(x, axes, { keepDims, p: Number(p) }) }),
  cosineSimilarity: ({ a, b }, { axis, eps }) => ({ y: weft.cosineSimilarity(a, b, axis, eps ? { eps } : {}) }),
  roll: ({ x }, { shifts, axes }) => ({ y: weft.roll(x, shifts, axes) }),
  repeat: ({ x }, { repeats }) => ({ y: weft.repeat(x, repeats) }),
  indexSelect: ({ x, ids }, { axis }) => ({ y: weft.indexSelect(x, ids, axis) }),
  maxWithIndices: ({ x }, { axis }) => ({ ...weft.maxWithIndices(x, axis) }),
  minWithIndices: ({ x }, { axis }) => ({ ...weft.minWithIndices(x, axis) }),
  maskedFill: ({ x, mask }, { value }) => ({ y: weft.maskedFill(x, mask.cast('bool'), value) }),
  reverseSequence: ({ x, lengths }) => ({ y: weft.reverseSequence(x, lengths) }),
  crossEntropy: ({ logits, targets, weight }, o) => ({ y: weft.crossEntropy(logits, targets, with_(o, { weight })) }),
  nllLoss: ({ logits, targets, weight }, o) => ({ y: weft.nllLoss(logits, targets, with_(o, { weight })) }),
  bceWithLogits: ({ input, target, weight, posWeight }, o) => ({
    y: weft.binaryCrossEntropyWithLogits(input, target, with_(o, { weight, posWeight })),
  }),
  klDiv: ({ input, target }, o) => ({ y: weft.klDiv(input, target, o as object) }),
};
const pick = <T extends object>(from: T, ...keys: (keyof T)[]) =>
  Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]]));
const with_ = (options: object, more: Record<string, Tensor | undefined>) => ({
  ...options,
  ...pick(more, ...Object.keys(more)),
});

describe('functions made of ops agree with PyTorch', async () => {
  it.for(await goldenCases('composed'))('$name', ({ name, load }) => {
    const call = functions[name.split('_')[0] as string] as Case;
    return checkGolden(load(), (x, options) => call(x as Parameters<Case>[0], options as unknown as Options));
  });
});

describe('parts of tensors', () => {
  it('chunk and unbind cut as torch does', async () => {
    const x = draw([7, 3]);
    expect(weft.chunk(x, 3).map(({ shape }) => shape)).toEqual([
      [3, 3],
      [3, 3],
      [1, 3],
    ]);
    expect(weft.chunk(x, 4).length).toBe(4);
    expect(weft.unbind(x, 1).map(({ shape }) => shape)).toEqual([[7], [7], [7]]);
    await check(...weft.chunk(x, 2), ...weft.unbind(x, -1));
    await checkGradients((y) => weft.unbind(y as Tensor).reverse(), [draw([3, 4])]);
  });

  it('sequenceMask is true within each length', async () => {
    const rows = [
      [true, true, false],
      [false, false, false],
      [true, true, true],
    ];
    const masks = [
      weft.sequenceMask([2, 0, 3]),
      weft.sequenceMask(tensor(Int32Array.of(2, 0, 3)), 3),
      weft.sequenceMask(tensor(Uint32Array.of(2, 0, 3)), 3),
    ];
    for (const mask of masks) expect(mask.dtype).toBe('bool');
    for (const values of await read(...masks.map((mask) => mask.cast('i32'))))
      expect([...values]).toEqual(rows.flat().map(Number));
    expect(weft.sequenceMask([1], 4).shape).toEqual([1, 4]);
  });

  it('reverseSequence takes its axes where they are, and gives back what it is given twice', async () => {
    const [x, lengths] = [draw([2, 3, 5]), tensor(Int32Array.of(5, 2))];
    const options = { timeAxis: 2, batchAxis: 0 };
    const once = weft.reverseSequence(x, lengths, options);
    const [values, again] = await read(once, weft.reverseSequence(once, lengths, options));
    expect(again).toEqual((await read(x))[0]);
    const [given] = await read(x);
    expect(values?.[0]).toBe(given?.[4]);
    expect(values?.[15]).toBe(given?.[16]);
    expect(values?.[17]).toBe(given?.[17]);
  });

  it('linspace meets both ends, and zerosLike and onesLike take shape and type', async () => {
    const [a, b, c] = await read(weft.linspace(-1, 2, 4), weft.linspace(3, 3.3, 1), weft.linspace(0, 0.7, 8));
    expect([...(a ?? [])]).toEqual([-1, 0, 1, 2]);
    expect([...(b ?? [])]).toEqual([3]);
    expect(c?.[7]).toBe(Math.fround(0.7));
    const ids = tensor(Int32Array.of(1, 2));
    expect([weft.zerosLike(ids).dtype, weft.onesLike(draw([2, 3])).shape]).toEqual(['i32', [2, 3]]);
  });
});

describe('any and all', () => {
  it('over some axes and over all', async () => {
    const x = drawBool([3, 4, 5]);
    await check(weft.any(x, 1), weft.all(x, [0, 2], { keepDims: true }), weft.any(x), weft.all(x));
    const [any, all] = await read(
      tensor([
        [false, true],
        [false, false],
      ])
        .any(1)
        .cast('i32'),
      tensor([
        [true, true],
        [false, true],
      ])
        .all(1)
        .cast('i32'),
    );
    expect([...(any ?? [])]).toEqual([1, 0]);
    expect([...(all ?? [])]).toEqual([1, 0]);
  });
});

describe('gradients', () => {
  it('of losses and statistics, twice too', async () => {
    const x = draw([3, 4]);
    await checkGradients((y) => weft.std(y as Tensor, 1), [x]);
    await checkGradients((y) => weft.norm(y as Tensor, 1, { p: 3 }), [draw([3, 4], 0.5, 2)]);
    await checkGradients((a, b) => weft.cosineSimilarity(a as Tensor, b as Tensor), [x, draw([3, 4])]);
    const [slope] = weft.grad(weft.variance(x).mul(2), [x]);
    await check(weft.grad(slope?.square().sum() as Tensor, [x])[0] as Tensor);
  });

  it('are 0 where a norm is, and NaN goes on', async () => {
    const zero = weft.zeros([2, 3]);
    const [norm, std] = await read(...weft.grad(weft.norm(zero).add(weft.std(zero)), [zero]), weft.std(zero));
    expect([...(norm ?? [])]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([...(std ?? [])]).toEqual([0]);
    const [bad] = await read(weft.norm(tensor([Number.NaN, 1])));
    expect(bad?.[0]).toBeNaN();
  });
});

describe('what they do not take', () => {
  const x = () => draw([2, 3]);
  const ids = () => tensor(Int32Array.of(1, 0));
  it.for<[string, () => unknown, string]>([
    ['roll', () => weft.roll(x(), [1, 2], 0), '[roll] 2 shifts for 1 axes: there must be one for each'],
    ['repeat', () => weft.repeat(x(), [2]), '[repeat] 1 numbers for the 2 dimensions of [2, 3]'],
    [
      'maskedFill',
      () => weft.maskedFill(x(), drawBool([4, 2, 3]), 0),
      '[maskedFill] the mask [4, 2, 3] does not broadcast',
    ],
    ['sequenceMask', () => weft.sequenceMask(ids()), 'say how long the mask is, sequenceMask(lengths, T)'],
    ['sequenceMask, too long', () => weft.sequenceMask([3], 2), 'at least 0 and at most 2, got [3]'],
    [
      'reverseSequence',
      () => weft.reverseSequence(x(), ids()),
      '[reverseSequence] lengths must be [3], dimension 1 of [2, 3], got [2]',
    ],
    ['variance', () => weft.variance(tensor([1])), '[variance] of 1 elements there is none with a correction of 1'],
    [
      'crossEntropy',
      () => weft.crossEntropy(x(), ids(), { weight: x() }),
      '[crossEntropy] weight must have a number for each class, [3], got [2, 3]',
    ],
    ['klDiv', () => weft.klDiv(x(), ids()), '[klDiv] prediction and target must have one shape'],
    ['nllLoss', () => weft.nllLoss(x(), x()), '[nllLoss] targets must be i32 or u32'],
  ])('%s', ([, call, message]) => expect(call).toThrow(message));

  it('positions outside', async () => {
    const select = weft.indexSelect(x(), tensor(Int32Array.of(2)));
    await expect(read(select)).rejects.toThrow('lies outside [0, 2)');
  });
});
