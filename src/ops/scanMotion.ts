import { type Node, reachable } from '../graph/node.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Dependence, keepsOrder, worksAtOnce } from './atOnce.ts';

/**
 * What of a scan's body need not be done step by step. A product of the slices, the embedding of the ids, is made before the
 * loop for all steps at once; what no next carry depends on, such as the logits of a head, after it.
 */

/** A traced body: the places of carries and slices, and what a step makes of them. */
export interface Step {
  readonly carries: readonly Tensor[];
  readonly slices: readonly Tensor[];
  readonly nexts: readonly Tensor[];
  readonly ys: readonly Tensor[];
}

/** Nodes that leave the loop. */
export interface Motion {
  readonly before: ReadonlySet<Node>;
  readonly after: ReadonlySet<Node>;
}

/** How many elements more than what it goes without may be kept for each step, in place of being used at once. */
const generosity = 4;

const sizes = (tensors: readonly Tensor[]) => tensors.reduce((sum, { size }) => sum + size, 0);
const isKernel = ({ op }: Node) => op.lowering.kind === 'kernel';
/** Concatenations and the like, which cost a kernel of their own. */
const isWindowed = ({ op: { lowering } }: Node) => lowering.kind === 'elementwise' && lowering.window !== undefined;

/** Whether a loop with these carries may keep `kept` in each step for the sake of a use of `used`. */
export function isWorthKeeping(kept: readonly Tensor[], used: readonly Tensor[], carries: readonly Tensor[]): boolean {
  return sizes(kept) <= generosity * (sizes(used) + sizes(carries));
}

/** Finds what leaves the loop; `nodes` are those of the body. */
export function motionOf(step: Step, nodes: readonly Node[], dependence: (tensor: Tensor) => Dependence): Motion {
  const before = earlyNodes(step, nodes, dependence);
  return { before, after: lateNodes(step, nodes, dependence, before) };
}

function earlyNodes(
  { carries, slices }: Step,
  nodes: readonly Node[],
  dependence: (tensor: Tensor) => Dependence,
): ReadonlySet<Node> {
  const able = new Set<Node>();
  const chosen = new Set<Node>();
  for (const node of nodes) {
    const read = node.inputs.filter((input) => dependence(input) !== 'fixed');
    if (read.length === 0 || read.some((input) => dependence(input) === 'carried') || !worksAtOnce(node, dependence))
      continue;
    if (read.some((input) => !slices.includes(input) && !able.has(input.node))) continue;
    able.add(node);
    const follows = read.every((input) => chosen.has(input.node)) && sizes(node.outputs) <= sizes(read);
    if (isKernel(node) ? isWorthKeeping(node.outputs, node.inputs, carries) : follows && isComputed(node))
      chosen.add(node);
  }
  return chosen;
}

const isComputed = (node: Node) => node.op.lowering.kind === 'elementwise' || keepsOrder(node);

function lateNodes(
  { carries, nexts }: Step,
  nodes: readonly Node[],
  dependence: (tensor: Tensor) => Dependence,
  before: ReadonlySet<Node>,
): ReadonlySet<Node> {
  const carried = new Set(reachable(nexts, (tensor) => before.has(tensor.node)));
  const readers = new Map<Node, Node[]>();
  const worth = new Set<Node>();
  for (const node of nodes) {
    for (const { node: source } of node.inputs) readers.set(source, [...(readers.get(source) ?? []), node]);
    const varies = node.inputs.some((input) => dependence(input) !== 'fixed');
    if (carried.has(node) || before.has(node) || !varies || !worksAtOnce(node, dependence)) continue;
    const costs = isKernel(node) || isWindowed(node);
    if (costs || node.inputs.some((input) => worth.has(input.node))) worth.add(node);
  }
  const chosen = new Set<Node>();
  for (const node of nodes.toReversed()) {
    if (!worth.has(node) || readers.get(node)?.some((reader) => !chosen.has(reader))) continue;
    const [kept, fixed] = [false, true].map((isFixed) =>
      node.inputs.filter((input) => (dependence(input) === 'fixed') === isFixed),
    ) as [Tensor[], Tensor[]];
    if (isWorthKeeping(kept, [...fixed, ...node.outputs], carries)) chosen.add(node);
  }
  return chosen;
}
