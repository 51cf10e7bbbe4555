import { describe, expect, it } from 'vitest';
import { compile, nn, optim, type Tensor, tensor } from '../../src/index.ts';
import { draw } from '../support/draw.ts';
import { expectGolden, given, goldenCases } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const modules: Readonly<Record<string, () => nn.Layer>> = {
  Conv1d: () => new nn.Conv1d(3, 4, 3, { stride: 2, padding: 1 }),
  Conv2d: () => new nn.Conv2d(4, 6, [3, 2], { padding: 'same', groups: 2 }),
  ConvTranspose2d: () => new nn.ConvTranspose2d(4, 2, 3, { stride: 2, outputPadding: 1, groups: 2, bias: false }),
  ConvTranspose1d: () => new nn.ConvTranspose1d(4, 2, 3, { stride: 2, padding: 1, groups: 2 }),
  MaxPool1d: () => new nn.MaxPool1d(3, { stride: 2 }),
  MaxPool2d: () => new nn.MaxPool2d(2),
  AvgPool1d: () => new nn.AvgPool1d(2, { padding: 1, countIncludePad: false }),
  AvgPool2d: () => new nn.AvgPool2d([3, 2]),
  AdaptiveAvgPool1d: () => new nn.AdaptiveAvgPool1d(3),
  AdaptiveAvgPool2d: () => new nn.AdaptiveAvgPool2d(1),
  AdaptiveMaxPool1d: () => new nn.AdaptiveMaxPool1d(2),
  AdaptiveMaxPool2d: () => new nn.AdaptiveMaxPool2d([2, 3]),
  Upsample: () => new nn.Upsample({ scale: 2, mode: 'bilinear' }),
};

describe('modules of convolutions and pools', async () => {
  const cases = await goldenCases('convLayers');

  it.for(cases)('$name agrees with PyTorch, names and shapes of its parameters too', async (golden) => {
    const module = (modules[golden.name] as () => nn.Layer)();
    module.loadStateDict(new Map(module.namedParameters().map(([name]) => [name, given(golden, name)])));
    const x = given(golden, 'x');
    await expectGolden(golden, { y: module.forward(x) }, { x }, module);
  });

  it('have a case each', () => {
    expect(cases.map(({ name }) => name).sort()).toEqual(Object.keys(modules).sort());
    const names = Object.keys(nn).filter((name) => /Conv|Pool|Upsample/.test(name));
    expect(names.sort()).toEqual(Object.keys(modules).sort());
  });

  it.for([
    ['Conv1d', () => new nn.Conv1d(8, 40, 9, { groups: 2 }), 4 * 9],
    ['Conv2d', () => new nn.Conv2d(6, 40, [3, 5]), 6 * 15],
    ['ConvTranspose1d', () => new nn.ConvTranspose1d(40, 12, 9, { groups: 2 }), 6 * 9],
    ['ConvTranspose2d', () => new nn.ConvTranspose2d(40, 12, 3, { groups: 2 }), 6 * 9],
  ] as const)('%s begins uniform within ±1/√(what its weight says)', async ([, make, fanIn]) => {
    const { weight, bias } = make();
    const bound = 1 / Math.sqrt(fanIn);
    for (const values of await read(weight, bias as Tensor)) {
      const most = Math.max(...Array.from(values, Math.abs));
      expect(most).toBeLessThanOrEqual(bound * (1 + 1e-6));
      expect(most).toBeGreaterThan(0.7 * bound);
    }
    const [numbers] = (await read(weight)) as [Float32Array];
    const std = Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0) / numbers.length);
    // That of a uniform distribution is bound / √3; of 1,000 numbers or more it is met within some 2 %, five times that here.
    expect(Math.abs(std / (bound / Math.sqrt(3)) - 1)).toBeLessThan(0.1);
  });

  it('train in one submit: a small network tells crosses from dots', async () => {
    const model = new nn.Sequential(
      new nn.Conv2d(1, 8, 3, { padding: 1 }),
      new nn.ReLU(),
      new nn.MaxPool2d(2),
      new nn.Conv2d(8, 8, 3),
      new nn.ReLU(),
      new nn.AdaptiveAvgPool2d(1),
      new nn.Flatten(),
      new nn.Linear(8, 1),
    );
    const optimizer = new optim.Adam(model.parameters(), { lr: 0.02 });
    const [x, y] = pictures();
    const step = compile((x: Tensor, y: Tensor) => {
      const loss = model.forward(x).sub(y).square().mean();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    announceReads(2);
    const first = await (await step(x, y)).item();
    for (let i = 0; i < 60; i++) await step(x, y);
    const last = await (await step(x, y)).item();
    expect(last).toBeLessThan(0.1 * first);
  });

  it('say what does not fit', () => {
    const message = (call: () => unknown) => expect(call);
    message(() => new nn.Conv2d(4, 6, 3, { groups: 4 })).toThrow('[Conv2d] 4 groups do not divide outChannels, 6');
    message(() => new nn.ConvTranspose2d(4, 6, 3, { groups: 3 })).toThrow('3 groups do not divide inChannels, 4');
    message(() => new nn.Conv1d(4, 6, 0)).toThrow('[Conv1d] kernelSize must be a positive integer, got 0');
    message(() => new nn.Conv2d(4, 6, 3).forward(draw([1, 3, 5, 5]))).toThrow('[conv2d] the input has 3 channels, so');
    message(() => new nn.MaxPool2d(3).forward(draw([1, 3, 2, 5]))).toThrow(
      'the kernel is longer than the padded input',
    );
    message(() => new nn.Upsample({ scale: -1 })).toThrow('[Upsample] scale must be a positive finite number');
  });
});

/** Eight pictures of 8×8, dots and crosses somewhere in them, with some noise; 1 for a cross. */
function pictures(): [Tensor, Tensor] {
  const noise = draw([8, 1, 8, 8], -0.1, 0.1);
  const values = Float32Array.from(noise.host as ArrayLike<number>);
  const labels = new Float32Array(8);
  for (let b = 0; b < 8; b++) {
    const [row, column] = [2 + (b % 4), 2 + ((3 * b) % 4)];
    const at = (i: number, j: number) => b * 64 + (row + i) * 8 + column + j;
    const cross = b % 2 === 1;
    const lit = cross ? [at(0, 0), at(0, 1), at(1, 0), at(0, -1), at(-1, 0)] : [at(0, 0)];
    for (const place of lit) values[place] = 1;
    labels[b] = Number(cross);
  }
  return [tensor(values, { shape: [8, 1, 8, 8] }), tensor(labels, { shape: [8, 1] })];
}
