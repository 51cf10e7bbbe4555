import { describe, expect, it } from 'vitest';
import { compile, readAll, type Tensor, tensor } from '../../src/index.ts';
import { CharRNN, GPT } from '../../src/models/index.ts';
import { AdamW, clipGradNorm } from '../../src/optim/index.ts';
import { expectNear, type GoldenCase, given, goldenCases, loadGolden, stored } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

interface Options {
  vocabulary: number;
  context: number;
  embedDim: number;
  hiddenSize: number;
  heads: number;
  layers: number;
  lr: number;
  betas: [number, number];
  eps: number;
  weightDecay: number;
  clipGradNorm: number;
  /** Elements of parameters whose gradient is 0 but for rounding: AdamW makes noise of them. */
  noise?: Record<string, [number, number]>;
}

/** A model with the initial weights of a case, and its batch n, ids and targets [B, T]. */
function modelOf(golden: GoldenCase) {
  const { vocabulary, context, embedDim, hiddenSize, heads, layers } = golden.options as unknown as Options;
  const isGpt = golden.name === 'gpt';
  const model = isGpt
    ? new GPT({ vocabularySize: vocabulary, contextLength: context, layers, heads, width: embedDim })
    : new CharRNN({
        cell: 'lstm',
        vocabularySize: vocabulary,
        embedding: embedDim,
        hidden: hiddenSize,
        layers,
      });
  loadGolden(model, golden, 'initial.');
  const batch = (n: number) =>
    ['x', 'y'].map((name) => {
      const { data, shape } = stored(golden, name);
      const [rows, columns] = shape.slice(1) as [number, number];
      const ids = data.slice(n * rows * columns, (n + 1) * rows * columns) as Int32Array<ArrayBuffer>;
      // The LSTM's are stored time first.
      return isGpt
        ? tensor(ids, { shape: [rows, columns] })
        : tensor(turned(ids, rows, columns), { shape: [columns, rows] });
    }) as [Tensor, Tensor];
  return { model, batch };
}

function turned(ids: Int32Array, rows: number, columns: number): Int32Array<ArrayBuffer> {
  return Int32Array.from(ids, (_, i) => ids[(i % rows) * columns + Math.floor(i / rows)] as number);
}

describe.for(['compiled', 'eager'])('ten steps of AdamW with clipping follow PyTorch, %s', async (mode) => {
  it.for(await goldenCases('trajectory'))('$name', async (golden) => {
    const { lr, betas, eps, weightDecay, clipGradNorm: maxNorm, noise = {} } = golden.options as unknown as Options;
    const { model, batch } = modelOf(golden);
    const parameters = model.parameters();
    const optimizer = new AdamW(
      [
        { params: parameters.filter(({ rank }) => rank >= 2), weightDecay },
        { params: parameters.filter(({ rank }) => rank < 2), weightDecay: 0 },
      ],
      { lr, betas, eps },
    );
    const train = (ids: Tensor, targets: Tensor) => {
      const loss = model.loss(ids, targets);
      loss.backward();
      const norm = clipGradNorm(parameters, maxNorm);
      optimizer.step();
      optimizer.zeroGrad();
      return { loss, norm };
    };
    const step = mode === 'compiled' ? compile(train) : train;
    const losses: number[] = [];
    const norms: number[] = [];
    for (let n = 0; n < 10; n++) {
      const { loss, norm } = await step(...batch(n));
      const [[gotLoss], [gotNorm]] = (await read(loss, norm)) as [Float32Array, Float32Array];
      losses.push(gotLoss as number);
      norms.push(gotNorm as number);
    }
    expectNear(losses, stored(golden, 'losses').data, 'losses', 1e-5);
    expectNear(norms, stored(golden, 'gradNorms').data, 'norms of the gradients', 1e-4);
    const dict = model.stateDict();
    const values = await read(...dict.values());
    for (const [i, name] of [...dict.keys()].entries()) {
      const [from, to] = noise[name] ?? [0, 0];
      const outside = (_: number, j: number) => j < from || j >= to;
      expectNear(
        (values[i] as Float32Array).filter(outside),
        stored(golden, `final.${name}`).data.filter(outside),
        `final ${name}`,
        1e-3,
      );
    }
  });
});

describe('the first step', async () => {
  it.for(await goldenCases('trajectory'))('of $name has the logits and gradients of PyTorch', async (golden) => {
    const { model, batch } = modelOf(golden);
    const [ids, targets] = batch(0);
    model.loss(ids, targets).backward();
    const logits = golden.name === 'gpt' ? model.forward(ids) : model.forward(ids).permute([1, 0, 2]);
    const named = model.namedParameters();
    announceReads(1);
    const [gotLogits, ...gradients] = await readAll([logits, ...named.map(([, { grad }]) => grad as Tensor)]);
    expectNear(gotLogits as Float32Array, stored(golden, 'logits').data, 'logits');
    for (const [i, [name]] of named.entries())
      expectNear(gradients[i] as Float32Array, given(golden, `grad.${name}`).host as Float32Array, name);
    expect(gradients.length).toBe([...golden.tensors.keys()].filter((name) => name.startsWith('grad.')).length);
  });
});
