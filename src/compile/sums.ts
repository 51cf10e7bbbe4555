import type { KernelLowering } from '../graph/op.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { bindingCount, type Group } from './fusion.ts';
import { type Access, coversDensely, type Operation, operandOf, rootOf, type Value } from './ir.ts';

/**
 * Sums over rows ride along with kernels that read the same rows anyway: the gradient of a bias with the product that makes
 * the gradient of the weight. A sum that has a tail of its own, or is wanted before such a kernel runs, stays by itself.
 */
export function absorbSums(groups: Group[], consumers: ReadonlyMap<Value, number>, profile: DeviceProfile): Group[] {
  const absorbed = new Set<Group>();
  for (const [position, group] of groups.entries()) {
    const sum = group.head;
    if (!sum || group.members.length > 0 || !rowSum(sum)) continue;
    for (const [other, host] of groups.entries()) {
      if (host.sum || bindingCount(host, consumers) >= profile.storageBuffers) continue;
      const input = summedInput(host, sum);
      const between = groups.slice(position + 1, other);
      if (input < 0 || between.some((each) => reads(each, sum.outputs[0] as Value))) continue;
      host.sum = { input, operation: sum };
      absorbed.add(group);
      break;
    }
  }
  return groups.filter((group) => !absorbed.has(group));
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
    const read = access.value === source.value ? sums?.(operandOf(access), index) : null;
    return read?.rows === matrix.rows && read.columns === matrix.columns;
  });
}

function reads(group: Group, value: Value): boolean {
  const operations = [...(group.head ? [group.head] : []), ...group.members];
  return operations.some(({ inputs }) => inputs.some((input) => rootOf(input.value) === value));
}
