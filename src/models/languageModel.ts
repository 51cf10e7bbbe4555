import type { Tensor } from '../graph/tensor.ts';
import type { Module } from '../nn/module.ts';

/** What a model says once it has read a token more: scores of the next one, and what goes on with it. */
export interface Decoded {
  /** Scores of the next token, [B, V]. */
  readonly logits: Tensor;
  /** What `decode` takes with that token. */
  readonly state: readonly Tensor[];
}

/** A model that `generate` continues texts with. */
export interface LanguageModel extends Module {
  /** Its configuration. */
  readonly config: {
    /** Tokens in the vocabulary, V. */
    readonly vocabularySize: number;
  };
  /** Tokens that it has positions for; infinity where it has no positions. */
  readonly contextLength: number;
  /**
   * Reads prompts: ids [B, T], of which the first `lengths` [B] (i32, from 1 to T) of each row are its own, from a given state
   * or from nothing.
   */
  prefill(ids: Tensor, lengths: Tensor, state?: readonly Tensor[]): Decoded;
  /** Reads one more token for each row, ids [B]. */
  decode(ids: Tensor, state: readonly Tensor[]): Decoded;
}
