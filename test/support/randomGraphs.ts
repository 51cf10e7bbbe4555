import * as weft from '../../src/index.ts';
import { grad, type Tensor } from '../../src/index.ts';
import { type OpName, ops } from '../../src/ops/registry.ts';
import { choose, draw, drawIds } from './draw.ts';
import { type Sample, samples } from './samples.ts';

/** Random graphs of public ops: steps that change shapes, and samples of every op in the registry. */
export interface RandomGraph {
  readonly leaves: readonly Tensor[];
  /** Values from the end and the middle. */
  readonly roots: readonly Tensor[];
  /** What was done, for a report. */
  readonly trail: readonly string[];
}

/** Few extents, so that shapes meet and pipelines are shared; some fill vectors of four, some do not. */
const extent = () => choose([1, 3, 4, 8, 9]);
const axesOf = (x: Tensor) => x.shape.map((_, i) => i);
const axis = (x: Tensor) => choose(axesOf(x));
const broadcasts = (x: Tensor, y: Tensor) =>
  x.rank >= y.rank && y.shape.every((n, i) => n === 1 || n === x.shape[i + x.rank - y.rank]);

type Step = (x: Tensor, y: Tensor) => Tensor;

/**
 * Steps from some tensors of a graph to another one. Whatever may grow without bound passes through tanh, so that values,
 * and with them error bounds, stay in proportion.
 */
const anywhere: Readonly<Record<string, Step>> = {
  tanh: (x) => x.tanh(),
  exp: (x) => x.mul(0.5).exp(),
  silu: (x) => x.sigmoid().mul(x),
  add: (x, y) => (broadcasts(x, y) ? x.add(y) : x.add(1)),
  mul: (x, y) => (broadcasts(x, y) ? x.mul(y.tanh()) : x.neg()),
  where: (x, y) => (broadcasts(x, y) ? weft.where(draw(x.shape).greater(0), x, y) : x.abs()),
  flat: (x) => x.reshape([-1]),
  rows: (x) => (x.size % 4 === 0 ? x.reshape([4, -1]) : x.flip()),
  stack: (x) => (x.size < 200 ? weft.stack([x, x.square().tanh()], 0) : x),
};
const ofVectors: Readonly<Record<string, Step>> = {
  row: (x) => x.add(draw([x.shape.at(-1) as number])),
  sum: (x) => x.sum(axis(x), { keepDims: true }).mul(0.3),
  mean: (x) => x.mean(axis(x)),
  max: (x) => x.max(axis(x)),
  logSumExp: (x) => x.logSumExp(-1),
  softmax: (x) => x.softmax(axis(x)),
  layerNorm: (x) => weft.layerNorm(x, null, null, { eps: 0.1 }),
  rmsNorm: (x) => weft.rmsNorm(x, draw([x.shape.at(-1) as number]), { eps: 0.1 }),
  matmul: (x) => x.matmul(draw([x.shape.at(-1) as number, extent()], -0.5, 0.5)),
  flip: (x) => x.flip(axis(x)),
  slice: (x) => ((x.shape[0] as number) > 1 ? x.slice([[1]]) : x),
  steps: (x) => x.slice(x.shape.map((n) => [0, n, n > 2 ? 2 : 1])),
  pad: (x) => (x.size < 300 ? x.pad(x.shape.map((_, i) => (i === 0 ? [1, 2] : [0, 0]))) : x),
  concat: (x) => (x.size < 300 ? weft.concat([x, x.mul(2), weft.full(x.shape, 0.5)], axis(x)) : x),
  split: (x) => choose(x.split(1, 0)),
  cumsum: (x) => x.cumsum(axis(x)).mul(0.2),
  gather: (x) => x.gather(drawIds(x.shape, x.shape.at(-1) as number), -1),
  expand: (x) => (x.size < 100 ? x.expand([2, ...x.shape]) : x),
};
const ofMatrices: Readonly<Record<string, Step>> = {
  transposed: (x) =>
    x.transpose(0, -1).matmul(draw([...x.shape.slice(1, -1), x.shape[0] as number, extent()].slice(-2), -0.5, 0.5)),
  permute: (x) => x.permute(axesOf(x).reverse()),
  tril: (x) => x.tril(),
  embedding: (x) => (x.rank === 2 ? weft.embedding(drawIds([extent()], x.shape[0] as number), x) : x),
  crossEntropy: (x) =>
    x.rank === 2
      ? weft.crossEntropy(x, drawIds([x.shape[0] as number], x.shape[1] as number), { reduction: 'none' })
      : x,
};

