import type { DeviceProfile, KernelCall } from './kernel.ts';

/**
 * Mesa's software driver (llvmpipe, lavapipe) ends loops early, without a word, when an invocation has taken this many
 * turns. Measured with Mesa 22.3: turns of all loops of an invocation count together, those of inner loops each time; the
 * turn in which a loop finds its end is one as well; of the eight lanes that run side by side, the one that stays longest in
 * a loop counts for all. Once they are used up, every loop ends after its first turn. Loops with few turns, their number
 * a constant, are unrolled and count nothing: here they count, but for the ten rounds of Philox. SwiftShader has no such limit.
 */
const mesaLoopLimit = 65535;

/** What an adapter's driver allows, or less where less is asked for. A software adapter without a name may be Mesa's. */
export function loopLimitOf(adapter: string, software: boolean, wanted = Number.POSITIVE_INFINITY): number {
  return software && !/swiftshader|basic render/i.test(adapter) ? Math.min(wanted, mesaLoopLimit) : wanted;
}

/** The lowest limit that can be set: a step of every kernel fits, at any size of head. */
export const leastLoopLimit = 1024;

/** Turns of a loop that goes around `times` times, with `inside` turns of inner loops each time; finding its end is a turn as well. */
export const loop = (times: number, inside = 0): number => times * (1 + inside) + 1;

/** How many times a loop can go around in `turns` turns, with `inside` turns of inner loops each time. */
export const timesIn = (turns: number, inside = 0): number => Math.max(0, Math.floor((turns - 1) / (1 + inside)));

/** A reason why a device can't run a call, or null: turns of an invocation beyond what the driver allows. */
export function tooManyTurns({ dispatches }: KernelCall, { loopLimit }: DeviceProfile): string | null {
  const turns = dispatches.reduce((most, dispatch) => Math.max(most, dispatch.turns ?? 0), 0);
  if (turns <= loopLimit) return null;
  return `one invocation takes ${turns} turns of its loops, and this device ends them after ${loopLimit}`;
}

/** Part of what a loop goes through. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** All of 0 to `length`, or ranges of at most `most` one after another; where `most` is 0, no range is short enough, and it is one. */
export function ranges(length: number, most: number): Range[] {
  const step = most === 0 ? length : Math.min(most, length);
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => ({
    start: i * step,
    end: Math.min(length, (i + 1) * step),
  }));
}
