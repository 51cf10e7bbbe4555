import type { DeviceProfile } from './kernel.ts';

/** Mesa's software driver ends an invocation's loops, without a word, after this many iterations of all of them together. */
export const loopLimit = 65535;

/** A reason not to run `iterations` in one invocation on this device, or null. */
export function tooManyIterations(iterations: number, { selection }: DeviceProfile): string | null {
  if (selection === 'gpu' || iterations <= loopLimit) return null;
  return `${iterations} iterations in one invocation: software drivers may stop after ${loopLimit}`;
}
