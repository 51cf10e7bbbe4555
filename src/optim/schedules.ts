import { ValueError } from '../core/errors.ts';
import { count, declareOptions, notNegative, shown } from '../core/options.ts';

/** A factor of the learning rate for each step, counted from 0. Pure, so that a resumed run goes on where it was. */
export type Schedule = (step: number) => number;

interface LinearOptions {
  /** Steps from the one factor to the other. */
  steps: number;
  /** The first factor; 1 by default. */
  from?: number;
  /** The last factor; 0 by default. */
  to?: number;
}
interface StepwiseOptions {
  /** Steps from one change to the next. */
  every: number;
  /** The factor of each change; 0.1 by default. */
  gamma?: number;
}
interface CosineOptions {
  /** Steps from the factor 1 to the least. */
  steps: number;
  /** The least factor; 0 by default. */
  minimum?: number;
}
interface RootOptions {
  /** Steps of the `warmup` before; the larger, the slower the rate falls. */
  steps: number;
}
const linearOptions = declareOptions<LinearOptions>(
  {
    steps: count,
    from: notNegative,
    to: notNegative,
  },
  ['steps'],
);
const stepwiseOptions = declareOptions<StepwiseOptions>({ every: count, gamma: notNegative }, ['every']);
const cosineOptions = declareOptions<CosineOptions>({ steps: count, minimum: notNegative }, ['steps']);
const rootOptions = declareOptions<RootOptions>({ steps: count }, ['steps']);

/** The whole rate, always. */
export const constant = (): Schedule => () => 1;

/** In a straight line from `from` to `to` within `steps` steps, and `to` from then on. */
export function linear(options: LinearOptions): Schedule {
  const { steps, from = 1, to = 0 } = linearOptions('linear', options);
  return (step) => from + (to - from) * Math.min(1, step / steps);
}

/** Times `gamma` every `every` steps. */
export function stepwise(options: StepwiseOptions): Schedule {
  const { every, gamma = 0.1 } = stepwiseOptions('stepwise', options);
  return (step) => gamma ** Math.floor(step / every);
}

/** Half a cosine from 1 to `minimum` within `steps` steps, and `minimum` from then on (Loshchilov and Hutter 2017). */
export function cosine(options: CosineOptions): Schedule {
  const { steps, minimum = 0 } = cosineOptions('cosine', options);
  return (step) => minimum + ((1 - minimum) * (1 + Math.cos(Math.PI * Math.min(1, step / steps)))) / 2;
}

/** √(steps/(steps + n + 1)) in step n: after `warmup` over as many steps it is the schedule of Vaswani et al. 2017. */
export function inverseSquareRoot(options: RootOptions): Schedule {
  const { steps } = rootOptions('inverseSquareRoot', options);
  return (step) => Math.sqrt(steps / (steps + step + 1));
}

/** In a straight line up to the start of `schedule` within `steps` steps, the first of them at 1/steps of it; then `schedule` from its start. */
export function warmup(schedule: Schedule, steps: number): Schedule {
  if (!Number.isInteger(steps) || steps < 0)
    throw new ValueError(`[warmup] steps must be an integer of at least 0, got ${shown(steps)}`);
  return (step) => (step < steps ? ((step + 1) / steps) * schedule(0) : schedule(step - steps));
}
