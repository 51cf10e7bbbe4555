import type { Attributes, TensorType } from '../core/types.ts';
import type { Each, OpDef } from './op.ts';
import type { Tensor } from './tensor.ts';

/** One recorded call of an op. Ids grow in program order, so sorting by id is a topological order. */
export interface Node<
  Inputs extends readonly Tensor[] = readonly Tensor[],
  Own extends Attributes = Attributes,
  Outputs extends readonly Tensor[] = readonly Tensor[],
> {
  /** Grows in program order; no two nodes share one. */
  readonly id: number;
  /** What was called. */
  readonly op: OpDef;
  /** The versions of the tensors that it was called with. */
  readonly inputs: Readonly<Inputs>;
  /** What it was called with besides tensors. */
  readonly attributes: Own;
  /** Shapes and types of the outputs, as the op's shape rule gives them. */
  readonly types: Each<Outputs, TensorType>;
  /** The results, in the order of `types`. */
  readonly outputs: Readonly<Outputs>;
  /** False for what `noGrad` recorded: gradients do not pass. */
  readonly differentiable: boolean;
  /** The trace that recorded the node; null for eager calls. Traced values have no life outside their trace. */
  readonly trace: object | null;
  /** Eager ops under `noGrad` on the longest path to the node from values that are there, or have been asked for. */
  depth: number;
  /** True once it has been computed, whether its values were kept or not. */
  ran: boolean;
}

/** Every node reachable from `roots`, in program order. `stop` cuts the walk at values that are already there. */
export function reachable(roots: readonly Tensor[], stop: (tensor: Tensor) => boolean = () => false): Node[] {
  const seen = new Set<Node>();
  const stack = roots.filter((tensor) => !stop(tensor)).map((tensor) => tensor.node);
  while (stack.length > 0) {
    const node = stack.pop() as Node;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (!stop(input)) stack.push(input.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}
