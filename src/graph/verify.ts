import { WeftError } from '../core/errors.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { type Node, reachable } from './node.ts';
import type { Tensor } from './tensor.ts';

/** The rules of a legal graph, each with the sentence that says how a node breaks it. Tests check them. */
const rules: readonly { readonly rule: string; broken(node: Node): string | null }[] = [
  {
    rule: 'inputs are recorded before the node',
    broken: (node) =>
      node.inputs.some((input) => input.node.id >= node.id) ? 'an input is younger than the node' : null,
  },
  {
    rule: 'outputs are those of the shape rule',
    broken: (node) => {
      const inferred = node.op.infer(node.inputs, node.attributes);
      if (inferred.length !== node.outputs.length)
        return `the shape rule gives ${inferred.length} outputs, the node has ${node.outputs.length}`;
      const wrong = inferred.findIndex(
        ({ shape, dtype }, i) =>
          !sameShape(shape, (node.outputs[i] as Tensor).shape) || dtype !== node.outputs[i]?.dtype,
      );
      return wrong < 0
        ? null
        : `output ${wrong} is ${formatShape((node.outputs[wrong] as Tensor).shape)}, the rule says ${formatShape(inferred[wrong]?.shape ?? [])}`;
    },
  },
  {
    rule: 'each output points back at its node',
    broken: (node) =>
      node.outputs.some((output, i) => output.index !== i) ? 'an output carries the wrong position' : null,
  },
  {
    rule: 'leaves have no inputs',
    broken: (node) => (node.op.lowering.kind === 'leaf' && node.inputs.length > 0 ? 'a leaf has inputs' : null),
  },
  {
    rule: 'a scan has as many inputs as its body has places',
    broken: ({ op: { lowering }, inputs }) => {
      if (lowering.kind !== 'scan') return null;
      const places = lowering.body.carries.length + lowering.body.slices.length + lowering.body.captured.length;
      return places === inputs.length ? null : `the body has ${places} places, the node ${inputs.length} inputs`;
    },
  },
];

/** Throws where the graph behind `roots` breaks a rule. */
export function verify(roots: readonly Tensor[]): void {
  for (const node of reachable(roots.map((root) => root.version))) {
    for (const { rule, broken } of rules) {
      const fault = broken(node);
      if (fault) throw new WeftError(`[verify] ${node.op.name}: ${fault} (rule: ${rule})`);
    }
  }
}
