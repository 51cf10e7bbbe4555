import { describe, expect, it } from 'vitest';
import {
  compile,
  crossEntropy,
  matmul,
  models,
  nn,
  optim,
  parameter,
  type Tensor,
  tensor,
  ValueError,
} from '../../src/index.ts';
import { draw, drawIds } from '../support/draw.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

/** What reading the result of a step throws; null where it is finite. */
async function found(step: (x: Tensor) => Promise<Tensor>, x: Tensor): Promise<string | null> {
  // A read that fails may ask once more, for the fate of the submits before it.
  announceReads(2);
  try {
    await (await step(x)).data();
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(ValueError);
    return (error as Error).message;
  }
}

describe('compile with checkFinite', () => {
  const chain = (x: Tensor) => matmul(x, x).sub(1).log().mul(0.5).add(x).sum();
  const [good, bad] = [
    tensor([
      [3, 1],
      [1, 3],
    ]),
    tensor([
      [3, 0],
      [1, 1],
    ]),
  ];

  it('names the first op whose result is not finite, in the middle of what would be one kernel', async () => {
    const step = compile(chain, { checkFinite: true });
    expect(await found(step, good)).toBeNull();
    expect(await found(step, bad)).toMatch(
      /^\[compile\] checkFinite: log \[2, 2\] is the first op of the step whose result is not finite \(input \[2, 2\] → matmul \[2, 2\] → sub \[2, 2\] → log \[2, 2\]\)/,
    );
    expect(await found(step, good)).toBeNull();
    expect(await found(compile(chain), bad)).toBeNull();
  });

  it('looks at gradients too', async () => {
    const step = compile(
      (x: Tensor) => {
        const w = parameter(tensor([0]));
        const loss = x.sum().mul(w.sqrt()).sum();
        loss.backward();
        return w.grad as Tensor;
      },
      { checkFinite: true },
    );
    expect(await found(step, good)).toMatch(/checkFinite: div \[1\]/);
  });

  it('leaves the states of a step that goes wrong as they were', async () => {
    const layer = new nn.Linear(2, 1);
    const optimizer = new optim.AdamW(layer.parameters(), { lr: 0.1 });
    const step = compile(
      (x: Tensor) => {
        const loss = layer.forward(x).square().mean();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss;
      },
      { checkFinite: true },
    );
    expect(await found(step, good)).toBeNull();
    const before = await read(...layer.parameters());
    expect(
      await found(
        step,
        tensor([
          [1e30, 1],
          [1, 1],
        ]),
      ),
    ).toMatch(/checkFinite: square \[2, 1\]/);
    expect(await read(...layer.parameters())).toEqual(before);
    expect(await found(step, good)).toBeNull();
    expect(await read(...layer.parameters())).not.toEqual(before);
  });
});

describe('a model whose weights are NaN never shows a finite loss', () => {
  const poison = (model: nn.Module, one: boolean) => {
    for (const [name, weight] of model.namedParameters()) {
      const values = new Float32Array(weight.size).fill(one ? 0.1 : NaN);
      if (one && /weight/.test(name)) values[0] = NaN;
      weight.assign(tensor(values, { shape: weight.shape }));
    }
  };

  it.for([true, false])('GPT and LSTM, one weight of each matrix: %s', async (one) => {
    const gpt = new models.GPT({ vocabularySize: 11, contextLength: 8, layers: 1, heads: 2, width: 8 });
    const lstm = new nn.LSTM(3, 4);
    const head = new nn.Linear(4, 11);
    for (const model of [gpt, lstm, head]) poison(model, one);
    const logits = gpt.forward(drawIds([2, 8], 11));
    const [output] = lstm.forward(draw([5, 2, 3]));
    const losses = await read(
      crossEntropy(logits, drawIds([2, 8], 11)),
      crossEntropy(head.forward(output), drawIds([5, 2], 11)),
      output.square().mean(),
    );
    expect(losses.map(([loss]) => loss)).toEqual([NaN, NaN, NaN]);
  });
});
