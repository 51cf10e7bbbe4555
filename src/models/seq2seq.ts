import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { count, declareOptions, expectKind, flag, listOf, oneOf, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectTensor, noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { AdditiveAttention } from '../nn/additiveAttention.ts';
import { Embedding } from '../nn/embedding.ts';
import { Linear } from '../nn/linear.ts';
import { evaluating, Module } from '../nn/module.ts';
import { GRU } from '../nn/recurrent.ts';
import { type Alignment, dotAttention, generalAttention } from '../ops/additiveAttention.ts';
import { tensor } from '../ops/create.ts';
import { tanh, zeros } from '../ops/elementwise.ts';
import { concat } from '../ops/join.ts';
import { checkedLengths, type Lengths, lengthsLike } from '../ops/lengths.ts';
import { scan } from '../ops/scan.ts';
import { at } from '../ops/slice.ts';
import { permute, squeeze, unsqueeze } from '../ops/view.ts';
import {
  type BeamSearchOptions,
  beamSearch,
  beamSearchKinds,
  beamSearchNeeds,
  type DecoderStep,
} from './beamSearch.ts';
import { expectIds, expectInputs, lossOfTargets, type TargetOptions, targetKinds } from './decoder.ts';
import type { Hypothesis } from './hypotheses.ts';

/** Sizes and settings of a `Seq2Seq`. */
export interface Seq2SeqConfig {
  /** Tokens of the source, V of the encoder. */
  sourceVocabulary: number;
  /** Tokens of the target, V of the decoder. */
  targetVocabulary: number;
  /** Width of both token embeddings. */
  embedding: number;
  /** Width of the decoder's state and of the encoder's outputs, H; even where the encoder is bidirectional. */
  hidden: number;
  /**
   * How the decoder looks back at the source: `none`, all that it has is the vector that it starts from (Cho et al. 2014;
   * Sutskever et al. 2014); `additive` (Bahdanau et al. 2015), by default; `dot` or `general` (Luong et al. 2015).
   */
  attention?: 'none' | 'additive' | 'dot' | 'general';
  /** Whether the encoder reads in both directions; true by default. */
  bidirectional?: boolean;
  /** Whether what a step has attended to is an input of the next (Luong et al. 2015); needs attention; false by default. */
  inputFeeding?: boolean;
}
const seq2seqConfig = declareOptions<Seq2SeqConfig>(
  {
    sourceVocabulary: count,
    targetVocabulary: count,
    embedding: count,
    hidden: count,
    attention: oneOf('none', 'additive', 'dot', 'general'),
    bidirectional: flag,
    inputFeeding: flag,
  },
  ['sourceVocabulary', 'targetVocabulary', 'embedding', 'hidden'],
);

/** Options of a call of `Seq2Seq`. */
export interface SourceOptions {
  /** How many of the S steps are each source's own, [B] of i32 or as many numbers from 1 to S; default all. Padding changes nothing. */
  lengths?: Lengths;
}
const sourceOptions = declareOptions<SourceOptions>({ lengths: lengthsLike });
/** Options of `Seq2Seq.loss`. */
export interface Seq2SeqLossOptions extends SourceOptions, TargetOptions {}
const lossOptions = declareOptions<Seq2SeqLossOptions>({ lengths: lengthsLike, ...targetKinds });

const translateOptions = declareOptions<BeamSearchOptions & SourceOptions>(
  { ...beamSearchKinds, lengths: lengthsLike },
  beamSearchNeeds,
);

/** A source that was read, as the decoder uses it. */
interface Source {
  /** [B, S, H] */
  readonly memory: Tensor;
  /** What queries are compared with, [B, S, H]. */
  readonly keys: Tensor;
  /** [B] */
  readonly lengths: Tensor;
}

/**
 * An encoder and a decoder of gated recurrent units: the encoder reads the source, the decoder starts from its last states and
 * writes the target, token by token, attending to the source as it goes. Trained with the right tokens before each (teacher
 * forcing), all steps of both are one kernel each way, and so is attention; with input feeding the decoder is a scan.
 */
export class Seq2Seq extends Module {
  /** Embedding of the source, [V, embedding]. */
  readonly sourceEmbedding: Embedding;
  /** Reads the source; its directions have H numbers together. */
  readonly encoder: GRU;
  /** From the encoder's last states to the state that the decoder starts from, [H, H]. */
  readonly bridge: Linear;
  /** Embedding of the target, [V, embedding]. */
  readonly targetEmbedding: Embedding;
  /** Writes the target. */
  readonly decoder: GRU;
  /** Additive attention, where it is that. */
  readonly additive?: AdditiveAttention;
  /** The weight of general attention, [H, H], where it is that. */
  readonly general?: Linear;
  /** From the decoder's output and its context to what the head reads, [H, 2·H], where there is attention. */
  readonly combine?: Linear;
  /** Scores of the target's tokens, [..., H] → [..., V]. */
  readonly head: Linear;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<Required<Seq2SeqConfig>>;

  constructor(config: Seq2SeqConfig) {
    super();
    const given = seq2seqConfig('Seq2Seq', config);
    this.config = { attention: 'additive', bidirectional: true, inputFeeding: false, ...given };
    const { sourceVocabulary, targetVocabulary, embedding, hidden, attention, bidirectional, inputFeeding } =
      this.config;
    if (bidirectional && hidden % 2 !== 0)
      throw new ValueError(`[Seq2Seq] hidden must be even for an encoder of two directions, got ${hidden}`);
    if (inputFeeding && attention === 'none')
      throw new ValueError("[Seq2Seq] inputFeeding feeds what was attended to, and attention is 'none'");
    this.sourceEmbedding = new Embedding(sourceVocabulary, embedding);
    this.encoder = new GRU(embedding, bidirectional ? hidden / 2 : hidden, { bidirectional });
    this.bridge = new Linear(hidden, hidden);
    this.targetEmbedding = new Embedding(targetVocabulary, embedding);
    this.decoder = new GRU(inputFeeding ? embedding + hidden : embedding, hidden);
    if (attention === 'additive') this.additive = new AdditiveAttention(hidden, hidden, hidden);
    if (attention === 'general') this.general = new Linear(hidden, hidden, { bias: false });
    if (attention !== 'none') this.combine = new Linear(2 * hidden, hidden);
    this.head = new Linear(hidden, targetVocabulary);
  }

  /**
   * Sources [B, S] and the target's tokens before each step [B, T], the first of them a start token → logits [B, T, V]. Throws a
   * ShapeError on other shapes; an id outside of its vocabulary throws a ValueError at the next read.
   */
  forward(source: Tensor, inputs: Tensor, options?: SourceOptions): Tensor {
    return this.head.forward(this.#write(source, inputs, sourceOptions('Seq2Seq', options)).output);
  }

  /** The same, and what each step attended to, [B, T, S]. Throws a ValueError without attention. */
  align(source: Tensor, inputs: Tensor, options?: SourceOptions): { logits: Tensor; weights: Tensor } {
    const { output, weights } = this.#write(source, inputs, sourceOptions('Seq2Seq', options));
    if (!weights) throw new ValueError("[Seq2Seq] there is nothing to align: attention is 'none'");
    return { logits: this.head.forward(output), weights };
  }

  /** Mean cross-entropy in nats of targets [B, T], the ids after each of `inputs`. A target of -100 counts for nothing. */
  loss(source: Tensor, inputs: Tensor, targets: Tensor, options?: Seq2SeqLossOptions): Tensor {
    const { targetLengths, ...rest } = lossOptions('Seq2Seq', options);
    const { output } = this.#write(source, inputs, rest);
    return lossOfTargets('Seq2Seq', this.head, output, targets, targetLengths);
  }

  /** What `step` starts from: the state after sources [B, S], each part with its rows in dimension 0. */
  start(source: Tensor, options?: SourceOptions): Tensor[] {
    const { state, source: read } = this.#read(source, sourceOptions('Seq2Seq', options));
    if (!read) return [state];
    const fed = this.config.inputFeeding ? [zeros(state.shape)] : [];
    const keys = this.additive ? [read.keys] : [];
    return [state, ...fed, read.memory, ...keys, read.lengths];
  }

  /**
   * One step of the decoder, for `beamSearch`: ids [B] and the state → logits [B, V], the next state, and the alignment [B, S].
   * Throws a ShapeError where the state is not one that `start` gives for B sources, or a step after it.
   */
  readonly step: DecoderStep = (ids, state) => {
    this.#expectState(ids, state);
    const [before, ...rest] = state as [Tensor, ...Tensor[]];
    const fed = this.config.inputFeeding ? rest.shift() : undefined;
    const source = this.combine ? this.#sourceOf(rest) : undefined;
    const next = this.#advance(this.targetEmbedding.forward(ids), before, fed, source);
    return {
      logits: this.head.forward(next.output),
      state: [next.state, ...(fed ? [next.output] : []), ...rest],
      ...(next.weights && { alignment: next.weights }),
    };
  };

  /** The likeliest targets of sources [B, S], best first: `beamSearch` over `step`. */
  async translate(source: Tensor, options: BeamSearchOptions & SourceOptions): Promise<Hypothesis[][]> {
    const { lengths, ...search } = translateOptions('Seq2Seq.translate', options);
    const state = evaluating(() => noGrad(() => this.start(source, lengths === undefined ? {} : { lengths })));
    return beamSearch(this.step, state, search);
  }

  #expectState(ids: Tensor, state: readonly Tensor[]): void {
    expectTensor('Seq2Seq', 'ids', ids);
    if (ids.rank !== 1) throw new ShapeError(`[Seq2Seq] ids of a step must be [B], got ${formatShape(ids.shape)}`);
    expectKind('Seq2Seq', 'the state', state, listOf(tensorLike));
    const { hidden: H, inputFeeding } = this.config;
    const [B] = ids.shape as [number];
    const S = state.find(({ rank }) => rank === 3)?.shape[1] ?? 1;
    const memory = this.combine ? [[B, S, H], ...(this.additive ? [[B, S, H]] : []), [B]] : [];
    const shapes = [[B, H], ...(inputFeeding ? [[B, H]] : []), ...memory];
    if (state.length === shapes.length && state.every(({ shape }, i) => sameShape(shape, nth(shapes, i)))) return;
    const wanted = shapes.map((shape) => (shape.length === 3 ? `[${B}, S, ${H}]` : formatShape(shape)));
    const got = state.map(({ shape }) => formatShape(shape));
    throw new ShapeError(
      `[Seq2Seq] a state for ${B} ids must be ${wanted.join(', ')}, as start gives it for as many sources, got ${got.join(', ') || 'nothing'}`,
    );
  }

  #sourceOf(parts: readonly Tensor[]): Source {
    const [memory, ...rest] = parts as [Tensor, ...Tensor[]];
    const lengths = rest.at(-1) as Tensor;
    return { memory, keys: this.additive ? (rest[0] as Tensor) : memory, lengths };
  }

  /** Reads the sources: the state to start from, [B, H], and what is attended to. */
  #read(source: Tensor, { lengths: given }: SourceOptions): { state: Tensor; source?: Source } {
    expectIds('Seq2Seq', 'the source', source);
    const [B, S] = source.shape as [number, number];
    const lengths = given === undefined ? undefined : checkedLengths('Seq2Seq', given, B, S);
    const x = this.sourceEmbedding.forward(permute(source, [1, 0])); // [S, B, E]
    const [output, last] = this.encoder.forward(x, undefined, lengths ? { lengths } : {});
    const ends = this.config.bidirectional ? concat([at(last, 0), at(last, 1)], 1) : at(last, 0);
    const state = tanh(this.bridge.forward(ends));
    if (!this.combine) return { state };
    const memory = permute(output, [1, 0, 2]);
    const keys = this.additive ? this.additive.project(memory) : memory;
    return { state, source: { memory, keys, lengths: lengths ?? tensor(new Int32Array(B).fill(S)) } };
  }

  /** What the head reads at each step, [B, T, H], and what the steps attended to, [B, T, S]. */
  #write(source: Tensor, inputs: Tensor, options: SourceOptions): { output: Tensor; weights?: Tensor } {
    const { state, source: read } = this.#read(source, options);
    expectInputs('Seq2Seq', inputs, 'sources', source.shape[0] as number);
    const x = this.targetEmbedding.forward(permute(inputs, [1, 0])); // [T, B, E]
    if (this.config.inputFeeding) {
      const { ys } = scan(
        ([h, fed], [token]) => {
          const next = this.#advance(token as Tensor, h as Tensor, fed, read);
          return { carry: [next.state, next.output], y: [next.output, next.weights as Tensor] };
        },
        [state, zeros(state.shape)],
        [x],
      );
      const [output, weights] = ys.map((y) => permute(y, [1, 0, 2])) as [Tensor, Tensor];
      return { output, weights };
    }
    const [written] = this.decoder.forward(x, unsqueeze(state, 0)); // [T, B, H]
    const output = permute(written, [1, 0, 2]);
    return read ? this.#attend(output, read) : { output };
  }

  /** One step: the token's embedding [B, E], the state [B, H] and what was fed. */
  #advance(x: Tensor, before: Tensor, fed: Tensor | undefined, source: Source | undefined) {
    const input = fed ? concat([x, fed], 1) : x;
    const [output] = this.decoder.forward(unsqueeze(input, 0), unsqueeze(before, 0));
    const state = at(output, 0);
    if (!source) return { state, output: state };
    const found = this.#attend(unsqueeze(state, 1), source);
    return { state, output: squeeze(found.output, 1), weights: squeeze(found.weights, 1) };
  }

  /** Queries [B, Q, H] → what the head reads, [B, Q, H], and the weights [B, Q, S]. */
  #attend(queries: Tensor, source: Source): { output: Tensor; weights: Tensor } {
    const { context, weights } = this.#look(queries, source);
    return { output: tanh((this.combine as Linear).forward(concat([queries, context], 2))), weights };
  }

  #look(queries: Tensor, { memory, keys, lengths }: Source): Alignment {
    if (this.additive) return this.additive.forward(queries, memory, { keys, lengths });
    if (this.general) return generalAttention(queries, keys, memory, this.general.weight, { lengths });
    return dotAttention(queries, keys, memory, { lengths });
  }
}
