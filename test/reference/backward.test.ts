import { describe, expect, it } from 'vitest';
import type { Shape } from '../../src/core/shape.ts';
import { expectClose, type Golden, golden, need, pick, type Values } from './fixtures.ts';
import { evaluate, type Ref, ref, rules } from './index.ts';
import { gates, part } from './lstmLayers.ts';
import { extent, reshape } from './ref.ts';

/** Gradients by the rules that end in `Backward`, under their names in the fixtures. */
const families: Readonly<Record<string, (golden: Golden) => Values>> = {
  softmax: ({ options, x }) => {
    const [y] = evaluate('softmax', [need(x, 'x')], options); // the stored one is rounded
    return named(['dx'], evaluate('softmaxBackward', [y as Ref, need(x, 'dy')], options));
  },
  norm: ({ name, options, x }) => {
    const op = name.replace(/_.*/, '');
    const [, statistics] = evaluate(op, pick(x, 'x', 'weight'), options);
    const inputs = [need(x, 'x'), statistics as Ref, ...pick(x, 'weight', 'dy')];
    return named(['dx', 'dweight', 'dbias'], evaluate(`${op}Backward`, inputs));
  },
  loss: ({ name, options, x }) => {
    if (!name.startsWith('crossEntropy_none')) return {};
    const [logits, targets] = [need(x, 'logits'), need(x, 'targets')];
    const [, statistics] = rules.crossEntropy([logits, targets], options);
    return named(['dlogits'], rules.crossEntropyBackward([logits, targets, statistics, need(x, 'dy')], options));
  },
  attention: ({ options, x }) => {
    const [q, k, v] = [need(x, 'q'), need(x, 'k'), need(x, 'v')];
    const [O, lse] = rules.attention([q, k, v, x.mask], options);
    const gradients = rules.attentionBackward([q, k, v, O, lse, need(x, 'dy'), x.mask], options);
    return { ...named(['dq', 'dk', 'dv'], gradients), ...(x.mask ? { dmask: sumTo(gradients[3], x.mask.shape) } : {}) };
  },
  index: ({ name, x }) =>
    name.startsWith('embedding')
      ? named(
          ['dweight'],
          rules.embeddingBackward([need(x, 'dy'), need(x, 'ids')], { rows: extent(need(x, 'weight'), 0) }),
        )
      : {},
  rnn: ({ name, x }) => {
    if (name !== 'lstm') return {};
    const [T, B, I] = need(x, 'x').shape as [number, number, number];
    const rows = reshape(need(x, 'x'), [T * B, I]);
    const W = need(x, 'weight_hh_l0');
    const gatesX = reshape(gates(rows, x, '_l0'), [T, B, extent(W, 0)]);
    const [h0, c0] = [part(need(x, 'h0'), 0), part(need(x, 'c0'), 0)];
    const [output, cells, activated] = rules.lstm([gatesX, h0, W, c0], {});
    // The gradient of the last h is one of the last output.
    const [dOutput, dH] = [need(x, 'doutput'), need(x, 'dh')];
    const none = ref([T - 1, B, extent(W, 1)]);
    const whole = rules.add([dOutput, rules.concat([none, dH], { axis: 0 })[0]])[0] as Ref;
    const [dGatesX, dState0] = rules.lstmBackward([whole, W, activated, cells, c0, part(need(x, 'dc'), 0)], {});
    const hidden = rules.concat([need(x, 'h0'), output], { axis: 0 })[0]; // [T + 1, B, H]
    const before = ref([T * B, extent(W, 1)], hidden.data.slice(0, T * B * extent(W, 1)));
    const dGates = reshape(dGatesX, [T * B, extent(W, 0)]);
    return {
      dx: rules.matmul([dGatesX, need(x, 'weight_ih_l0')])[0],
      dbias_ih_l0: sumTo(dGatesX, [extent(W, 0)]),
      dh0: part(reshape(dState0, [2, 1, ...h0.shape]), 0),
      dc0: part(reshape(dState0, [2, 1, ...h0.shape]), 1),
      dweight_hh_l0: rules.matmul([rules.permute([dGates], { order: [1, 0] })[0], before])[0],
    };
  },
};

/** Outputs by name. */
function named(names: readonly string[], outputs: readonly Ref[]): Values {
  return Object.fromEntries(names.map((name, i) => [name, outputs[i]]));
}

/** The gradient of a value that was broadcast: sums over the dimensions that were stretched. */
function sumTo(x: Ref, shape: Shape): Ref {
  const missing = x.shape.length - shape.length;
  const axes = x.shape.flatMap((_, axis) => (axis < missing || shape[axis - missing] === 1 ? [axis] : []));
  return reshape(rules.reduce([x], { kind: 'sum', axes })[0], shape);
}

for (const [family, compute] of Object.entries(families)) {
  describe(`backward rules agree with PyTorch: ${family}`, async () => {
    const cases = (await golden(family)).map((one) => ({ ...one, gradients: compute(one) }));

    it.for(cases.filter(({ gradients }) => Object.keys(gradients).length > 0))('$name', ({ x, gradients }) => {
      const known = Object.keys(gradients).filter((gradient) => gradient in x);
      expect(known.length).toBeGreaterThan(0);
      for (const gradient of known) expectClose(need(gradients, gradient), need(x, gradient), gradient);
    });
  });
}
