import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../src/core/types.ts';
import { directional, inner } from './finite.ts';
import { expectClose, type Golden, golden, need, type Values } from './fixtures.ts';
import { evaluate, type Ref, ref } from './index.ts';
import { lstmLayers, part } from './lstmLayers.ts';
import { reshape, sum } from './ref.ts';

const op = (name: string, inputs: readonly Ref[], attributes: Attributes = {}) =>
  evaluate(name, inputs, attributes)[0] as Ref;
const add = (a: Ref, b: Ref) => op('add', [a, b]);
const transpose = (x: Ref) => op('permute', [x], { order: [1, 0] });

/** Whole models from the rules, with parameters under PyTorch's names: ids → logits. */
const models: Readonly<Record<string, (ids: Ref, parameters: Values, options: Attributes) => Ref>> = {
  gpt(ids, parameters, { heads: H, layers, embedDim: E }) {
    const [B, T] = ids.shape as [number, number];
    const [heads, width] = [H as number, E as number];
    const D = width / heads;
    const linear = (x: Ref, name: string) =>
      add(op('matmul', [x, transpose(need(parameters, `${name}.weight`))]), need(parameters, `${name}.bias`));
    const norm = (x: Ref, name: string) =>
      op('layerNorm', [x, need(parameters, `${name}.weight`), need(parameters, `${name}.bias`)], { eps: 1e-5 });
    const swap = (x: Ref) => op('permute', [x], { order: [0, 2, 1, 3] });

    const wte = need(parameters, 'wte.weight');
    let x = add(op('embedding', [wte, ids]), need(parameters, 'wpe.weight')); // [B, T, E]
    for (let layer = 0; layer < (layers as number); layer++) {
      const qkv = linear(norm(x, `h.${layer}.ln_1`), `h.${layer}.attn.c_attn`); // [B, T, 3E]
      const [q, k, v] = [0, 1, 2].map((n) => {
        const stop = [B, T, (n + 1) * width];
        const columns = op('slice', [qkv], { start: [0, 0, n * width], stop, step: [1, 1, 1] });
        return swap(reshape(columns, [B, T, heads, D])); // [B, H, T, D]
      }) as [Ref, Ref, Ref];
      const mixed = reshape(swap(op('attention', [q, k, v], { causal: true, scale: null })), [B, T, width]);
      x = add(x, linear(mixed, `h.${layer}.attn.c_proj`));
      const hidden = op('gelu', [linear(norm(x, `h.${layer}.ln_2`), `h.${layer}.mlp.c_fc`)], { approximate: 'tanh' });
      x = add(x, linear(hidden, `h.${layer}.mlp.c_proj`));
    }
    return op('matmul', [norm(x, 'ln_f'), transpose(wte)]);
  },

  lstm(ids, parameters, options) {
    const x = op('embedding', [need(parameters, 'embedding.weight'), ids]); // [T, B, E]
    const zeros = ref([options.layers as number, ids.shape[1] as number, options.hiddenSize as number]);
    const ofLstm = Object.entries(parameters).map(([name, value]) => [name.replace('lstm.', ''), value]);
    const { output } = lstmLayers(x, [zeros, zeros], Object.fromEntries(ofLstm), options);
    return add(op('matmul', [output, transpose(need(parameters, 'head.weight'))]), need(parameters, 'head.bias'));
  },
};

/** Tensors whose names begin with a prefix, without it. */
const under = (x: Values, prefix: string): Values =>
  Object.fromEntries(
    Object.entries(x).flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [])),
  );

function lossOf(logits: Ref, targets: Ref): number {
  const rows = targets.data.length;
  const losses = op('crossEntropy', [reshape(logits, [rows, logits.data.length / rows]), reshape(targets, [rows])]);
  return sum(losses.data) / rows;
}

describe('models made of reference rules start on the trajectory of PyTorch', async () => {
  it.for(await golden('trajectory'))('$name', ({ name, options, x }: Golden) => {
    const model = models[name] as (typeof models)[string];
    const [ids, targets] = [part(need(x, 'x'), 0), part(need(x, 'y'), 0)];
    const initial = under(x, 'initial.');
    const logits = model(ids, initial, options);
    expectClose(logits, need(x, 'logits'), 'logits');
    expect(lossOf(logits, targets)).toBeCloseTo(need(x, 'losses').data[0] as number, 6);

    const names = Object.keys(initial);
    const values = names.map((key) => need(initial, key));
    const direction = values.map((value) =>
      ref(
        value.shape,
        value.data.map((_, i) => Math.cos(i * i)),
      ),
    );
    const slope = directional(
      (changed) => lossOf(model(ids, Object.fromEntries(names.map((key, i) => [key, changed[i]])), options), targets),
      values,
      direction,
    );
    const gradients = under(x, 'grad.');
    const expected = sum(names.map((key, i) => inner(need(gradients, key), direction[i] as Ref)));
    expect(slope).toBeCloseTo(expected, 5);
    const norm = Math.sqrt(sum(names.map((key) => inner(need(gradients, key), need(gradients, key)))));
    expect(norm).toBeCloseTo(need(x, 'gradNorms').data[0] as number, 5);
  });
});
