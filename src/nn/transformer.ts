import { count, declareOptions, flag, oneOf, positive, probability } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type AttentionCall, attentionCall, MultiHeadAttention } from './attention.ts';
import { Dropout } from './dropout.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';
import { LayerNorm } from './norm.ts';

/** Options of `TransformerBlock`, with PyTorch's defaults. */
export interface TransformerBlockOptions {
  /** Width between the two linear layers. */
  feedForward?: number;
  /** Probability of dropping an element, in training; 0.1 by default. */
  dropout?: number;
  /** Between the two linear layers; `relu` by default. */
  activation?: 'relu' | 'gelu';
  /** Norm before attention and feed-forward (as GPT-2) rather than after (as the first Transformer). */
  normFirst?: boolean;
  /** Tensors are [B, T, E] rather than [T, B, E]. */
  batchFirst?: boolean;
  /** Each position sees itself and those before it. */
  causal?: boolean;
  /** Whether linear layers and norms have biases; default true. */
  bias?: boolean;
  /** Added to the variance in the norms; 1e-5 by default. */
  eps?: number;
}
const blockOptions = declareOptions<TransformerBlockOptions>({
  feedForward: count,
  dropout: probability,
  activation: oneOf('relu', 'gelu'),
  normFirst: flag,
  batchFirst: flag,
  causal: flag,
  bias: flag,
  eps: positive,
});

/** Self-attention and a feed-forward layer with residuals (Vaswani et al. 2017); PyTorch's TransformerEncoderLayer. */
export class TransformerBlock extends Module {
  /** Attention of the sequence to itself. */
  readonly self_attn: MultiHeadAttention;
  /** First layer of the feed-forward, E → feedForward. */
  readonly linear1: Linear;
  /** Second layer of the feed-forward, feedForward → E. */
  readonly linear2: Linear;
  /** The norm of the attention. */
  readonly norm1: LayerNorm;
  /** The norm of the feed-forward. */
  readonly norm2: LayerNorm;
  /** Dropout of what attention and feed-forward add, and between the linear layers. */
  readonly dropout: Dropout;
  /** What stands between the two linear layers. */
  readonly activation: 'relu' | 'gelu';
  /** Whether the norms come before attention and feed-forward rather than after. */
  readonly normFirst: boolean;
  /** Whether each position sees itself and those before it alone. */
  readonly causal: boolean;

  constructor(width: number, heads: number, options?: TransformerBlockOptions) {
    super();
    const {
      feedForward = 2048,
      dropout = 0.1,
      activation = 'relu',
      normFirst = false,
      batchFirst = false,
      causal = false,
      bias = true,
      eps = 1e-5,
    } = blockOptions('TransformerBlock', options);
    this.self_attn = new MultiHeadAttention(width, heads, { dropout, bias, batchFirst });
    this.linear1 = new Linear(width, feedForward, { bias });
    this.linear2 = new Linear(feedForward, width, { bias });
    this.norm1 = new LayerNorm(width, { eps, bias });
    this.norm2 = new LayerNorm(width, { eps, bias });
    this.dropout = new Dropout(dropout);
    this.activation = activation;
    this.normFirst = normFirst;
    this.causal = causal;
  }

  /** [T, B, E] → [T, B, E]; batch first if the module is. */
  forward(x: Tensor, options?: AttentionCall): Tensor {
    const given = attentionCall('TransformerBlock.forward', options);
    const attend = (y: Tensor) =>
      this.dropout.forward(this.self_attn.forward(y, y, y, { causal: this.causal, ...given }));
    if (this.normFirst) {
      const mixed = x.add(attend(this.norm1.forward(x)));
      return mixed.add(this.#feedForward(this.norm2.forward(mixed)));
    }
    const mixed = this.norm1.forward(x.add(attend(x)));
    return this.norm2.forward(mixed.add(this.#feedForward(mixed)));
  }

  #feedForward(x: Tensor): Tensor {
    const hidden = this.linear1.forward(x);
    const active = this.activation === 'relu' ? hidden.relu() : hidden.gelu();
    return this.dropout.forward(this.linear2.forward(this.dropout.forward(active)));
  }
}
