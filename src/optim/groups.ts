import { ValueError } from '../core/errors.ts';
import {
  callback,
  declareOptions,
  either,
  expectKind,
  iterable,
  type Kinds,
  notNegative,
  oneOf,
  tensorLike,
} from '../core/options.ts';
import { Parameter } from '../graph/parameter.ts';
import type { Schedule } from './schedules.ts';

/** Groups of parameters, and the settings that they may have. */

/** Settings that every optimizer has, for all parameters or for a group. */
export interface CommonSettings {
  /** Learning rate, or a function that gives it for each step, counted from 0. */
  lr: number | ((step: number) => number);
  /** A factor of the learning rate for each step. */
  schedule?: Schedule;
  /** Share of each weight that is added to its gradient, or, by AdamW, taken off the weight in each step, times lr. */
  weightDecay: number;
}

/** Settings of an optimizer that hold for all its parameters. */
export interface StepOptions {
  /**
   * What is done about a step whose gradients are not all finite. `update`, the default, makes it as PyTorch does, NaN in,
   * NaN out; `diverged` then tells of it. `skip` leaves it out altogether, as training with a loss scale wants it: no
   * parameter, moment or count changes, and `skipped` counts it. It costs two or three dispatches more.
   */
  nonFinite: 'update' | 'skip';
}

/** Parameters with settings of their own; those left out are the optimizer's. */
export type ParameterGroup<Settings> = Partial<Settings> & Trainees<Iterable<Parameter>>;

/** What a group trains. */
export interface Trainees<Parameters> {
  /** The parameters that are trained with the group's settings. */
  readonly params: Parameters;
}

/** The kinds of the settings that all optimizers have; `lr` may be a function. */
export const commonKinds: Kinds<CommonSettings> = {
  lr: either(notNegative, callback),
  schedule: callback,
  weightDecay: notNegative,
};
export const stepKinds: Kinds<StepOptions> = { nonFinite: oneOf('update', 'skip') };
export type GroupCheck = (op: string, group: Trainees<Iterable<Parameter>>) => unknown;

/** The check of an optimizer's groups, which have settings of these kinds and parameters. */
export function declareGroups<Settings extends object>(kinds: Kinds<Settings>): GroupCheck {
  return declareOptions<{ params: Iterable<Parameter> }>({ params: iterable, ...kinds }, ['params']);
}

/** Parameters, or groups of them. */
export type Trained<Settings> = Iterable<Parameter> | Iterable<ParameterGroup<Settings>>;

export function asGroups<Settings>(
  name: string,
  trained: Trained<Settings>,
  checkGroup: GroupCheck,
): ParameterGroup<Settings>[] {
  expectKind(name, 'its first argument', trained, iterable);
  const list = [...trained] as (Parameter | ParameterGroup<Settings>)[];
  if (list.some((each) => tensorLike.accepts(each)))
    return [{ params: list as Parameter[] } as object as ParameterGroup<Settings>];
  for (const group of list) checkGroup(name, group as ParameterGroup<Settings>);
  return list as ParameterGroup<Settings>[];
}

export function checkParameters(name: string, parameters: readonly Parameter[]): void {
  if (parameters.length === 0) throw new ValueError(`[${name}] got no parameters`);
  if (parameters.some((parameter) => !(parameter instanceof Parameter))) {
    throw new ValueError(`[${name}] takes parameters, or groups { params, … } of them; parameter(tensor) makes one`);
  }
  if (new Set(parameters).size !== parameters.length) throw new ValueError(`[${name}] a parameter is given twice`);
}
