import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { fillUniform } from '../../src/core/random.ts';
import {
  compile,
  crossEntropy,
  DataLoader,
  DivergenceError,
  manualSeed,
  nn,
  optim,
  type Tensor,
  type TrainMetrics,
  type TrainOptions,
  tensor,
  text,
  ValueError,
} from '../../src/index.ts';
import { trainBy } from '../../src/train/train.ts';
import { announceReads, generator, read, useGpu } from '../support/gpu.ts';

useGpu();

type Pair = readonly [x: Float32Array<ArrayBuffer>, y: number];

/** A model that sorts points into three classes, the same each time, and points for it. */
function site() {
  manualSeed(3);
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.Linear(8, 3));
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.02 });
  const loss = (x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y.cast('i32'));
  return { model, optimizer, loss };
}

const points = (n: number): Pair[] =>
  Array.from({ length: n }, (_, i) => [fillUniform(new Float32Array(4), 0, 1, generator), i % 3]);

const loaderOf = (data: readonly Pair[]) => new DataLoader(data, { batchSize: 4, shuffle: true, seed: 8 });
const schedule = optim.warmup(optim.cosine({ steps: 12 }), 4);

/** All metrics of a run on a clock that stands still, so that reads are by count. */
async function run<Batch, Evaluation = never>(options: TrainOptions<Batch, Evaluation>) {
  announceReads(Infinity);
  const metrics: TrainMetrics<Evaluation>[] = [];
  for await (const each of trainBy(() => 0, options)) metrics.push(each);
  return { metrics, losses: metrics.flatMap(({ losses }) => losses) };
}

const weightsOf = (model: nn.Module) => read(...model.stateDict().values());