const sampled = (Object.keys(samples) as OpName[]).flatMap((name) => samples[name].map((sample) => ({ name, sample })));
/** Whether gradients pass through the op: else it makes numbers of constants, which differences don't see through. */
const passes = (name: OpName) =>
  name === 'scan' || (ops[name] !== ops.version && ('gradient' in ops[name] || 'decompose' in ops[name]));

/** What an op makes of its sample's inputs, one of them moved a little by `x`: no kink or pole is that near. */
function throughSample(x: Tensor, { name, sample }: { name: OpName; sample: Sample }): Tensor {
  const inputs = sample.inputs();
  const floats = inputs.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i] : []));
  const moved = floats.length > 0 ? choose(floats) : -1;
  const given = inputs.map((input, i) => {
    if (i !== moved) return input;
    const offset = filling(passes(name) ? x : draw(x.shape), input.shape);
    return input.add(offset.tanh().mul(0.01));
  });
  const y = choose([sample.run(...given)].flat() as readonly Tensor[]);
  const numbers = (y.dtype === 'f32' ? y : y.cast('f32')).mul(0.5).tanh();
  // Integers and booleans come of themselves, and meet x here.
  return moved < 0 ? numbers.mul(filling(x, y.shape)) : numbers;
}

/** The elements of x from the first on, and over again, in another shape. */
function filling(x: Tensor, shape: readonly number[]): Tensor {
  const size = shape.reduce((product, n) => product * n, 1);
  const times = Math.ceil(size / x.size);
  const flat = times === 1 ? x.reshape([-1]) : x.reshape([1, x.size]).expand([times, x.size]).reshape([-1]);
  return flat.slice([[0, size]]).reshape(shape);
}

/** A graph of `length` steps over a few leaves; every second step goes through the sample of an op, if they are wanted. */
export function randomGraph(length: number, { withSamples = true }: { withSamples?: boolean } = {}): RandomGraph {
  const leaves = Array.from({ length: 3 }, () =>
    draw(choose([[extent()], [extent(), extent()], [2, extent(), extent()]])),
  );
  const made: Tensor[] = [...leaves];
  const trail: string[] = [];
  for (let i = 0; i < length; i++) {
    // Recent values more often, so that the graph grows deep; old ones too, so that lifetimes cross.
    const [x, y] = [choose(made.slice(-4)), choose(made)];
    const fitting = { ...anywhere, ...(x.rank > 0 ? ofVectors : {}), ...(x.rank > 1 ? ofMatrices : {}) };
    const [label, step] = choose(Object.entries(fitting));
    const through = choose(sampled);
    const next = withSamples && i % 2 === 1 ? throughSample(x, through) : step(x, y);
    trail.push(withSamples && i % 2 === 1 ? `${through.name} (${through.sample.label})` : label);
    made.push(next.size > 600 ? next.reshape([-1]).slice([[0, 64]]) : next);
  }
  // The last value, and two from the middle; a step of its own for each, since some steps change nothing.
  return { leaves, roots: [made.at(-1), choose(made), choose(made)].map((value) => (value as Tensor).mul(3)), trail };
}

/** A scalar made of the roots, or, of order 2, of its gradients; and the gradients of the scalar. */
export function differentiated({ leaves, roots }: RandomGraph, order = 1): { loss: Tensor; gradients: Tensor[] } {
  let loss = total(roots);
  for (let i = 1; i < order; i++) loss = total(grad(loss, leaves));
  return { loss, gradients: grad(loss, leaves) };
}
const total = (parts: readonly Tensor[]) => parts.map((part) => part.tanh().sum()).reduce((a, b) => a.add(b));
