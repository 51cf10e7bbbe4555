import { ValueError } from '../core/errors.ts';
import { count, declareOptions, notNegative, shown } from '../core/options.ts';

/** A factor of the learning rate for each step, counted from 0. Pure, so that a resumed run goes on where it was. */
export type Schedule = (step: number) => number;

const linearOptions = declareOptions<{ steps: number; from?: number; to?: number }>(
  {
    steps: count,
    from: notNegative,
    to: notNegative,
  },
  ['steps'],
);
const stepwiseOptions = declareOptions<{ every: number; gamma?: number }>({ every: count, gamma: notNegative }, [
  'every',
]);
const cosineOptions = declareOptions<{ steps: number; minimum?: number }>({ steps: count, minimum: notNegative }, [
  'steps',
]);
const rootOptions = declareOptions<{ steps: number }>({ steps: count }, ['steps']);

/** The whole rate, always. */
export const constant = (): Schedule => () => 1;

/** In a straight line from `from` to `to` within `steps` steps, and `to` from then on. */
export function linear(options: { steps: number; from?: number; to?: number }): Schedule {
  const { steps, from = 1, to = 0 } = linearOptions('linear', options);
  return (step) => from + (to - from) * Math.min(1, step / steps);
}

/** Times `gamma` every `every` steps. */
export function stepwise(options: { every: number; gamma?: number }): Schedule {
  const { every, gamma = 0.1 } = stepwiseOptions('stepwise', options);
  return (step) => gamma ** Math.floor(step / every);
}

/** Half a cosine from 1 to `minimum` within `steps` steps, and `minimum` from then on (Loshchilov and Hutter 2017). */
export function cosine(options: { steps: number; minimum?: number }): Schedule {
  const { steps, minimum = 0 } = cosineOptions('cosine', options);
  return (step) => minimum + ((1 - minimum) * (1 + Math.cos(Math.PI * Math.min(1, step / steps)))) / 2;
}

/** √(steps/(steps + n + 1)) in step n: after `warmup` over as many steps it is the schedule of Vaswani et al. 2017. */
export function inverseSquareRoot(options: { steps: number }): Schedule {
  const { steps } = rootOptions('inverseSquareRoot', options);
  return (step) => Math.sqrt(steps / (steps + step + 1));
}

/** In a straight line up to the start of `schedule` within `steps` steps, the first of them at 1/steps of it; then `schedule` from its start. */
export function warmup(schedule: Schedule, steps: number): Schedule {
  if (!Number.isInteger(steps) || steps < 0)
    throw new ValueError(`[warmup] steps must be an integer of at least 0, got ${shown(steps)}`);
  return (step) => (step < steps ? ((step + 1) / steps) * schedule(0) : schedule(step - steps));
}
