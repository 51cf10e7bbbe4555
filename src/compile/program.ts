import { denseLayout } from '../core/layout.ts';
import { sizeOf } from '../core/shape.ts';
import { byteSize } from '../core/types.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { watchedOf, withFiniteChecks } from './finite.ts';
import { guardWriters } from './guard.ts';
import { lower, rootOf, type Value } from './ir.ts';
import { type MemoryPlan, type MemoryProblem, planMemory, readsAndWrites } from './memory.ts';
import { checksFirst } from './order.ts';
import { type Command, type CopyCommand, schedule } from './schedule.ts';

/** What a plan has to make: values to hand out, and states to bring to their next version. */
export interface Request {
  readonly results: readonly Tensor[];
  /** Pairs of a state's leaf, as the graph reads it, and the value to commit. */
  readonly updates: readonly { readonly leaf: Tensor; readonly value: Tensor }[];
}

export interface ProgramOptions {
  /** Looks at every f32 result that is computed, and reports the first that is not finite. */
  readonly checkFinite?: boolean;
}

/** A plan without a device: what runs, in which order, in which memory. */
export interface Program {
  readonly nodes: readonly Node[];
  readonly commands: readonly Command[];
  /** Values that come from outside, with the tensors that stand for them in the graph. */
  readonly leaves: readonly { readonly tensor: Tensor; readonly value: Value }[];
  readonly results: readonly Value[];
  readonly updates: readonly { readonly leaf: Value; readonly value: Value; readonly inPlace: boolean }[];
  readonly memory: MemoryPlan;
  /** The input of the memory planner, which `verifyPlan` checks the plan against. */
  readonly problem: MemoryProblem;
}

export function buildProgram(
  request: Request,
  isLeaf: (tensor: Tensor) => boolean,
  profile: DeviceProfile,
  { checkFinite = false }: ProgramOptions = {},
): Program {
  const wanted = [...request.results, ...request.updates.map(({ value }) => value)];
  const nodes = reachable(wanted, isLeaf);
  const watched = checkFinite ? watchedOf(nodes) : [];
  const roots = [...wanted, ...watched];
  const lowered = lower(
    nodes,
    roots,
    isLeaf,
    request.updates.map(({ leaf }) => leaf),
  );
  const { commands: scheduled, packs } = schedule(lowered, profile);
  const values = lowered.roots.map(({ value }) => value);
  const places = watched.map((tensor, i) => ({ tensor, value: values[wanted.length + i] as Value }));
  const live = values.slice(0, wanted.length);
  const commands = guardWriters(checksFirst(withFiniteChecks(scheduled, places)), live, profile.storageBuffers);
  const results = values.slice(0, request.results.length);
  const updates = request.updates.map(({ leaf }, i) => {
    const target = lowered.leaves.get(leaf) as Value;
    return { leaf: target, value: detached(values[results.length + i] as Value, commands), inPlace: false };
  });
  const placed = new Set<Value>();
  for (const update of updates) {
    if (!canUpdateInPlace(update, commands, results, updates)) continue;
    update.value.parent = { value: update.leaf, offset: 0 };
    update.inPlace = true;
    placed.add(update.value);
  }
  const lasting = [...results, ...updates.map(({ value }) => value)];
  mergeInPlaceCopies(commands, lasting);
  const problem: MemoryProblem = { commands, results: lasting, packs, placed, largestSlab: profile.bufferBytes };
  const leaves = [...lowered.leaves].map(([tensor, value]) => ({ tensor, value }));
  return { nodes, commands, leaves, results, updates, memory: planMemory(problem), problem };
}

/** A state that takes over another state's value needs a copy: the other may be overwritten first. */
function detached(value: Value, commands: Command[]): Value {
  if (!rootOf(value).leaf) return value;
  const copy: Value = { type: value.type, layout: denseLayout(value.type.shape), label: 'copy', leaf: false };
  commands.push({ kind: 'copy', label: 'copy', from: value, to: copy });
  return copy;
}

/**
 * A new version may be written over the old one if, from its first write on, nobody reads the old one any more: no
 * command, no result, no other state.
 */
function canUpdateInPlace(
  { leaf, value }: { leaf: Value; value: Value },
  commands: readonly Command[],
  results: readonly Value[],
  updates: readonly { value: Value; leaf: Value }[],
): boolean {
  if (value.parent || value.leaf || sizeOf(value.type.shape) !== sizeOf(leaf.type.shape)) return false;
  if (results.some((result) => rootOf(result) === leaf)) return false;
  if (updates.some((update) => update.value !== value && rootOf(update.value) === value)) return false;
  const firstWrite = commands.findIndex((command) => readsAndWrites(command).writes.includes(value));
  if (firstWrite < 0) return false;
  return commands.every((command, i) => {
    if (i < firstWrite) return true;
    const first = i === firstWrite && isInPlaceCopy(command, leaf, value);
    return first || !readsAndWrites(command).reads.includes(leaf);
  });
}

function isInPlaceCopy(command: Command, from: Value, to: Value): boolean {
  return command.kind === 'copy' && command.label === 'in place' && command.from === from && command.to === to;
}

/**
 * Lets a kernel that overwrites its input take over the input's memory where nobody needs the input afterwards, and drops
 * the copy before it.
 */
function mergeInPlaceCopies(commands: Command[], live: readonly Value[]): void {
  for (let i = commands.length - 1; i >= 0; i--) {
    const command = commands[i] as Command;
    if (command.kind !== 'copy' || command.label !== 'in place') continue;
    const { from, to } = command as CopyCommand;
    if (rootOf(to) === rootOf(from)) {
      commands.splice(i, 1);
      continue;
    }
    const source = rootOf(from);
    const dies =
      !source.leaf &&
      source === from &&
      !to.parent &&
      byteSize(to.type) === byteSize(from.type) &&
      !live.some((value) => rootOf(value) === source);
    const later = commands.slice(i + 1).some((other) => {
      const { reads, writes } = readsAndWrites(other);
      return reads.includes(source) || writes.includes(source);
    });
    if (!dies || later) continue;
    to.parent = { value: from, offset: 0 };
    commands.splice(i, 1);
  }
}
