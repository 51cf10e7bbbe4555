import { ShapeError, ValueError } from '../core/errors.ts';
import { count, declareOptions, flag, type Kind, listOf, oneOf } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectDType, noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { AdditiveAttention } from '../nn/additiveAttention.ts';
import { LSTMCell } from '../nn/cells.ts';
import { Conv2d } from '../nn/conv.ts';
import { Embedding } from '../nn/embedding.ts';
import { kaimingUniform } from '../nn/init.ts';
import { Linear } from '../nn/linear.ts';
import { evaluating, Module } from '../nn/module.ts';
import { add, cast, mul, relu, tanh } from '../ops/elementwise.ts';
import { iota } from '../ops/indexing.ts';
import { concat, split } from '../ops/join.ts';
import { maxPool2d } from '../ops/pool.ts';
import { mean } from '../ops/reduce.ts';
import { scan } from '../ops/scan.ts';
import { permute, reshape } from '../ops/view.ts';
import {
  type BeamSearchOptions,
  beamSearch,
  beamSearchKinds,
  beamSearchNeeds,
  type DecoderStep,
} from './beamSearch.ts';
import { expectInputs, lossOfTargets, type TargetOptions, targetKinds } from './decoder.ts';
import type { Hypothesis } from './hypotheses.ts';

/** Sizes and settings of a `Captioner`. */
export interface CaptionerConfig {
  /** Channels of an image, C: 3 for colours. */
  channels: number;
  /** Tokens of the captions, V. */
  vocabulary: number;
  /** Width of the token embedding, E. */
  embedding: number;
  /** Width of the decoder's state, H, and of what scores the places. */
  hidden: number;
  /** Channels that each block of the encoder makes, the first block first; the last are the F features of a place. [32, 64] by default. */
  features?: readonly number[];
  /**
   * How the decoder looks at the image: `additive`, at each word anew (Xu et al. 2015), by default; `none`, all that it has is the
   * mean of the features, which it starts from (Vinyals et al. 2015).
   */
  attention?: 'none' | 'additive';
  /**
   * Whether the encoder sees, as two more channels, where in the image a pixel lies (Liu et al. 2018): else hardly anything tells
   * left from right in what is pooled and attended to. True by default.
   */
  coordinates?: boolean;
}
const counts = listOf(count);
const widths: Kind<readonly number[]> = {
  wanted: 'an array of one or more positive integers, like [32, 64]',
  accepts: (value): value is readonly number[] => counts.accepts(value) && value.length > 0,
};
const captionerConfig = declareOptions<CaptionerConfig>(
  {
    channels: count,
    vocabulary: count,
    embedding: count,
    hidden: count,
    features: widths,
    attention: oneOf('none', 'additive'),
    coordinates: flag,
  },
  ['channels', 'vocabulary', 'embedding', 'hidden'],
);

/** Options of `Captioner.loss`. */
export interface CaptionerLossOptions extends TargetOptions {}
const lossOptions = declareOptions<CaptionerLossOptions>(targetKinds);
const captionOptions = declareOptions<BeamSearchOptions>(beamSearchKinds, beamSearchNeeds);

/** An image that was looked at, as the decoder uses it. */
interface Seen {
  /** [B, P, F] */
  readonly memory: Tensor;
  /** What queries are compared with, [B, P, H]. */
  readonly keys: Tensor;
}

/**
 * Says in words what an image shows: a convolutional encoder makes features of its places, and an LSTM writes the caption,
 * attending to the places before each word (soft attention of Xu et al. 2015, "Show, Attend and Tell"; without the gate on the
 * context and without the penalty on what is attended to in all). Of the encoder's n blocks each is a 3×3 convolution, ReLU, and a
 * 2×2 max pool: an image of H rows and W columns has P = ⌊H / 2ⁿ⌋·⌊W / 2ⁿ⌋ places, row by row.
 */
