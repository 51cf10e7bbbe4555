import type { DType } from '../core/dtype.ts';
import { sizeOf } from '../core/shape.ts';
import type { ElementwiseLowering } from '../graph/op.ts';
import type { Argument, Chain, ChainStep } from '../kernels/elementwise.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import {
  type Access,
  broadcastAccess,
  coversDensely,
  type Lowered,
  type Operation,
  rootOf,
  takesTail,
  type Value,
  windowOf,
} from './ir.ts';

/**
 * Operations that share a kernel. A group is a head (a hand-written kernel, or nothing) and a chain of elementwise
 * operations over the same number of elements. An operation joins the group of its latest input: everything else that it
 * reads then exists before that group runs, so that fusing can't make a cycle.
 */
export interface Group {
  /** The hand-written kernel, pack or scan that the chain follows; null where the chain stands alone. */
  readonly head: Operation | null;
  readonly members: Operation[];
  /** An elementwise chain that is computed while the head loads its first input. */
  prologue: Group | null;
  /** A sum over the rows of one of the head's inputs, which the head makes too. */
  sum: { readonly input: number; readonly operation: Operation } | null;
  readonly size: number;
  /** The order in which groups run: an operation comes after whatever it reads. */
  readonly order: number;
}

/** The most steps of a chain: a longer kernel costs more to compile than the pass over memory that it saves. */
const longestChain = 128;

/** Joins operations into groups; returns the groups in the order in which they run, and the group that makes each value. */
export function fuse(
  lowered: Lowered,
  consumers: ReadonlyMap<Value, number>,
  profile: DeviceProfile,
): { groups: Group[]; groupOf: Map<Value, Group> } {
  // A set keeps the order in which groups were made, and forgets one at no cost.
  const groups = new Set<Group>();
  const groupOf = new Map<Value, Group>();
  const readers = new Map<Value, Operation[]>();

  for (const [order, operation] of lowered.operations.entries()) {
    for (const { value } of operation.inputs)
      forWholes(value, (read) => readers.set(read, [...(readers.get(read) ?? []), operation]));
    const elementwise = operation.kind === 'elementwise' || operation.kind === 'copy';
    let group = elementwise ? latestGroup(operation, groupOf) : null;
    if (group && !canJoin(group, operation, groupOf, consumers, profile)) group = null;
    if (group) group.members.push(operation);
    else {
      const first = operation.outputs[0] as Value;
      group = {
        head: elementwise ? null : operation,
        members: elementwise ? [operation] : [],
        prologue: null,
        sum: null,
        size: sizeOf(first.type.shape),
        order,
      };
      groups.add(group);
    }
    for (const value of operation.outputs) groupOf.set(value, group);
    if (elementwise) mergeBranches(group, operation, groups, groupOf, { consumers, readers }, profile);
  }
  return { groups: [...groups], groupOf };
}

/** How often each value is read, roots included. */
export function countConsumers(lowered: Lowered): Map<Value, number> {
  const counts = new Map<Value, number>();
  const count = ({ value }: Access) => forWholes(value, (read) => counts.set(read, (counts.get(read) ?? 0) + 1));
  for (const operation of lowered.operations) operation.inputs.forEach(count);
  lowered.roots.forEach(count);
  return counts;
}

/** Whoever reads a part reads the whole. */
function forWholes(value: Value, use: (read: Value) => void): void {
  for (let read: Value | undefined = value; read; read = read.parent?.value) use(read);
}

function latestGroup(operation: Operation, groupOf: ReadonlyMap<Value, Group>): Group | null {
  let latest: Group | null = null;
  for (const { value } of operation.inputs) {
    const group = groupOf.get(rootOf(value));
    if (group && (!latest || group.order > latest.order)) latest = group;
  }
  return latest;
}

function canJoin(
  group: Group,
  operation: Operation,
  groupOf: ReadonlyMap<Value, Group>,
  consumers: ReadonlyMap<Value, number>,
  profile: DeviceProfile,
): boolean {
  if (group.members.length >= longestChain) return false;
  // A kernel hands its tail numbers of its own type, but the hooks know only f32.
  if (group.head && (!takesTail(group.head) || group.head.outputs[0]?.type.dtype !== 'f32')) return false;
  if (sizeOf((operation.outputs[0] as Value).type.shape) !== group.size) return false;
  for (const [index, access] of operation.inputs.entries()) {
    if (groupOf.get(rootOf(access.value)) !== group) continue;
    if (access.value.parent) return false;
    // A value of the group itself can be used only at the element that is being computed.
    if (group.head?.outputs.includes(access.value) && access.value !== group.head.outputs[0]) return false;
    if (!readsSameElement(operation, index)) return false;
  }
  const joined = { ...group, members: [...group.members, operation] };
  if (group.head && !storedValues(joined, consumers).some((value) => value.type.dtype === 'f32')) return false;
  return bindingCount(joined, consumers) <= profile.storageBuffers;
}

/**
 * Merges elementwise groups into that of an operation which reads them, where nobody else reads them sooner: they are computed
 * where it is, and what only it reads is never written.
 */
