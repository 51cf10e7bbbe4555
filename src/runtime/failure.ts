import { WeftError } from '../core/errors.ts';
import { type Assignment, type State, stateOf } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';

/** The reason why eager work could not run: a kernel that can't be had, memory that a device can't bind. */
export class Failure {
  readonly error: unknown;
  /** Whether anybody has been told, or is being told. */
  told: boolean;

  constructor(error: unknown, told: boolean) {
    this.error = error;
    this.told = told;
  }
}

/** The failures of values and backward passes that could not be computed: every read throws them. */
const failed = new WeakMap<object, Failure>();
/** The last failed update of a state. */
const updates = new WeakMap<State, Failure>();
/** Failures behind values that were made afterwards from a state with a failed update. */
const afterwards = new WeakMap<Tensor, Failure>();
/** Whether an update has ever failed: as long as none has, there is nothing to look for. */
let anyMissed = false;

/** True if the tensor is known not to be computable. */
export function hasFailed(tensor: Tensor): boolean {
  return failed.has(tensor) && !stateOf(tensor);
}

/** The reason why an assignment of a state, or all that a backward pass made, was taken back. */
export function failureOf(versionOrPass: object): Failure | undefined {
  return anyMissed ? failed.get(versionOrPass) : undefined;
}

/**
 * Takes back a group of values that can't be computed. States return to their last good versions, as if the step had never
 * been recorded; reading any other value of the group throws.
 */
export function takeBack(
  group: readonly Tensor[],
  assignments: readonly Assignment[],
  passes: readonly object[],
  failure: Failure,
): void {
  for (const each of [...group, ...passes]) failed.set(each, failure);
  for (const assignment of assignments) {
    const { state } = assignment;
    state.revert(assignment);
    updates.set(state, failure);
    anyMissed = true;
  }
}

/** Remembers that a value was made from these leaves, where one is of a state that has missed an update. */
export function noteMissedUpdates(value: Tensor, leaves: readonly Tensor[]): void {
  if (!anyMissed || stateOf(value)) return;
  for (const leaf of leaves) {
    const state = stateOf(leaf);
    const failure = state && updates.get(state);
    if (failure && !failure.told) afterwards.set(value, failure);
  }
}

/**
 * Throws why one of the tensors could not be computed. An error that nobody has read shows once, at the read of a value
 * that was made afterwards from a state that misses the update; reading the state itself gives its last good version.
 */
export function throwFailure(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) {
    const failure = hasFailed(tensor) ? failed.get(tensor) : undefined;
    if (failure) {
      failure.told = true;
      throw failure.error;
    }
    const missed = afterwards.get(tensor);
    if (missed && !missed.told) {
      missed.told = true;
      const { error } = missed;
      throw new WeftError(
        `[step] an earlier step could not run, and nobody has read its results; it has changed no state. ${error instanceof Error ? error.message : error}`,
        { cause: error },
      );
    }
  }
}
