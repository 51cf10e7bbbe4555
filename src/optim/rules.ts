import { declareOptions, finite, type Kinds, notNegative, pairOf } from '../core/options.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { adagradHyper, lionHyper, type RuleName, rmspropHyper, ruledUpdate } from '../ops/updates.ts';
import {
  type CommonSettings,
  commonKinds,
  declareGroups,
  type StepOptions,
  stepKinds,
  type Trained,
} from './groups.ts';
import { Optimizer } from './optimizer.ts';
import type { Update } from './pack.ts';

/** Optimizers whose kernel differs in nothing but the direction that a rule finds. */
abstract class Ruled<Settings extends CommonSettings> extends Optimizer<Settings> {
  /** The rule of the kernel, whose states are those of `stateNames`, in order. */
  protected abstract get rule(): RuleName;

  protected override update({ pack, gradients, hyper, turn, telling, states }: Update): Tensor | null {
    const kept = this.stateNames().map((name) => states.get(name) as State);
    const next = ruledUpdate({
      rule: this.rule,
      parameters: pack.state.value,
      gradients,
      hyper,
      states: kept.map(({ value }) => value),
      turn,
      telling,
    });
    pack.state.assign(next.parameters);
    for (const [i, state] of kept.entries()) state.assign(next.states[i] as Tensor);
    return next.counts;
  }
}

/** Settings of RMSprop. */
export interface RMSpropSettings extends CommonSettings {
  /** Decay of the running mean of squares; 0.99 by default. */
  alpha: number;
  /** Added to the root of the mean square; 1e-8 by default. */
  eps: number;
  /** Share of the last direction that is kept; 0 by default. */
  momentum: number;
}
const rmspropDefaults: RMSpropSettings = { lr: 1e-2, alpha: 0.99, eps: 1e-8, momentum: 0, weightDecay: 0 };
const rmspropKinds: Kinds<RMSpropSettings> = { ...commonKinds, alpha: finite, eps: notNegative, momentum: notNegative };
const rmspropOptions = declareOptions<RMSpropSettings & StepOptions>({ ...rmspropKinds, ...stepKinds });
const rmspropGroups = declareGroups(rmspropKinds);

/**
 * RMSprop (Tieleman and Hinton 2012), as PyTorch has it without `centered`: gradients are divided by the root of the running
 * mean of their squares. Weight decay is added to the gradients.
 */
export class RMSprop extends Ruled<RMSpropSettings> {
  constructor(trained: Trained<RMSpropSettings>, options: Partial<RMSpropSettings & StepOptions> = {}) {
    super(trained, { ...rmspropDefaults, ...rmspropOptions('RMSprop', options) }, rmspropGroups);
  }

  protected override check({ alpha, eps, momentum }: RMSpropSettings): void {
    this.expect('alpha', alpha, alpha >= 0 && alpha <= 1, 'in [0, 1]');
    this.expect('eps', eps, eps >= 0, 'a finite number of at least 0');
    this.expect('momentum', momentum, momentum >= 0, 'a finite number of at least 0');
  }

  protected override get rule(): RuleName {
    return this.stateNames().length > 1 ? 'rmspropMomentum' : 'rmsprop';
  }

  protected override stateNames(): string[] {
    return ['square_avg', ...(this.groups.some(({ momentum }) => momentum > 0) ? ['momentum_buffer'] : [])];
  }

  protected override hyper(settings: RMSpropSettings, lr: number, end: number): number[] {
    return rmspropHyper({ ...settings, lr }, end);
  }
}

/** Settings of Adagrad. */
export interface AdagradSettings extends CommonSettings {
  /** The learning rate is divided by 1 + lrDecay · steps before; 0 by default. */
  lrDecay: number;
  /** Added to the root of the sum of squares; 1e-10 by default. */
  eps: number;
  /** What the squares add up from; 0 by default. */
  initialAccumulatorValue: number;
}
const adagradDefaults: AdagradSettings = {
  lr: 1e-2,
  lrDecay: 0,
  eps: 1e-10,
  initialAccumulatorValue: 0,
  weightDecay: 0,
};
const adagradKinds: Kinds<AdagradSettings> = {
  ...commonKinds,
  lrDecay: notNegative,
  eps: notNegative,
  initialAccumulatorValue: notNegative,
};
const adagradOptions = declareOptions<AdagradSettings & StepOptions>({ ...adagradKinds, ...stepKinds });
const adagradGroups = declareGroups(adagradKinds);

/**
 * Adagrad (Duchi et al. 2011): gradients are divided by the root of the sum of all their squares. Weight decay is added to the
 * gradients.
 */
export class Adagrad extends Ruled<AdagradSettings> {
  constructor(trained: Trained<AdagradSettings>, options: Partial<AdagradSettings & StepOptions> = {}) {
    super(trained, { ...adagradDefaults, ...adagradOptions('Adagrad', options) }, adagradGroups);
  }

  protected override check({ lrDecay, eps, initialAccumulatorValue }: AdagradSettings): void {
    for (const [name, value] of Object.entries({ lrDecay, eps, initialAccumulatorValue }))
      this.expect(name, value, value >= 0, 'a finite number of at least 0');
  }

  protected override get rule(): RuleName {
    return 'adagrad';
  }

  protected override stateNames(): string[] {
    return ['sum'];
  }

  protected override hyper(settings: AdagradSettings, lr: number, end: number): number[] {
    return adagradHyper({ ...settings, lr }, end);
  }
}

/** Settings of Lion. */
export interface LionSettings extends CommonSettings {
  /** Share of the running mean in the direction, and decay of that mean; [0.9, 0.99] by default. */
  betas: readonly [number, number];
}
const lionDefaults: LionSettings = { lr: 1e-4, betas: [0.9, 0.99], weightDecay: 0 };
const lionKinds: Kinds<LionSettings> = { ...commonKinds, betas: pairOf(finite) };
const lionOptions = declareOptions<LionSettings & StepOptions>({ ...lionKinds, ...stepKinds });
const lionGroups = declareGroups(lionKinds);

/**
 * Lion (Chen et al. 2023): each weight goes by the same length, against the sign of a running mean of its gradients. Weight
 * decay acts on the weights. Wants a learning rate some 3 to 10 times smaller than AdamW, and as much more decay.
 */
export class Lion extends Ruled<LionSettings> {
  constructor(trained: Trained<LionSettings>, options: Partial<LionSettings & StepOptions> = {}) {
    super(trained, { ...lionDefaults, ...lionOptions('Lion', options) }, lionGroups);
  }

  protected override check({ betas }: LionSettings): void {
    for (const [i, beta] of betas.entries())
      this.expect(`betas[${i}]`, beta, beta >= 0 && beta < 1, 'at least 0 and below 1');
  }

  protected override get rule(): RuleName {
    return 'lion';
  }

  protected override stateNames(): string[] {
    return ['exp_avg'];
  }

  protected override hyper(settings: LionSettings, lr: number, end: number): number[] {
    return lionHyper({ ...settings, lr }, end);
  }
}
