import { nth } from '../core/lists.ts';
import { aliasOp } from '../graph/leaf.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { ScanBody } from '../graph/op.ts';
import { apply, applyOne, withGradient } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Dependence, isPlainElementwise, type Steps, worksAtOnce } from './atOnce.ts';
import { differentiateAll } from './autograd.ts';
import { isWorthKeeping } from './scanMotion.ts';

/**
 * What the gradient of a scan is made of. A product with a captured matrix gives that its gradient after the loop: the steps
 * keep what goes into the product and the gradient of what comes out, and one product sums over all of them.
 */

type DependenceOf = (tensor: Tensor) => Dependence;

/** The nodes of a body whose share in the gradients of captured tensors is summed up after the loop. */
export function nodesAfterwards(
  { carries }: ScanBody,
  nodes: readonly Node[],
  dependence: DependenceOf,
  isTarget: (tensor: Tensor) => boolean,
): ReadonlySet<Node> {
  const leading = new Set<Node>();
  const leads = (tensor: Tensor) => isTarget(tensor) || leading.has(tensor.node);
  const chosen = new Set<Node>();
  for (const node of nodes) {
    const fixed = node.inputs.filter((input) => dependence(input) === 'fixed' && leads(input));
    const [output, ...others] = node.outputs as [Tensor, ...Tensor[]];
    if (!node.differentiable || fixed.length === 0) continue;
    if (dependence(output) === 'fixed') {
      leading.add(node);
      continue;
    }
    if (others.length > 0 || !worksAtOnce(node, dependence)) continue;
    const read = node.inputs.filter((input) => dependence(input) !== 'fixed');
    const isKernel = node.op.lowering.kind === 'kernel';
    // What is as large as the result is summed up in the loop, by the kernel that makes its gradient.
    const isSpread = isPlainElementwise(node) && fixed.some(({ size }) => size < output.size);
    const kept = isKernel ? [...read, output] : [output];
    if ((isKernel || isSpread) && isWorthKeeping(kept, fixed, carries)) chosen.add(node);
  }
  return chosen;
}

/** Records the body again in these places. Gives all copies by tensor, and those of inputs that are to be ends of gradients. */
export function copyBody(
  nodes: readonly Node[],
  places: ReadonlyMap<Tensor, Tensor>,
  isEnd: (node: Node, input: Tensor) => boolean,
): { readonly copies: ReadonlyMap<Tensor, Tensor>; readonly ends: ReadonlySet<Tensor> } {
  const made = new Map(places);
  const ends = new Set<Tensor>();
  for (const node of nodes) {
    if (node.op.lowering.kind === 'leaf') continue;
    const inputs = node.inputs.map((input) => {
      const copy = made.get(input) ?? input;
      if (!isEnd(node, input)) return copy;
      // Others read the same value, and are no ends.
      const end = applyOne(aliasOp, [copy]);
      ends.add(end);
      return end;
    });
    const copies = withGradient(node.differentiable, () => apply(node.op, inputs, node.attributes));
    for (const [i, output] of node.outputs.entries()) if (!places.has(output)) made.set(output, nth(copies, i));
  }
  return { copies: made, ends };
}

interface Forward {
  readonly body: ScanBody;
  readonly nodes: readonly Node[];
  readonly dependence: DependenceOf;
  readonly afterwards: ReadonlySet<Node>;
  /** What the steps give in any case. */
  readonly used: ReadonlySet<Tensor>;
}

/**
 * The values of the body that backward is given. Results of kernels are kept, and what is elementwise is computed again from
 * them; where the only reader of such a result is elementwise, the reader's result is kept in its place.
 */
export function keptValues(
  { body, nodes, dependence, afterwards, used }: Forward,
  gradients: readonly Tensor[],
  copies: ReadonlyMap<Tensor, Tensor>,
): ReadonlySet<Tensor> {
  const origins = new Map([...copies].map(([origin, copy]) => [copy, origin]));
  const isCopy = (tensor: Tensor) => origins.has(tensor);
  const read = [...gradients, ...reachable(gradients, isCopy).flatMap(({ inputs }) => inputs)].filter(isCopy);
  const direct = new Set(read.map((copy) => origins.get(copy) as Tensor));

  const isView = (tensor: Tensor) => tensor.node.op.lowering.kind === 'view' && worksAtOnce(tensor.node, dependence);
  const given = new Set([...body.carries, ...body.slices]);
  const free = new Set(used);
  for (const node of afterwards) {
    if (node.op.lowering.kind !== 'kernel') continue;
    for (let input of node.inputs) {
      while (!given.has(input) && dependence(input) !== 'fixed' && isView(input)) input = nth(input.node.inputs, 0);
      free.add(input);
    }
  }

  const readers = new Map<Tensor, Node[]>();
  for (const node of nodes)
    for (const input of new Set(node.inputs)) readers.set(input, [...(readers.get(input) ?? []), node]);
  const inPlaceOf = (tensor: Tensor): Tensor => {
    let kept = tensor;
    while (!direct.has(kept)) {
      const [reader, ...others] = readers.get(kept) ?? [];
      if (!reader || others.length > 0 || !isPlainElementwise(reader)) break;
      const next = nth(reader.outputs, 0);
      if (next.size !== kept.size) break;
      kept = next;
    }
    return kept;
  };

  const kept = new Set<Tensor>();
  const seen = new Set<Tensor>();
  const stack = [...direct];
  for (let tensor = stack.pop(); tensor; tensor = stack.pop()) {
    if (seen.has(tensor) || dependence(tensor) === 'fixed') continue;
    seen.add(tensor);
    const { lowering } = tensor.node.op;
    const isAgain = isView(tensor) || (lowering.kind === 'elementwise' && !lowering.window);
    if (given.has(tensor) || free.has(tensor)) kept.add(tensor);
    else if (isAgain) stack.push(...tensor.node.inputs);
    else kept.add(inPlaceOf(tensor));
  }
  return kept;
}

/** Gradients of captured tensors from nodes in all steps, given those of the nodes' results [T, ...]. */
export function sumAfterwards(
  steps: Steps,
  stacked: readonly { readonly node: Node; readonly dy: Tensor }[],
  dependence: DependenceOf,
  captured: readonly Tensor[],
): Map<Tensor, Tensor> {
  const places = new Map(captured.map((tensor) => [steps.fixed(tensor), tensor]));
  const ends = new Set<Tensor>(places.keys());
  const seeds = stacked.map(({ node, dy }) => {
    for (const input of node.inputs) if (dependence(input) !== 'fixed') ends.add(steps.of(input));
    return [nth(steps.computed(node), 0), dy] as const;
  });
  const found = differentiateAll(
    seeds,
    (tensor) => places.has(tensor),
    (tensor) => ends.has(tensor),
  );
  return new Map([...found].map(([value, gradient]) => [places.get(value) as Tensor, gradient]));
}
