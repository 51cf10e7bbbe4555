import { describe, expect, it } from 'vitest';
import { summarise } from '../../src/compile/explain.ts';
import { buildProgram } from '../../src/compile/program.ts';
import { leaf } from '../../src/graph/leaf.ts';
import { reachable } from '../../src/graph/node.ts';
import {
  compile,
  crossEntropy,
  grad,
  type LinearCrossEntropyOptions,
  linearCrossEntropy,
  models,
  noGrad,
  scan,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import { defaultProfile } from '../../src/kernels/kernel.ts';
import { interpret } from '../reference/interpret.ts';
import { checkFused, checkGradients } from '../support/check.ts';
import { expectClose } from '../support/compare.ts';
import { draw, drawIds } from '../support/draw.ts';
import { profile } from '../support/environment.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

const reductions = ['mean', 'sum', 'none'] as const;

/** The same from its definition. */
function plain(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  { bias, chunk: _, ...options }: LinearCrossEntropyOptions = {},
) {
  const logits = hidden.matmul(weight.transpose());
  return crossEntropy(bias ? logits.add(bias) : logits, targets, options);
}

describe('linearCrossEntropy', async () => {
  it.for(await goldenCases('linearCrossEntropy'))('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ hidden, weight, bias, targets }, options) => ({
      y: linearCrossEntropy(hidden as Tensor, weight as Tensor, targets as Tensor, {
        ...(options as LinearCrossEntropyOptions),
        bias: bias ?? null,
      }),
    })),
  );

  it.for(reductions)('has the gradients that differences show: %s, in chunks', async (reduction) => {
    // Two whole chunks and one of two tokens.
    const targets = drawIds([2, 65], 5);
    for (const bias of [false, true]) {
      await checkGradients(
        (hidden, weight, b) =>
          linearCrossEntropy(hidden as Tensor, weight as Tensor, targets, {
            ...(bias ? { bias: b } : {}),
            reduction,
            labelSmoothing: 0.1,
            ignoreIndex: 2,
            chunk: 64,
          }),
        [draw([2, 65, 3]), draw([5, 3]), ...(bias ? [draw([5])] : [])],
      );
    }
  });

  it.for([
    { N: 65, E: 1, V: 1 },
    { N: 128, E: 32, V: 65 },
    { N: 129, E: 31, V: 130 },
  ])('of $N tokens, $E wide, $V classes', async ({ N, E, V }) => {
    await checkGradients(
      (hidden, weight) => linearCrossEntropy(hidden as Tensor, weight as Tensor, drawIds([N], V), { chunk: 64 }),
      [draw([N, E]), draw([V, E])],
      { finite: false },
    );
  });

  it('is what its definition gives, and so are its gradients, in float64', async () => {
    const [hidden, weight, bias] = [draw([150, 6]), draw([9, 6]), draw([9])];
    const targets = drawIds([150], 9, 'u32');
    for (const reduction of reductions) {
      const options = { bias, reduction, ignoreIndex: 4, labelSmoothing: 0.2, chunk: 64 };
      await checkFused(linearCrossEntropy(hidden, weight, targets, options));
      const seed = draw(reduction === 'none' ? [150] : []);
      const all = [linearCrossEntropy, plain].map((loss) => {
        const value = loss(hidden, weight, targets, options).mul(seed).sum();
        return [value, ...grad(value, [hidden, weight, bias])];
      });
      const [found, expected] = all.map((tensors) => interpret(tensors)) as [
        ReturnType<typeof interpret>,
        ReturnType<typeof interpret>,
      ];
      for (const [i, { value }] of expected.entries())
        expectClose(
          found[i]?.value.data as Float64Array,
          value.data,
          value.data.map(() => 1e-12),
          `${reduction} ${i}`,
        );
    }
  });

  it('takes gradients from outside, and gives gradients of gradients', async () => {
    const targets = drawIds([70], 4);
    for (const reduction of ['mean', 'none'] as const) {
      await checkGradients(
        (hidden, weight, factor) => {
          const loss = linearCrossEntropy(hidden as Tensor, weight as Tensor, targets, { reduction, chunk: 64 });
          return grad(loss.mul(factor as Tensor).sum(), [hidden as Tensor, weight as Tensor]);
        },
        [draw([70, 2]), draw([4, 2]), draw(reduction === 'none' ? [70] : [])],
      );
    }
  });

  it('gives the same compiled or not, trained through or only looked at', async () => {
    const [hidden, weight, targets] = [draw([130, 8]), draw([33, 8]), drawIds([130], 33)];
    const loss = (h: Tensor, w: Tensor, t: Tensor) => linearCrossEntropy(h, w, t, { chunk: 64 });
    const step = compile((h: Tensor, w: Tensor, t: Tensor) => [loss(h, w, t), ...grad(loss(h, w, t), [h, w])]);
    const compiled = await read(...(await step(hidden, weight, targets)));
    const once = loss(hidden, weight, targets);
    const alone = await read(once);
    // The logits of the loss are gone: they are made again.
    const [plain] = [[...alone, ...(await read(...grad(once, [hidden, weight])))]];
    expect(plain).toEqual(compiled);
    expect(noGrad(() => loss(hidden, weight, targets)).node.differentiable).toBe(false);
  });

  it('in the body of a scan makes its gradients there', () =>
    checkGradients(
      (weight, hs) => {
        const { carry } = scan(
          ([total], [h]) => {
            const loss = linearCrossEntropy(h as Tensor, weight as Tensor, tensor(new Int32Array(66).fill(1)), {
              chunk: 64,
            });
            return { carry: [(total as Tensor).add(loss)], y: [] };
          },
          [tensor(0)],
          [hs as Tensor],
        );
        return carry;
      },
      [draw([3, 2]), draw([2, 66, 2])],
    ));

  it('tells of a target that is no class', async () => {
    const targets = tensor(Int32Array.from({ length: 70 }, (_, i) => (i === 69 ? 4 : 0)));
    await expect(read(linearCrossEntropy(draw([70, 2]), draw([4, 2]), targets, { chunk: 64 }))).rejects.toThrow(
      '[crossEntropy] a target lies outside [0, 4), the classes of the logits',
    );
  });
});

