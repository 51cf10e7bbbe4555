import { ValueError } from '../errors.ts';

/** A factor of the learning rate for each step, counted from 0. Pure, so that a resumed run goes on where it was. */
export type Schedule = (step: number) => number;

/** The whole rate, always. */
export const constant = (): Schedule => () => 1;

/** In a straight line from `from` to `to` within `steps` steps, and `to` from then on. */
export function linear({ steps, from = 1, to = 0 }: { steps: number; from?: number; to?: number }): Schedule {
  check('linear', { steps }, { from, to });
  return (step) => from + (to - from) * Math.min(1, step / steps);
}

/** Times `gamma` every `every` steps. */
export function stepwise({ every, gamma = 0.1 }: { every: number; gamma?: number }): Schedule {
  check('stepwise', { every }, { gamma });
  return (step) => gamma ** Math.floor(step / every);
}

/** Half a cosine from 1 to `minimum` within `steps` steps, and `minimum` from then on (Loshchilov and Hutter 2017). */
export function cosine({ steps, minimum = 0 }: { steps: number; minimum?: number }): Schedule {
  check('cosine', { steps }, { minimum });
  return (step) => minimum + ((1 - minimum) * (1 + Math.cos(Math.PI * Math.min(1, step / steps)))) / 2;
}

/** √(steps/(steps + n + 1)) in step n: after `warmup` over as many steps it is the schedule of Vaswani et al. 2017. */
export function inverseSquareRoot({ steps }: { steps: number }): Schedule {
  check('inverseSquareRoot', { steps }, {});
  return (step) => Math.sqrt(steps / (steps + step + 1));
}

/** In a straight line up to the start of `schedule` within `steps` steps, the first of them at 1/steps of it; then `schedule` from its start. */
export function warmup(schedule: Schedule, steps: number): Schedule {
  if (!Number.isInteger(steps) || steps < 0)
    throw new ValueError(`[warmup] steps must be an integer of at least 0, got ${steps}`);
  return (step) => (step < steps ? ((step + 1) / steps) * schedule(0) : schedule(step - steps));
}

function check(
  name: string,
  counts: Readonly<Record<string, number>>,
  factors: Readonly<Record<string, number>>,
): void {
  for (const [what, count] of Object.entries(counts)) {
    if (!Number.isInteger(count) || count < 1)
      throw new ValueError(`[${name}] ${what} must be a positive integer, got ${count}`);
  }
  for (const [what, factor] of Object.entries(factors)) {
    if (!(factor >= 0) || !Number.isFinite(factor))
      throw new ValueError(`[${name}] ${what} must be a finite number of at least 0, got ${factor}`);
  }
}
