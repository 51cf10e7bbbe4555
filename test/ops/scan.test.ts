import { describe, it } from 'vitest';
import { iota, lstm, lstmCell, matmul, scan, type Tensor } from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

/** A tanh RNN: weights come from outside of the body. */
const rnn =
  (W: Tensor, options: { reverse?: boolean } = {}) =>
  (h0: Tensor, xs: Tensor) =>
    scan(
      ([h], [x]) => {
        const next = (x as Tensor).add(matmul(h as Tensor, W)).tanh();
        return { carry: [next], y: [next.mul(2)] };
      },
      [h0],
      [xs],
      options,
    );

describe('scan', () => {
  it.for([
    { T: 1, B: 2, H: 4 },
    { T: 5, B: 3, H: 5 },
    { T: 4, B: 2, H: 32 },
    { T: 33, B: 1, H: 4 },
  ])('runs a recurrence over $T steps of [$B, $H], forward and backward', async ({ T, B, H }) => {
    for (const reverse of [false, true]) {
      await checkGradients(
        (h0, xs, W) => {
          const { carry, ys } = rnn(W as Tensor, { reverse })(h0 as Tensor, xs as Tensor);
          return [...carry, ...ys];
        },
        [draw([B, H]), draw([T, B, H]), draw([H, H], -1 / H, 1 / H)],
        { finite: T * B * H <= 80 },
      );
    }
  });

  it('carries several values, takes several inputs, and gives several outputs', () =>
    checkGradients(
      (a, b, xs, ws) => {
        const { carry, ys } = scan(
          ([p, q], [x, w]) => {
            const next = (p as Tensor).mul(w as Tensor).add(x as Tensor);
            return {
              carry: [next, (q as Tensor).add(next.square().mul(0.1))],
              y: [next.sub(q as Tensor), next.sum(-1)],
            };
          },
          [a as Tensor, b as Tensor],
          [xs as Tensor, ws as Tensor],
        );
        return [...carry, ...ys];
      },
      [draw([3], -1, 1), draw([3], -1, 1), draw([4, 3], -1, 1), draw([4, 1], -1, 1)],
    ));

  it('needs no inputs', () => {
    const { carry, ys } = scan(
      ([x]) => ({ carry: [(x as Tensor).mul(1.1).add(0.1)], y: [(x as Tensor).sin()] }),
      [draw([5])],
      [],
      { length: 6 },
    );
    return check(...carry, ...ys);
  });

  it('carries integers', () => {
    const { carry, ys } = scan(
      ([n], [x]) => ({ carry: [(n as Tensor).add(x as Tensor)], y: [(n as Tensor).mul(2)] }),
      [iota([3], 0)],
      [iota([4, 3], 0)],
    );
    return check(...carry, ...ys);
  });

  it('of an LSTM cell is the LSTM', async () => {
    const [gates, h0, c0, W] = [draw([3, 2, 12]), draw([2, 3]), draw([2, 3]), draw([12, 3])];
    const { carry, ys } = scan(
      ([h, c], [x]) => {
        const next = lstmCell((x as Tensor).add(matmul(h as Tensor, W.transpose())), c as Tensor);
        return { carry: [next.h, next.c], y: [next.h] };
      },
      [h0, c0],
      [gates],
    );
    const fused = lstm(gates, h0, c0, W);
    await check(...carry, ...ys, fused.output, fused.h, fused.c);
    await check(fused.output.sub(ys[0] as Tensor), fused.c.sub(carry[1] as Tensor));
  });
});
