import { declareOptions, flag, type Kinds, notNegative } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { sgdHyper, sgdUpdate } from '../ops/updates.ts';
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

/** Settings of SGD. */
export interface SGDSettings extends CommonSettings {
  /** Share of the last direction that is kept. */
  momentum: number;
  /** Looks ahead along the direction (Sutskever et al. 2013); needs momentum. */
  nesterov: boolean;
}

const defaults: SGDSettings = { lr: 1e-3, momentum: 0, nesterov: false, weightDecay: 0 };

const kinds: Kinds<SGDSettings> = { ...commonKinds, momentum: notNegative, nesterov: flag };
const sgdOptions = declareOptions<SGDSettings & StepOptions>({ ...kinds, ...stepKinds });
const sgdGroups = declareGroups(kinds);

/** Stochastic gradient descent, with momentum if asked for. Weight decay is added to the gradients. */
export class SGD extends Optimizer<SGDSettings> {
  constructor(trained: Trained<SGDSettings>, options: Partial<SGDSettings & StepOptions> = {}) {
    super(trained, { ...defaults, ...sgdOptions('SGD', options) }, sgdGroups);
  }

  protected override check({ momentum, nesterov }: SGDSettings): void {
    this.expect('momentum', momentum, momentum >= 0, 'a finite number of at least 0');
    this.expect('momentum with nesterov', momentum, !nesterov || momentum > 0, 'positive');
  }

  protected override stateNames(): string[] {
    return this.groups.some(({ momentum }) => momentum > 0) ? ['momentum_buffer'] : [];
  }

  protected override hyper({ momentum, nesterov, weightDecay }: SGDSettings, lr: number, end: number): number[] {
    return sgdHyper({ lr, momentum, nesterov, weightDecay }, end);
  }

  protected override update({ pack, gradients, hyper, turn, telling, states }: Update): Tensor | null {
    const buffer = states.get('momentum_buffer');
    const next = sgdUpdate({
      parameters: pack.state.value,
      gradients,
      hyper,
      buffer: buffer?.value ?? null,
      turn,
      telling,
    });
    pack.state.assign(next.parameters);
    if (next.buffer) buffer?.assign(next.buffer);
    return next.counts;
  }
}
