import { denseLayout, isDense } from '../core/layout.ts';
import { nth } from '../core/lists.ts';
import { sizeOf } from '../core/shape.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { AtOnce } from '../graph/op.ts';
import { apply, withGradient } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { expand, reshape } from './view.ts';

/** What the body of a scan computes, as seen from outside: how it depends on the steps, and what it is in all of them at once. */

/** Of a value in the body: the same in all steps, a matter of the slices alone, or one of the carry. */
export type Dependence = 'fixed' | 'sliced' | 'carried';

/** How the values that these nodes of a body make depend on the steps; what comes from elsewhere is fixed. */
export function dependences(
  nodes: readonly Node[],
  carries: readonly Tensor[],
  slices: readonly Tensor[],
): (tensor: Tensor) => Dependence {
  const given = new Map<Tensor, Dependence>();
  for (const tensor of carries) given.set(tensor, 'carried');
  for (const tensor of slices) given.set(tensor, 'sliced');
  const made = new Map<Node, Dependence>();
  const of = (tensor: Tensor) => given.get(tensor) ?? made.get(tensor.node) ?? 'fixed';
  for (const node of nodes) {
    const read = node.inputs.map(of);
    made.set(node, read.includes('carried') ? 'carried' : read.includes('sliced') ? 'sliced' : 'fixed');
  }
  return of;
}

/** True for ops that look at one element of each input, the one in the place of the output's. */
export function isPlainElementwise({ op: { lowering } }: Node): boolean {
  if (lowering.kind !== 'elementwise' || lowering.constant) return false;
  return !(lowering.indexed || lowering.tables || lowering.window);
}

/** True for views that leave the order of the elements as it is. */
export function keepsOrder(node: Node): boolean {
  const { lowering } = node.op;
  const [input, ...others] = node.inputs;
  if (lowering.kind !== 'view' || lowering.barrier || !input || others.length > 0 || node.outputs.length > 1)
    return false;
  const layout = lowering.layout(denseLayout(input.shape), node, 0);
  return layout !== null && layout.offset === 0 && isDense(layout) && sizeOf(layout.shape) === input.size;
}

const elementwise: (node: Node) => AtOnce = ({ op, inputs: own }) => ({
  apply: (inputs, attributes, marked) => {
    const rank = Math.max(...own.map((input) => input.rank));
    const aligned = inputs.map((input, i) => {
      const missing = rank - nth(own, i).rank;
      if (!marked[i] || missing === 0) return input;
      return reshape(input, [nth(input.shape, 0), ...new Array<number>(missing).fill(1), ...input.shape.slice(1)]);
    });
    return apply(op, aligned, attributes);
  },
});

const ruleOf = (node: Node): AtOnce | undefined =>
  node.op.atOnce ?? (isPlainElementwise(node) ? elementwise(node) : undefined);

/** Whether a node can be computed for all steps at once, where not all of its inputs are fixed. */
export function worksAtOnce(node: Node, dependence: (tensor: Tensor) => Dependence): boolean {
  const rule = ruleOf(node);
  const marked = node.inputs.map((input) => dependence(input) !== 'fixed');
  return rule !== undefined && (rule.accepts?.(marked, node.inputs) ?? true);
}

/** Values of a body in all of its `length` steps, as tensors of the graph around it. */
export class Steps {
  readonly #dependence: (tensor: Tensor) => Dependence;
  readonly #length: number;
  readonly #fixed: (tensor: Tensor) => Tensor | undefined;
  readonly #fixedValues = new Map<Tensor, Tensor>();
  readonly #stacks = new Map<Tensor, Tensor>();

  /** `fixed` gives the tensor outside that a fixed value of the body stands for, where there is one. */
  constructor(
    dependence: (tensor: Tensor) => Dependence,
    length: number,
    fixed: (tensor: Tensor) => Tensor | undefined,
  ) {
    this.#dependence = dependence;
    this.#length = length;
    this.#fixed = fixed;
  }

  /** Tells where the values of all steps are: [T, ...]. */
  set(tensor: Tensor, stack: Tensor): void {
    this.#stacks.set(tensor, stack);
  }

  /** The values of all steps [T, ...]. Computes what is not known yet of what is. */
  of(tensor: Tensor): Tensor {
    if (this.#dependence(tensor) === 'fixed') return expand(this.fixed(tensor), [this.#length, ...tensor.shape]);
    const isKnown = (each: Tensor) => this.#stacks.has(each) || this.#dependence(each) === 'fixed';
    for (const node of reachable([tensor], isKnown))
      for (const [i, output] of this.computed(node).entries()) this.#stacks.set(nth(node.outputs, i), output);
    return this.#stacks.get(tensor) as Tensor;
  }

  /** The results of a node for all steps, made anew. */
  computed(node: Node): readonly Tensor[] {
    const marked = node.inputs.map((input) => this.#dependence(input) !== 'fixed');
    const inputs = node.inputs.map((input, i) => (marked[i] ? this.of(input) : this.fixed(input)));
    const rule = ruleOf(node) as AtOnce;
    return withGradient(node.differentiable, () => rule.apply(inputs, node.attributes, marked));
  }

  /** A fixed value outside. */
  fixed(tensor: Tensor): Tensor {
    const known = (each: Tensor) => this.#fixed(each) ?? this.#fixedValues.get(each);
    for (const { op, inputs, attributes, differentiable, outputs } of reachable([tensor], (each) => !!known(each))) {
      const values = inputs.map((input) => known(input) as Tensor);
      const made = withGradient(differentiable, () => apply(op, values, attributes));
      for (const [i, output] of outputs.entries()) this.#fixedValues.set(output, nth(made, i));
    }
    return known(tensor) as Tensor;
  }
}
