import { ShapeError } from '../core/errors.ts';
import { countUpTo, declareOptions, flag, type Kinds, probability } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { zeros } from '../ops/elementwise.ts';
import { gru } from '../ops/gru.ts';
import { concat, stack } from '../ops/join.ts';
import { checkedLengths, type Lengths, lengthsLike } from '../ops/lengths.ts';
import { lstm } from '../ops/lstm.ts';
import { dropout } from '../ops/random.ts';
import type { RecurrenceOptions } from '../ops/recurrent.ts';
import { type Nonlinearity, nonlinearityKind, rnn } from '../ops/rnn.ts';
import { at } from '../ops/slice.ts';
import { permute } from '../ops/view.ts';
import { checkPair, type RecurrentWeights, recurrentWeights } from './cells.ts';
import { linear } from './linear.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Options of `LSTM` and `GRU`, with PyTorch's defaults. */
export interface RecurrentOptions {
  /** Layers one on top of another. */
  layers?: number;
  /** Whether there are biases; default true. */
  bias?: boolean;
  /** Sequences are [B, T, I] rather than [T, B, I]; states are [layers·directions, B, H] either way. */
  batchFirst?: boolean;
  /** Probability of dropping an element between layers, in training. */
  dropout?: number;
  /** A second direction from the end to the start; the outputs of both stand side by side. */
  bidirectional?: boolean;
}
/** Options of `RNN`. */
export interface RNNOptions extends RecurrentOptions {
  /** Default `tanh`. */
  nonlinearity?: Nonlinearity;
}
const recurrentKinds: Kinds<RecurrentOptions> = {
  layers: countUpTo(1000),
  bias: flag,
  batchFirst: flag,
  dropout: probability,
  bidirectional: flag,
};
const recurrentOptions = declareOptions<RecurrentOptions>(recurrentKinds);
const rnnOptions = declareOptions<RNNOptions>({ ...recurrentKinds, nonlinearity: nonlinearityKind });

/** Options of a call of `LSTM`, `GRU` and `RNN`. */
export interface SequenceOptions {
  /**
   * How many of the T steps are each row's own, [B] of i32 or u32, or as many numbers; default all. Outputs past a row's end are
   * 0, its last states are those at its own end, and a second direction starts there: padding changes nothing. A length outside
   * [1, T] throws a ValueError, as a number at once, in a tensor at the next read.
   */
  lengths?: Lengths;
}
const sequenceOptions = declareOptions<SequenceOptions>({ lengths: lengthsLike });

/** One layer in one direction, time first: the output [T, B, H] and the last state. */
interface Pass {
  readonly output: Tensor;
  readonly state: readonly Tensor[];
}

/**
 * Layers and directions of a recurrence, with PyTorch's parameters: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`,
 * `bias_hh_l0`, then those of `_l0_reverse`, `_l1`, and so on.
 */
abstract class Recurrent extends Module {
  /** Features of the input, I. */
  readonly inputSize: number;
  /** Features of the state, H. */
  readonly hiddenSize: number;
  /** Layers one on top of another. */
  readonly layers: number;
  /** Whether sequences are [B, T, I] rather than [T, B, I]. */
  readonly batchFirst: boolean;
  /** Whether a second direction runs from the end to the start. */
  readonly bidirectional: boolean;
  /** Probability of dropping an element between layers, in training. */
  readonly dropout: number;
  /** For each layer the weights of its directions. */
  readonly #weights: readonly (readonly RecurrentWeights[])[];

  constructor(gates: number, inputSize: number, hiddenSize: number, options: RecurrentOptions) {
    super();
    const { layers = 1, bias = true, batchFirst = false, dropout: rate = 0, bidirectional = false } = options;
    checkSizes(new.target.name, { inputSize, hiddenSize, layers });
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.layers = layers;
    this.batchFirst = batchFirst;
    this.bidirectional = bidirectional;
    this.dropout = rate;
    const suffixes = bidirectional ? ['', '_reverse'] : [''];
    this.#weights = Array.from({ length: layers }, (_, layer) =>
      suffixes.map((suffix) => {
        const weights = recurrentWeights(
          gates,
          layer === 0 ? inputSize : hiddenSize * suffixes.length,
          hiddenSize,
          bias,
        );
        const { weightIH, weightHH, biasIH, biasHH } = weights;
        const named = { weight_ih: weightIH, weight_hh: weightHH, ...(bias && { bias_ih: biasIH, bias_hh: biasHH }) };
        for (const [name, value] of Object.entries(named))
          Object.assign(this, { [`${name}_l${layer}${suffix}`]: value });
        return weights;
      }),
    );
  }

  /** Runs the recurrence over x [T, B, I] from the state, each part [B, H]. */
  protected abstract pass(
    x: Tensor,
    weights: RecurrentWeights,
    state: readonly Tensor[],
    options: RecurrenceOptions,
  ): Pass;

  /** Runs all layers from `states`, each [layers·directions, B, H] or zeros, and gives their last states so. */
  protected run(
    x: Tensor,
    states: readonly (Tensor | undefined)[],
    given?: SequenceOptions,
  ): { output: Tensor; states: Tensor[] } {
    const { lengths } = sequenceOptions(this.constructor.name, given);
    const initial = this.#initialStates(x, states);
    const [T, B] = (this.batchFirst ? [x.shape[1], x.shape[0]] : x.shape) as [number, number];
    const own = lengths === undefined ? {} : { lengths: checkedLengths(this.constructor.name, lengths, B, T) };
    const directions = this.bidirectional ? [false, true] : [false];
    const last: (readonly Tensor[])[] = [];
    let input = this.batchFirst ? permute(x, [1, 0, 2]) : x; // [T, B, I]
    for (const [layer, weights] of this.#weights.entries()) {
      const passes = directions.map((reverse, d) =>
        this.pass(input, weights[d] as RecurrentWeights, initial(layer * directions.length + d), {
          reverse,
          ...own,
        }),
      );
      for (const { state } of passes) last.push(state);
      input = concat(
        passes.map(({ output }) => output),
        2,
      ); // [T, B, directions·H]
      if (this.dropout > 0 && layer < this.layers - 1 && this.training) input = dropout(input, this.dropout);
    }
    return {
      output: this.batchFirst ? permute(input, [1, 0, 2]) : input,
      states: states.map((_, part) => stack(last.map((state) => state[part] as Tensor))),
    };
  }

  /** The parts of the state, each [B, H], that layer and direction `index` start from. */
  #initialStates(x: Tensor, states: readonly (Tensor | undefined)[]): (index: number) => Tensor[] {
    const name = this.constructor.name;
    expectTensor(name, 'the input', x);
    for (const state of states) if (state !== undefined) expectTensor(name, 'the state', state);
    if (x.rank !== 3 || x.shape[2] !== this.inputSize) {
      throw new ShapeError(
        `[${name}] the input must be ${this.batchFirst ? '[B, T' : '[T, B'}, ${this.inputSize}], got ${formatShape(x.shape)}`,
      );
    }
    const B = x.shape[this.batchFirst ? 0 : 1] as number;
    const wanted = [this.layers * (this.bidirectional ? 2 : 1), B, this.hiddenSize];
    for (const state of states) {
      if (state && !sameShape(state.shape, wanted)) {
        throw new ShapeError(
          `[${name}] a state must be [layers·directions, B, H] = ${formatShape(wanted)}, got ${formatShape(state.shape)}`,
        );
      }
    }
    return (index) => states.map((state) => (state ? at(state, index) : zeros([B, this.hiddenSize])));
  }
}

