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
