import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { anything, count, countUpTo, declareOptions, expectKind, positive, probability } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectDType, noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Embedding } from '../nn/embedding.ts';
import { constant } from '../nn/init.ts';
import { Linear } from '../nn/linear.ts';
import { evaluating, Module } from '../nn/module.ts';
import { GRU } from '../nn/recurrent.ts';
import { full, tensor } from '../ops/create.ts';
import { add, cast, equal, exp, mul, neg, square, sub, tanh, where, zeros } from '../ops/elementwise.ts';
import { iota } from '../ops/indexing.ts';
import { concat, split } from '../ops/join.ts';
import { checkedLengths, type Lengths, lengthsLike } from '../ops/lengths.ts';
import { linearCrossEntropy } from '../ops/linearCrossEntropy.ts';
import { sequenceMask } from '../ops/masks.ts';
import { matmul } from '../ops/matmul.ts';
import { overwritten } from '../ops/packing.ts';
import { bernoulli, turnKeys } from '../ops/random.ts';
import { sum } from '../ops/reduce.ts';
import { type SamplingSettings, sampleWith, samplingKinds, settingsTensor } from '../ops/sample.ts';
import { scan } from '../ops/scan.ts';
import { at, slice } from '../ops/slice.ts';
import { permute, reshape, squeeze, unsqueeze } from '../ops/view.ts';
import { compile } from '../runtime/step.ts';
import { generatorFor } from './generate.ts';
import { levelCount, muLawDecoding } from './muLaw.ts';
import { ahead, inParts, readParts } from './parts.ts';
import { targetsWithin } from './sequence.ts';

/** Sizes and settings of a `Char2Wav`. */
export interface Char2WavConfig {
  /** Characters that texts are made of, V. */
  vocabularySize: number;
  /** Width of the embedding of characters. */
  embedding: number;
  /** Width of all states, H; even, since the reader's two directions share it. */
  hidden: number;
  /** Samples of a frame: for so many the synthesiser is told the same. */
  frame: number;
  /** Levels of a sample, as `muLawEncoding` makes them; 256 by default. */
  levels?: number;
  /** Gaussians that attention is made of, K; 3 by default. */
  mixtures?: number;
  /** Characters that attention goes on by in a frame, to begin with; 0.2 by default. Best near that of the data. */
  pace?: number;
  /**
   * Probability, in training, that a sample is not told to the next; 0 by default. A synthesiser that always sees the right
   * sample before listens to little else, and loses its way once it hears itself.
   */
  dropout?: number;
}
const char2wavConfig = declareOptions<Char2WavConfig>(
  {
    vocabularySize: count,
    embedding: count,
    hidden: count,
    frame: countUpTo(2 ** 16),
    levels: levelCount,
    mixtures: countUpTo(1024),
    pace: positive,
    dropout: probability,
  },
  ['vocabularySize', 'embedding', 'hidden', 'frame'],
);

/** Options of a call of `Char2Wav`. */
export interface TextOptions {
  /** How many of the S characters are each text's own, [B] of i32 or as many numbers from 1 to S; default all. Padding changes nothing. */
  lengths?: Lengths;
}
const textOptions = declareOptions<TextOptions>({ lengths: lengthsLike });

/** Options of `Char2Wav.loss`. */
export interface Char2WavLossOptions extends TextOptions {
  /** How many of the N samples of each row count, [B] of i32 or as many numbers from 1 to N; default all. */
  sampleLengths?: Lengths;
}
const lossOptions = declareOptions<Char2WavLossOptions>({ lengths: lengthsLike, sampleLengths: lengthsLike });

const frameCount = countUpTo(2 ** 16);

/** Options of `Char2Wav.synthesize`: how long, and how each sample is drawn; a temperature of 0 takes the likeliest level. */
export interface SynthesizeOptions extends TextOptions, SamplingSettings {
  /** How many frames to make for each text. */
  frames: number;
  /** Frames per submit and per read; 8 by default. The result does not depend on it. */
  chunk?: number;
  /** Makes the sound repeatable, and leaves the default generator as it was; without it that one is drawn from. */
  seed?: number | bigint;
}
const synthesizeOptions = declareOptions<SynthesizeOptions>(
  { lengths: lengthsLike, frames: frameCount, chunk: countUpTo(1024), ...samplingKinds, seed: anything },
  ['frames'],
);

/** What `synthesize` makes of a text. */
export interface Utterance {
  /** The wave in [-1, 1]: frames · frame samples. */
  readonly samples: Float32Array;
  /** For each frame how much was taken of each character: [S]. */
  readonly alignment: Float32Array[];
}

