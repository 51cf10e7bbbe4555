import { ShapeError, ValueError } from '../core/errors.ts';
import { count, countUpTo, declareOptions, flag, probability } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type AttendOptions, mergeHeads, selfAttention } from '../nn/attention.ts';
import { Dropout } from '../nn/dropout.ts';
import { Embedding } from '../nn/embedding.ts';
import { normal, zeros } from '../nn/init.ts';
import { Linear, linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { LayerNorm } from '../nn/norm.ts';
import { checkHeads } from '../nn/sizes.ts';
import { scaledDotProductAttention } from '../ops/attention.ts';
import { checkpoint } from '../ops/checkpoint.ts';
import { equal, lessEqual, where } from '../ops/elementwise.ts';
import { indexSelect } from '../ops/embedding.ts';
import { iota } from '../ops/indexing.ts';
import { linearCrossEntropy } from '../ops/linearCrossEntropy.ts';
import { at, pad, slice } from '../ops/slice.ts';
import { permute, reshape } from '../ops/view.ts';
import type { Decoded, LanguageModel } from './languageModel.ts';

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

/** Takes the keys and values of tokens, [B, 2, H, T, D], and gives all that these attend to, [B, 2, H, S, D]. */
type Remember = (own: Tensor) => { readonly memory: Tensor } & Pick<AttendOptions, 'causal' | 'mask'>;

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

  /** As `forward`, without dropout, of tokens that attend to what `remember` makes of their keys and values. */
  recall(x: Tensor, remember: Remember): Tensor {
    const [B, T, E] = x.shape as [number, number, number];
    const packed = reshape(this.c_attn.forward(x), [B, T, 3, this.heads, E / this.heads]);
    const parts = permute(packed, [0, 2, 3, 1, 4]); // [B, 3, H, T, D]
    const { memory, ...seen } = remember(slice(parts, [null, [1, 3]]));
    const heads = scaledDotProductAttention(at(parts, 0, 1), at(memory, 0, 1), at(memory, 1, 1), seen);
    return this.c_proj.forward(mergeHeads(heads));
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

  forward(x: Tensor, remember?: Remember): Tensor {
    const normed = this.ln_1.forward(x);
    const attended = remember ? this.attn.recall(normed, remember) : this.attn.forward(normed);
    const mixed = x.add(this.dropout.forward(attended));
    return mixed.add(this.dropout.forward(this.mlp.forward(this.ln_2.forward(mixed))));
  }
}

/**
 * GPT-2 (Radford et al. 2019): learned positions, norms before attention and feed-forward, GELU in its tanh form, output
 * weights tied to the token embedding. Names are the checkpoint's; linear weights are [out, in], as everywhere in weft.
 */
export class GPT extends Module implements LanguageModel {
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

  /** Tokens that it has positions for. */
  get contextLength(): number {
    return this.config.contextLength;
  }

  /** The last hidden values of ids [B, T] → [B, T, E]; `logits` makes scores of them. */
  hidden(ids: Tensor): Tensor {
    const run = (x: Tensor, block: Block) =>
      this.config.checkpoint ? checkpoint((y: Tensor) => block.forward(y))(x) : block.forward(x);
    return this.ln_f.forward(this.h.reduce(run, this.#embedded(ids)));
  }

  /** Tokens with their positions, ids [B, T] → [B, T, E]. */
  #embedded(ids: Tensor): Tensor {
    expectTensor('GPT', 'ids', ids);
    if (ids.rank !== 2) throw new ShapeError(`[GPT] ids must be [B, T], got ${formatShape(ids.shape)}`);
    const [, T] = ids.shape as [number, number];
    const { contextLength } = this.config;
    if (T > contextLength)
      throw new ShapeError(
        `[GPT] ${T} positions are more than its context of ${contextLength}; give at most the last ${contextLength} tokens`,
      );
    return this.dropout.forward(this.wte.forward(ids).add(slice(this.wpe.weight, [[0, T]])));
  }

  /**
   * Reads prompts: ids [B, T], of which `lengths` [B] are each row's own. The state is how many tokens each row has, and for
   * each block their keys and values, [B, 2, H, contextLength, D]. Throws a ValueError on a state: a GPT reads from the start.
   */
  prefill(ids: Tensor, lengths: Tensor, state?: readonly Tensor[]): Decoded {
    if (state) throw new ValueError('[GPT] takes no state to go on from; give all tokens so far as the prompt');
    const embedded = this.#embedded(ids);
    const [B, T] = ids.shape as [number, number];
    const memories: Tensor[] = [];
    const hidden = this.h.reduce(
      (x, block) =>
        block.forward(x, (own) => {
          const room: [number, number] = [0, this.contextLength - T];
          memories.push(
            pad(
              own,
              own.shape.map((_, i) => (i === 3 ? room : [0, 0])),
            ),
          );
          // Hides the padding of shorter rows, too, from all that is before it.
          return { memory: own, causal: true };
        }),
      embedded,
    ); // [B, T, E]
    const last = iota([B], 0).mul(T).add(lengths.sub(1));
    const ends = indexSelect(reshape(hidden, [B * T, -1]), last); // [B, E]
    return { logits: this.logits(this.ln_f.forward(ends)), state: [lengths, ...memories] };
  }

  /** Reads one more token for each row, ids [B]. Those beyond the context are read as its last one, and leave no memory. */
  decode(ids: Tensor, state: readonly Tensor[]): Decoded {
    const [counts, ...memories] = state as [Tensor, ...Tensor[]];
    const C = this.contextLength;
    const [B] = ids.shape as [number];
    const place = counts.minimum(C - 1); // [B]
    const embedded = this.wte.forward(ids).add(this.wpe.forward(place)); // [B, E]
    const isHere = equal(iota([1, 1, 1, C, 1], 3), reshape(counts, [B, 1, 1, 1, 1]));
    const mask = lessEqual(iota([1, 1, 1, C], 3), reshape(place, [B, 1, 1, 1]));
    const next: Tensor[] = [];
    const hidden = this.h.reduce(
      (x, block, i) =>
        block.forward(x, (own) => {
          const memory = where(isHere, own, memories[i] as Tensor); // [B, 2, H, C, D]
          next.push(memory);
          return { memory, mask };
        }),
      reshape(embedded, [B, 1, -1]),
    );
    const logits = this.logits(this.ln_f.forward(reshape(hidden, [B, -1])));
    return { logits, state: [counts.add(1), ...next] };
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
