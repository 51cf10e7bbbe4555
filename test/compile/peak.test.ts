import { describe, expect, it } from 'vitest';
import { configOf, type ModelName } from '../../demo/configs.ts';
import { createModel } from '../../demo/models.ts';
import { lifetimes, type MemoryProblem, planMemory, verifyPlan } from '../../src/compile/memory.ts';
import { byteSize } from '../../src/core/types.ts';
import {
  grad,
  linearCrossEntropy,
  models,
  mseLoss,
  nn,
  optim,
  scaledDotProductAttention,
  type Tensor,
} from '../../src/index.ts';
import { Plan } from '../../src/runtime/plan.ts';
import { draw, drawIds } from '../support/draw.ts';
import { device, useGpu } from '../support/gpu.ts';

/** How near to the least possible the memory of real plans comes. Plans are traced and laid out; nothing runs. */
useGpu();

const aligned = (bytes: number) => Math.ceil(bytes / 256) * 256;

/** The sum of live bytes, command by command, straight from its definition; packs with gaps live from run to run. */
function liveBytes({ commands, results, packs, placed }: MemoryProblem): number[] {
  const lives = [...lifetimes(commands, results)].filter(([value]) => !value.leaf && !placed.has(value));
  return Array.from({ length: commands.length + 1 }, (_, at) =>
    lives.reduce(
      (sum, [value, { first, last }]) =>
        packs.has(value) || (first <= at && at <= last) ? sum + aligned(byteSize(value.type)) : sum,
      0,
    ),
  );
}

type Step = (...args: Tensor[]) => unknown;

/** A whole training step: loss, gradients, clipping, AdamW. */
function training(model: nn.Module, lossOf: (...args: Tensor[]) => Tensor): Step {
  const optimizer = new optim.AdamW(model.parameters());
  return (...args) => {
    const loss = lossOf(...args);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
}

function gpt(config: Omit<models.GPTConfig, 'contextLength'>, B: number, T: number): [Step, Tensor[]] {
  const model = new models.GPT({ contextLength: T, ...config });
  const ids = () => drawIds([B, T], config.vocabularySize);
  return [training(model, (x, y) => model.loss(x as Tensor, y as Tensor)), [ids(), ids()]];
}

function demo(name: ModelName, config: string): [Step, Tensor[]] {
  const { batch, context, ...rest } = configOf(config, name, null);
  const model = createModel({ batch, context, ...rest }, 65);
  const ids = () => drawIds([batch, context], 65);
  return [training(model, (x, y) => model.loss(x as Tensor, y as Tensor)), [ids(), ids()]];
}

class LastOutput extends nn.Module {
  readonly lstm = new nn.LSTM(32, 64);
  readonly head = new nn.Linear(64, 1);
  /** [T, B, I] → [B, 1] */
  forward(x: Tensor): Tensor {
    return this.head.forward(this.lstm.forward(x)[0].at(-1));
  }
}

const heads = () => Array.from({ length: 3 }, () => draw([1, 4, 256, 64]));
const attend = (q?: Tensor, k?: Tensor, v?: Tensor) =>
  scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, { causal: true });

const plans: Record<string, () => [Step, Tensor[]]> = {
  'small GPT step': () => gpt({ vocabularySize: 64, layers: 2, heads: 4, width: 64 }, 4, 32),
  'nanoGPT step': () => demo('gpt', 'nanogpt-cpu'),
  '12-layer GPT step': () => gpt({ vocabularySize: 65, layers: 12, heads: 4, width: 64 }, 4, 64),
  '12-layer GPT step with dropout': () =>
    gpt({ vocabularySize: 65, layers: 12, heads: 4, width: 64, dropout: 0.1 }, 4, 64),
  'GPT step with a large vocabulary': () => gpt({ vocabularySize: 70_000, layers: 3, heads: 2, width: 16 }, 2, 128),
  'LSTM step': () => {
    const model = new LastOutput();
    return [
      training(model, (x, y) => mseLoss(model.forward(x as Tensor), y as Tensor)),
      [draw([32, 8, 32]), draw([8, 1])],
    ];
  },
  'language model of LSTMs': () => demo('lstm', 'nanogpt-cpu'),
  'language model of GRUs': () => demo('gru', 'default'),
  'bidirectional LSTM': () => {
    const model = new nn.LSTM(32, 64, { layers: 2, bidirectional: true, dropout: 0.1 });
    return [
      training(model, (x) =>
        model
          .forward(x as Tensor)[0]
          .square()
          .mean(),
      ),
      [draw([16, 4, 32])],
    ];
  },
  'attention forward': () => [attend, heads()],
  'attention forward and backward': () => [
    (seed, ...qkv) => grad(attend(...qkv), qkv, { seed: seed as Tensor }),
    [draw([1, 4, 256, 64]), ...heads()],
  ],
  linearCrossEntropy: () => [
    (hidden, weight, targets) => {
      const loss = linearCrossEntropy(hidden as Tensor, weight as Tensor, targets as Tensor, { chunk: 64 });
      return [loss, ...grad(loss, [hidden as Tensor, weight as Tensor])];
    },
    [draw([512, 64]), draw([1024, 64]), drawIds([512], 1024)],
  ],
};

describe('peak memory', () => {
  it.for(Object.entries(plans))('of a %s is within 1.15 times what lives at once', async ([, make]) => {
    const [step, args] = make();
    const plan = await Plan.trace(step as (...args: never[]) => unknown, args, device);
    const { problem, memory } = plan.program;
    verifyPlan(problem, memory);
    const { peakBytes, lowerBoundBytes, slabs } = plan.summary();
    expect(lowerBoundBytes).toBe(Math.max(...liveBytes(problem)));
    const own = memory.dedicated.reduce((sum, value) => sum + aligned(byteSize(value.type)), 0);
    expect(peakBytes).toBe(slabs.reduce((sum, bytes) => sum + bytes, own));
    expect(slabs).toEqual([...slabs].sort((a, b) => b - a));
    expect(peakBytes / lowerBoundBytes).toBeLessThanOrEqual(1.15);
    expect(peakBytes).toBeGreaterThanOrEqual(lowerBoundBytes);
    plan.destroy();
  });

  it('is planned the same way each time', async () => {
    const [step, args] = (plans['small GPT step'] as () => [Step, Tensor[]])();
    const plan = await Plan.trace(step as (...args: never[]) => unknown, args, device);
    expect(planMemory(plan.program.problem)).toEqual(plan.program.memory);
    plan.destroy();
  });
});