export class Captioner extends Module {
  /** The encoder's convolutions, the first one first; weights start uniform with variance 2 / fan-in, for ReLU (He et al. 2015). */
  readonly encoder: readonly Conv2d[];
  /** From the mean of the features to the state and the cell that the decoder starts from, [2·H, F]. */
  readonly bridge: Linear;
  /** Embedding of the tokens, [V, E]. */
  readonly embedding: Embedding;
  /** Scores the places, where there is attention. */
  readonly attention?: AdditiveAttention;
  /** Writes the caption: reads a token and, where there is attention, the context. */
  readonly cell: LSTMCell;
  /** From the state, and the context where there is attention, to what the head reads beside the token's embedding: [E, H + F]. */
  readonly combine: Linear;
  /** Scores of the tokens, [..., E] → [..., V]. */
  readonly head: Linear;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<Required<CaptionerConfig>>;

  constructor(config: CaptionerConfig) {
    super();
    const given = captionerConfig('Captioner', config);
    this.config = { features: [32, 64], attention: 'additive', coordinates: true, ...given };
    const { channels, vocabulary, embedding, hidden, features, attention, coordinates } = this.config;
    const all = [coordinates ? channels + 2 : channels, ...features];
    this.encoder = features.map((width, i) => new Conv2d(all[i] as number, width, 3, { padding: 'same' }));
    // Features as large as the image's numbers: the decoder learns to look at them in a third of the steps.
    for (const { weight } of this.encoder) weight.assign(kaimingUniform(weight.shape));
    const F = all.at(-1) as number;
    const seen = attention === 'none' ? 0 : F;
    this.bridge = new Linear(F, 2 * hidden);
    this.embedding = new Embedding(vocabulary, embedding);
    if (attention === 'additive') this.attention = new AdditiveAttention(hidden, F, hidden);
    this.cell = new LSTMCell(embedding + seen, hidden);
    this.combine = new Linear(hidden + seen, embedding);
    this.head = new Linear(embedding, vocabulary);
  }

  /** Images [B, C, H, W] → the features of their places, [B, P, F]. Throws a ShapeError on other shapes and on images without places. */
  encode(images: Tensor): Tensor {
    expectDType('Captioner', 'the images', images, ['f32']);
    const { channels, features, coordinates } = this.config;
    if (images.rank !== 4 || images.shape[1] !== channels)
      throw new ShapeError(`[Captioner] the images must be [B, ${channels}, H, W], got ${formatShape(images.shape)}`);
    const [B, , H, W] = images.shape as [number, number, number, number];
    const least = 2 ** features.length;
    if (H < least || W < least)
      throw new ShapeError(
        `[Captioner] ${features.length} blocks halve an image so often that it must have ${least} rows and columns or more, got ${formatShape(images.shape)}`,
      );
    let maps = coordinates ? concat([images, along([B, 1, H, W], 2), along([B, 1, H, W], 3)], 1) : images;
    for (const block of this.encoder) maps = maxPool2d(relu(block.forward(maps)), 2); // [B, width, H / 2, W / 2]
    const [, F, rows, columns] = maps.shape as [number, number, number, number];
    return permute(reshape(maps, [B, F, rows * columns]), [0, 2, 1]);
  }

