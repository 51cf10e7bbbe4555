import { ShapeError, ValueError } from '../core/errors.ts';
import { count, countUpTo, declareOptions, finite, oneOf, probability } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Dropout } from '../nn/dropout.ts';
import { Embedding } from '../nn/embedding.ts';
import { Linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { GRU, LSTM, RNN, type SequenceOptions } from '../nn/recurrent.ts';
import { linearCrossEntropy } from '../ops/linearCrossEntropy.ts';

import { at } from '../ops/slice.ts';
import { permute, reshape } from '../ops/view.ts';
import { setForgetBias } from './forgetBias.ts';
import type { Decoded, LanguageModel } from './languageModel.ts';

/** Sizes and settings of a CharRNN. */
export interface CharRNNConfig {
  /** The recurrence. */
  cell: 'lstm' | 'gru' | 'rnn';
  /** Tokens in the vocabulary, V. */
  vocabularySize: number;
  /** Width of the token embedding. */
  embedding: number;
  /** Width of the recurrent layers, H. */
  hidden: number;
  /** Recurrent layers one on top of another; 1 by default. */
  layers?: number;
  /** Probability of dropping an element before, between and after the recurrent layers, in training; 0 by default. */
  dropout?: number;
  /**
   * What the forget gates of an LSTM add to begin with, in place of PyTorch's random numbers near 0. Characters depend
   * most on the few before them, so that the default, -1, starts from a short memory and lets training lengthen it: with
   * two layers of 256 on Shakespeare's plays, 0.02 nats per character less in validation after 2000 steps than PyTorch's,
   * where +1 (Jozefowicz et al. 2015), which suits long memories, has 0.07 more. Keep 0 or more where memory is the task.
   */
  forgetBias?: number;
}

const charRNNConfig = declareOptions<CharRNNConfig>(
  {
    cell: oneOf('lstm', 'gru', 'rnn'),
    vocabularySize: count,
    embedding: count,
    hidden: count,
    layers: countUpTo(1000),
    dropout: probability,
    forgetBias: finite,
  },
  ['cell', 'vocabularySize', 'embedding', 'hidden'],
);

/** A recurrent language model of characters or tokens: embedding, recurrent layers, a linear head (Mikolov et al. 2010; Graves 2013). */
export class CharRNN extends Module implements LanguageModel {
  /** A recurrence has no positions. */
  readonly contextLength = Infinity;
  /** Embedding of the tokens, [V, embedding]. */
  readonly embedding: Embedding;
  /** The recurrence, where `cell` is `lstm`. */
  readonly lstm?: LSTM;
  /** The recurrence, where `cell` is `gru`. */
  readonly gru?: GRU;
  /** The recurrence, where `cell` is `rnn`. */
  readonly rnn?: RNN;
  /** Scores of the next token, [..., H] → [..., V]. */
  readonly head: Linear;
  /** Dropout before and after the recurrent layers. */
  readonly dropout: Dropout;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<Required<CharRNNConfig>>;

  constructor(config: CharRNNConfig) {
    super();
    const settings = { layers: 1, dropout: 0, forgetBias: -1, ...charRNNConfig('CharRNN', config) };
    const { cell, vocabularySize, embedding, hidden, layers, dropout, forgetBias } = settings;
    this.config = settings;
    this.embedding = new Embedding(vocabularySize, embedding);
    if (cell === 'lstm') {
      this.lstm = new LSTM(embedding, hidden, { layers, dropout });
      setForgetBias(this.lstm, forgetBias);
    } else if (cell === 'gru') this.gru = new GRU(embedding, hidden, { layers, dropout });
    else if (cell === 'rnn') this.rnn = new RNN(embedding, hidden, { layers, dropout });
    else throw new ValueError(`[CharRNN] cell must be 'lstm', 'gru' or 'rnn', got '${cell as string}'`);
    this.head = new Linear(hidden, vocabularySize);
    this.dropout = new Dropout(dropout);
  }

  /** ids [B, T] → logits [B, T, V], from a state of zeros. */
  forward(ids: Tensor): Tensor {
    return this.run(ids).logits;
  }

  /** ids [B, T] → logits [B, T, V], from the given state, and the state after them: h, and c of an LSTM, [layers, B, H]. */
  run(ids: Tensor, state: readonly Tensor[] = []): { logits: Tensor; state: Tensor[] } {
    const last = this.#timeFirst(ids, state);
    return { logits: permute(this.head.forward(last.output), [1, 0, 2]), state: last.state };
  }

  /** Reads prompts: ids [B, T], of which `lengths` [B] are each row's own, from a state as `run` takes it or from zeros. */
  prefill(ids: Tensor, lengths: Tensor, state: readonly Tensor[] = []): Decoded {
    return this.#scored(this.#timeFirst(ids, state, { lengths }).state);
  }

  /** Reads one more token for each row, ids [B]. */
  decode(ids: Tensor, state: readonly Tensor[]): Decoded {
    return this.#scored(this.#timeFirst(reshape(ids, [-1, 1]), state).state);
  }

  /** The scores of what follows a state. */
  #scored(state: readonly Tensor[]): Decoded {
    const last = at(state[0] as Tensor, -1); // [B, H]
    return { logits: this.head.forward(this.dropout.forward(last)), state };
  }

  /** Mean cross-entropy in nats of targets [B, T], the ids one position on. */
  loss(ids: Tensor, targets: Tensor): Tensor {
    // Turns the targets, since that is cheaper than turning the outputs and the mean is the same in any order.
    const { output } = this.#timeFirst(ids, []);
    const { weight, bias } = this.head;
    return linearCrossEntropy(output, weight, permute(targets, [1, 0]), { bias });
  }

  /** output [T, B, H] */
  #timeFirst(ids: Tensor, state: readonly Tensor[], options?: SequenceOptions): { output: Tensor; state: Tensor[] } {
    expectTensor('CharRNN', 'ids', ids);
    if (ids.rank !== 2) throw new ShapeError(`[CharRNN] ids must be [B, T], got ${formatShape(ids.shape)}`);
    const parts = this.lstm ? 2 : 1;
    if (state.length !== 0 && state.length !== parts)
      throw new ShapeError(
        `[CharRNN] the state is ${this.lstm ? '[h, c]' : '[h]'}, each [layers, B, H], got ${state.length} parts`,
      );
    const x = this.dropout.forward(this.embedding.forward(permute(ids, [1, 0]))); // [T, B, E]
    const [output, last] = this.#recur(x, state, options); // [T, B, H]
    return { output: this.dropout.forward(output), state: last };
  }

  #recur(x: Tensor, [h, c]: readonly Tensor[], options?: SequenceOptions): [Tensor, Tensor[]] {
    if (this.lstm) return this.lstm.forward(x, h && c && [h, c], options);
    const [output, last] = (this.gru ?? (this.rnn as RNN)).forward(x, h, options);
    return [output, [last]];
  }
}
