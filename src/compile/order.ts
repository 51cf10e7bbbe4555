import type { Value } from './ir.ts';
import { readsAndWrites } from './memory.ts';
import { type Command, isStatus, readsStatus, setsStatus } from './schedule.ts';

/**
 * Moves kernels that read the status of the submit, and so may leave a state as it was, behind all kernels that may set
 * it: bad data found after a step was recorded still stops that step. Only a kernel that sets the status and itself needs
 * what such a step makes must stay behind it. The rest keeps its order.
 */
export function checksFirst(commands: readonly Command[]): Command[] {
  const lastCheck = commands.findLastIndex(setsStatus);
  const ordered: Command[] = [];
  let later = new Later();
  for (const command of commands.slice(0, lastCheck + 1)) {
    const waits = readsStatus(command) || later.concerns(command);
    if (waits && !setsStatus(command)) {
      later.add(command);
      continue;
    }
    if (waits) {
      ordered.push(...later.commands);
      later = new Later();
    }
    ordered.push(command);
  }
  return [...ordered, ...later.commands, ...commands.slice(lastCheck + 1)];
}

/** Commands that are moved back, and the values that they touch. */
class Later {
  readonly commands: Command[] = [];
  readonly #reads = new Set<Value>();
  readonly #writes = new Set<Value>();

  add(command: Command): void {
    this.commands.push(command);
    const { reads, writes } = touched(command);
    for (const value of reads) this.#reads.add(value);
    for (const value of writes) this.#writes.add(value);
  }

  /** Whether the command would find or leave other values if it ran before these. */
  concerns(command: Command): boolean {
    const { reads, writes } = touched(command);
    return (
      reads.some((value) => this.#writes.has(value)) ||
      writes.some((value) => this.#writes.has(value) || this.#reads.has(value))
    );
  }
}

/** Leaves the status out, whose order is the point of all this. */
function touched(command: Command): { reads: Value[]; writes: Value[] } {
  const { reads, writes } = readsAndWrites(command);
  const others = (value: Value) => !isStatus(value);
  return { reads: reads.filter(others), writes: writes.filter(others) };
}
