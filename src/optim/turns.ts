import { equal, where } from '../ops/elementwise.ts';
import { iota } from '../ops/indexing.ts';
import type { Turn } from '../ops/updates.ts';

/** Places in a row of a gate, see `gateSteps`. */
export const [gateScale, gateRuns] = [1, 3];

/** The turn of directions that have the scale of clipping in them. */
export function unscaled(turn: Turn): Turn {
  if (!('gate' in turn)) return { ...turn, scale: null };
  return { ...turn, gate: where(equal(iota(turn.gate.shape, 1), gateScale), 1, turn.gate) };
}
