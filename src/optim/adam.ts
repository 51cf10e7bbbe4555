import { declareOptions, finite, type Kinds, notNegative, pairOf } from '../core/options.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { adamHyper, adamwUpdate } from '../ops/updates.ts';
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

/** Settings of Adam and AdamW. */
export interface AdamSettings extends CommonSettings {
  /** Decay of the running mean of gradients, and of their squares. */
  betas: readonly [number, number];
  /** Added to the root of the mean square; 1e-8 by default. */
  eps: number;
}

const defaults: AdamSettings = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 };

const kinds: Kinds<AdamSettings> = { ...commonKinds, betas: pairOf(finite), eps: notNegative };
const adamOptions = declareOptions<AdamSettings & StepOptions>({ ...kinds, ...stepKinds });
const adamGroups = declareGroups(kinds);

/** Adam (Kingma and Ba 2015). Weight decay, if any, is added to the gradients. */
export class Adam extends Optimizer<AdamSettings> {
  constructor(trained: Trained<AdamSettings>, options: Partial<AdamSettings & StepOptions> = {}) {
    super(trained, { ...defaults, ...adamOptions(new.target.name, options) }, adamGroups);
  }

  /** Whether weight decay acts on the weights, and not through the gradients. */
  protected get decoupled(): boolean {
    return false;
  }

  protected override check({ betas, eps }: AdamSettings): void {
    for (const [i, beta] of betas.entries())
      this.expect(`betas[${i}]`, beta, beta >= 0 && beta < 1, 'at least 0 and below 1');
    this.expect('eps', eps, eps >= 0, 'a finite number of at least 0');
  }

  protected override stateNames(): string[] {
    return ['exp_avg', 'exp_avg_sq'];
  }

  protected override hyper({ betas, eps, weightDecay }: AdamSettings, lr: number, end: number): number[] {
    return adamHyper({ lr, betas, eps, weightDecay, decoupled: this.decoupled }, end);
  }

  protected override update({ pack, gradients, hyper, turn, telling, states }: Update): Tensor | null {
    const [mean, square] = ['exp_avg', 'exp_avg_sq'].map((name) => states.get(name)) as [State, State];
    const parameters = pack.state;
    const next = adamwUpdate({
      parameters: parameters.value,
      gradients,
      mean: mean.value,
      square: square.value,
      hyper,
      turn,
      telling,
    });
    parameters.assign(next.parameters);
    mean.assign(next.mean);
    square.assign(next.square);
    return next.counts;
  }
}

/** Adam whose weight decay acts on the weights themselves (Loshchilov and Hutter 2019). */
export class AdamW extends Adam {
  constructor(trained: Trained<AdamSettings>, options: Partial<AdamSettings & StepOptions> = {}) {
    super(trained, { weightDecay: 0.01, ...adamOptions(new.target.name, options) });
  }

  protected override get decoupled(): boolean {
    return true;
  }
}
