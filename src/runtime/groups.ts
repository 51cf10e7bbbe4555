import { groupBy } from '../core/groupBy.ts';
import { reachable } from '../graph/node.ts';
import { passOf } from '../graph/pending.ts';
import { type Assignment, stateOf } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';

/** Which of the values that a flush computes hang together, so that one can't be had without the others. */

export const isComputed = (tensor: Tensor) => tensor.isComputed;

/** The backward passes of a group's values that are not computed yet. */
export function passesOf(group: readonly Tensor[]): object[] {
  return reachable(group, isComputed).flatMap(({ outputs }) => outputs.flatMap((output) => passOf(output) ?? []));
}

/** Groups roots that share what is not computed yet, or that belong to one backward pass. */
export function groupsOf(roots: readonly Tensor[], nodes = reachable(roots, isComputed)): Tensor[][] {
  const parents = new Map<object, object>();
  const find = (each: object): object => {
    let top = each;
    for (let next = parents.get(top); next; next = parents.get(top)) top = next;
    if (top !== each) parents.set(each, top);
    return top;
  };
  const join = (a: object, b: object) => {
    const [from, to] = [find(a), find(b)];
    if (from !== to) parents.set(from, to);
  };
  for (const node of nodes) {
    for (const input of node.inputs) if (!isComputed(input)) join(node, input.node);
    for (const output of node.outputs) {
      const pass = passOf(output);
      if (pass) join(node, pass);
    }
  }
  return [...groupBy(roots, (root) => find(root.node)).values()];
}

/** The gradients that updates of other states are made from, as they lie in their slots. */
export function gradientsBehind(assignments: readonly Assignment[]): Tensor[] {
  const isGradient = (tensor: Tensor) => (stateOf(tensor)?.owner ?? null) !== null;
  const updated = assignments.filter(({ state }) => state.owner === null).map(({ version }) => version);
  const nodes = reachable(updated, (tensor) => tensor.isComputed || isGradient(tensor));
  return nodes.flatMap(({ inputs }) => inputs.filter(isGradient));
}
