import { describe, expect, it } from 'vitest';
import { compile, ctcLoss, grad, logSoftmax, type Tensor, tensor } from '../../src/index.ts';
import { check, checkFused, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('ctcLoss agrees with PyTorch', async () => {
  it.for(await goldenCases('ctcLoss'))('$name', ({ load }) =>
    checkGolden(load(), ({ logits, targets, inputLengths, targetLengths }, options) => ({
      y: ctcLoss(
        logSoftmax(logits as Tensor),
        targets as Tensor,
        inputLengths as Tensor,
        targetLengths as Tensor,
        options,
      ),
    })),
  );
});

/** Targets that can be spelt: no two neighbours are equal. */
const spelt = (B: number, L: number, C: number) =>
  tensor(
    Int32Array.from({ length: B * L }, (_, i) => 1 + ((i + Math.floor(i / L)) % (C - 1))),
    { shape: [B, L] },
  );

describe('ctcLoss', () => {
  it.for([
    [1, 1, 2, 1],
    [4, 2, 3, 3],
    [33, 3, 7, 12],
    [70, 2, 5, 40],
  ] as const)('T %i, B %i, C %i, L %i', async ([T, B, C, L]) => {
    const lengths = [...new Array<number>(B - 1).fill(T), Math.max(L, T - 1)];
    await checkGradients(
      (logits) =>
        ctcLoss(logSoftmax(logits as Tensor), spelt(B, L, C), lengths, new Array<number>(B).fill(L), {
          reduction: 'none',
        }),
      [draw([T, B, C])],
      { finite: T < 40 },
    );
  });

  it('is what its definition in plain ops gives', async () => {
    const targets = tensor(Int32Array.of(1, 1, 2, 3, -1, 7), { shape: [2, 3] });
    await checkFused(ctcLoss(logSoftmax(draw([6, 2, 4])), targets, [6, 4], [3, 1], { reduction: 'none' }));
  });

  it('is the log of the probability of all paths that spell the target', async () => {
    const p = logSoftmax(draw([3, 1, 3]));
    const losses = ctcLoss(p, tensor(Int32Array.of(1, 2), { shape: [1, 2] }), [3], [2], { reduction: 'sum' });
    const [loss, values] = (await read(losses, p)) as [Float32Array, Float32Array];
    // Of the 27 paths those that spell 1, 2 once repeats and blanks are taken out.
    const spells = ([...path]: readonly number[]) =>
      path.filter((c, t) => c !== 0 && c !== path[t - 1]).join() === '1,2';
    let probability = 0;
    for (let n = 0; n < 27; n++) {
      const path = [Math.floor(n / 9), Math.floor(n / 3) % 3, n % 3];
      const log = path.reduce((sum, c, t) => sum + (values[3 * t + c] as number), 0);
      if (spells(path)) probability += Math.exp(log);
    }
    expect(loss[0]).toBeCloseTo(-Math.log(probability), 5);
  });

  it('is infinite where no path is as short as the input, or 0 and without a gradient', async () => {
    const p = draw([3, 2, 3], -2, -1);
    const targets = tensor(Int32Array.of(1, 1, 1, 2), { shape: [2, 2] });
    // Two equal labels need a blank between them, three times in all.
    const call = (zeroInfinity: boolean) => ctcLoss(p, targets, [2, 3], [2, 2], { reduction: 'none', zeroInfinity });
    const [infinite, zero] = [call(false), call(true)];
    const values = await read(infinite, zero, ...[infinite, zero].flatMap((losses) => grad(losses.sum(), [p])));
    const [a, b, da, db] = values.map((each) => [...each]) as number[][];
    expect([a?.[0], b?.[0]]).toEqual([Infinity, 0]);
    expect(a?.[1]).toBe(b?.[1]);
    const ofFirst = (gradient: readonly number[] | undefined) =>
      gradient?.filter((_, i) => Math.floor(i / 3) % 2 === 0);
    expect(ofFirst(da)?.slice(0, 3)).toEqual([Number.NaN, Number.NaN, expect.anything()]);
    expect(ofFirst(db)?.map((x) => x + 0)).toEqual(new Array(9).fill(0));
    expect(db?.every(Number.isFinite)).toBe(true);
  });

  it('does not look behind a length', async () => {
    const p = draw([5, 2, 3], -2, -1);
    const spoiled = tensor(
      Float32Array.from(p.host as Float32Array, (x, i) => (i >= 24 && i < 27 ? Number.NaN : x)),
      { shape: [5, 2, 3] },
    );
    const targets = tensor(Int32Array.of(1, -9, 1, 2), { shape: [2, 2] });
    const loss = ctcLoss(spoiled, targets, [4, 5], [1, 2], { reduction: 'none' });
    const [losses, gradient] = await read(loss, ...grad(loss.sum(), [spoiled]));
    expect([...(losses ?? []), ...(gradient ?? [])].every(Number.isFinite)).toBe(true);
    expect([...(gradient ?? [])].slice(24, 27).map((x) => x + 0)).toEqual([0, 0, 0]);
  });

  it('is one dispatch, and two more with its gradient', async () => {
    const step = compile((p: Tensor, targets: Tensor, inputs: Tensor, labels: Tensor) => {
      const loss = ctcLoss(p, targets, inputs, labels, { reduction: 'none' });
      return grad(loss.sum(), [p]);
    });
    const lengths = [tensor(Int32Array.of(9, 8)), tensor(Int32Array.of(3, 2))] as const;
    const plan = await step.prepare(draw([9, 2, 4]), spelt(2, 3, 4), ...lengths);
    const own = Object.entries(plan.summary().kernels).filter(([name]) => name.startsWith('ctcLoss'));
    expect(own.reduce((total, [, n]) => total + n, 0)).toBe(3);
    // The loss and its gradient side by side are one more.
    expect(plan.summary().dispatches).toBeLessThanOrEqual(4);
  });

  it('takes ids and lengths of either kind', async () => {
    const p = draw([5, 2, 3], -2, -1);
    await check(ctcLoss(p, tensor(Uint32Array.of(1, 2), { shape: [2, 1] }), tensor(Uint32Array.of(5, 4)), [1, 0]));
  });
});

describe('bad input', () => {
  const p = () => draw([4, 2, 3], -2, -1);
  const targets = () => spelt(2, 2, 3);
  it.for<[string, () => unknown, string]>([
    [
      'targets in one row',
      () => ctcLoss(p(), tensor([1, 2], { dtype: 'i32' }), [4, 4], [1, 1]),
      'targets must have rank 2',
    ],
    [
      'targets of another batch',
      () => ctcLoss(p(), spelt(3, 2, 3), [4, 4], [2, 2]),
      '[ctcLoss] targets must be [2, L]',
    ],
    [
      'an input of no length',
      () => ctcLoss(p(), targets(), [0, 4], [2, 2]),
      'inputLengths must be 2 integers, one for each row of the batch, from 1 to 4, got [0, 4]',
    ],
    [
      'a target beyond L',
      () => ctcLoss(p(), targets(), [4, 4], [2, 3]),
      'targetLengths must be 2 integers, one for each row of the batch, from 0 to 2, got [2, 3]',
    ],
    [
      'lengths of another number',
      () => ctcLoss(p(), targets(), tensor(Int32Array.of(4)), [2, 2]),
      'inputLengths must be [2]',
    ],
    [
      'a blank beyond the classes',
      () => ctcLoss(p(), targets(), [4, 4], [2, 2], { blank: 3 }),
      'blank must be one of the 3 classes, got 3',
    ],
  ])('%s', ([, call, message]) => expect(call).toThrow(message));

  it.for([
    ['a length of 0', [0, 4], [2, 2], [1, 2, 1, 2]],
    ['a length above T', [5, 4], [2, 2], [1, 2, 1, 2]],
    ['a target above L', [4, 4], [2, 3], [1, 2, 1, 2]],
    ['a class that is none', [4, 4], [2, 2], [1, 2, 1, 3]],
    ['a negative class', [4, 4], [2, 2], [1, 2, -1, 2]],
    ['the blank', [4, 4], [2, 2], [1, 0, 1, 2]],
  ] as const)('%s in a tensor', async ([, inputs, labels, ids]) => {
    const [a, b] = [inputs, labels].map((each) => tensor(Int32Array.from(each))) as [Tensor, Tensor];
    const loss = ctcLoss(p(), tensor(Int32Array.from(ids), { shape: [2, 2] }), a, b);
    await expect(read(loss)).rejects.toThrow(
      '[ctcLoss] a length lies outside [1, 4] of the inputs or [0, 2] of the targets',
    );
  });
});
