import { wordSize } from '../core/dtype.ts';
import { ShapeError, ValueError } from '../core/errors.ts';
import { exactly } from '../core/lists.ts';
import { declareOptions, integer, nullable, tensorLike } from '../core/options.ts';
import { formatShape, sameShape, sizeOf } from '../core/shape.ts';
import type { Node } from '../graph/node.ts';
import type { Each, Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import {
  checkCrossEntropy,
  crossEntropy,
  crossEntropyBackwardOp,
  crossEntropyKinds,
  crossEntropyOp,
  type TargetOptions,
} from './crossEntropy.ts';
import { add, cast, constantOf, div, maximum, mul, notEqual, ones } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { pack } from './packing.ts';
import { sum } from './reduce.ts';
import { slice } from './slice.ts';
import { expand, reshape, transpose } from './view.ts';

/** `chunk` is the number of tokens whose logits exist at once. */
type Settings = Required<TargetOptions> & { chunk: number };
type Inputs = [loss: Tensor, hidden: Tensor, weight: Tensor, targets: Tensor, ...bias: Tensor[]];

/**
 * Cross-entropy of hidden·weightᵀ + bias for so many classes that the logits of all tokens should not exist at once: they are
 * made, used up and forgotten chunk by chunk (Wijmans et al. 2024; Hsu et al. 2024).
 *
 * The gradients of a mean or a sum are, up to one factor, known as soon as a chunk's logits are. So they are recorded
 * right behind each chunk's loss, and no logits are made twice: three products in all, as where all logits are kept. They
 * run only if somebody differentiates; unread nodes cost nothing. Where each token has a factor of its own (`reduction:
 * 'none'`), backward makes the logits of each chunk again.
 *
 * Inputs of the op: the loss, hidden [N, E], weight [V, E], targets [N] and the bias [V], if there is one. The value is the
 * first of them.
 */
const linearCrossEntropyOp: Op<Inputs, Settings> = {
  name: 'linearCrossEntropy',
  infer: ([{ shape }]) => [{ shape, dtype: 'f32' }],
  lowering: { kind: 'view', layout: (layout) => layout },
  gradient: (node, [dy]) => {
    const problem = problemOf(node);
    if (problem.reduction === 'none')
      return arranged(chunkwise(problem, (from, to) => slice(dy, [[from, to]])).gradients);
    const { hidden, weight, bias } = recorded.get(node) ?? chunkwise(problem, unit(countOf(problem))).gradients;
    const scaled = (gradient: Tensor) => (constantOf(dy) === 1 ? gradient : mul(gradient, dy));
    return arranged({ hidden: scaled(hidden), weight: scaled(weight), ...(bias ? { bias: scaled(bias) } : {}) });
  },
  decompose: ([, hidden, weight, targets, bias], { chunk: _, ...options }) => [
    crossEntropy(logitsOf(hidden, weight, bias), targets, options),
  ],
};

interface Problem extends Readonly<Settings> {
  /** [N, E] */
  readonly hidden: Tensor;
  /** [V, E] */
  readonly weight: Tensor;
  /** [N] */
  readonly targets: Tensor;
  /** [V] */
  readonly bias?: Tensor | undefined;
}

function problemOf({ inputs: [, hidden, weight, targets, bias], attributes }: Node<Inputs, Settings>): Problem {
  return { ...attributes, hidden, weight, targets, bias };
}

interface Gradients {
  readonly hidden: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor;
}
/** The gradients in the order of the op's inputs. */
const arranged = ({ hidden, weight, bias }: Gradients): Each<Inputs, Tensor | null> => [
  null,
  hidden,
  weight,
  null,
  ...(bias ? [bias] : []),
];

/** Gradients that were recorded with the loss, for an upstream gradient of 1. */
const recorded = new WeakMap<Node, Gradients>();

/** Losses [N], and gradients where `dLoss` gives those of the losses of tokens [from, to). */
function chunkwise(problem: Problem, dLoss: null): { losses: Tensor };
function chunkwise(
  problem: Problem,
  dLoss: (from: number, to: number) => Tensor,
): { losses: Tensor; gradients: Gradients };
function chunkwise(
  { hidden, weight, targets, bias, chunk, ignoreIndex, labelSmoothing }: Problem,
  dLoss: ((from: number, to: number) => Tensor) | null,
): { losses: Tensor; gradients: Gradients | null } {
  const [N, E] = exactly(2, hidden.shape);
  const attributes = { ignoreIndex, labelSmoothing };
  const losses: Tensor[] = [];
  const dHidden: Tensor[] = [];
  let dWeight: Tensor | null = null;
  let dBias: Tensor | null = null;
  for (let from = 0; from < N; from += chunk) {
    const to = Math.min(N, from + chunk);
    const rows = slice(hidden, [[from, to]]); // [R, E]
    const labels = slice(targets, [[from, to]]); // [R]
    const logits = logitsOf(rows, weight, bias); // [R, V]
    const [loss, statistics] = apply(crossEntropyOp, [logits, labels], attributes);
    losses.push(loss);
    if (!dLoss) continue;
    const dLogits = applyOne(crossEntropyBackwardOp, [logits, labels, statistics, dLoss(from, to)], attributes); // [R, V]
    dHidden.push(matmul(dLogits, weight));
    dWeight = plus(dWeight, matmul(transpose(dLogits), rows));
    if (bias) dBias = plus(dBias, sum(dLogits, 0));
  }
  return {
    losses: reshape(joined(losses, N), [N]),
    gradients: dWeight && {
      hidden: reshape(joined(dHidden, N * E), [N, E]),
      weight: dWeight,
      ...(dBias ? { bias: dBias } : {}),
    },
  };
}

function logitsOf(hidden: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const product = matmul(hidden, transpose(weight));
  return bias ? add(product, bias) : product;
}

const plus = (before: Tensor | null, value: Tensor) => (before ? add(before, value) : value);

/** Chunks one after another, flat. Their kernels write them there: all but the last fill whole 256 bytes. */
const joined = (chunks: readonly Tensor[], length: number) => slice(pack(chunks), [[0, length]]);

/** The divisor of a mean: the number of targets that are not ignored, but 1 where all are. */
function countOf({ targets, ignoreIndex, reduction }: Problem): Tensor | null {
  return reduction === 'mean' ? maximum(sum(cast(notEqual(targets, ignoreIndex), 'f32')), 1) : null;
}

/** The gradient of each token's loss where that of the result is 1. It depends on no logits, so that all may follow it. */
function unit(count: Tensor | null): (from: number, to: number) => Tensor {
  const slope = count ? div(1, count) : ones([]);
  return (from, to) => expand(slope, [to - from]);
}

/**
 * Options of `linearCrossEntropy`: those of `crossEntropy`, the bias of the head, and how much of the logits exists at
 * once.
 */
export interface LinearCrossEntropyOptions extends TargetOptions {
  /** Added to the logits, [V]. */
  bias?: Tensor | null;
  /** Tokens whose logits exist at once, a multiple of 64; by default as many as fit 32 MiB, but at least 128. */
  chunk?: number;
}
const linearOptions = declareOptions<LinearCrossEntropyOptions>({
  ...crossEntropyKinds,
  bias: nullable(tensorLike),
  chunk: integer,
});

/**
 * Cross-entropy in nats of the logits hidden·weightᵀ + bias, which never exist as a whole: hidden [..., E], weight [V, E] as
 * Linear and Embedding have it, targets [...] (i32 or u32). Equal to `crossEntropy(linear(hidden, weight, bias), targets)`,
 * and the same kernels where one chunk holds all tokens. A target outside [0, V) throws a ValueError at the next read.
 */
export function linearCrossEntropy(
  hidden: Tensor,
  weight: Tensor,
  targets: Tensor,
  given?: LinearCrossEntropyOptions,
): Tensor {
  const op = 'linearCrossEntropy';
  const { bias = null, chunk, ...options } = linearOptions(op, given);
  const settings = checkCrossEntropy(op, targets, options);
  checkOperands(op, hidden, weight, targets, bias);
  const [V, E] = exactly(2, weight.shape);
  const N = sizeOf(targets.shape);
  const tokens = chunk ?? chunkFor(V);
  if (!Number.isInteger(tokens) || tokens < 1 || tokens % 64 !== 0)
    throw new ValueError(`[${op}] chunk must be a positive multiple of 64, got ${tokens}`);
  if (N <= tokens) return crossEntropy(logitsOf(hidden, weight, bias ?? undefined), targets, settings);

  const problem: Problem = {
    ...settings,
    hidden: reshape(hidden, [N, E]),
    weight: weight.version,
    targets: reshape(targets, [N]),
    bias: bias?.version,
    chunk: tokens,
  };
  const result = (loss: Tensor) =>
    applyOne(
      linearCrossEntropyOp,
      [loss, problem.hidden, problem.weight, problem.targets, ...(problem.bias ? [problem.bias] : [])],
      { ...settings, chunk: tokens },
    );
  if (settings.reduction === 'none') return reshape(result(chunkwise(problem, null).losses), targets.shape);
  const count = countOf(problem);
  const { losses, gradients } = chunkwise(problem, unit(count));
  const loss = result(count ? div(sum(losses), count) : sum(losses));
  recorded.set(loss.node, gradients);
  return loss;
}

/** Bytes of a chunk's logits: enough tokens to fill a GPU for every vocabulary in use, little beside the weight itself. */
const chunkBytes = 2 ** 25;

function chunkFor(V: number): number {
  return Math.max(128, Math.floor(chunkBytes / (wordSize * V) / 64) * 64);
}

function checkOperands(op: string, hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | null): void {
  expectDType(op, 'hidden', hidden, ['f32']);
  expectDType(op, 'weight', weight, ['f32']);
  expectRank(op, 'hidden', hidden, 1, Infinity);
  expectRank(op, 'weight', weight, 2);
  const [V, E] = exactly(2, weight.shape);
  if (hidden.shape.at(-1) !== E) {
    throw new ShapeError(
      `[${op}] the last dimension of hidden ${formatShape(hidden.shape)} must be that of the weight ${formatShape(weight.shape)}, ${E}`,
    );
  }
  if (!sameShape(hidden.shape.slice(0, -1), targets.shape)) {
    throw new ShapeError(
      `[${op}] targets must have the shape of hidden without its last dimension, ${formatShape(hidden.shape.slice(0, -1))}, got ${formatShape(targets.shape)}`,
    );
  }
  if (!bias) return;
  expectDType(op, 'bias', bias, ['f32']);
  if (!sameShape(bias.shape, [V]))
    throw new ShapeError(`[${op}] the bias must be [${V}], one for each class, got ${formatShape(bias.shape)}`);
}

/** For the registry. */
export const linearCrossEntropyOps = { linearCrossEntropy: linearCrossEntropyOp } satisfies Readonly<
  Record<string, OpDef>
>;
