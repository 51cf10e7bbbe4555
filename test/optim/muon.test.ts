import { describe, expect, it } from 'vitest';
import { compile, type Parameter, parameter, sum, type Tensor, tensor } from '../../src/index.ts';
import { clipGradNorm, Muon } from '../../src/optim/index.ts';
import { draw } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { read, useGpu } from '../support/gpu.ts';

/** Muon beyond the ten steps that agree with the algorithm in optimizer.test.ts. */
useGpu();

const matrices = (...shapes: readonly (readonly [number, number])[]) => shapes.map((shape) => parameter(draw(shape)));

/** A step along given gradients, eager or compiled. */
function stepOf(parameters: readonly Parameter[], optimizer: Muon, mode: string, before: () => void = () => {}) {
  const step = (...gradients: Tensor[]) => {
    const loss = parameters.map((each, i) => sum(each.mul(gradients[i] as Tensor))).reduce((a, b) => a.add(b));
    loss.backward();
    before();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  return mode === 'compiled' ? compile(step) : async (...gradients: Tensor[]) => step(...gradients);
}

const gradientsFor = (parameters: readonly Parameter[]) => parameters.map(({ shape }) => draw(shape));

describe('Muon', () => {
  it('makes what it goes along orthogonal: singular values near 1', async () => {
    const [w] = matrices([8, 12]) as [Parameter];
    const before = (await read(w))[0] as Float32Array;
    const optimizer = new Muon([w], { lr: 1, weightDecay: 0 });
    await stepOf([w], optimizer, 'eager')(...gradientsFor([w]));
    const after = (await read(w))[0] as Float32Array;
    const row = (i: number) =>
      Array.from({ length: 12 }, (_, j) => (before[12 * i + j] ?? 0) - (after[12 * i + j] ?? 0));
    // The trace of O·Oᵀ is the sum of the squares of eight singular values, each from 0.5 to 1.3 or so.
    const squares = Array.from({ length: 8 }, (_, i) => row(i).reduce((total, x) => total + x * x, 0));
    const trace = squares.reduce((a, b) => a + b, 0);
    expect(trace).toBeGreaterThan(8 * 0.25);
    expect(trace).toBeLessThan(8 * 1.7);
  });

  it.for(['compiled', 'eager'])('goes on from its state dict, %s', async (mode) => {
    const own = matrices([3, 5], [6, 2], [5, 3]);
    const options = { lr: 0.05, momentum: 0.8 };
    const first = new Muon(own, options);
    const step = stepOf(own, first, mode);
    for (let i = 0; i < 3; i++) await step(...gradientsFor(own));
    const dict = first.stateDict();
    expect([...dict.keys()]).toEqual([
      'step',
      'state.0.momentum_buffer',
      'state.1.momentum_buffer',
      'state.2.momentum_buffer',
    ]);
    const values = await read(...own);
    const others = own.map(({ shape }, i) => parameter(tensor(values[i] as Float32Array<ArrayBuffer>, { shape })));
    const second = new Muon(others, options);
    second.loadStateDict(dict);
    expect(second.steps).toBe(3);
    const given = gradientsFor(own);
    const again = stepOf(others, second, mode);
    await step(...given);
    await again(...given.map((each) => tensor(each.host as Float32Array<ArrayBuffer>, { shape: each.shape })));
    const results = await read(...own, ...others);
    for (const i of [0, 1, 2]) expect(results[i]).toEqual(results[3 + i]);
  });

  it.for(['update', 'skip'] as const)(
    'means clipped gradients, and goes as far as without clipping, %s',
    async (nonFinite) => {
      const initial = [draw([3, 4]), draw([2, 2])];
      const [own, others] = [initial, initial].map((list) => list.map((each) => parameter(each))) as [
        Parameter[],
        Parameter[],
      ];
      const options = { lr: 0.1, momentum: 0.5, nonFinite };
      const optimizer = new Muon(own, options);
      const clipped = stepOf(own, optimizer, 'compiled', () => clipGradNorm(own, 1));
      const plain = stepOf(others, new Muon(others, options), 'eager');
      const gradients = own.map(({ shape }) => draw(shape, 5, 10));
      await clipped(...gradients);
      await plain(...gradients);
      const means = [0, 1].map((i) => optimizer.stateDict().get(`state.${i}.momentum_buffer`) as Tensor);
      const [a, b, ...results] = (await read(...means, ...own, ...others)) as Float32Array[];
      // Half of the gradients, whose norm is 1.
      expect(Math.hypot(...(a as Float32Array), ...(b as Float32Array))).toBeCloseTo(0.5, 5);
      // The size of gradients is taken out of what they lead to.
      for (const i of [0, 1])
        expectNear(results[i] as Float32Array, results[2 + i] as Float32Array, `matrix ${i}`, 1e-5);
    },
  );

  it.for(['compiled', 'eager'])('tells of a gradient that is not finite, %s', async (mode) => {
    for (const bad of [Number.NaN, Infinity]) {
      const own = matrices([3, 4], [70, 2], [4, 3]);
      const optimizer = new Muon(own);
      const step = stepOf(own, optimizer, mode);
      await read(await step(...gradientsFor(own)));
      expect(optimizer.diverged).toBeNull();
      const gradients = gradientsFor(own);
      gradients[1] = tensor(
        Float32Array.from({ length: 140 }, (_, i) => (i === 139 ? bad : 1)),
        { shape: [70, 2] },
      );
      await read(await step(...gradients), ...own);
      expect(optimizer.diverged).toEqual({ step: 2, parameter: own[1] });
    }
  });

  it.for(['compiled', 'eager'])(
    'leaves out a step whose gradients are not finite, where it is told to, %s',
    async (mode) => {
      const own = matrices([3, 4], [2, 5]);
      const optimizer = new Muon(own, { nonFinite: 'skip' });
      const step = stepOf(own, optimizer, mode);
      await step(...gradientsFor(own));
      const state = () => [...own, ...[...optimizer.stateDict().values()].slice(1)];
      const before = await read(...state());
      await read(await step(draw([3, 4]), tensor(new Float32Array(10).fill(Number.NaN), { shape: [2, 5] })));
      const after = await read(...state());
      expect(after).toEqual(before);
      expect([optimizer.steps, optimizer.skipped, optimizer.diverged]).toEqual([1, 1, null]);
      await read(await step(...gradientsFor(own)), ...own);
      expect(optimizer.steps).toBe(2);
    },
  );

  it('takes matrices of one shape, lying or standing, through the steps together', async () => {
    const dispatches = async (own: readonly Parameter[]) => {
      const step = compile((...gradients: Tensor[]) => {
        for (const [i, each] of own.entries()) each.grad = gradients[i] as Tensor;
        optimizer.step();
        optimizer.zeroGrad();
      });
      const optimizer = new Muon(own);
      return (await step.prepare(...gradientsFor(own))).summary().dispatches;
    };
    const [one, three] = [await dispatches(matrices([8, 12])), await dispatches(matrices([8, 12], [12, 8], [8, 12]))];
    // Three products for each of five steps, and six for mean, norm, quotient, packing and update; stacking is two more.
    expect([one, three]).toEqual([20, 22]);
  });

  it('says what it does not take', () => {
    expect(() => new Muon([parameter(draw([5]))])).toThrow(
      '[Muon] takes matrices, got a parameter [5]; give those of other ranks to another optimizer',
    );
    expect(() => new Muon(matrices([2, 2]), { nsCoefficients: [1, 2] })).toThrow(
      '[Muon] nsCoefficients must be three numbers, a, b and c, got 2',
    );
    expect(() => new Muon(matrices([2, 2]), { momentum: 1 })).toThrow('[Muon] momentum must be at least 0 and below 1');
    expect(() => new Muon(matrices([2, 2]), { adjustLrFn: 'none' as 'original' })).toThrow(
      "[Muon] adjustLrFn must be 'original' or 'matchRmsAdamW', got 'none'",
    );
  });
});
