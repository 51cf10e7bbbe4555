/**
 * What the host has counted for the step that is being encoded, such as an optimizer's step: it is taken back where the step
 * fails, on the host or, as a later readback tells, on the device. So the host's copy follows what happened, and nothing
 * waits for it. Eager steps hang theirs on a state: `State.whenMissed`.
 */
let pending: (() => void)[] = [];

/** Calls `undo` if the compiled step fails that is being encoded now. */
export function onFailure(undo: () => void): void {
  pending.push(undo);
}

let wanted: (() => void)[] = [];

/** Calls `listener` once the compiled step is submitted that is being encoded now. */
export function onSubmitted(listener: () => void): void {
  wanted.push(listener);
}

/** For the step: the calls to make once it is submitted. */
export function takeListeners(): (() => void)[] {
  const taken = wanted;
  wanted = [];
  return taken;
}

/** For the step: the calls to make if it fails. */
export function takeUndos(): (() => void)[] {
  const taken = pending;
  pending = [];
  return taken;
}
