import { describe, it } from 'vitest';
import {
  add,
  concat,
  crossEntropy,
  cumsum,
  embedding,
  flip,
  gather,
  layerNorm,
  lstm,
  lstmCell,
  matmul,
  max,
  mean,
  pad,
  rmsNorm,
  scaledDotProductAttention,
  scan,
  scatterAdd,
  softmax,
  stack,
  sum,
  type Tensor,
  topK,
  where,
} from '../../src/index.ts';
import { check, checkGradients } from '../support/check.ts';
import { draw, drawBool, drawIds, operands } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

interface Consumer {
  /** What the operand has to be like. */
  readonly shape: readonly number[];
  readonly run: (x: Tensor) => Tensor;
}

/** One for each kind of kernel, and for each of its inputs that a view may feed. */
const consumers: Record<string, () => Consumer> = {
  'an elementwise op': () => ({ shape: [5, 8], run: (x) => add(x, draw([8])).tanh() }),
  'an op that broadcasts it': () => ({ shape: [5, 8], run: (x) => add(draw([3, 5, 8]), x) }),
  'where, as a condition': () => ({ shape: [4, 6], run: (x) => where(x.greater(0), x, 1) }),
  'matmul, on the left': () => ({ shape: [9, 6], run: (x) => matmul(x, draw([6, 5])) }),
  'matmul, on the right': () => ({ shape: [6, 9], run: (x) => matmul(draw([5, 6]), x) }),
  'a batch of matmuls': () => ({ shape: [3, 4, 6], run: (x) => matmul(x, draw([3, 6, 4])) }),
  'a vector times a matrix': () => ({ shape: [1, 33], run: (x) => matmul(x, draw([33, 3])) }),
  'a sum of rows': () => ({ shape: [7, 12], run: (x) => sum(x, 1) }),
  'a maximum of columns': () => ({ shape: [7, 12], run: (x) => max(x, 0) }),
  'a mean of apart axes': () => ({ shape: [3, 4, 5], run: (x) => mean(x, [0, 2]) }),
  softmax: () => ({ shape: [4, 12], run: (x) => softmax(x) }),
  'softmax of a middle axis': () => ({ shape: [3, 5, 4], run: (x) => softmax(x, 1) }),
  layerNorm: () => ({ shape: [5, 8], run: (x) => layerNorm(x, draw([8]), draw([8])) }),
  'rmsNorm, as its weight': () => ({ shape: [2, 8], run: (x) => rmsNorm(draw([5, 8]), x.at(1)) }),
  crossEntropy: () => ({ shape: [6, 9], run: (x) => crossEntropy(x, drawIds([6], 9)) }),
  embedding: () => ({ shape: [5, 6], run: (x) => embedding(drawIds([7], 5), x) }),
  gather: () => ({ shape: [4, 6], run: (x) => gather(x, drawIds([4, 3], 6), 1) }),
  'scatterAdd, as its source': () => ({
    shape: [4, 6],
    run: (x) => scatterAdd(draw([4, 3]), drawIds([4, 6], 3), x, 1),
  }),
  cumsum: () => ({ shape: [4, 6], run: (x) => cumsum(x, 1) }),
  topK: () => ({ shape: [4, 9], run: (x) => topK(x, 3).values }),
  'attention, as queries': () => ({
    shape: [2, 2, 5, 4],
    run: (x) => scaledDotProductAttention(x, draw([2, 2, 6, 4]), draw([2, 2, 6, 4])),
  }),
  'attention, as keys and values': () => ({
    shape: [2, 2, 5, 4],
    run: (x) => scaledDotProductAttention(draw([2, 2, 3, 4]), x, x.mul(1)),
  }),
  'attention, as all three': () => ({
    shape: [2, 1, 5, 4],
    run: (x) => scaledDotProductAttention(x, x, x, { causal: true }),
  }),
  lstm: () => ({ shape: [3, 2, 8], run: (x) => lstm(x, draw([2, 2]), draw([2, 2]), draw([8, 2])).output }),
  'lstm, as its weight': () => ({
    shape: [8, 2],
    run: (x) => lstm(draw([3, 2, 8]), draw([2, 2]), draw([2, 2]), x).output,
  }),
  lstmCell: () => ({ shape: [3, 8], run: (x) => lstmCell(x, draw([3, 2])).h }),
  'a scan': () => ({
    shape: [3, 4],
    run: (x) =>
      scan(
        ([h], [y]) => ({ carry: [(h as Tensor).mul(y as Tensor).add(1)], y: [(h as Tensor).sin()] }),
        [draw([4])],
        [x],
      ).ys[0] as Tensor,
  }),
  'a concatenation': () => ({ shape: [3, 4], run: (x) => concat([x, draw([3, 2]), x], 1) }),
  'a stack': () => ({ shape: [3, 4], run: (x) => stack([draw([3, 4]), x], 1) }),
  padding: () => ({
    shape: [3, 4],
    run: (x) =>
      pad(x, [
        [1, 0],
        [2, 1],
      ]),
  }),
  'another view': () => ({ shape: [4, 6], run: (x) => flip(x, 1).reshape([6, 4]).transpose() }),
};

describe('every consumer reads every kind of operand, and gives it its gradient', () => {
  it.for(Object.keys(consumers))('%s', async (name) => {
    const { shape, run } = (consumers[name] as () => Consumer)();
    // One plan for all kinds: what they have in common, they share.
    const kinds = Object.values(operands).map((operand) => run(operand(shape)));
    await check(...kinds);
  });

  it.for([
    'matmul, on the left',
    'matmul, on the right',
    'softmax',
    'layerNorm',
    'a sum of rows',
    'attention, as all three',
    'lstm',
    'crossEntropy',
  ])('gradients through views into %s', async (name) => {
    const { shape, run } = (consumers[name] as () => Consumer)();
    const reversed = shape.map((_, i) => shape.length - 1 - i);
    const size = shape.reduce((a, b) => a * b, 1);
    await checkGradients(
      (a, b, c) => [
        run((a as Tensor).permute(reversed)),
        run((b as Tensor).slice(shape.map((extent) => [1, 1 + extent]))),
        run((c as Tensor).split(size)[1]?.reshape(shape).flip() as Tensor),
      ],
      [draw(reversed.map((i) => shape[i] as number)), draw(shape.map((extent) => extent + 2)), draw([2 * size])],
    );
  });

  it('reads integers and booleans through views', async () => {
    const ids = drawIds([6, 4], 9);
    const flags = drawBool([6, 4]);
    await check(
      ids.transpose().add(1),
      ids.flip(0).sum(0),
      embedding(
        ids.slice([
          [1, 4],
          [0, 4, 2],
        ]),
        draw([9, 3]),
      ),
      flags.transpose().and(flags.transpose().flip()),
      where(flags.slice([[2, 5]]), draw([3, 4]), 0),
      ids.expand([2, 6, 4]).cast('f32').mean([0, 1]),
      pad(flags, [
        [1, 0],
        [0, 1],
      ]),
    );
  });
});