/** The input's share of the gates for all steps in one product, both biases in its tail: [T, B, I] → [T, B, G·H]. */
function gatesOfInput(x: Tensor, { weightIH, biasIH, biasHH }: RecurrentWeights): Tensor {
  const gates = linear(x, weightIH, biasIH);
  return biasHH ? gates.add(biasHH) : gates;
}

/** Long short-term memory (Hochreiter and Schmidhuber 1997), a whole sequence in a handful of dispatches. */
export class LSTM extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options?: RecurrentOptions) {
    super(4, inputSize, hiddenSize, recurrentOptions('LSTM', options));
  }

  /** x [T, B, I], h and c [layers·directions, B, H] or zeros → output [T, B, directions·H] and the last h and c. */
  forward(
    x: Tensor,
    state?: readonly [h: Tensor, c: Tensor],
    options?: SequenceOptions,
  ): [output: Tensor, state: [h: Tensor, c: Tensor]] {
    checkPair('LSTM', state);
    const { output, states } = this.run(x, [state?.[0], state?.[1]], options);
    return [output, states as [Tensor, Tensor]];
  }

  protected override pass(
    x: Tensor,
    weights: RecurrentWeights,
    [h0, c0]: readonly [Tensor, Tensor],
    options: RecurrenceOptions,
  ): Pass {
    const { output, h, c } = lstm(gatesOfInput(x, weights), h0, c0, weights.weightHH, options);
    return { output, state: [h, c] };
  }
}

/** Gated recurrent units (Cho et al. 2014), with the biases where PyTorch has them. */
export class GRU extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options?: RecurrentOptions) {
    super(3, inputSize, hiddenSize, recurrentOptions('GRU', options));
  }

  /** x [T, B, I], h [layers·directions, B, H] or zeros → output [T, B, directions·H] and the last h. */
  forward(x: Tensor, state?: Tensor, options?: SequenceOptions): [output: Tensor, state: Tensor] {
    const { output, states } = this.run(x, [state], options);
    return [output, states[0] as Tensor];
  }

  protected override pass(
    x: Tensor,
    { weightIH, weightHH, biasIH, biasHH }: RecurrentWeights,
    [h0]: readonly [Tensor],
    options: RecurrenceOptions,
  ): Pass {
    // The reset gate multiplies the state's share, b_hh included, so that only b_ih can go with the input's.
    const { output, h } = gru(linear(x, weightIH, biasIH), h0, weightHH, { ...options, bias: biasHH });
    return { output, state: [h] };
  }
}

/** h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu (Elman 1990). */
export class RNN extends Recurrent {
  /** What the sum of the shares goes through. */
  readonly nonlinearity: Nonlinearity;

  constructor(inputSize: number, hiddenSize: number, given?: RNNOptions) {
    const { nonlinearity = 'tanh', ...options } = rnnOptions('RNN', given);
    super(1, inputSize, hiddenSize, options);
    this.nonlinearity = nonlinearity;
  }

  /** x [T, B, I], h [layers·directions, B, H] or zeros → output [T, B, directions·H] and the last h. */
  forward(x: Tensor, state?: Tensor, options?: SequenceOptions): [output: Tensor, state: Tensor] {
    const { output, states } = this.run(x, [state], options);
    return [output, states[0] as Tensor];
  }

  protected override pass(
    x: Tensor,
    weights: RecurrentWeights,
    [h0]: readonly [Tensor],
    options: RecurrenceOptions,
  ): Pass {
    const { nonlinearity } = this;
    const { output, h } = rnn(gatesOfInput(x, weights), h0, weights.weightHH, { ...options, nonlinearity });
    return { output, state: [h] };
  }
}
