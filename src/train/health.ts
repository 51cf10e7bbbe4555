import { DivergenceError } from '../core/errors.ts';
import { brief } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import type { Module } from '../nn/module.ts';
import type { CommonSettings } from '../optim/groups.ts';
import type { Optimizer } from '../optim/optimizer.ts';

/** What tells how a run fares, beside its losses. */
export interface Watched {
  readonly optimizer: Pick<Optimizer<CommonSettings>, 'steps' | 'diverged' | 'groups' | 'skipsNonFinite'>;
  /** The model, which knows the names of parameters. */
  readonly model?: Module | undefined;
}

/**
 * Finds the first step that has gone astray, once the losses of steps from `first` on are read, and returns its error;
 * null where none has.
 */
export type HealthCheck = (losses: readonly number[], first: number) => DivergenceError | null;

const advice =
  'go on from the last checkpoint with a lower learning rate, clip the gradients, or look for the first bad value with compile(step, { checkFinite: true })';

/** The check of a run after `start` steps; `watched` is its optimizer, where that is known. */
export function healthCheck(watched: Watched | null, start: number): HealthCheck {
  const offset = start - (watched?.optimizer.steps ?? 0);
  return (losses, first) => {
    const odd = losses.findIndex((loss) => !Number.isFinite(loss));
    const byLoss = odd < 0 || watched?.optimizer.skipsNonFinite ? Infinity : first + odd;
    const diverged = watched?.optimizer.diverged;
    const byParameter = diverged ? diverged.step + offset : Infinity;
    const step = Math.min(byLoss, byParameter);
    if (step === Infinity) return null;
    const loss = losses[step - first] ?? Number.NaN;
    const parameter = diverged && byParameter <= byLoss ? nameOf(diverged.parameter, watched as Watched) : null;
    const seen = parameter
      ? `step ${step} met a value that is not finite, first in ${brief(parameter)} or its gradient (the loss was ${loss})`
      : `the loss of step ${step} is ${loss}`;
    return new DivergenceError(`[train] ${seen}: training has gone astray, and its weights are lost; ${advice}`, {
      step,
      loss,
      parameter,
    });
  };
}

function nameOf(parameter: Parameter, { model, optimizer }: Watched): string {
  const [name] = model?.namedParameters().find(([, each]) => each === parameter) ?? [];
  if (name !== undefined) return name;
  const all = optimizer.groups.flatMap(({ params }) => params);
  return `parameter ${all.indexOf(parameter)} ${formatShape(parameter.shape)} of the optimizer`;
}
