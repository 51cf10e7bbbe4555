import { expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { compile, crossEntropy, ones, parameter, sum, type Tensor, tensor } from '../../src/index.ts';
import { Linear, Module } from '../../src/nn/index.ts';
import { AdamW, clipGradNorm, SGD } from '../../src/optim/index.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

/** A body of four layers, and a head. */
class Model extends Module {
  readonly body = Array.from({ length: 4 }, () => new Linear(8, 8));
  readonly head = new Linear(8, 3);

  forward(x: Tensor): Tensor {
    return this.head.forward(this.body.reduce((y, layer) => layer.forward(y).relu(), x));
  }
}

const x = () =>
  tensor(
    Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)),
    { shape: [4, 8] },
  );
const classes = () => tensor(Int32Array.of(0, 1, 2, 1));

function training(clipped: boolean) {
  const model = new Model();
  const optimizer = new AdamW(model.parameters(), { lr: 0.1, weightDecay: 0.5 });
  const step = (x: Tensor, y: Tensor) => {
    const loss = crossEntropy(model.forward(x), y);
    loss.backward();
    if (clipped) clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  return { model, optimizer, step };
}

const dispatches = async (step: () => Promise<unknown>) => (await countCalls(step)).counts.dispatches as number;

it.for(['compiled', 'eager'])('what is frozen stays as it is, bit for bit, until it is unfrozen, %s', async (mode) => {
  const { model, step } = training(true);
  const run = mode === 'compiled' ? compile(step) : step;
  const body = model.body.flatMap((layer) => layer.parameters());
  for (const layer of model.body) layer.freeze();
  expect(body.map(({ requiresGrad }) => requiresGrad)).toEqual(body.map(() => false));
  const [before, head] = [await read(...body), await read(...model.head.parameters())];
  for (let n = 0; n < 2; n++) await run(x(), classes());
  expect(await read(...body)).toEqual(before);
  expect(body.map(({ grad }) => grad)).toEqual(body.map(() => null));
  expect(await read(...model.head.parameters())).not.toEqual(head);
  for (const layer of model.body) layer.unfreeze();
  await run(x(), classes());
  for (const [i, value] of (await read(...body)).entries()) expect(value).not.toEqual(before[i]);
});

it('no backward is computed for what is frozen', async () => {
  const { model, step } = training(false);
  const run = compile(step);
  const forward = compile((x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y));
  const count = async (fn: typeof run) => {
    await fn(x(), classes());
    return dispatches(() => fn(x(), classes()));
  };
  const [all, alone] = [await count(run), await count(forward)];
  for (const layer of model.body) layer.freeze();
  const frozen = await count(run);
  // The loss, the head, gate and update.
  expect(frozen - alone).toBeLessThanOrEqual(5);
  // Two products to a layer; a frozen step has a gate, too.
  expect(all - (frozen - 1)).toBeGreaterThanOrEqual(2 * 4);
  expect(run.traces).toBe(2);
  for (const layer of model.body) layer.unfreeze();
  for (const layer of model.body) layer.freeze();
  await run(x(), classes());
  expect(run.traces).toBe(2);
});

it('a parameter may be made frozen; a gradient that it still has is not followed', async () => {
  const [a, b] = [parameter([1, 2], { requiresGrad: false }), parameter([3, 4])];
  expect([a.requiresGrad, b.requiresGrad]).toEqual([false, true]);
  const optimizer = new SGD([a, b], { lr: 1 });
  sum(a.mul(b)).backward();
  expect(a.grad).toBeNull();
  a.grad = ones([2]);
  optimizer.step();
  expect(await read(a, b)).toEqual([Float32Array.of(1, 2), Float32Array.of(2, 2)]);
  b.requiresGrad = false;
  expect(() => sum(a.mul(b)).backward()).toThrow('[backward] all parameters that the loss depends on are frozen');
  expect(() => {
    b.requiresGrad = 1 as never;
  }).toThrow('[parameter] requiresGrad must be true or false, got 1');
});
