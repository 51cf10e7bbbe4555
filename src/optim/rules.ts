import { ValueError } from '../core/errors.ts';
import { declareOptions, finite, flag, type Kinds, notNegative, pairOf } from '../core/options.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { full } from '../ops/create.ts';
import { concat } from '../ops/join.ts';
import { slice } from '../ops/slice.ts';
import { adagradHyper, lionHyper, type RuleName, rmspropHyper, ruledUpdate, sgdUpdate } from '../ops/updates.ts';
import { reshape } from '../ops/view.ts';
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
import { unscaled } from './turns.ts';

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
  /** Whether the gradients are divided by the root of their running variance (Graves 2013), in all groups; default false. */
  centered: boolean;
}
const rmspropDefaults: RMSpropSettings = {
  lr: 1e-2,
  alpha: 0.99,
  eps: 1e-8,
  momentum: 0,
  centered: false,
  weightDecay: 0,
};
const rmspropKinds: Kinds<RMSpropSettings> = {
  ...commonKinds,
  alpha: finite,
  eps: notNegative,
  momentum: notNegative,
  centered: flag,
};
const rmspropOptions = declareOptions<RMSpropSettings & StepOptions>({ ...rmspropKinds, ...stepKinds });
const rmspropGroups = declareGroups(rmspropKinds);

/**
 * RMSprop (Tieleman and Hinton 2012), as PyTorch has it: gradients are divided by the root of the running mean of their squares,
 * or of their variance. Weight decay is added to the gradients.
 */
export class RMSprop extends Ruled<RMSpropSettings> {
  constructor(trained: Trained<RMSpropSettings>, options: Partial<RMSpropSettings & StepOptions> = {}) {
    super(trained, { ...rmspropDefaults, ...rmspropOptions('RMSprop', options) }, rmspropGroups);
  }

  protected override check({ alpha, eps, momentum, centered }: RMSpropSettings): void {
    this.expect('alpha', alpha, alpha >= 0 && alpha <= 1, 'in [0, 1]');
    this.expect('eps', eps, eps >= 0, 'a finite number of at least 0');
    this.expect('momentum', momentum, momentum >= 0, 'a finite number of at least 0');
    if (centered !== this.groups[0]?.centered)
      throw new ValueError('[RMSprop] centered must be the same in all groups');
  }

  protected override get rule(): RuleName {
    if (isCentered(this.groups)) return 'rmspropCentered';
    return hasMomentum(this.groups) ? 'rmspropMomentum' : 'rmsprop';
  }

  protected override stateNames(): string[] {
    return [
      'square_avg',
      ...(isCentered(this.groups) ? ['grad_avg'] : []),
      ...(hasMomentum(this.groups) ? ['momentum_buffer'] : []),
    ];
  }

  protected override hyper(settings: RMSpropSettings, lr: number, end: number): number[] {
    return rmspropHyper({ ...settings, lr }, end);
  }

  /** With momentum, what is centered goes through SGD: a kernel for both had more bindings than devices must have. */
  protected override update(update: Update): Tensor | null {
    if (!isCentered(this.groups) || !hasMomentum(this.groups)) return super.update(update);
    const { pack, hyper, turn, telling, states } = update;
    const { value } = pack.state;
    const [square, average, velocity] = this.stateNames().map((name) => states.get(name)) as [State, State, State];
    const found = ruledUpdate({
      rule: 'rmspropCentered',
      parameters: value,
      gradients: update.gradients,
      hyper: rearranged(hyper, [-1, 'l2', 1, 'a', 'b', 0, 'end']),
      states: [square.value, average.value],
      ...{ turn, telling },
    });
    // Of parameters that decay wholly, and go by the direction times 1, the direction is left.
    const direction = found.parameters;
    for (const [i, state] of [square, average].entries()) state.assign(found.states[i] as Tensor);
    const next = sgdUpdate({
      parameters: value,
      gradients: direction,
      hyper: rearranged(hyper, ['lr', 0, 0, 'c', 0, 0, 'end']),
      buffer: velocity.value,
      turn: unscaled(turn),
      telling: { ...telling, derived: true },
    });
    pack.state.assign(next.parameters);
    velocity.assign(next.buffer as Tensor);
    return next.counts;
  }
}

const isCentered = (groups: readonly RMSpropSettings[]) => groups.some(({ centered }) => centered);
const hasMomentum = (groups: readonly RMSpropSettings[]) => groups.some(({ momentum }) => momentum > 0);

/** Places in the settings of a group, see `descendHyper`. */
const places = ['lr', 'l2', 'decay', 'a', 'b', 'c', 'end'];

/** Settings [groups·7] with others, or numbers, in their places. */
function rearranged(hyper: Tensor, wanted: readonly (string | number)[]): Tensor {
  const rows = reshape(hyper, [-1, places.length]); // [groups, 7]
  const columns = wanted.map((each) => {
    const place = typeof each === 'string' ? places.indexOf(each) : 0;
    const column = slice(rows, [null, [place, place + 1]]);
    return typeof each === 'string' ? column : full(column.shape, each);
  });
  return reshape(concat(columns, 1), hyper.shape);
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
