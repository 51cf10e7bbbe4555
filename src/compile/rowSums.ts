import { sizeOf } from '../core/shape.ts';
import type { KernelLowering } from '../graph/op.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { bindingCount, type Group } from './fusion.ts';
import { type Access, coversDensely, type Operation, operandOf, rootOf, type Value } from './ir.ts';

/**
 * Lets kernels that read a matrix anyway sum its rows as well: the product that makes the gradient of a weight also makes
 * that of the bias. A sum that has a tail of its own, or that such a kernel or an earlier one needs, keeps its own kernel.
 */
export function absorbSums(groups: Group[], consumers: ReadonlyMap<Value, number>, profile: DeviceProfile): Group[] {
  const absorbed = new Set<Group>();
  const readers = readersOf(groups);
  for (const group of groups) {
    const sum = group.head;
    if (!sum || group.members.length > 0 || !rowSum(sum)) continue;
    const wanted = readers.get(sum.outputs[0] as Value)?.[0] ?? groups.length;
    for (const position of readers.get(rootOf((sum.inputs[0] as Access).value)) ?? []) {
      const host = groups[position] as Group;
      const input = summedInput(host, sum);
      if (input < 0 || host.sum || wanted <= position || bindingCount(host, consumers) >= profile.storageBuffers)
        continue;
      host.sum = { input, operation: sum };
      absorbed.add(group);
      break;
    }
  }
  return groups.filter((group) => !absorbed.has(group));
}

/** The positions of the groups that read a value or a part of it, by the value that owns the memory. */
function readersOf(groups: readonly Group[]): Map<Value, number[]> {
  const readers = new Map<Value, number[]>();
  for (const [position, { head, members }] of groups.entries()) {
    for (const { inputs } of head ? [head, ...members] : members) {
      for (const { value } of inputs) {
        const list = readers.get(rootOf(value)) ?? [];
        readers.set(rootOf(value), list);
        if (list.at(-1) !== position) list.push(position);
      }
    }
  }
  return readers;
}

function rowSum(operation: Operation) {
  return operation.kind === 'kernel' ? (operation.node.op.lowering as KernelLowering).rowSum?.(operation.node) : null;
}

/** The input of the host that is the very matrix which `sum` sums, or -1. */
function summedInput(host: Group, sum: Operation): number {
  const source = sum.inputs[0] as Access;
  const matrix = rowSum(sum);
  if (host.head?.kind !== 'kernel' || !matrix || !coversDensely(source)) return -1;
  const { sums } = host.head.node.op.lowering as KernelLowering;
  return host.head.inputs.findIndex((access, index) => {
    const read = startsAt(access, source.value) ? sums?.(operandOf(access), index) : null;
    return read?.rows === matrix.rows && read.columns === matrix.columns;
  });
}

/** Whether an access begins where a value does: at its first element, or at that of a part of what it reads. */
function startsAt({ value, layout: { offset } }: Access, wanted: Value): boolean {
  if (value === wanted) return offset === 0;
  const { parent, type } = wanted;
  return parent?.value === value && parent.offset === offset && sizeOf(type.shape) < sizeOf(value.type.shape);
}
