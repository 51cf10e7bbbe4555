import { describe, expect, test } from 'vitest';
import { workloads } from '../../bench/workloads.ts';
import { countCalls } from '../../demo/counts.ts';
import { compile, init, mseLoss, nn, optim, randn, type Tensor } from '../../src/index.ts';
import { profile } from '../support/environment.ts';

/** Dispatches of one call with the kernels that a GPU gets: more is a fusion lost, fewer is worth a new number here. */
const onGpu = {
  gptStep: 53,
  gptForward: 17,
  lstmStep: 12,
  gruStep: 12,
  rnnStep: 12,
  lstmForward: 3,
  attentionForward: 1,
  attentionStep: 3,
};
/** A software adapter's own kernels, the fastest there, keep to the same budgets: few dispatches are not bought with time. */
const dispatches = profile === 'gpu' ? onGpu : { ...onGpu, gptStep: 54 };

describe('a warm workload makes one submit, creates nothing, and dispatches', () => {
  for (const [name, count] of Object.entries(dispatches)) {
    test(`${count} kernels: ${name}`, async () => {
      const device = await init({ profile });
      const work = await (workloads[name] as NonNullable<(typeof workloads)[string]>)();
      for (let i = 0; i < 6; i++) await work();
      const { counts } = await countCalls(work);
      device.destroy();
      expect(counts).toMatchObject({ dispatches: count, submits: 1, buffers: 0, bindGroups: 0, pipelines: 0 });
    });
  }

  test.for([
    ['LSTM', nn.LSTM, { gpu: 12, software: 10 }],
    ['GRU', nn.GRU, { gpu: 13, software: 12 }],
    ['RNN', nn.RNN, { gpu: 12, software: 10 }],
  ] as const)('a dozen kernels for a training step of 200 steps of time: %s', async ([, Kind, counted]) => {
    const device = await init({ profile });
    const [layer, head] = [new Kind(32, 64), new nn.Linear(64, 1)];
    const optimizer = new optim.Adam([...layer.parameters(), ...head.parameters()], { lr: 1e-3 });
    const step = compile((x: Tensor, y: Tensor) => {
      const loss = mseLoss(head.forward(layer.forward(x)[0].at(-1)), y);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    const [x, y] = [randn([200, 8, 32]), randn([8, 1])];
    const work = async () => (await step(x, y)).item();
    for (let i = 0; i < 4; i++) await work();
    const { counts } = await countCalls(work);
    device.destroy();
    expect(counts).toMatchObject({ dispatches: counted[profile], submits: 1 });
  });

  test('all of them', () => {
    expect(Object.keys(dispatches)).toEqual(Object.keys(workloads));
  });
});
