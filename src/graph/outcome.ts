import type { OutcomeListener } from '../core/outcome.ts';

/** Listeners of the compiled step that is being encoded: what becomes of it, and when it is submitted. */

let pending: OutcomeListener[] = [];

/**
 * Registers `listener` for the outcome of the compiled step that is being encoded now. The order of the calls is that of
 * the step's findings.
 */
export function onOutcome(listener: OutcomeListener): void {
  pending.push(listener);
}

/** Takes the listeners; the step calls this when it is encoded. */
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

/** Takes the calls to make once the step is submitted. */
export function takeSubmitListeners(): (() => void)[] {
  const taken = submitListeners;
  submitListeners = [];
  return taken;
}
