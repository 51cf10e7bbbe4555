import { describe, it } from 'vitest';
import { lstm, lstmCell, matmul, type Tensor } from '../../src/index.ts';
import { checkFused, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('lstm', async () => {
  // Stacked and bidirectional ones are made of these, and tested with nn.LSTM.
  it.for(await goldenCases('rnn', /^lstm(Cell)?$/))('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), (x, _, name) => {
      const need = (key: string) => x[key] as Tensor;
      if (name === 'lstmCell') {
        const gates = matmul(need('x'), need('weight_ih').transpose())
          .add(matmul(need('h0'), need('weight_hh').transpose()))
          .add(need('bias_ih'))
          .add(need('bias_hh'));
        const { h, c } = lstmCell(gates, need('c0'));
        return { h, c };
      }
      const gatesX = matmul(need('x'), need('weight_ih_l0').transpose()).add(
        need('bias_ih_l0').add(need('bias_hh_l0')),
      );
      const { output, h, c } = lstm(gatesX, need('h0').at(0), need('c0').at(0), need('weight_hh_l0'));
      return { output, h: h.unsqueeze(0), c: c.unsqueeze(0) };
    }),
  );

  it.for([
    { T: 1, B: 1, H: 1, reverse: false },
    { T: 2, B: 3, H: 6, reverse: true },
    { T: 5, B: 2, H: 33, reverse: false },
    { T: 3, B: 33, H: 6, reverse: true },
    { T: 7, B: 5, H: 64, reverse: false },
    { T: 3, B: 2, H: 68, reverse: true },
    { T: 33, B: 1, H: 6, reverse: false },
  ])('$T steps of $B sequences of $H units, reverse $reverse', async ({ T, B, H, reverse }) => {
    await checkGradients(
      (gates, h0, c0, weight) =>
        Object.values(lstm(gates as Tensor, h0 as Tensor, c0 as Tensor, weight as Tensor, { reverse })),
      [draw([T, B, 4 * H]), draw([B, H]), draw([B, H]), draw([4 * H, H], -1 / Math.sqrt(H), 1 / Math.sqrt(H))],
      { finite: T * B * H <= 36 },
    );
  });

  it('has gradients from each of its outputs alone', async () => {
    const inputs = [draw([3, 2, 24]), draw([2, 6]), draw([2, 6]), draw([24, 6])];
    for (const output of ['output', 'h', 'c'] as const) {
      await checkGradients(
        (gates, h0, c0, weight) => lstm(gates as Tensor, h0 as Tensor, c0 as Tensor, weight as Tensor)[output],
        inputs,
      );
    }
  });

  it('is what its definition in plain ops gives', async () => {
    for (const reverse of [false, true])
      await checkFused(lstm(draw([4, 3, 24]), draw([3, 6]), draw([3, 6]), draw([24, 6]), { reverse }).output.mul(1));
  });
});

describe('lstmCell', () => {
  it.for([
    [1, 1],
    [3, 5],
    [33, 64],
  ] as const)('[%i, %i]', async ([B, H]) => {
    await checkGradients(
      (gates, c) => Object.values(lstmCell(gates as Tensor, c as Tensor)),
      [draw([B, 4 * H]), draw([B, H])],
      { finite: B * H <= 20 },
    );
  });
  it('is what its definition in plain ops gives', () => checkFused(lstmCell(draw([3, 20]), draw([3, 5])).h));
});
