import { ShapeError } from '../core/errors.ts';
import { count, countUpTo, declareOptions, flag, probability } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { selfAttention } from '../nn/attention.ts';
import { Dropout } from '../nn/dropout.ts';
import { Embedding } from '../nn/embedding.ts';
import { normal, zeros } from '../nn/init.ts';
import { Linear, linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { LayerNorm } from '../nn/norm.ts';
import { checkHeads } from '../nn/sizes.ts';
import { checkpoint } from '../ops/checkpoint.ts';
import { linearCrossEntropy } from '../ops/linearCrossEntropy.ts';
import { slice } from '../ops/slice.ts';

/** Sizes and settings of a GPT. */
export interface GPTConfig {
  /** Tokens in the vocabulary, V. */
  vocabularySize: number;
  /** Positions that the model has; no sequence may be longer. */
  contextLength: number;
  /** Blocks one on top of another. */
  layers: number;
  /** Heads of attention, H; they must divide `width`. */
  heads: number;
  /** Model size E. */
  width: number;
  /**
   * Probability of dropping an element of embeddings, attention weights and what blocks add, in training; 0 by default.
   */
  dropout?: number;
  /** Whether linear layers and norms have biases; default true. */
  bias?: boolean;
  /** Whether backward computes each block again, so that only what goes from block to block is kept; default false. */
  checkpoint?: boolean;
}

type Settings = Required<GPTConfig>;

const gptOptions = declareOptions<GPTConfig>(
  {
    vocabularySize: count,
    contextLength: count,
    layers: countUpTo(1000),
    heads: count,
    width: count,
    dropout: probability,
    bias: flag,
    checkpoint: flag,
  },
  ['vocabularySize', 'contextLength', 'layers', 'heads', 'width'],
);

/** Causal self-attention; `c_attn` projects to queries, keys and values at once. */
class Attention extends Module {
  readonly c_attn: Linear;
  readonly c_proj: Linear;
  readonly heads: number;
  readonly dropout: number;

  constructor({ width, heads, bias, dropout }: Settings) {
    super();
    this.c_attn = new Linear(width, 3 * width, { bias });
    this.c_proj = new Linear(width, width, { bias });
    this.heads = heads;
    this.dropout = dropout;
  }

  /** [B, T, E] → [B, T, E] */
  forward(x: Tensor): Tensor {
    const dropout = this.dropout > 0 && this.training ? this.dropout : 0;
    return this.c_proj.forward(selfAttention(this.c_attn.forward(x), this.heads, { causal: true, dropout }));
  }
}

/** Two linear layers, four times as wide between them. */
class FeedForward extends Module {
  readonly c_fc: Linear;
  readonly c_proj: Linear;

  constructor({ width, bias }: Settings) {
    super();
    this.c_fc = new Linear(width, 4 * width, { bias });
    this.c_proj = new Linear(4 * width, width, { bias });
  }

  forward(x: Tensor): Tensor {
    return this.c_proj.forward(this.c_fc.forward(x).gelu({ approximate: 'tanh' }));
  }
}

class Block extends Module {
  readonly ln_1: LayerNorm;
  readonly attn: Attention;
  readonly ln_2: LayerNorm;
  readonly mlp: FeedForward;
  readonly dropout: Dropout;

  constructor(settings: Settings) {
    super();
    const { width, bias } = settings;
    this.ln_1 = new LayerNorm(width, { bias });
    this.attn = new Attention(settings);
    this.ln_2 = new LayerNorm(width, { bias });
    this.mlp = new FeedForward(settings);
    this.dropout = new Dropout(settings.dropout);
  }

  forward(x: Tensor): Tensor {
    const mixed = x.add(this.dropout.forward(this.attn.forward(this.ln_1.forward(x))));
    return mixed.add(this.dropout.forward(this.mlp.forward(this.ln_2.forward(mixed))));
  }
}

/**
 * GPT-2 (Radford et al. 2019): learned positions, norms before attention and feed-forward, GELU in its tanh form, output
 * weights tied to the token embedding. Names are the checkpoint's; linear weights are [out, in], as everywhere in weft.
 */
export class GPT extends Module {
  /** What goes on from token to token where a text is continued: its last tokens, as many as the context holds. */
  readonly carries = 'window';
  /** Embedding of the tokens, [V, E]; also the output weights. */
  readonly wte: Embedding;
  /** Embedding of the positions, [contextLength, E]. */
  readonly wpe: Embedding;
  /** The blocks, from the bottom. */
  readonly h: readonly Block[];
  /** The norm after the last block. */
  readonly ln_f: LayerNorm;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<Settings>;
  /** Dropout of the embedded tokens. */
  readonly dropout: Dropout;

  constructor(config: GPTConfig) {
    super();
    const settings = { dropout: 0, bias: true, checkpoint: false, ...gptOptions('GPT', config) };
    const { vocabularySize, contextLength, layers, heads, width } = settings;
    checkHeads('GPT', width, heads);
    this.config = settings;
    this.wte = new Embedding(vocabularySize, width);
    this.wpe = new Embedding(contextLength, width);
    this.h = Array.from({ length: layers }, () => new Block(settings));
    this.ln_f = new LayerNorm(width, { bias: settings.bias });
    this.dropout = new Dropout(settings.dropout);
    this.#initialise();
  }

  /** Draws weights from N(0, 0.02²), those that add to the residual stream divided by √(2·layers); biases are 0. */
  #initialise(): void {
    const residual = 0.02 / Math.sqrt(2 * this.config.layers);
    for (const [name, parameter] of this.namedParameters()) {
      const { shape } = parameter;
      if (name.includes('ln_')) continue;
      if (name.endsWith('bias')) parameter.assign(zeros(shape));
      else parameter.assign(normal(shape, { std: name.endsWith('c_proj.weight') ? residual : 0.02 }));
    }
  }

  /** The last hidden values of ids [B, T] → [B, T, E]; `logits` makes scores of them. */
  hidden(ids: Tensor): Tensor {
    expectTensor('GPT', 'ids', ids);
    if (ids.rank !== 2) throw new ShapeError(`[GPT] ids must be [B, T], got ${formatShape(ids.shape)}`);
    const [, T] = ids.shape as [number, number];
    const { contextLength } = this.config;
    if (T > contextLength)
      throw new ShapeError(
        `[GPT] ${T} positions are more than its context of ${contextLength}; give at most the last ${contextLength} tokens`,
      );
    const embedded = this.wte.forward(ids).add(slice(this.wpe.weight, [[0, T]])); // [B, T, E]
    const run = (x: Tensor, block: Block) =>
      this.config.checkpoint ? checkpoint((y: Tensor) => block.forward(y))(x) : block.forward(x);
    return this.ln_f.forward(this.h.reduce(run, this.dropout.forward(embedded)));
  }

  /** Scores of the next token: [..., E] → [..., V]. */
  logits(hidden: Tensor): Tensor {
    return linear(hidden, this.wte.weight);
  }

  /** ids [B, T] → logits [B, T, V] */
  forward(ids: Tensor): Tensor {
    return this.logits(this.hidden(ids));
  }

  /** Mean cross-entropy in nats of targets [B, T], the ids one position on. */
  loss(ids: Tensor, targets: Tensor): Tensor {
    return linearCrossEntropy(this.hidden(ids), this.wte.weight, targets);
  }
}