describe('train', () => {
  it('does to the bit what a loop written by hand does, in each of its forms', async () => {
    announceReads(Infinity);
    const data = points(10);
    const byHand = site();
    const { model, optimizer } = byHand;
    for (const group of optimizer.groups) group.schedule = schedule;
    const stepOf =
      ({ model, optimizer, loss }: typeof byHand) =>
      (x: Tensor, y: Tensor) => {
        const value = loss(x, y);
        value.backward();
        optim.clipGradNorm(model.parameters(), 0.5);
        optimizer.step();
        optimizer.zeroGrad();
        return value;
      };
    const losses: number[] = [];
    const step = compile(stepOf(byHand));
    const loader = loaderOf(data);
    for (let epoch = 0; epoch < 3; epoch++)
      for await (const [x, y] of loader) losses.push(await (await step(x, y)).item());
    expect(losses.length).toBe(9);
    const weights = await weightsOf(model);

    const parts = site();
    const made = await run({
      step: { loss: parts.loss, optimizer: parts.optimizer, clip: 0.5 },
      ...{ batches: loaderOf(data), steps: 9, schedule },
    });
    expect(made.losses).toEqual(losses);
    expect(await weightsOf(parts.model)).toEqual(weights);
    expect(parts.optimizer.groups.every(({ schedule }) => schedule === undefined)).toBe(true);

    for (const isCompiled of [true, false]) {
      const own = site();
      for (const group of own.optimizer.groups) group.schedule = schedule;
      const step = isCompiled ? compile(stepOf(own)) : stepOf(own);
      const given = await run({ step, batches: loaderOf(data), steps: 9 });
      if (isCompiled) expect(given.losses).toEqual(losses);
      // Other kernels add in another order.
      else for (const [i, value] of given.losses.entries()) expect(value).toBeCloseTo(losses[i] as number, 5);
    }
  });

  it('reads a few times only: each read is one mapping for all losses since the one before', async () => {
    const { optimizer, loss } = site();
    const { result, counts } = await countCalls(() =>
      run({ step: { loss, optimizer }, batches: loaderOf(points(8)), steps: 60 }),
    );
    expect(result.metrics.map(({ step }) => step)).toEqual([1, 2, 52, 60]);
    expect(counts.maps).toBe(4);
    expect(result.losses.at(-1)).toBeLessThan(result.losses[0] as number);
  });

  it('tells the learning rate of the last step, and means of other scalars', async () => {
    const { model, optimizer, loss } = site();
    const step = {
      loss: (x: Tensor, y: Tensor) => {
        const value = loss(x, y);
        return { loss: value, twice: value.detach().mul(2), rows: tensor(x.shape[0] as number) };
      },
      optimizer,
    };
    const { metrics } = await run({ step, batches: loaderOf(points(10)), steps: 6, schedule });
    expect(model.parameters().length).toBe(4);
    expect(metrics.map(({ step, learningRate }) => [step, learningRate])).toEqual(
      [1, 2, 6].map((step) => [step, 0.02 * schedule(step - 1)]),
    );
    for (const { loss, losses, means } of metrics) {
      expect(loss).toBe(losses.reduce((sum, each) => sum + each, 0) / losses.length);
      expect(means.twice).toBe(2 * loss);
    }
    // Batches of 4, 4, 2, then 4, 4, 2 again.
    expect(metrics.map(({ means }) => means.rows)).toEqual([4, 4, 3]);
  });

  it('accumulates: the mean of the gradients of several batches, as of one large batch', async () => {
    const data = points(12);
    const once = async (batchSize: number, accumulate: number) => {
      const { model, loss } = site();
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.5 });
      const { losses } = await run({
        step: { loss, optimizer, clip: 0.3 },
        ...{ batches: new DataLoader(data, { batchSize }), accumulate, steps: 3 },
      });
      expect(optimizer.steps).toBe(3);
      return { losses, weights: await weightsOf(model) };
    };
    const large = await once(12, 1);
    for (const accumulate of [2, 4]) {
      const { losses, weights } = await once(12 / accumulate, accumulate);
      // Sums of 12 terms below 4 in another order, three steps of them: some 12 · 2^-24 · 4 for each.
      const bound = 3 * 12 * 2 ** -24 * 4;
      for (const [i, value] of losses.entries())
        expect(Math.abs(value - (large.losses[i] as number)), `loss ${i}`).toBeLessThan(bound);
      for (const [i, values] of weights.entries())
        for (const [j, value] of values.entries())
          expect(Math.abs(value - (large.weights[i]?.[j] as number)), `weight ${i}, ${j}`).toBeLessThan(bound);
    }
    expect(large.losses[2]).toBeLessThan(large.losses[0] as number);
  });

  it('leaves out batches at the end that are too few to accumulate', async () => {
    const { optimizer, loss, model } = site();
    const batches = loaderOf(points(20));
    const { metrics } = await run({ step: { loss, optimizer }, batches, accumulate: 2 });
    expect(metrics.at(-1)?.step).toBe(2);
    expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
  });

  it('goes on to the bit from a checkpoint', async () => {
    const data = points(10);
    const whole = site();
    const options = { steps: 8, schedule, accumulate: 2 };
    const step = { loss: whole.loss, optimizer: whole.optimizer, clip: 1 };
    const { losses } = await run({ ...options, step, batches: loaderOf(data) });
    const before = site();
    let saved = '';
    const first = await run({
      ...options,
      step: { loss: before.loss, optimizer: before.optimizer, clip: 1 },
      ...{ batches: loaderOf(data), steps: 5 },
      checkpoint: {
        save: (state) => {
          saved = JSON.stringify(state);
        },
      },
    });
    const after = site();
    after.model.loadStateDict(before.model.stateDict());
    after.optimizer.loadStateDict(before.optimizer.stateDict());
    const { step: start, batches } = JSON.parse(saved);
    const rest = await run({
      ...options,
      step: { loss: after.loss, optimizer: after.optimizer, clip: 1 },
      ...{ batches: loaderOf(data).restore(batches), start },
    });
    expect([...first.losses, ...rest.losses]).toEqual(losses);
    expect(await weightsOf(after.model)).toEqual(await weightsOf(whole.model));
  });

  it('takes the batches of a text as they are', async () => {
    manualSeed(1);
    const model = new nn.Sequential(new nn.Embedding(10, 8), new nn.Linear(8, 10));
    const digits = Int32Array.from({ length: 100 }, (_, i) => (i * 3) % 10);
    const { losses } = await run({
      step: {
        loss: (ids, targets) => crossEntropy(model.forward(ids), targets),
        optimizer: new optim.AdamW(model.parameters(), { lr: 0.1 }),
      },
      batches: text.batches(digits, { batch: 4, length: 8 }),
      steps: 30,
    });
    expect(losses.at(-1)).toBeLessThan(0.1);
  });
});

