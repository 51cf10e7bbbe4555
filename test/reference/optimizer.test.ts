import { describe, expect, it } from 'vitest';
import { expectClose, golden, need } from './fixtures.ts';
import { type Ref, ref, rules } from './index.ts';
import { part } from './lstmLayers.ts';

interface Options {
  readonly lr: number;
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly momentum?: number;
  readonly dampening?: number;
  readonly nesterov?: boolean;
  readonly alpha?: number;
  readonly lrDecay?: number;
  readonly initialAccumulatorValue?: number;
  readonly weightDecay?: number;
  readonly groups?: Readonly<Record<string, Partial<Options>>>;
  /** For each parameter, an x for each step in which it has a gradient. */
  readonly present?: Readonly<Record<string, string>>;
}

const cases = await golden('optimizer');

describe('optimizers agree with PyTorch over ten steps', () => {
  it.for(cases.filter(({ name }) => /^(sgd|adam|rmsprop|adagrad|lion)/.test(name)))('$name', ({ name, options, x }) => {
    for (const key of ['w', 'b']) {
      const whole = options as unknown as Options;
      const { betas = [0.9, 0.999], ...given } = { ...whole, ...whole.groups?.[key] };
      const defaults = {
        eps: 1e-8,
        weightDecay: name === 'adamw' || name === 'adamw_present' ? 0.01 : 0,
        beta1: betas[0],
        beta2: betas[1],
      };
      const all = { ...defaults, ...given };
      let parameter = need(x, key);
      let state: [Ref, Ref, Ref] = [ref(parameter.shape), ref(parameter.shape), ref(parameter.shape)];
      let step = 0;
      for (let n = 0; n < 10; n++) {
        const present = whole.present?.[key]?.[n] !== '-';
        if (present) step++;
        const gradient = part(need(x, `d${key}`), n);
        if (!present) {
          // Left alone, and its steps are not counted.
        } else if (name.startsWith('sgd')) {
          [parameter, state[0]] = rules.sgd([parameter, gradient, state[0]], { ...all, step });
        } else if (name.startsWith('rmsprop')) {
          const settings = { alpha: 0.99, ...all };
          const kept = state.slice(0, 1 + Number(name.includes('centered')) + Number(Boolean(all.momentum)));
          const rule = name.includes('centered') ? rules.rmspropCentered : rules.rmsprop;
          [parameter, ...state] = rule([parameter, gradient, ...kept] as never, settings) as [Ref, Ref, Ref, Ref];
        } else if (name.startsWith('adagrad')) {
          const settings = { lrDecay: 0, initialAccumulatorValue: 0, ...all, eps: given.eps ?? 1e-10, step };
          [parameter, state[0]] = rules.adagrad([parameter, gradient, state[0]], settings);
        } else if (name.startsWith('lion')) {
          const settings = { ...all, betas: whole.betas ?? ([0.9, 0.99] as const) };
          [parameter, state[0]] = rules.lion([parameter, gradient, state[0]], settings);
        } else {
          const rule = name.startsWith('adamw') ? rules.adamw : rules.adam;
          const [mean, square] = state;
          [parameter, state[0], state[1]] = rule([parameter, gradient, mean, square], { ...all, step });
        }
        expectClose(parameter, part(need(x, `${key}_steps`), n), `${key} after step ${n}`);
      }
    }
  });

  it.for(cases.filter(({ name }) => name.startsWith('clipGradNorm')))('$name', ({ options, x }) => {
    const [w, b, norm] = rules.clipGradNorm([need(x, 'dw'), need(x, 'db')], { maxNorm: options.maxNorm as number });
    expectClose(w as Ref, need(x, 'dw_clipped'), 'w');
    expectClose(b as Ref, need(x, 'db_clipped'), 'b');
    expectClose(norm as Ref, need(x, 'norm'), 'norm');
  });

  it('has a case for each optimizer', () => {
    expect(cases.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['sgd', 'adam', 'adamw', 'adamw_groups', 'rmsprop', 'adagrad', 'lion']),
    );
  });
});
