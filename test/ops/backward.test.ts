import { describe, expect, it } from 'vitest';
import { reachable } from '../../src/graph/node.ts';
import {
  type AttentionOptions,
  crossEntropy,
  grad,
  layerNorm,
  logSoftmax,
  rmsNorm,
  scaledDotProductAttention,
  softmax,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { checkFused } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

interface Fused {
  readonly op: string;
  readonly shapes: readonly (readonly number[])[];
  readonly run: (...inputs: Tensor[]) => Tensor;
}

const attention = (options: AttentionOptions) => (q?: Tensor, k?: Tensor, v?: Tensor) =>
  scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, options);
const targets = () => tensor(Int32Array.of(1, 4, 0));

/** Ops whose gradient is a fused kernel with a definition in plain ops. */
const fused: Record<string, Fused> = {
  softmax: { op: 'softmaxBackward', shapes: [[3, 5]], run: (x) => softmax(x as Tensor) },
  logSoftmax: { op: 'softmaxBackward', shapes: [[3, 5]], run: (x) => logSoftmax(x as Tensor, 0) },
  layerNorm: {
    op: 'normBackward',
    shapes: [[3, 5], [5], [5]],
    run: (x, w, b) => layerNorm(x as Tensor, w as Tensor, b as Tensor, { eps: 0.1 }),
  },
  rmsNorm: {
    op: 'normBackward',
    shapes: [[3, 5], [5]],
    run: (x, w) => rmsNorm(x as Tensor, w as Tensor, { eps: 0.1 }),
  },
  crossEntropy: {
    op: 'crossEntropyBackward',
    shapes: [[3, 5]],
    run: (x) => crossEntropy(x as Tensor, targets(), { labelSmoothing: 0.1 }),
  },
  'attention of a sequence to itself': {
    op: 'attentionBackward',
    shapes: [
      [1, 2, 4, 4],
      [1, 2, 4, 4],
      [1, 2, 4, 4],
    ],
    run: attention({ causal: true }),
  },
  'attention to another sequence': {
    op: 'attentionBackward',
    shapes: [
      [1, 2, 3, 4],
      [1, 2, 5, 4],
      [1, 2, 5, 4],
    ],
    run: attention({}),
  },
  'attention with dropout and a mask': {
    op: 'attentionBackward',
    shapes: [
      [1, 2, 4, 4],
      [1, 2, 4, 4],
      [1, 2, 4, 4],
      [2, 1, 4],
    ],
    run: (q, k, v, mask) => attention({ causal: true, dropout: 0.5, mask: mask as Tensor })(q, k, v),
  },
};

describe('fused gradients', () => {
  it.for(Object.entries(fused))(
    'of %s are what their definition in plain ops gives',
    async ([, { op, shapes, run }]) => {
      const inputs = shapes.map((shape) => draw(shape));
      const y = run(...inputs);
      const gradients = grad(y.mul(draw(y.shape)).sum(), inputs);
      const node = reachable(gradients).find((each) => each.op.name === op);
      expect(node, op).toBeDefined();
      await checkFused(node?.outputs[0] as Tensor);
    },
  );
});
