/**
 * What the host has counted for a step that is being encoded, such as an optimizer's: who counts hears of what became of it
 * where the step fails, on the host or, as a later readback tells, on the device. So the host's copy follows what happened,
 * and nothing waits for it. Eager steps hang theirs on a state: `State.onOutcome`.
 */
export interface OutcomeListener {
  /** The step has changed nothing; may be called more than once. */
  failed(): void;
  /** What a kernel has found out about the step; may be called more than once. See kernels/findings.ts. */
  found(finding: number): void;
}

let pending: OutcomeListener[] = [];

/** Tells `listener` of the compiled step that is being encoded now. The order of the calls is that of the step's findings. */
export function onOutcome(listener: OutcomeListener): void {
  pending.push(listener);
}

/** For the step: who is to be told. */
export function takeListeners(): OutcomeListener[] {
  const taken = pending;
  pending = [];
  return taken;
}

let submitListeners: (() => void)[] = [];

/** Calls `listener` once the compiled step is submitted that is being encoded now. */
export function onSubmitted(listener: () => void): void {
  submitListeners.push(listener);
}

/** For the step: the calls to make once it is submitted. */
export function takeSubmitListeners(): (() => void)[] {
  const taken = submitListeners;
  submitListeners = [];
  return taken;
}
