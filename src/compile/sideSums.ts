import type { DeviceProfile } from '../kernels/kernel.ts';
import { withSideSum } from '../kernels/sideSum.ts';
import { specialise } from '../kernels/specialise.ts';
import { rootOf } from './ir.ts';
import { readsAndWrites } from './memory.ts';
import type { Command, DispatchCommand } from './schedule.ts';

/** Moves small sums into the first workgroups of a later dispatch, if there is one before their result is needed. */
export function hostSideSums(commands: Command[], profile: DeviceProfile): void {
  for (let i = 0; i < commands.length; i++) {
    const sum = commands[i] as Command;
    if (sum.kind !== 'dispatch' || !sum.side) continue;
    const outputs = new Set(sum.side.outputs.map(rootOf));
    const wanted = commands.findIndex((later, k) => k > i && touches(later, outputs));
    const until = wanted < 0 ? commands.length : wanted;
    const added = 1 + outputs.size;
    const host = commands.findIndex((later, k) => k > i && k < until && hasRoom(later, added, profile));
    if (host >= 0) commands[host] = hosting(commands[host] as DispatchCommand, sum);
    // Keeps the sum alone from here on: a scan that repeats these commands may give them other values.
    commands.splice(i, 1, ...(host < 0 ? [{ ...sum, side: undefined }] : []));
    if (host >= 0) i--;
  }
}

function touches(command: Command, values: ReadonlySet<unknown>): boolean {
  const { reads, writes } = readsAndWrites(command);
  return [...reads, ...writes].some((value) => values.has(value));
}

function hasRoom(command: Command, added: number, { storageBuffers }: DeviceProfile): boolean {
  if (command.kind !== 'dispatch' || !command.dispatch.sideThreads) return false;
  return command.bindings.length + added <= storageBuffers;
}

function hosting(host: DispatchCommand, { dispatch: { kernel, sideSum }, side }: DispatchCommand): DispatchCommand {
  if (!sideSum || !side) return host;
  const dispatch = withSideSum(host.dispatch, sideSum);
  const bindings = [...host.bindings, side.source, ...side.outputs];
  return { ...host, dispatch, shader: specialise(dispatch), bindings, fused: [...host.fused, kernel] };
}