function mergeBranches(
  group: Group,
  operation: Operation,
  groups: Set<Group>,
  groupOf: Map<Value, Group>,
  { consumers, readers }: Readers,
  profile: DeviceProfile,
): void {
  for (const [index, { value }] of operation.inputs.entries()) {
    const branch = groupOf.get(value);
    if (!branch || branch === group || branch.head || branch.size !== group.size || !readsSameElement(operation, index))
      continue;
    if (branch.members.length + group.members.length > longestChain) continue;
    const merged = { ...group, members: [...branch.members, ...group.members] };
    // Operations that have not come yet join no group before this one.
    const isSooner = (reader: Operation) => {
      const own = groupOf.get(reader.outputs[0] as Value);
      return reader === group.head || (own !== undefined && own !== branch && own.order < group.order);
    };
    if (branch.members.some(({ outputs }) => outputs.some((each) => readers.get(each)?.some(isSooner)))) continue;
    if (!readInPlace(merged) || bindingCount(merged, consumers) > profile.storageBuffers) continue;
    group.members.unshift(...branch.members);
    for (const member of branch.members) for (const output of member.outputs) groupOf.set(output, group);
    groups.delete(branch);
  }
}

/** Who reads the values: how many there are in all, and those of them that have come. */
interface Readers {
  readonly consumers: ReadonlyMap<Value, number>;
  readonly readers: ReadonlyMap<Value, readonly Operation[]>;
}

/** Whether members read each other only at the element that is being computed. */
function readInPlace({ members }: Group): boolean {
  const own = new Set(members.flatMap(({ outputs }) => outputs));
  return members.every((member) =>
    member.inputs.every(({ value }, index) => !own.has(value) || readsSameElement(member, index)),
  );
}

function readsSameElement(operation: Operation, index: number): boolean {
  const access = operation.inputs[index] as Access;
  if (operation.kind === 'elementwise') {
    const lowering = operation.node.op.lowering as ElementwiseLowering;
    if (lowering.window || lowering.tables?.includes(index)) return false;
  }
  return coversDensely(access) && sizeOf(access.layout.shape) === sizeOf((operation.outputs[0] as Value).type.shape);
}

/** Values of the group that something outside it reads. */
export function storedValues(group: Group, consumers: ReadonlyMap<Value, number>): Value[] {
  const inside = new Map<Value, number>();
  for (const member of group.members)
    for (const { value } of member.inputs) inside.set(value, (inside.get(value) ?? 0) + 1);
  const own = [
    ...(group.head ? group.head.outputs.slice(0, 1) : []),
    ...group.members.flatMap((member) => member.outputs),
  ];
  return own.filter((value) => (consumers.get(value) ?? 0) > (inside.get(value) ?? 0));
}

/** The values from outside that the chain reads, each once. */
export function chainInputs(group: Group): Value[] {
  const own = new Set([...(group.head?.outputs ?? []), ...group.members.flatMap((member) => member.outputs)]);
  const read = group.members
    .flatMap((member) => member.inputs.map(({ value }) => value))
    .filter((value) => !own.has(value) && value.constant === undefined);
  return [...new Set(read)];
}

export function bindingCount(group: Group, consumers: ReadonlyMap<Value, number>): number {
  const chain = chainInputs(group).length + storedValues(group, consumers).length;
  // A head brings its own bindings; `output` is counted among the stored values.
  const own = group.head ? group.head.inputs.length + group.head.outputs.length : 0;
  return chain + own + (group.sum ? 1 : 0);
}

/** The chain of a group for the kernel generator; `buffers` are `chainInputs(group)`, outputs `stored`. */
export function chainOf(group: Group, buffers: readonly Value[], stored: readonly Value[]): Chain {
  const stepOf = new Map<Value, number>();
  if (group.head) stepOf.set(group.head.outputs[0] as Value, -1);
  for (const [s, member] of group.members.entries()) stepOf.set(member.outputs[0] as Value, s);
  const steps = group.members.map((member): ChainStep => {
    const lowering = member.kind === 'copy' ? identity : (member.node.op.lowering as ElementwiseLowering);
    const output = member.outputs[0] as Value;
    return {
      lowering,
      attributes: member.kind === 'copy' ? {} : member.node.attributes,
      arguments: member.inputs.map(({ value, layout }, index): Argument => {
        const step = stepOf.get(value);
        if (step !== undefined) return { step };
        if (value.constant !== undefined) {
          const window = member.kind === 'copy' ? null : windowOf(member, index);
          return { constant: value.constant, ...(window ? { window } : {}) };
        }
        const buffer = buffers.indexOf(value);
        if (lowering.tables?.includes(index)) return { table: buffer };
        if (member.kind === 'copy') return { load: { buffer, layout } };
        const window = windowOf(member, index);
        if (window) return { load: { buffer, layout: window.layout, window } };
        return { load: { buffer, layout: broadcastAccess(member, index) } };
      }),
      argumentTypes: member.inputs.map(({ value }): DType => value.type.dtype),
      dtype: output.type.dtype,
      shape: output.type.shape,
    };
  });
  return {
    size: group.size,
    buffers: buffers.map((value) => value.type.dtype),
    steps,
    outputs: stored.map((value) => stepOf.get(value) as number),
  };
}

const identity: ElementwiseLowering = { kind: 'elementwise', expression: ([x]) => x as string };
