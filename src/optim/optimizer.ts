import { ValueError, WeftError } from '../errors.ts';
import { flush } from '../gpu/run.ts';
import type { TensorType } from '../graph/node.ts';
import { noGrad } from '../graph/record.ts';
import type { State } from '../graph/state.ts';
import { type LoadOptions, type LoadReport, matchState, type StateDict } from '../nn/stateDict.ts';
import { dynamic } from '../ops/dynamic.ts';
import { zeros } from '../ops/elementwise.ts';
import { packValues } from '../ops/packing.ts';
import { fromHost, Parameter, type Tensor } from '../tensor.ts';
import { type FlatGradients, type ParameterPack, packGroups } from './pack.ts';
import type { Schedule } from './schedules.ts';

/** What every optimizer is told, for all parameters or for a group. */
export interface CommonSettings {
  /** Learning rate, or a function that gives it for each step, counted from 0. */
  lr: number | ((step: number) => number);
  /** A factor of the learning rate for each step. */
  schedule?: Schedule;
  weightDecay: number;
}

/** Parameters with settings of their own; those left out are the optimizer's. */
export type ParameterGroup<Settings> = Partial<Settings> & { readonly params: Iterable<Parameter> };

/** Parameters, or groups of them. */
export type Trained<Settings> = Iterable<Parameter> | Iterable<ParameterGroup<Settings>>;

/** Numbers of one group that the update kernel reads. */
const hyperLength = 8;

/**
 * Updates parameters from their gradients. They lie one after another in flat packs, so that a step is one dispatch, and
 * so do the optimizer's own states. Learning rates and step numbers are read anew at each step, compiled or not.
 */
export abstract class Optimizer<Settings extends CommonSettings> {
  /** The groups; their settings may be changed at any time. */
  readonly groups: readonly (Settings & { readonly params: readonly Parameter[] })[];
  readonly #packs: readonly ParameterPack[];
  /** For each pack its states by PyTorch's names. */
  readonly #states: readonly ReadonlyMap<string, State>[];
  #steps = 0;

  constructor(trained: Trained<Settings>, settings: Settings) {
    this.groups = asGroups(trained).map((group) => ({
      ...settings,
      ...group,
      params: [...(group.params ?? [group])] as Parameter[],
    }));
    checkParameters(
      this.constructor.name,
      this.groups.flatMap(({ params }) => params),
    );
    for (const group of this.groups) {
      if (typeof group.lr !== 'function') this.expect('lr', group.lr, group.lr >= 0, 'a finite number of at least 0');
      this.expect('weightDecay', group.weightDecay, group.weightDecay >= 0, 'a finite number of at least 0');
      this.check(group);
    }
    this.#packs = packGroups(this.groups);
    this.#states = this.#packs.map((pack) => new Map(this.stateNames().map((name) => [name, pack.zeros(name)])));
  }

  /** Steps made so far. */
  get steps(): number {
    return this.#steps;
  }

  /** Throws a ValueError where a setting of a group makes no sense; see `expect`. */
  protected abstract check(settings: Settings): void;
  /** Names of the states that it keeps for each parameter, PyTorch's. */
  protected abstract stateNames(): string[];
  /** Numbers of a group for its kernel, in step `step`, the first being 1. */
  protected abstract hyper(settings: Settings, lr: number, step: number): number[];
  /** The next versions of parameters and states, all flat. */
  protected abstract update(
    pack: ParameterPack,
    gradients: FlatGradients,
    states: ReadonlyMap<string, State>,
    hyper: Tensor,
  ): void;

