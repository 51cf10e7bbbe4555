import { byteSize } from '../core/types.ts';
import { specialise } from '../kernels/specialise.ts';
import { rootOf, type Value } from './ir.ts';
import { readsAndWrites } from './memory.ts';
import { type Command, type CopyCommand, type DispatchCommand, isStatus, setsStatus, statusValue } from './schedule.ts';

/**
 * Lets kernels write the next version of a state over the present one, so that no commit has to follow: such a kernel runs
 * only where the submit has not failed. So it must come after all kernels that may find bad data, and nobody may read the
 * present version any more. Its other results are undefined where the submit has failed: nobody sees them, since reads of
 * such a submit reject. `live` are the values that outlast the commands.
 */
export function guardWriters(commands: readonly Command[], live: readonly Value[], storageBuffers: number): Command[] {
  let list = [...commands];
  for (const command of commands) {
    if (isCommit(command)) list = withGuard(list, command, live, storageBuffers) ?? list;
  }
  return list;
}

/**
 * Whether a command commits a state that has a version: its bindings are the state, which is copied there first, the next
 * version and the status.
 */
function isCommit(command: Command): command is DispatchCommand {
  return command.kind === 'dispatch' && command.dispatch.kernel === 'commit/elements' && command.bindings.length === 3;
}

function withGuard(
  commands: readonly Command[],
  commit: DispatchCommand,
  live: readonly Value[],
  storageBuffers: number,
): Command[] | null {
  const [state, next] = commit.bindings as [Value, Value];
  const uses = (value: Value) => commands.filter((each) => touches(each, value));
  const copy = uses(state).find(
    (each): each is CopyCommand => each.kind === 'copy' && each.label === 'in place' && each.to === state,
  );
  const writer = uses(next).find((each) => each !== commit);
  if (!copy || writer?.kind !== 'dispatch' || next.parent || next.leaf || live.some((value) => rootOf(value) === next))
    return null;
  const at = commands.indexOf(writer);
  const free =
    uses(next).length === 2 &&
    uses(state).length === 2 &&
    byteSize(next.type) === byteSize(state.type) &&
    !commands.slice(at).some((each) => each !== copy && touches(each, rootOf(copy.from)));
  const fits =
    at > commands.findLastIndex(setsStatus) &&
    readsAndWrites(writer).writes.filter((value) => value === next).length === 1 &&
    !writer.bindings.some(isStatus) &&
    writer.bindings.length < storageBuffers;
  if (!free || !fits) return null;
  return commands.flatMap((each) => {
    if (each === copy || each === commit) return [];
    return each === writer ? [copy, guarded(writer, next, state)] : [each];
  });
}

function touches(command: Command, value: Value): boolean {
  const { reads, writes } = readsAndWrites(command);
  return reads.includes(value) || writes.includes(value);
}

/** The same kernel, but writing to the state, and only where the submit has not failed. */
function guarded(command: DispatchCommand, next: Value, state: Value): DispatchCommand {
  const bindings = command.bindings.map((value) => (value === next ? state : value));
  const dispatch = { ...command.dispatch, guarded: true };
  return { ...command, dispatch, shader: specialise(dispatch), bindings: [...bindings, statusValue] };
}