describe('the memory of linearCrossEntropy', () => {
  /** What a plan of the loss and its gradients holds at once, without a device: leaves need no values. */
  function summaryOf(
    [N, E, V]: [number, number, number],
    options: LinearCrossEntropyOptions,
    loss = linearCrossEntropy,
  ) {
    const given = (shape: number[], dtype: 'f32' | 'i32' = 'f32') => leaf('input', { shape, dtype });
    const [hidden, weight, targets] = [given([N, E]), given([V, E]), given([N], 'i32')];
    const value = loss(hidden, weight, targets, options).sum();
    const program = buildProgram(
      { results: [value, ...grad(value, [hidden, weight])], updates: [] },
      ({ node }) => node.op.lowering.kind === 'leaf',
      { ...defaultProfile, selection: profile, bindingBytes: 2 ** 30 },
    );
    return {
      ...summarise(program),
      largest: Math.max(...[...program.memory.places.values()].map(({ bytes }) => bytes)),
    };
  }

  it('never holds the logits: GPT-2 at B 4, T 512', () => {
    const [N, E, V] = [4 * 512, 768, 50257];
    const [weight, logits] = [V * E * 4, N * V * 4];
    for (const reduction of ['mean', 'none'] as const) {
      const { largest, peakBytes } = summaryOf([N, E, V], { reduction });
      // The largest value is the weight's gradient.
      expect(largest).toBe(weight);
      expect(peakBytes).toBeLessThan(logits);
      expect(summaryOf([N, E, V], { reduction }, plain).peakBytes).toBeGreaterThan(2 * logits);
    }
  });

  it('holds the logits of a chunk and their gradient, and what is to come out', () => {
    const [N, E, V, chunk] = [256, 64, 1024, 64];
    const logits = 4 * chunk * V;
    const results = 4 * (V * E + N * E + N); // gradients, and the loss of each token
    const rows = 4 * 256; // maxima and log Σ eˣ of the chunk, the count of targets, and what follows from it
    const { lowerBoundBytes, peakBytes } = summaryOf([N, E, V], { chunk });
    expect(lowerBoundBytes).toBe(2 * logits + results + rows);
    expect(peakBytes).toBeLessThanOrEqual(1.02 * lowerBoundBytes);
  });

  it('grows with the tokens by their own gradients alone', () => {
    const [E, V] = [64, 1024];
    const [few, many] = [256, 2048].map((N) => summaryOf([N, E, V], { chunk: 64 }).lowerBoundBytes) as [number, number];
    const perToken = 4 * (E + 1); // the hidden values' gradient, and the loss
    expect(many - few).toBe((2048 - 256) * perToken);
  });

  it('is what the model uses for a large vocabulary, and plain cross-entropy for a small one', () => {
    const kernels = (vocabularySize: number, T: number) => {
      const model = new models.GPT({ vocabularySize, contextLength: T, layers: 1, heads: 1, width: 4 });
      const ids = zeros([1, T], 'i32');
      return reachable([model.loss(ids, ids)]).filter(({ op }) => op.name === 'crossEntropy').length;
    };
    expect(kernels(65, 512)).toBe(1);
    expect(kernels(2 ** 16, 128)).toBe(1);
    expect(kernels(2 ** 16, 300)).toBe(3);
  });
});