/** Texts that were read. */
interface Source {
  /** [B, S, H] */
  readonly memory: Tensor;
  /** Which characters are a text's own: [B, S]. */
  readonly inside: Tensor;
}

/** State, context and places of attention before a frame, [B, H], [B, H] and [B, K]; the level and the state before a sample, [B] and [B, H]. */
type Before = readonly [h: Tensor, context: Tensor, places: Tensor, level: Tensor, voice: Tensor];

/**
 * Speech from characters, end to end (Sotelo et al. 2017). A reader, which goes over the text in both directions, and an
 * attending decoder make a vector of features for each frame; attention is a mixture of Gaussians that only moves on (Graves
 * 2013). A synthesiser makes the samples, one after another, from the features and from the sample before (Mehri et al. 2017:
 * SampleRNN). Both learn together from texts and their waves. In training the samples are one kernel each way.
 */
export class Char2Wav extends Module {
  /** Embedding of the characters, [V, embedding]. */
  readonly embedding: Embedding;
  /** Reads the text in two directions of H/2. */
  readonly reader: GRU;
  /** Goes from frame to frame: reads what was attended to at the frame before. */
  readonly decoder: GRU;
  /** From the decoder's state to weights, widths and steps of the Gaussians, [3·K, H]. */
  readonly attention: Linear;
  /** From the decoder's state and its context to the features of a frame, [H, 2·H]. */
  readonly features: Linear;
  /** From the features of a frame to the share that they have in each of its samples, [frame·H, H]. */
  readonly condition: Linear;
  /** Embedding of the sample before, [levels + 1, H]: the last row is for one that is not known. */
  readonly sampleEmbedding: Embedding;
  /** Goes from sample to sample. */
  readonly synthesizer: GRU;
  /** Scores of the levels, [levels, H]. */
  readonly head: Linear;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<Required<Char2WavConfig>>;

  constructor(config: Char2WavConfig) {
    super();
    const given = char2wavConfig('Char2Wav', config);
    this.config = { levels: 256, mixtures: 3, pace: 0.2, dropout: 0, ...given };
    const { vocabularySize, embedding, hidden, frame, levels, mixtures, pace } = this.config;
    if (hidden % 2 !== 0)
      throw new ValueError(`[Char2Wav] hidden must be even for a reader of two directions, got ${hidden}`);
    this.embedding = new Embedding(vocabularySize, embedding);
    this.reader = new GRU(embedding, hidden / 2, { bidirectional: true });
    this.decoder = new GRU(hidden, hidden);
    this.attention = new Linear(hidden, 3 * mixtures);
    this.features = new Linear(2 * hidden, hidden);
    this.condition = new Linear(hidden, frame * hidden);
    this.sampleEmbedding = new Embedding(levels + 1, hidden);
    this.synthesizer = new GRU(hidden, hidden);
    this.head = new Linear(hidden, levels);
    const { bias } = this.attention;
    if (bias) bias.assign(overwritten(bias, 2 * mixtures, constant([mixtures], Math.log(pace))));
  }

  /**
   * Texts [B, S] and the levels of their samples [B, N] → scores of each level from those before it, [B, N, levels]. Throws a
   * ShapeError on other shapes; a character or level that there is not throws a ValueError at the next read.
   */
  forward(text: Tensor, levels: Tensor, options?: TextOptions): Tensor {
    const output = this.#listen(text, levels, textOptions('Char2Wav', options)); // [N, B, H]
    return permute(this.head.forward(output), [1, 0, 2]);
  }

  /** Mean cross-entropy in nats of levels [B, N], each from the text [B, S] and from the levels before it. */
  loss(text: Tensor, levels: Tensor, options?: Char2WavLossOptions): Tensor {
    const { sampleLengths, ...rest } = lossOptions('Char2Wav', options);
    const output = this.#listen(text, levels, rest); // [N, B, H]
    const [B, N] = levels.shape as [number, number];
    const own = sampleLengths === undefined ? undefined : checkedLengths('Char2Wav', sampleLengths, B, N);
    const targets = permute(targetsWithin(levels, own), [1, 0]);
    return linearCrossEntropy(output, this.head.weight, targets, { bias: this.head.bias });
  }