describe('a run that goes wrong on the device', () => {
  /** Losses and the error of a run whose loop ends in one. */
  const failing = async <Batch>(options: TrainOptions<Batch>) => {
    announceReads(Infinity);
    const losses: number[] = [];
    let error: unknown = null;
    try {
      for await (const metrics of trainBy(() => 0, options)) losses.push(...metrics.losses);
    } catch (caught) {
      error = caught;
    }
    return { losses, error };
  };

  it('tells the losses up to a step that met bad data, and throws what it says', async () => {
    const table = new nn.Embedding(5, 3);
    const optimizer = new optim.SGD(table.parameters(), { lr: 0.1 });
    const loss = (ids: Tensor) => table.forward(ids).square().mean();
    const batches = [1, 2, 3, 0, 99, 4, 2].map((id) => [Int32Array.of(id)] as const);
    const { losses, error } = await failing({ step: { loss, optimizer }, batches });
    expect(losses.length).toBe(4);
    expect(error).toBeInstanceOf(ValueError);
    expect(String(error)).toContain('a token id lies outside [0, 5)');
  });

  it('ends where a loss is not finite, and saves nothing', async () => {
    const { optimizer, loss } = site();
    const [x, y] = [tensor([[1, 2, 3, 4]]), tensor([1])];
    const batches = [x, x, x, tensor([[1, Number.NaN, 3, 4]]), x].map((each) => [each, y] as const);
    const saved: unknown[] = [];
    const checkpoint = { save: ({ step }: { step: number }) => saved.push(step), everySteps: 2 };
    const { losses, error } = await failing({ step: { loss, optimizer }, batches, checkpoint });
    expect(losses.length).toBe(3);
    expect(saved).toEqual([2]);
    expect(error).toBeInstanceOf(DivergenceError);
    expect(String(error)).toContain(
      '[train] step 4 met a value that is not finite, first in parameter 0 [8, 4] of the optimizer or its gradient (the loss was NaN)',
    );
  });

  it('ends where a parameter is not finite, whose name is told, though no loss shows it', async () => {
    const { model, loss } = site();
    const [weight, bias] = [model.parameters().slice(0, -1), model.parameters().slice(-1)];
    // A step that leaves the range of f32, for one parameter, after a loss that is sound.
    const lr = (step: number) => (step === 2 ? 3e38 : 0);
    const optimizer = new optim.SGD([{ params: weight }, { params: bias, lr }], { lr: 0 });
    const [x, y] = [tensor([[1, 2, 3, 4]]), tensor([1])];
    const saved: number[] = [];
    const { losses, error } = await failing({
      step: { loss: (a, b) => loss(a, b).mul(8), optimizer },
      batches: Array.from({ length: 9 }, () => [x, y] as const),
      checkpoint: { save: ({ step }: { step: number }) => saved.push(step), everySteps: 1 },
      recover: { model },
    });
    expect(error).toMatchObject({ step: 3, parameter: '1.bias' });
    expect(Number.isFinite((error as DivergenceError).loss)).toBe(true);
    expect(losses).toHaveLength(2);
    expect(saved).toEqual([1, 2]);
  });

  it('goes on where steps that are not finite are left out', async () => {
    const { model, loss } = site();
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, nonFinite: 'skip' });
    const [x, y] = [tensor([[1, 2, 3, 4]]), tensor([1])];
    const batches = [x, tensor([[1, Number.NaN, 3, 4]]), x, x].map((each) => [each, y] as const);
    const { losses } = await run({ step: { loss, optimizer }, batches });
    expect(losses.map(Number.isFinite)).toEqual([true, false, true, true]);
    expect([optimizer.steps, optimizer.skipped]).toEqual([3, 1]);
    expect(losses[3]).toBeLessThan(losses[0] as number);
  });

  it('forgets the gradients of a step that fails in the middle', async () => {
    const { model, optimizer, loss } = site();
    const [x, y] = [tensor([[1, 2, 3, 4]]), tensor([1])];
    const batches = [x, x, x, tensor([[1, 2]])].map((each) => [each, y] as const);
    const { losses, error } = await failing({ step: { loss, optimizer }, batches, accumulate: 2 });
    expect(String(error)).toContain('ShapeError: [');
    expect(losses.length).toBe(1);
    expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
  });

  it('puts the schedule of the optimizer back, however it ends', async () => {
    const { optimizer, loss } = site();
    const batches = [[tensor([[1, 2]]), tensor([1])]] as const;
    const { error } = await failing({ step: { loss, optimizer }, batches, schedule });
    expect(String(error)).toContain('ShapeError: [');
    expect(optimizer.groups[0]?.schedule).toBeUndefined();
    expect(optimizer.steps).toBe(0);
  });

  it.for<[string, (x: Tensor) => unknown, string]>([
    ['async', async (x) => x.sum(), '[train] loss is async'],
    ['no scalar', (x) => x, '[train] loss must give tensors of one element; loss has shape [1, 2]'],
    ['a number', () => 3, '[train] loss must give a tensor, got 3'],
    ['nothing', () => undefined, '[train] loss must give the loss, a tensor of one element'],
  ])('says that a loss is %s', async ([, loss, message]) => {
    const { optimizer } = site();
    const { error } = await failing({ step: { loss: loss as never, optimizer }, batches: [tensor([[1, 2]])] });
    expect(String(error)).toContain(message);
  });
});
