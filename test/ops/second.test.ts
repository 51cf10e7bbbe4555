import { describe, it } from 'vitest';
import { grad, lstm, lstmCell, matmul, scan, type Tensor } from '../../src/index.ts';
import { checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

describe('gradients of gradients of composed', () => {
  it('lstm', async () => {
    for (const reverse of [false, true])
      await checkGradients(
        (...inputs) => {
          const [gates, h0, c0, W] = inputs as [Tensor, Tensor, Tensor, Tensor];
          const { output, h, c } = lstm(gates, h0, c0, W, { reverse });
          const loss = output.square().sum().add(h.mul(c).sum());
          return grad(loss, inputs);
        },
        [draw([3, 2, 12]), draw([2, 3]), draw([2, 3]), draw([12, 3])],
      );
  });
  it('lstmCell', () =>
    checkGradients(
      (...inputs) => {
        const { h, c } = lstmCell(...(inputs as [Tensor, Tensor]));
        return grad(h.mul(c).sum().add(c.square().sum()), inputs);
      },
      [draw([2, 12]), draw([2, 3])],
    ));

  it('rnn', () =>
    checkGradients(
      (h0, xs, W) => {
        const { carry, ys } = scan(
          ([h], [x]) => {
            const next = (x as Tensor).add(matmul(h as Tensor, W as Tensor)).tanh();
            return { carry: [next], y: [next.mul(2)] };
          },
          [h0 as Tensor],
          [xs as Tensor],
        );
        const loss = [...carry, ...ys].map((y) => y.square().sum()).reduce((a, b) => a.add(b));
        return grad(loss, [h0, xs, W] as Tensor[]);
      },
      [draw([2, 3]), draw([4, 2, 3]), draw([3, 3], -1, 1)],
    ));
  it('nested scan, with a constant of its own', () =>
    checkGradients(
      (h0, xs, W) => {
        const { carry, ys } = scan(
          ([h], [x]) => {
            const inner = scan(
              ([a], [b]) => ({
                carry: [
                  matmul(a as Tensor, W as Tensor)
                    .add(b as Tensor)
                    .tanh(),
                ],
                y: [(a as Tensor).mul(x as Tensor)],
              }),
              [h as Tensor],
              [xs as Tensor],
            );
            return { carry: [inner.carry[0] as Tensor], y: [(inner.ys[0] as Tensor).sum(0)] };
          },
          [h0 as Tensor],
          [xs as Tensor],
          { reverse: true },
        );
        const loss = [...carry, ...ys].map((y) => y.square().sum()).reduce((a, b) => a.add(b));
        return grad(loss, [h0, xs, W] as Tensor[]);
      },
      [draw([2, 3]), draw([3, 2, 3]), draw([3, 3], -1, 1)],
    ));
});
