import type { Attributes } from '../../src/core/types.ts';
import { need, pick, type Values } from './fixtures.ts';
import { evaluate, type Ref, ref, rules } from './index.ts';
import { reshape } from './ref.ts';

const firstOf = (op: string, inputs: readonly Ref[], attributes: Attributes = {}) =>
  evaluate(op, inputs, attributes)[0] as Ref;

/** x · W_ihᵀ + b_ih + b_hh for rows x [rows, I]. */
export function gates(x: Ref, parameters: Values, suffix: string): Ref {
  const transposed = firstOf('permute', [need(parameters, `weight_ih${suffix}`)], { order: [1, 0] });
  const biases = pick(parameters, `bias_ih${suffix}`, `bias_hh${suffix}`);
  return biases.reduce((total, bias) => firstOf('add', [total, bias]), firstOf('matmul', [x, transposed]));
}

/** nn.LSTM from the rule for one sequence, which it takes once for each layer and direction. */
export function lstmLayers(x: Ref, states: readonly [Ref, Ref], parameters: Values, options: Attributes) {
  const final: { hidden: Ref[]; cell: Ref[] } = { hidden: [], cell: [] };
  let input = x;
  for (let layer = 0; layer < (options.layers as number); layer++) {
    const outputs = (options.bidirectional ? [false, true] : [false]).map((reverse) => {
      const suffix = `_l${layer}${reverse ? '_reverse' : ''}`;
      const [T, B, I] = input.shape as [number, number, number];
      const W = need(parameters, `weight_hh${suffix}`);
      const gatesX = reshape(gates(reshape(input, [T * B, I]), parameters, suffix), [T, B, W.shape[0] as number]);
      const [h0, c0] = states.map((state) => part(state, final.hidden.length)) as [Ref, Ref];
      const [output, cells] = rules.lstm([gatesX, h0, W, c0], { reverse });
      final.hidden.push(part(output, reverse ? 0 : T - 1));
      final.cell.push(part(cells, reverse ? 0 : T - 1));
      return output;
    });
    input = firstOf('concat', outputs, { axis: 2 });
  }
  return { output: input, h: stack(final.hidden), c: stack(final.cell) };
}

/** x[i], without its first dimension. */
export function part(x: Ref, i: number): Ref {
  const size = x.data.length / (x.shape[0] as number);
  return ref(x.shape.slice(1), x.data.slice(i * size, (i + 1) * size));
}

function stack(values: readonly Ref[]): Ref {
  const apart = values.map((value) => reshape(value, [1, ...value.shape]));
  return firstOf('concat', apart, { axis: 0 });
}