  /** Makes one step with the gradients that are there; a parameter without one is taken to have zeros. */
  step(): void {
    noGrad(() => {
      const gradients = this.#packs.map((pack) => pack.gradients());
      if (gradients.every((each) => each === null))
        throw new WeftError(`[${this.constructor.name}] step() found no gradient; call loss.backward() first`);
      for (const [i, pack] of this.#packs.entries()) {
        if (!pack.holds)
          throw new WeftError(
            `[${this.constructor.name}] its parameters have been given to another optimizer, which has them now`,
          );
        const hyper = dynamic(() => {
          if (i === 0) this.#steps++;
          return pack.groups.flatMap((group) => this.#hyperOf(group));
        }, hyperLength * pack.groups.length);
        const given = gradients[i] ?? { flat: zeros([pack.length]), scale: null };
        this.update(pack, given, this.#states[i] as ReadonlyMap<string, State>, hyper);
      }
    });
    flush();
  }

  /** Forgets the gradients. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const parameter of params) parameter.grad = null;
  }

  /** The learning rate of a group in the next step. */
  learningRate(group = 0): number {
    return this.#rate(this.groups[group] as Settings, this.#steps);
  }

  /** All that a resumed run needs: `step`, and `state.0.exp_avg` and the like, numbered by parameter as in PyTorch. */
  stateDict(): Map<string, Tensor> {
    const dict = new Map([['step', fromHost(stepType, Int32Array.of(this.#steps))]]);
    this.#eachState((name, state, pack, first) => {
      for (const [i, part] of pack.unpack(state.value).entries()) dict.set(`state.${first + i}.${name}`, part);
    });
    return dict;
  }

  /** Takes what `stateDict` gave; compiled steps stay valid. Reports as a module's `loadStateDict` does. */
  loadStateDict(dict: StateDict, options?: LoadOptions): LoadReport {
    const wanted = new Map<string, TensorType>([['step', stepType]]);
    this.#eachState((name, _, pack, first) => {
      for (const [i, { shape, dtype }] of pack.members.entries())
        wanted.set(`state.${first + i}.${name}`, { shape, dtype });
    });
    const { fitting, report } = matchState(this.constructor.name, wanted, dict, options);
    const step = fitting.get('step');
    if (step) {
      if (!step.host)
        throw new ValueError(
          `[${this.constructor.name}] the entry "step" must hold its value on the host, as stateDict() and files give it`,
        );
      this.#steps = step.host[0] as number;
    }
    this.#eachState((name, state, pack, first) => {
      const current = pack.unpack(state.value);
      state.assign(packValues(current.map((value, i) => fitting.get(`state.${first + i}.${name}`) ?? value)));
    });
    return report;
  }

  /** Throws a ValueError unless `holds` is true of a finite `value`. */
  protected expect(name: string, value: number, holds: boolean, wanted: string): void {
    if (!(holds && Number.isFinite(value)))
      throw new ValueError(`[${this.constructor.name}] ${name} must be ${wanted}, got ${value}`);
  }

  #eachState(visit: (name: string, state: State, pack: ParameterPack, first: number) => void): void {
    let first = 0;
    for (const [i, pack] of this.#packs.entries()) {
      for (const [name, state] of this.#states[i] as ReadonlyMap<string, State>) visit(name, state, pack, first);
      first += pack.members.length;
    }
  }

  #hyperOf(group: number): number[] {
    const settings = this.groups[group] as Settings;
    return this.hyper(settings, this.#rate(settings, this.#steps - 1), this.#steps);
  }

  #rate({ lr, schedule }: CommonSettings, step: number): number {
    const rate = (typeof lr === 'number' ? lr : lr(step)) * (schedule?.(step) ?? 1);
    this.expect(`lr in step ${step}`, rate, rate >= 0, 'a finite number of at least 0');
    return rate;
  }
}

const stepType: TensorType = { shape: [], dtype: 'i32' };

function asGroups<Settings>(trained: Trained<Settings>): ParameterGroup<Settings>[] {
  const list = [...trained] as (Parameter | ParameterGroup<Settings>)[];
  if (list.every((each) => !(each instanceof Parameter))) return list as ParameterGroup<Settings>[];
  return [{ params: list as Parameter[] } as object as ParameterGroup<Settings>];
}

function checkParameters(name: string, parameters: readonly Parameter[]): void {
  if (parameters.length === 0) throw new ValueError(`[${name}] got no parameters`);
  if (parameters.some((parameter) => !(parameter instanceof Parameter))) {
    throw new ValueError(`[${name}] takes parameters, or groups { params, … } of them; parameter(tensor) makes one`);
  }
  if (new Set(parameters).size !== parameters.length) throw new ValueError(`[${name}] a parameter is given twice`);
}
