import type { Tensor } from '../tensor.ts';
import { reachable } from './node.ts';
import { apply, noGrad } from './record.ts';

/** Records the graph behind `outputs` again, with other tensors in the place of some. */
export function replay(outputs: readonly Tensor[], substitutes: ReadonlyMap<Tensor, Tensor>): Tensor[] {
  const made = new Map<Tensor, Tensor>(substitutes);
  for (const node of reachable(outputs, (tensor) => made.has(tensor))) {
    if (node.op.lowering.kind === 'leaf') continue;
    const inputs = node.inputs.map((input) => made.get(input) ?? input);
    const record = () => apply(node.op, inputs, node.attributes);
    const copies = node.differentiable ? record() : noGrad(record);
    for (const [i, output] of node.outputs.entries()) made.set(output, copies[i] as Tensor);
  }
  return outputs.map((output) => made.get(output) ?? output);
}
