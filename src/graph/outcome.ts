import type { OutcomeListener } from '../core/outcome.ts';

/** Who listens for what becomes of the compiled step that is being encoded. */

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
