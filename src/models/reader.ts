import { ValueError } from '../core/errors.ts';
import { count, countUpTo, finite, flag, type Kinds, oneOf, probability } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Dropout } from '../nn/dropout.ts';
import { Linear } from '../nn/linear.ts';
import { GRU, LSTM, RNN } from '../nn/recurrent.ts';
import { setForgetBias } from './forgetBias.ts';
import { type ReadOptions, SequenceModel, type StepsConfig, stepsKinds } from './sequence.ts';

/** Sizes and settings of `SequenceClassifier` and `SequenceTagger`: either `vocabularySize` and `embedding`, or `features`. */
export interface RecurrentReaderConfig extends StepsConfig {
  /** The recurrence. */
  cell: 'lstm' | 'gru' | 'rnn';
  /** Width of the recurrent layers in each direction, H. */
  hidden: number;
  /** Classes to tell apart, C. */
  classes: number;
  /** Recurrent layers one on top of another; 1 by default. */
  layers?: number;
  /** Whether a second direction reads from the end to the start; default false. */
  bidirectional?: boolean;
  /** Probability of dropping an element before, between and after the recurrent layers, in training; 0 by default. */
  dropout?: number;
  /** What the forget gates of an LSTM add to begin with; 1 by default, for a long memory (Jozefowicz et al. 2015). */
  forgetBias?: number;
}
export const readerKinds: Kinds<RecurrentReaderConfig> = {
  cell: oneOf('lstm', 'gru', 'rnn'),
  ...stepsKinds,
  hidden: count,
  classes: count,
  layers: countUpTo(1000),
  bidirectional: flag,
  dropout: probability,
  forgetBias: finite,
};
export const readerNeeds = ['cell', 'hidden', 'classes'] as const;

/** A recurrence over sequences, with a linear head on what it gives. */
export abstract class RecurrentReader extends SequenceModel {
  /** The recurrence, where `cell` is `lstm`. */
  readonly lstm?: LSTM;
  /** The recurrence, where `cell` is `gru`. */
  readonly gru?: GRU;
  /** The recurrence, where `cell` is `rnn`. */
  readonly rnn?: RNN;
  /** Scores of the classes, [..., directions·H] → [..., C]. */
  readonly head: Linear;
  /** Dropout before and after the recurrent layers. */
  readonly dropout: Dropout;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<RecurrentReaderConfig>;

  constructor(config: RecurrentReaderConfig) {
    super(config);
    const settings = { layers: 1, bidirectional: false, dropout: 0, forgetBias: 1, ...config };
    const { cell, hidden, classes, layers, bidirectional, dropout, forgetBias } = settings;
    this.config = settings;
    const options = { layers, bidirectional, dropout };
    if (cell === 'lstm') {
      this.lstm = new LSTM(this.inputSize, hidden, options);
      setForgetBias(this.lstm, forgetBias);
    } else if (cell === 'gru') this.gru = new GRU(this.inputSize, hidden, options);
    else if (cell === 'rnn') this.rnn = new RNN(this.inputSize, hidden, options);
    else throw new ValueError(`[${new.target.name}] cell must be 'lstm', 'gru' or 'rnn', got '${cell as string}'`);
    this.head = new Linear(this.directions * hidden, classes);
    this.dropout = new Dropout(dropout);
  }

  /** 1, or 2 where the recurrence is bidirectional. */
  protected get directions(): number {
    return this.config.bidirectional ? 2 : 1;
  }

  /** Ids [B, T] or features [B, T, I] → output [T, B, directions·H], last h [layers·directions, B, H], lengths [B]. */
  protected recur(
    given: Tensor,
    options: ReadOptions | undefined,
  ): { output: Tensor; last: Tensor; lengths: Tensor | undefined } {
    const { x, lengths } = this.read(given, options);
    const dropped = this.dropout.forward(x);
    const own = lengths && { lengths };
    if (this.lstm) {
      const [output, [last]] = this.lstm.forward(dropped, undefined, own);
      return { output, last, lengths };
    }
    const [output, last] = (this.gru ?? (this.rnn as RNN)).forward(dropped, undefined, own);
    return { output, last, lengths };
  }
}
