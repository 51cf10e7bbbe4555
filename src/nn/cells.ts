import { ShapeError, ValueError } from '../core/errors.ts';
import { declareOptions, flag, listOf, shown, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import type { Parameter } from '../graph/parameter.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parameter } from '../ops/create.ts';
import { zeros } from '../ops/elementwise.ts';
import { gruStep } from '../ops/gru.ts';
import { lstm } from '../ops/lstm.ts';
import { type Nonlinearity, nonlinearityKind } from '../ops/rnn.ts';
import { unsqueeze } from '../ops/view.ts';
import { uniform } from './init.ts';
import { linear } from './linear.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Weights of one recurrence: from the input [G·H, I], from the state before [G·H, H], and their biases [G·H]. */
export interface RecurrentWeights {
  readonly weightIH: Parameter;
  readonly weightHH: Parameter;
  readonly biasIH: Parameter | null;
  readonly biasHH: Parameter | null;
}

/** Weights for `gates` gates, uniform within ±1/√H as in PyTorch. */
export function recurrentWeights(
  gates: number,
  inputSize: number,
  hiddenSize: number,
  bias: boolean,
): RecurrentWeights {
  const bound = 1 / Math.sqrt(hiddenSize);
  const make = (...shape: number[]) => parameter(uniform(shape, { low: -bound, high: bound }));
  const rows = gates * hiddenSize;
  return {
    weightIH: make(rows, inputSize),
    weightHH: make(rows, hiddenSize),
    biasIH: bias ? make(rows) : null,
    biasHH: bias ? make(rows) : null,
  };
}

/** Options of `LSTMCell` and `GRUCell`. */
export interface CellOptions {
  /** Whether there are biases; default true. */
  bias?: boolean;
}
/** Options of `RNNCell`. */
export interface RNNCellOptions extends CellOptions {
  /** Default `tanh`. */
  nonlinearity?: Nonlinearity;
}
const cellOptions = declareOptions<CellOptions>({ bias: flag });
const rnnCellOptions = declareOptions<RNNCellOptions>({ bias: flag, nonlinearity: nonlinearityKind });

/** One step of a recurrence, with PyTorch's parameters. */
abstract class RecurrentCell extends Module {
  /** Weights of the input, [gates·H, I]. */
  readonly weight_ih: Parameter;
  /** Weights of the state, [gates·H, H]. */
  readonly weight_hh: Parameter;
  /** Bias of the input's share, [gates·H]; null without biases. */
  readonly bias_ih: Parameter | null;
  /** Bias of the state's share, [gates·H]; null without biases. */
  readonly bias_hh: Parameter | null;

  constructor(gates: number, inputSize: number, hiddenSize: number, { bias = true }: CellOptions) {
    super();
    checkSizes(new.target.name, { inputSize, hiddenSize });
    const weights = recurrentWeights(gates, inputSize, hiddenSize, bias);
    this.weight_ih = weights.weightIH;
    this.weight_hh = weights.weightHH;
    this.bias_ih = weights.biasIH;
    this.bias_hh = weights.biasHH;
  }

  /** The given state [B, H], or zeros. */
  protected start(x: Tensor, h: Tensor | undefined): Tensor {
    const name = this.constructor.name;
    const [I, H] = [this.weight_ih.shape[1] as number, this.weight_hh.shape[1] as number];
    expectTensor(name, 'the input', x);
    if (h !== undefined) expectTensor(name, 'the state', h);
    if (x.rank !== 2 || x.shape[1] !== I)
      throw new ShapeError(`[${name}] the input must be [B, ${I}], got ${formatShape(x.shape)}`);
    const wanted = [x.shape[0] as number, H] as const;
    if (h && !sameShape(h.shape, wanted))
      throw new ShapeError(`[${name}] the state must be ${formatShape(wanted)}, got ${formatShape(h.shape)}`);
    return h ?? zeros(wanted);
  }

  protected ofInput(x: Tensor): Tensor {
    return linear(x, this.weight_ih, this.bias_ih);
  }

  protected ofState(h: Tensor): Tensor {
    return linear(h, this.weight_hh, this.bias_hh);
  }
}

/** h' = tanh(W_ih·x + b_ih + W_hh·h + b_hh), or relu: x [B, I], h [B, H] → h' [B, H]. */
export class RNNCell extends RecurrentCell {
  /** What the sum of the shares goes through. */
  readonly nonlinearity: Nonlinearity;

  constructor(inputSize: number, hiddenSize: number, given?: RNNCellOptions) {
    const { nonlinearity = 'tanh', ...options } = rnnCellOptions('RNNCell', given);
    super(1, inputSize, hiddenSize, options);
    this.nonlinearity = nonlinearity;
  }

  /** x [B, I], h [B, H] or zeros → h' [B, H]. Throws a ShapeError on other shapes. */
  forward(x: Tensor, state?: Tensor): Tensor {
    const h = this.start(x, state);
    return this.ofInput(x).add(this.ofState(h))[this.nonlinearity]();
  }
}

/** One step of a gated recurrent unit: x [B, I], h [B, H] → h' [B, H]. */
export class GRUCell extends RecurrentCell {
  constructor(inputSize: number, hiddenSize: number, options?: CellOptions) {
    super(3, inputSize, hiddenSize, cellOptions('GRUCell', options));
  }

  /** x [B, I], h [B, H] or zeros → h' [B, H]. Throws a ShapeError on other shapes. */
  forward(x: Tensor, state?: Tensor): Tensor {
    const h = this.start(x, state);
    return gruStep(this.ofInput(x), this.ofState(h), h);
  }
}

/** Throws where the state of an LSTM is no pair of h and c, said to those who have no compiler to say it. */
export function checkPair(name: string, state: readonly unknown[] | undefined): void {
  if (state === undefined || (Array.isArray(state) && state.length === 2 && listOf(tensorLike).accepts(state))) return;
  throw new ValueError(`[${name}] the state must be a pair of tensors, [h, c], got ${shown(state)}`);
}

/** One step of an LSTM: x [B, I], h and c [B, H] → h' and c' [B, H]. */
export class LSTMCell extends RecurrentCell {
  constructor(inputSize: number, hiddenSize: number, options?: CellOptions) {
    super(4, inputSize, hiddenSize, cellOptions('LSTMCell', options));
  }

  /**
   * x [B, I], h and c [B, H] or zeros → h' and c' [B, H]. Throws a ShapeError on other shapes, a ValueError on a state
   * that is no pair.
   */
  forward(x: Tensor, state?: readonly [h: Tensor, c: Tensor]): [h: Tensor, c: Tensor] {
    checkPair('LSTMCell', state);
    const [h0, c0] = [this.start(x, state?.[0]), this.start(x, state?.[1])];
    const gates = this.ofInput(x);
    // The product with the state and the gates are one kernel: a sequence of one step.
    const { h, c } = lstm(unsqueeze(this.bias_hh ? gates.add(this.bias_hh) : gates, 0), h0, c0, this.weight_hh);
    return [h, c];
  }
}
