import { ShapeError, UnsupportedError, WeftError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { formatShape, type Shape, sameShape } from '../core/shape.ts';
import type { Attributes } from '../core/types.ts';
import { aliasOp, versionOp } from '../graph/leaf.ts';
import { type Node, reachable } from '../graph/node.ts';
import { type Each, each, type Op } from '../graph/op.ts';
import { applyOne, withGradient } from '../graph/record.ts';
import { stateOf } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { add, ones } from './elementwise.ts';
import { sumTo } from './reduce.ts';

type Predicate = (tensor: Tensor) => boolean;

/**
 * Reverse-mode differentiation, graph to graph: gradients of `output` with respect to the tensors that `isTarget`
 * accepts. Gradients are ordinary nodes. No gradient passes through a tensor that `isEnd` accepts: through no target,
 * unless it says otherwise.
 */
export function differentiate(
  output: Tensor,
  isTarget: Predicate,
  seed?: Tensor,
  isEnd: Predicate = isTarget,
): Map<Tensor, Tensor> {
  const root = output.version;
  return differentiateAll([[root, seed ?? ones(root.shape)]], isTarget, isEnd);
}

/** The same for several outputs, each with its gradient. Iterative, so that depth does not matter. */
export function differentiateAll(
  seeds: readonly (readonly [output: Tensor, gradient: Tensor])[],
  isTarget: Predicate,
  isEnd: Predicate = isTarget,
): Map<Tensor, Tensor> {
  const roots = seeds.map(([output]) => output);
  // Stops at versions of states and at detached values: they are leaves, whatever they were made of.
  const ends: Predicate = (tensor) => isEnd(tensor) || stateOf(tensor) !== undefined || tensor.node.op === versionOp;
  const nodes = reachable(roots, ends);
  const leads = leadsToTarget(nodes, isTarget);
  const gradients = new Map<Tensor, Tensor>();
  const accumulate = (tensor: Tensor, gradient: Tensor) => {
    const before = gradients.get(tensor);
    gradients.set(tensor, before ? add(before, gradient) : gradient);
  };
  for (const [output, seed] of seeds) {
    if (!sameShape(seed.shape, output.shape)) {
      throw new ShapeError(
        `[backward] the seed has shape ${formatShape(seed.shape)}, the output ${formatShape(output.shape)}; they must be equal`,
      );
    }
    accumulate(output, seed);
  }
  const sumTo = sumsOnce();
  for (const node of nodes.reverse()) {
    const outputGradients = node.outputs.map((tensor) => (ends(tensor) ? null : (gradients.get(tensor) ?? null)));
    if (!leads.has(node) || outputGradients.every((gradient) => gradient === null)) continue;
    const wanted = node.inputs.map((input) => isTarget(input) || leads.has(input.node));
    for (const [i, gradient] of gradientsOf(node, outputGradients, wanted).entries()) {
      const input = nth(node.inputs, i);
      if (!gradient || !wanted[i]) continue;
      accumulate(input, sameShape(gradient.shape, input.shape) ? gradient : sumTo(gradient, input.shape));
    }
  }
  const found = new Map<Tensor, Tensor>();
  for (const [tensor, gradient] of gradients) if (isTarget(tensor)) found.set(tensor, gradient);
  return found;
}

/** Sums a gradient down to a shape; two biases of one sum share the result. */
function sumsOnce(): (gradient: Tensor, shape: Shape) => Tensor {
  const known = new Map<Tensor, Tensor[]>();
  return (gradient, shape) => {
    const sums = known.get(gradient) ?? [];
    known.set(gradient, sums);
    const before = sums.find((each) => sameShape(each.shape, shape));
    if (before) return before;
    const sum = sumTo(gradient, shape);
    sums.push(sum);
    return sum;
  };
}

/** The nodes that a gradient has to pass through: those that reach a target along differentiable paths. */
function leadsToTarget(nodes: readonly Node[], isTarget: Predicate): Set<Node> {
  const leads = new Set<Node>();
  for (const node of nodes) {
    if (!node.differentiable) continue;
    if (node.inputs.some((input) => isTarget(input) || leads.has(input.node))) leads.add(node);
  }
  return leads;
}

function gradientsOf(
  node: Node,
  outputGradients: readonly (Tensor | null)[],
  wanted: readonly boolean[],
): readonly (Tensor | null)[] {
  if (!node.op.gradient) return differentiateComposed(node.op, node.inputs, node.attributes, outputGradients, wanted);
  const inputGradients = node.op.gradient(node, outputGradients, wanted);
  if (inputGradients.length !== node.inputs.length) {
    throw new WeftError(
      `[${node.op.name}] its gradient rule gives ${inputGradients.length} gradients for ${node.inputs.length} inputs`,
    );
  }
  return inputGradients;
}

/**
 * Gradients of an op through its definition in plain ops. Fused backward kernels have no rule of their own, so this is how
 * gradients of gradients pass through them.
 */
export function differentiateComposed<Inputs extends readonly Tensor[], Own extends Attributes>(
  op: Op<Inputs, Own, readonly Tensor[]>,
  inputs: Readonly<NoInfer<Inputs>>,
  attributes: NoInfer<Own>,
  outputGradients: readonly (Tensor | null)[],
  wanted: readonly boolean[] = inputs.map(() => true),
): Each<Inputs, Tensor | null> {
  if (!op.decompose)
    throw new UnsupportedError(`[backward] ${op.name} has no gradient; use noGrad or detach() around it`);
  const { decompose } = op;
  // Differentiates the definition whatever holds for its gradient: `backward` may run under `noGrad`.
  const { own, outputs } = withGradient(true, () => {
    const own = each(inputs, (input) => applyOne(aliasOp, [input]));
    return { own, outputs: decompose(own, attributes) };
  });
  const targets = new Set(own.filter((_, i) => wanted[i]));
  const seeds = outputs.flatMap((output, i): [Tensor, Tensor][] => {
    const seed = outputGradients[i];
    return seed ? [[output.version, seed]] : [];
  });
  const gradients = differentiateAll(seeds, (tensor) => targets.has(tensor));
  return each(inputs, (_, i) => gradients.get(nth(own, i)) ?? null);
}
