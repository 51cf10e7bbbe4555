/**
 * Hears what became of a step that the host has counted when it was encoded, as an optimizer does: the step may fail on
 * the host, or on the device, as a later readback tells. So the host corrects its count without waiting for the device.
 * Eager steps attach their listener to a state: `State.onOutcome`.
 */
export interface OutcomeListener {
  /** The step has changed nothing; may be called more than once. */
  failed(): void;
  /** What a kernel has found out about the step; may be called more than once. See kernels/findings.ts. */
  found(finding: number): void;
}
