import { describe, it } from 'vitest';
import { checkpoint, grad, matmul, scan, type Tensor } from '../../src/index.ts';
import { checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

describe('gradients of gradients of composed', () => {
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