  /**
   * Images [B, C, H, W] and the tokens before each step [B, T], the first of them a start token → logits [B, T, V]. Throws a
   * ShapeError on other shapes; an id outside of the vocabulary throws a ValueError at the next read.
   */
  forward(images: Tensor, inputs: Tensor): Tensor {
    return this.head.forward(this.#write(images, inputs).output);
  }

  /** The same, and what each step attended to, [B, T, P]. Throws a ValueError without attention. */
  align(images: Tensor, inputs: Tensor): { logits: Tensor; weights: Tensor } {
    const { output, weights } = this.#write(images, inputs);
    if (!weights) throw new ValueError("[Captioner] there is nothing to align: attention is 'none'");
    return { logits: this.head.forward(output), weights };
  }

  /** Mean cross-entropy in nats of targets [B, T], the ids after each of `inputs`. A target of -100 counts for nothing. */
  loss(images: Tensor, inputs: Tensor, targets: Tensor, options?: CaptionerLossOptions): Tensor {
    const { targetLengths } = lossOptions('Captioner', options);
    return lossOfTargets('Captioner', this.head, this.#write(images, inputs).output, targets, targetLengths);
  }

  /** What `step` starts from: the state after a look at images [B, C, H, W], each part with its rows in dimension 0. */
  start(images: Tensor): Tensor[] {
    const { state, seen } = this.#look(images);
    return [...state, ...(seen ? [seen.memory, seen.keys] : [])];
  }

  /** One step of the decoder, for `beamSearch`: ids [B] and the state → logits [B, V], the next state, and the alignment [B, P]. */
  readonly step: DecoderStep = (ids, state) => {
    const [h, c, ...rest] = state as [Tensor, Tensor, ...Tensor[]];
    const [memory, keys] = rest;
    const next = this.#advance(this.embedding.forward(ids), [h, c], memory && keys && { memory, keys });
    return {
      logits: this.head.forward(next.output),
      state: [...next.state, ...rest],
      ...(next.weights && { alignment: next.weights }),
    };
  };

  /** The likeliest captions of images [B, C, H, W], best first: `beamSearch` over `step`. Alignments are [T, P]. */
  caption(images: Tensor, options: BeamSearchOptions): Promise<Hypothesis[][]> {
    const search = captionOptions('Captioner.caption', options);
    const state = evaluating(() => noGrad(() => this.start(images)));
    return beamSearch(this.step, state, search);
  }

  /** The state and the cell to start from, each [B, H], and what is attended to. */
  #look(images: Tensor): { state: [h: Tensor, c: Tensor]; seen: Seen | undefined } {
    const memory = this.encode(images);
    const state = split(tanh(this.bridge.forward(mean(memory, 1))), this.config.hidden, 1) as [Tensor, Tensor];
    return { state, seen: this.attention && { memory, keys: this.attention.project(memory) } };
  }

  /** What the head reads at each step, [B, T, E], and what the steps attended to, [B, T, P]. */
  #write(images: Tensor, inputs: Tensor): { output: Tensor; weights?: Tensor } {
    const { state, seen } = this.#look(images);
    expectInputs('Captioner', inputs, 'images', images.shape[0] as number);
    const x = this.embedding.forward(permute(inputs, [1, 0])); // [T, B, E]
    const { ys } = scan(
      ([h, c], [token]) => {
        const next = this.#advance(token as Tensor, [h as Tensor, c as Tensor], seen);
        return { carry: next.state, y: [next.output, ...(next.weights ? [next.weights] : [])] };
      },
      state,
      [x],
    );
    const [output, weights] = ys.map((y) => permute(y, [1, 0, 2])) as [Tensor, Tensor?];
    return weights ? { output, weights } : { output };
  }

  /** One step: the token's embedding [B, E], and the state and the cell, [B, H]. */
  #advance(x: Tensor, before: readonly [h: Tensor, c: Tensor], seen: Seen | undefined) {
    const found = seen && this.attention?.forward(before[0], seen.memory, { keys: seen.keys });
    const withContext = (part: Tensor) => (found ? concat([part, found.context], 1) : part);
    const state = this.cell.forward(withContext(x), before);
    return { state, output: add(x, this.combine.forward(withContext(state[0]))), weights: found?.weights };
  }
}

/** Where each pixel lies along an axis, from -1 to 1: pixels are as wide as their distance. */
function along(shape: readonly number[], axis: number): Tensor {
  const extent = shape[axis] as number;
  return add(mul(cast(iota(shape, axis), 'f32'), 2 / extent), 1 / extent - 1);
}
