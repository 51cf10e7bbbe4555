import { reachable } from './node.ts';
import { apply, withGradient } from './record.ts';
import type { Tensor } from './tensor.ts';

/** Records the graph behind `outputs` again, with other tensors in the place of some. */
export function replay(outputs: readonly Tensor[], substitutes: ReadonlyMap<Tensor, Tensor>): Tensor[] {
  const made = new Map<Tensor, Tensor>(substitutes);
  for (const node of reachable(outputs, (tensor) => made.has(tensor))) {
    if (node.op.lowering.kind === 'leaf') continue;
    const inputs = node.inputs.map((input) => made.get(input) ?? input);
    // Records as the first time, whatever holds where it is replayed: `backward` may run under `noGrad`.
    const copies = withGradient(node.differentiable, () => apply(node.op, inputs, node.attributes));
    for (const [i, output] of node.outputs.entries()) made.set(output, copies[i] as Tensor);
  }
  return outputs.map((output) => made.get(output) ?? output);
}