  /** What the frames attend to in texts [B, S]: [B, frames, S]. It does not depend on samples. */
  align(text: Tensor, frames: number, options?: TextOptions): Tensor {
    expectKind('Char2Wav.align', 'frames', frames, frameCount);
    const source = this.#read(text, textOptions('Char2Wav.align', options));
    return permute(this.#decode(source, this.#start(source), frames).alignment, [1, 0, 2]);
  }

  /**
   * Speaks texts [B, S], sample by sample, each drawn from the scores that those before it give. A chunk of frames is one submit
   * and one read, before which the next is submitted; the texts are one submit before. Modules evaluate.
   */
  synthesize(text: Tensor, options: SynthesizeOptions): Promise<Utterance[]> {
    const given = synthesizeOptions('Char2Wav.synthesize', options);
    const [B, S] = checkText(text);
    const own = given.lengths === undefined ? null : checkedLengths('Char2Wav', given.lengths, B, S);
    return this.#synthesize(text, own, given);
  }

  async #synthesize(
    text: Tensor,
    own: Tensor | null,
    { lengths: _, frames, chunk = 8, seed, ...settings }: SynthesizeOptions,
  ): Promise<Utterance[]> {
    const [B, S] = text.shape as [number, number];
    const { frame, levels } = this.config;
    const sampling = settingsTensor(settings);
    const generator = generatorFor(seed, frames * frame);
    const begun = await this.#begin(text, own);
    const source = { memory: begun.memory, inside: begun.inside };
    let now: Before = begun.before;
    const free = () => {
      for (const each of now) each.dispose();
    };
    const chunks = ahead(Math.ceil(frames / chunk), async () => {
      const { parts, alignment, before } = await this.#speak(
        source,
        now,
        sampling,
        tensor(generator.take(chunk * frame)),
        chunk,
      );
      free();
      now = before;
      return { parts, alignment };
    });
    const rows = Array.from({ length: B }, () => ({
      levels: new Int32Array(frames * frame),
      alignment: [] as Float32Array[],
    }));
    let first = 0;
    try {
      for await (const { parts, alignment } of chunks) {
        const [ids, weights] = await Promise.all([readParts(parts), readParts(alignment)]); // [chunk·frame, B], [chunk, B, S]
        const here = Math.min(chunk, frames - first);
        for (const [b, row] of rows.entries()) {
          for (let n = 0; n < here * frame; n++) row.levels[first * frame + n] = ids[n * B + b] as number;
          for (let f = 0; f < here; f++)
            row.alignment.push((weights as Float32Array).slice((f * B + b) * S, (f * B + b + 1) * S));
        }
        first += chunk;
      }
    } finally {
      free();
      source.memory.dispose();
      source.inside.dispose();
    }
    return rows.map((row) => ({ samples: muLawDecoding(row.levels, levels), alignment: row.alignment }));
  }

  /** Reads texts for `synthesize`. */
  readonly #begin = compile(
    (text: Tensor, lengths: Tensor | null) =>
      evaluating(() =>
        noGrad(() => {
          const source = this.#read(text, lengths ? { lengths } : {});
          const { levels } = this.config;
          const [B] = text.shape as [number];
          const [h, context, places] = this.#start(source);
          const silent: Before = [h, context, places, full([B], levels, 'i32'), zeros(h.shape)];
          return { ...source, before: silent };
        }),
      ),
    { plans: 16 },
  );

  /** Speaks some frames. */
  readonly #speak = compile(
    (source: Source, before: Before, settings: Tensor, key: Tensor, frames: number) =>
      evaluating(() =>
        noGrad(() => {
          const { frame } = this.config;
          const decoded = this.#decode(source, before, frames);
          const shares = this.#shares(decoded.features); // [frames·frame, B, H]
          const keys = turnKeys({ key, stream: 0 }, frames * frame, 1, false);
          const { carry, ys } = scan(
            ([level, voice], [share, turn]) => {
              const x = add(this.sampleEmbedding.forward(level as Tensor), share as Tensor);
              const [output] = this.synthesizer.forward(unsqueeze(x, 0), unsqueeze(voice as Tensor, 0));
              const heard = at(output, 0); // [B, H]
              const next = sampleWith(this.head.forward(heard), settings, { key: turn as Tensor, stream: 0 });
              return { carry: [next, heard], y: [next] };
            },
            [before[3], before[4]],
            [shares, keys],
          );
          const [level, voice] = carry as [Tensor, Tensor];
          return {
            parts: inParts(nth(ys, 0)),
            alignment: inParts(decoded.alignment),
            before: [...decoded.state, level, voice] as Before,
          };
        }),
      ),
    { plans: 16 },
  );

  /** What the head reads of each sample, [N, B, H], where the levels before it are given. */
  #listen(text: Tensor, levels: Tensor, options: TextOptions): Tensor {
    const source = this.#read(text, options);
    expectDType('Char2Wav', 'the levels', levels, ['i32', 'u32']);
    const B = nth(text.shape, 0);
    if (levels.rank !== 2 || levels.shape[0] !== B)
      throw new ShapeError(`[Char2Wav] the levels must be [B, N] = [${B}, N], got ${formatShape(levels.shape)}`);
    const { frame, levels: unknown, dropout } = this.config;
    const N = nth(levels.shape, 1);
    const { features } = this.#decode(source, this.#start(source), Math.ceil(N / frame));
    const first = full([1, B], unknown, 'i32');
    const all = cast(permute(levels, [1, 0]), 'i32'); // [N, B]
    const before = N === 1 ? first : concat([first, slice(all, [[0, -1]])]);
    const isDropped = this.training && dropout > 0;
    const heard = isDropped ? where(equal(bernoulli(dropout, [N, B]), 1), unknown, before) : before;
    const shares = slice(this.#shares(features), [[0, N]]);
    const [output] = this.synthesizer.forward(add(this.sampleEmbedding.forward(heard), shares));
    return output;
  }

  #read(text: Tensor, { lengths: given }: TextOptions): Source {
    const [B, S] = checkText(text);
    const lengths = given === undefined ? undefined : checkedLengths('Char2Wav', given, B, S);
    const x = this.embedding.forward(permute(text, [1, 0])); // [S, B, E]
    const [output] = this.reader.forward(x, undefined, lengths ? { lengths } : {});
    const inside = lengths ? sequenceMask(lengths, S) : full([B, S], 1, 'bool');
    return { memory: permute(output, [1, 0, 2]), inside };
  }

  /** Before the first frame attention stands at the edge of the first character. */
  #start({ memory }: Source): [h: Tensor, context: Tensor, places: Tensor] {
    const [B, , H] = memory.shape as [number, number, number];
    return [zeros([B, H]), zeros([B, H]), zeros([B, this.config.mixtures])];
  }

  /** The features of some frames, [frames, B, H], what they attended to, [frames, B, S], and what comes after them. */
  #decode({ memory, inside }: Source, before: readonly Tensor[], frames: number) {
    const S = nth(memory.shape, 1);
    // Character u reaches from u to u + 1.
    const middles = add(cast(iota([S], 0), 'f32'), 0.5);
    const { carry, ys } = scan(
      ([h, context, places]) => {
        const [output] = this.decoder.forward(unsqueeze(context as Tensor, 0), unsqueeze(h as Tensor, 0));
        const state = at(output, 0); // [B, H]
        const [alpha, beta, step] = split(exp(this.attention.forward(state)), this.config.mixtures, 1) as [
          Tensor,
          Tensor,
          Tensor,
        ];
        const next = add(places as Tensor, step); // [B, K]
        const distances = square(sub(unsqueeze(next, 2), middles)); // [B, K, S]
        const bells = mul(unsqueeze(alpha, 2), exp(neg(mul(unsqueeze(beta, 2), distances))));
        const weights = where(inside, sum(bells, 1), 0); // [B, S]
        const found = squeeze(matmul(unsqueeze(weights, 1), memory), 1); // [B, H]
        return { carry: [state, found, next], y: [state, found, weights] };
      },
      before.slice(0, 3),
      [],
      { length: frames },
    );
    const [states, contexts, alignment] = ys as [Tensor, Tensor, Tensor];
    const features = tanh(this.features.forward(concat([states, contexts], 2)));
    return { features, alignment, state: carry as [Tensor, Tensor, Tensor] };
  }

  /** Features [F, B, H] → what each sample gets of them, [F·frame, B, H]. */
  #shares(features: Tensor): Tensor {
    const [F, B, H] = features.shape as [number, number, number];
    const { frame } = this.config;
    const all = reshape(this.condition.forward(features), [F, B, frame, H]);
    return reshape(permute(all, [0, 2, 1, 3]), [F * frame, B, H]);
  }
}

function checkText(text: Tensor): [B: number, S: number] {
  expectDType('Char2Wav', 'the text', text, ['i32', 'u32']);
  if (text.rank !== 2) throw new ShapeError(`[Char2Wav] the text must be ids [B, S], got ${formatShape(text.shape)}`);
  return text.shape as [number, number];
}
