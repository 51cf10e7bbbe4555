import { describe, it } from 'vitest';
import type { Attributes } from '../../src/core/types.ts';
import { directional, finiteGradient, inner, type Objective } from './finite.ts';
import { expectClose, golden, need, pick, type Values } from './fixtures.ts';
import { evaluate, type Ref, ref, rules } from './index.ts';
import { gates, lstmLayers } from './lstmLayers.ts';
import { reshape, sum } from './ref.ts';

/** How the cases of a family are computed with the reference: outputs by their names in the fixture. */
type Compute = (x: Values, options: Attributes, name: string) => Values;

const firstOf = (op: string, inputs: readonly Ref[], attributes: Attributes = {}) =>
  evaluate(op, inputs, attributes)[0] as Ref;
const opOf = (name: string) => name.replace(/_.*/, '');
const transpose = (x: Ref) => firstOf('permute', [x], { order: [1, 0] });

const families: Readonly<Record<string, Compute>> = {
  elementwise: (x, options, name) => ({ y: firstOf(opOf(name), pick(x, 'condition', 'x', 'a', 'b'), options) }),
  reduce: (x, options, name) => ({
    y: firstOf(name.startsWith('cumsum') ? 'cumsum' : 'reduce', [need(x, 'x')], options),
  }),
  softmax: (x, options) => ({ y: firstOf('softmax', [need(x, 'x')], options) }),
  matmul: (x, _options, name) => {
    if (name !== 'linear') return { y: firstOf('matmul', pick(x, 'input', 'other')) };
    const product = firstOf('matmul', [need(x, 'input'), transpose(need(x, 'weight'))]);
    return { y: firstOf('add', [product, need(x, 'bias')]) };
  },
  view: (x, options, name) => {
    const inputs = pick(x, 'x', 'a', 'b', 'c');
    if (name === 'stack') {
      const apart = inputs.map((value) => reshape(value, value.shape.toSpliced(options.axis as number, 0, 1)));
      return { y: firstOf('concat', apart, options) };
    }
    if (name === 'split') {
      const columns = (from: number, to: number) =>
        firstOf('slice', inputs, { start: [0, from, 0], stop: [3, to, 5], step: [1, 1, 1] });
      return { y0: columns(0, 1), y1: columns(1, 4) };
    }
    return { y: firstOf(opOf(name), inputs, options) };
  },
  index: (x, options, name) => {
    const [first, second] = evaluate(opOf(name), pick(x, 'x', 'weight', 'ids', 'source'), options) as [Ref, Ref?];
    return second ? { values: first, indices: second } : { y: first };
  },
  norm: (x, options, name) => ({ y: firstOf(opOf(name), pick(x, 'x', 'weight', 'bias'), options) }),
  loss: (x, options) => {
    const [losses, , weight] = rules.crossEntropy([need(x, 'logits'), need(x, 'targets')], options);
    if (options.reduction === 'none') return { y: losses };
    return { y: ref([], [sum(losses.data) / (options.reduction === 'mean' ? sum(weight.data) : 1)]) };
  },
  attention: (x, options) => {
    const [O, lse] = rules.attention([need(x, 'q'), need(x, 'k'), need(x, 'v'), x.mask], options);
    return 'lse' in x ? { y: O, lse } : { y: O };
  },
  rnn: (x, options, name) => {
    const [input, h0, c0] = [need(x, 'x'), need(x, 'h0'), need(x, 'c0')];
    if (name === 'lstmCell') {
      const recurrent = firstOf('matmul', [h0, transpose(need(x, 'weight_hh'))]);
      const [h, c] = rules.lstmCell([firstOf('add', [gates(input, x, ''), recurrent]), c0]);
      return { h, c };
    }
    const swap = (value: Ref) => (options.batchFirst ? firstOf('permute', [value], { order: [1, 0, 2] }) : value);
    const { output, h, c } = lstmLayers(swap(input), [h0, c0], x, options);
    return { output: swap(output), h, c };
  },
};

/** Cases for ops that are composed of others and have no rule of their own. */
const composed = /^(matmul\/(einsum.*|dot|.*vector.*)|loss\/(mse|l1|huber|bceWithLogits)|rnn\/(rnn|gru).*)$/;

/** PyTorch chooses a subgradient at a kink or a tie; a difference cannot. */
const kinked = /^(abs|relu|leakyRelu|clamp_.*|(maximum|minimum|max|min)_ties)$/;

for (const [family, compute] of Object.entries(families)) {
  const cases = (await golden(family)).filter(({ name }) => !composed.test(`${family}/${name}`));

  describe(`the reference agrees with PyTorch: ${family}`, () => {
    it.for(cases)('$name', ({ name, options, x }) => {
      const outputs = compute(x, options, name);
      for (const output of Object.keys(outputs)) expectClose(need(outputs, output), need(x, output), output);
    });
  });

  describe(`finite differences of the reference agree with PyTorch's gradients: ${family}`, () => {
    const smooth = cases.filter(({ name, x }) => !kinked.test(name) && Object.keys(x).some((key) => `d${key}` in x));

    it.for(smooth)('$name', ({ name, options, x }) => {
      const outputs = Object.keys(compute(x, options, name)).filter((output) => `d${output}` in x);
      const inputs = Object.keys(x).filter((key) => `d${key}` in x && !outputs.includes(key));
      const values = inputs.map((input) => need(x, input));
      const objective: Objective = (changed) => {
        const results = compute(
          { ...x, ...Object.fromEntries(inputs.map((input, i) => [input, changed[i]])) },
          options,
          name,
        );
        return sum(outputs.map((output) => inner(need(results, output), need(x, `d${output}`))));
      };
      const expectGradient = (got: Ref, want: Ref, what: string) =>
        expectClose(got, want, what, 1e-7, 1e-7 * want.data.reduce((a, b) => Math.max(a, Math.abs(b)), 1));

      if (sum(values.map((value) => value.data.length)) <= 200) {
        for (const [which, input] of inputs.entries()) {
          expectGradient(finiteGradient(objective, values, which), need(x, `d${input}`), `d${input}`);
        }
      } else {
        const direction = values.map((value) =>
          ref(
            value.shape,
            value.data.map((_, i) => Math.sin(i * i + 1)),
          ),
        );
        const want = sum(inputs.map((input, i) => inner(need(x, `d${input}`), direction[i] as Ref)));
        expectGradient(ref([], [directional(objective, values, direction)]), ref([], [want]), 'slope');
      }
    });
  });
}
