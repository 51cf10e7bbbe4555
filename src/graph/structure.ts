import type { Attributes } from '../core/types.ts';
import { type Node, reachable } from './node.ts';
import type { OpDef, ScanLowering } from './op.ts';
import type { Tensor } from './tensor.ts';

/**
 * Describes a graph in lines that are equal for graphs which differ only in the contents of their leaves; also gives the
 * leaves in their order.
 */
export function structure(nodes: readonly Node[], roots: readonly Tensor[]): { lines: string[]; leaves: Tensor[] } {
  const position = new Map<Node, number>();
  const leafPosition = new Map<Tensor, number>();
  const leaves: Tensor[] = [];
  const reference = (tensor: Tensor): string => {
    const node = position.get(tensor.node);
    if (node !== undefined && !tensor.isComputed) return `${node}.${tensor.index}`;
    let at = leafPosition.get(tensor);
    if (at === undefined) {
      at = leaves.push(tensor) - 1;
      leafPosition.set(tensor, at);
      return `L${at}:${tensor.dtype}${tensor.shape.join('x')}`;
    }
    return `L${at}`;
  };
  const parts: string[] = [];
  for (const node of nodes) {
    parts.push(
      `${identityOf(node.op)}${attributesKey(node.attributes)}(${node.inputs.map(reference).join()})${scanKey(node)}`,
    );
    position.set(node, position.size);
  }
  return { lines: [...parts, `> ${roots.map(reference).join()}`], leaves };
}

/** Attributes as text. Plain JSON would write every number that is not finite as null, and so mix them up. */
function attributesKey(attributes: Attributes): string {
  const text = JSON.stringify(attributes);
  return text.includes('null') ? JSON.stringify(attributes, nameNumbers) : text;
}
const nameNumbers = (_: string, value: unknown) =>
  typeof value === 'number' && !Number.isFinite(value) ? `number ${value}` : value;

/**
 * Names each op apart: users may define two ops of one name, and each scan makes an op of its own, which its body tells
 * apart.
 */
const identities = new WeakMap<OpDef, string>();
let identityCount = 0;
function identityOf(op: OpDef): string {
  if (op.lowering.kind === 'scan') return op.name;
  let identity = identities.get(op);
  if (!identity) {
    identity = `${op.name}#${identityCount++}`;
    identities.set(op, identity);
  }
  return identity;
}

function scanKey(node: Node): string {
  if (node.op.lowering.kind !== 'scan') return '';
  const { body, length, reverse } = node.op.lowering as ScanLowering;
  const given = new Set([...body.carries, ...body.slices, ...body.captured]);
  const inner = structureOfBody(body.outputs, given);
  return `{${length},${reverse},${inner}}`;
}

function structureOfBody(outputs: readonly Tensor[], given: ReadonlySet<Tensor>): string {
  const order = [...given];
  const nodes = reachable(outputs, (tensor) => given.has(tensor));
  const position = new Map(nodes.map((node, i) => [node, i]));
  const reference = (tensor: Tensor) =>
    given.has(tensor)
      ? `G${order.indexOf(tensor)}:${tensor.shape.join('x')}`
      : `${position.get(tensor.node)}.${tensor.index}`;
  return [
    ...nodes.map(
      (node) =>
        `${identityOf(node.op)}${attributesKey(node.attributes)}(${node.inputs.map(reference).join()})${scanKey(node)}`,
    ),
    outputs.map(reference).join(),
  ].join(';');
}
