import { describe, it } from 'vitest';
import { verifyPlan } from '../../src/compile/memory.ts';
import { buildProgram } from '../../src/compile/program.ts';
import * as weft from '../../src/index.ts';
import { compile, grad, type Tensor } from '../../src/index.ts';
import { interpret } from '../reference/interpret.ts';
import { check, compare } from '../support/check.ts';
import { choose, draw, drawIds } from '../support/draw.ts';
import { device, generator, read, useGpu } from '../support/gpu.ts';

useGpu();

/** Few extents, so that shapes meet and pipelines are shared; some fill vectors of four, some do not. */
const extents = [1, 3, 4, 8, 9];
const extent = () => choose(extents);

/**
 * Steps from some tensors of a graph to another one. Whatever may grow without bound passes through tanh, so that values,
 * and with them error bounds, stay in proportion.
 */
const steps: readonly ((x: Tensor, y: Tensor) => Tensor)[] = [
  (x) => x.tanh(),
  (x) => x.gelu({ approximate: 'tanh' }),
  (x) => x.mul(0.5).exp(),
  (x) => x.sigmoid().mul(x),
  (x, y) => (broadcasts(x, y) ? x.add(y) : x.add(1)),
  (x, y) => (broadcasts(x, y) ? x.mul(y.tanh()) : x.neg()),
  (x, y) => (broadcasts(x, y) ? weft.where(draw(x.shape).greater(0), x, y) : x.abs()),
  (x) => x.add(draw([x.shape.at(-1) ?? 1])),
  (x) => (x.rank > 0 ? x.sum(choose(axesOf(x)), { keepDims: true }).mul(0.3) : x),
  (x) => (x.rank > 0 ? x.mean(choose(axesOf(x))) : x),
  (x) => (x.rank > 0 ? x.max(choose(axesOf(x))) : x),
  (x) => (x.rank > 0 ? x.softmax(choose(axesOf(x))) : x),
  (x) => (x.rank > 0 ? weft.layerNorm(x, null, null, { eps: 0.1 }) : x),
  (x) => (x.rank > 0 ? weft.rmsNorm(x, draw([x.shape.at(-1) as number]), { eps: 0.1 }) : x),
  (x) => (x.rank > 0 ? x.matmul(draw([x.shape.at(-1) as number, extent()], -0.5, 0.5)) : x),
  (x) =>
    x.rank > 1
      ? x.transpose(0, -1).matmul(draw([...x.shape.slice(1, -1), x.shape[0] as number, extent()].slice(-2), -0.5, 0.5))
      : x,
  (x) => (x.rank > 1 ? x.permute(axesOf(x).reverse()) : x),
  (x) => x.reshape([-1]),
  (x) => (x.size % 4 === 0 ? x.reshape([4, -1]) : x.flip()),
  (x) => (x.rank > 0 ? x.flip(choose(axesOf(x))) : x),
  (x) => (x.rank > 0 && (x.shape[0] as number) > 1 ? x.slice([[1]]) : x),
  (x) => (x.rank > 0 ? x.slice(x.shape.map((n) => [0, n, n > 2 ? 2 : 1])) : x),
  (x) => (x.rank > 0 && x.size < 300 ? x.pad(x.shape.map((_, i) => (i === 0 ? [1, 2] : [0, 0]))) : x),
  (x, y) => (x.rank > 0 && x.size < 300 ? weft.concat([x, x.mul(2), weft.full(x.shape, 0.5)], choose(axesOf(x))) : y),
  (x) => (x.size < 200 ? weft.stack([x, x.square().tanh()], 0) : x),
  (x) => (x.rank > 0 ? (choose(x.split(1, 0)) as Tensor) : x),
  (x) => (x.rank > 0 ? x.cumsum(choose(axesOf(x))).mul(0.2) : x),
  (x) => (x.rank > 0 ? x.gather(drawIds(x.shape, x.shape.at(-1) as number), -1) : x),
  (x) => (x.rank === 2 ? weft.embedding(drawIds([extent()], x.shape[0] as number), x) : x),
  (x) =>
    x.rank === 2
      ? weft.crossEntropy(x, drawIds([x.shape[0] as number], x.shape[1] as number), { reduction: 'none' })
      : x,
  (x) => (x.rank >= 2 ? x.tril() : x),
  (x) => (x.rank > 0 && x.size < 100 ? x.expand([2, ...x.shape]) : x),
  (x) => (x.rank > 0 ? x.logSumExp(-1) : x),
];
const axesOf = (x: Tensor) => x.shape.map((_, i) => i);
const broadcasts = (x: Tensor, y: Tensor) =>
  x.rank >= y.rank && y.shape.every((n, i) => n === 1 || n === x.shape[i + x.rank - y.rank]);

/** A graph of `length` steps over a few leaves; some of its values are read, in the middle too. */
function randomGraph(length: number): { leaves: Tensor[]; roots: Tensor[] } {
  const leaves = Array.from({ length: 3 }, () =>
    draw(choose([[extent()], [extent(), extent()], [2, extent(), extent()]])),
  );
  const made: Tensor[] = [...leaves];
  for (let i = 0; i < length; i++) {
    // Recent values more often, so that the graph grows deep; old ones too, so that lifetimes cross.
    const x = choose(made.slice(-4));
    const next = choose(steps)(x, choose(made));
    made.push(next.size > 600 ? next.reshape([-1]).slice([[0, 64]]) : next);
  }
  // The last value, and two from the middle; a step of its own for each, since some steps change nothing.
  return { leaves, roots: [made.at(-1), choose(made), choose(made)].map((value) => (value as Tensor).mul(3)) };
}

describe('random graphs', () => {
  it.for(Array.from({ length: 24 }, (_, i) => i))('number %i', async () => {
    const { roots } = randomGraph(12);
    verify(roots);
    await check(...roots);
  });

  it.for(Array.from({ length: 10 }, (_, i) => i))('number %i, with gradients', async () => {
    const { leaves, roots } = randomGraph(8);
    const loss = roots.map((root) => root.tanh().sum()).reduce((a, b) => a.add(b));
    const gradients = grad(loss, leaves);
    verify([loss, ...gradients]);
    await check(loss, ...gradients);
  });

  it.for(Array.from({ length: 6 }, (_, i) => i))('number %i, compiled, on poisoned memory each time', async () => {
    const start = generator.state();
    const expected = interpret(randomGraph(12).roots, { errors: true });
    const step = compile(() => {
      generator.restore(start);
      return randomGraph(12).roots;
    });
    for (let run = 0; run < 2; run++) {
      device.buffers.poison();
      const results = await step();
      compare(results, await read(...results), expected);
    }
  });

  it.for(Array.from({ length: 60 }, (_, i) => i))('number %i keeps every value until it was read', () =>
    verify(randomGraph(40).roots),
  );
});

/** Plans the graph for both kinds of device, and proves that no value is overwritten while somebody still wants it. */
function verify(roots: readonly Tensor[]): void {
  for (const selection of ['gpu', 'software'] as const) {
    const { problem, memory } = buildProgram({ results: roots, updates: [] }, (tensor) => tensor.isComputed, {
      ...device.profile,
      selection,
    });
    verifyPlan(problem, memory);
  }
}
