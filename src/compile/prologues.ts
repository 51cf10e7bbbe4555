import type { KernelLowering } from '../graph/op.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { bindingCount, chainInputs, type Group, storedValues } from './fusion.ts';
import { type Access, coversDensely, type Value } from './ir.ts';

/**
 * Moves an elementwise group with one result into the kernel that reads it, where that takes a prologue and nobody else
 * reads the result.
 */
export function absorbPrologues(
  groups: Group[],
  groupOf: ReadonlyMap<Value, Group>,
  consumers: ReadonlyMap<Value, number>,
  profile: DeviceProfile,
): Group[] {
  const absorbed = new Set<Group>();
  for (const group of groups) {
    const head = group.head;
    if (head?.kind !== 'kernel' || (head.node.op.lowering as KernelLowering).load !== true) continue;
    const access = head.inputs[0] as Access;
    const producer = groupOf.get(access.value);
    if (!producer || producer.head || producer.prologue || absorbed.has(producer) || consumers.get(access.value) !== 1)
      continue;
    const stored = storedValues(producer, consumers);
    if (stored.length !== 1 || access.value.type.dtype !== 'f32' || !coversDensely(access)) continue;
    // The group takes the place of one binding.
    const added = chainInputs(producer).length - 1;
    if (added > 0 && bindingCount(group, consumers) + added > profile.storageBuffers) continue;
    group.prologue = producer;
    absorbed.add(producer);
  }
  return groups.filter((group) => !absorbed.has(group));
}
