import { ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import {
  abortSignal,
  anything,
  countOrNone,
  countUpTo,
  declareOptions,
  either,
  listOf,
  shown,
  tensorLike,
} from '../core/options.ts';
import { defaultGenerator, Generator } from '../core/random.ts';
import { noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { evaluating } from '../nn/module.ts';
import { tensor } from '../ops/create.ts';
import { turnKeys } from '../ops/random.ts';
import { type SamplingSettings, sampleWith, samplingKinds, settingsTensor } from '../ops/sample.ts';
import { scan } from '../ops/scan.ts';
import { type Compiled, compile } from '../runtime/step.ts';
import type { Decoded, LanguageModel } from './languageModel.ts';
import { ahead, inParts, readParts } from './parts.ts';

/** Options of `generate`: what to go on from, how far, and how each token is drawn. */
export interface GenerateOptions<Prompt = ArrayLike<number> | readonly ArrayLike<number>[]> extends SamplingSettings {
  /** The ids to go on from, at least one; or a batch of such prompts, of any lengths. */
  prompt: Prompt;
  /** How many tokens to make for each prompt. */
  maxTokens: number;
  /** The state to read the prompt from, as `CharRNN.run` gives it; by default zeros. */
  state?: readonly Tensor[];
  /** Tokens per submit and per read; 16 by default. It changes when tokens come, and none of them. */
  chunk?: number;
  /** Ids that end a text: the first of them is its last token. */
  stop?: number | readonly number[];
  /** Makes the sample repeatable, and leaves the default generator as it was; without it that one is drawn from. */
  seed?: number | bigint;
  /** Ends the sample early, after the chunk that is awaited. */
  signal?: AbortSignal;
}

const generateOptions = declareOptions<GenerateOptions>(
  {
    prompt: anything,
    maxTokens: countUpTo(2 ** 24),
    state: listOf(tensorLike),
    chunk: countUpTo(1024),
    stop: either(countOrNone, listOf(countOrNone)),
    ...samplingKinds,
    seed: anything,
    signal: abortSignal,
  },
  ['prompt', 'maxTokens'],
);

/**
 * Continues a prompt of token ids: an async iterator over the new ids, an array for each chunk of them. A batch of prompts
 * gives for each chunk an array of such arrays, one for each prompt; that of a text which has ended is empty.
 *
 * A chunk is one submit, in which each token is drawn and read by the model, and one read, before which the next chunk is
 * submitted, so that the device never waits; the prompts are one submit before. All chunks share a plan, whatever the
 * settings, and take the weights as they are then. The model's mode is left alone: the plan evaluates. Calls may overlap,
 * with each other and with training. A `for await` that is left early ends the sample.
 *
 * Throws a ValueError on ids that are none, and where prompt and tokens are more than the context of the model.
 */
export function generate(
  model: LanguageModel,
  options: GenerateOptions<ArrayLike<number>>,
): AsyncGenerator<number[], void, undefined>;
export function generate(
  model: LanguageModel,
  options: GenerateOptions<readonly ArrayLike<number>[]>,
): AsyncGenerator<number[][], void, undefined>;
export function generate(
  model: LanguageModel,
  options: GenerateOptions,
): AsyncGenerator<number[] | number[][], void, undefined> {
  const {
    prompt,
    maxTokens,
    state,
    chunk = 16,
    stop,
    seed,
    signal,
    ...settings
  } = generateOptions('generate', options);
  const { vocabularySize } = model.config;
  const isBatch = Array.isArray(prompt) && prompt.length > 0 && prompt.every((row) => typeof row === 'object');
  const rows = (isBatch ? prompt : [prompt]).map((row) => promptOf(row, vocabularySize));
  const stops = new Set(typeof stop === 'number' ? [stop] : stop);
  for (const id of stops)
    if (id >= vocabularySize)
      throw new ValueError(`[generate] stop holds ${id}, which is no id of a vocabulary of ${vocabularySize}`);
  const longest = Math.max(...rows.map(({ length }) => length));
  const { contextLength } = model;
  if (longest + maxTokens > contextLength)
    throw new ValueError(
      `[generate] a prompt of ${longest} and ${maxTokens} tokens more are beyond the model's context of ${contextLength}; shorten the prompt to its last ids, or ask for fewer tokens`,
    );
  const chunks = chunksOf(model, rows, {
    settings: settingsTensor(settings),
    generator: generatorFor(seed, maxTokens),
    maxTokens,
    chunk,
    stops,
    ...(state && { state }),
    ...(signal && { signal }),
  });
  return isBatch ? chunks : firstRow(chunks);
}

/** The ids of a prompt, checked: a wrong one would only show on the device, and late. */
function promptOf(prompt: unknown, vocabularySize: number): number[] {
  if (!Array.isArray(prompt) && !ArrayBuffer.isView(prompt))
    throw new ValueError(
      `[generate] the prompt must be ids, or arrays of ids, got ${shown(prompt)}; encode a text first`,
    );
  const ids = Array.from(prompt as ArrayLike<number>);
  if (ids.length === 0) throw new ValueError('[generate] the prompt is empty; give at least one token to start from');
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
  if (wrong !== undefined)
    throw new ValueError(
      `[generate] the prompt holds ${shown(wrong)}, which is no id of a vocabulary of ${vocabularySize}`,
    );
  return ids;
}

/**
 * Where a call draws from. The default generator gives away a position for each draw at once, so that what is drawn from it
 * next depends on no chunk.
 */
export function generatorFor(seed: number | bigint | undefined, draws: number): Generator {
  if (seed !== undefined) return new Generator(seed);
  const own = new Generator().restore(defaultGenerator.state());
  defaultGenerator.take(draws);
  return own;
}

async function* firstRow(chunks: AsyncGenerator<number[][], void>): AsyncGenerator<number[], void> {
  for await (const [row] of chunks) yield row as number[];
}

interface Sampling {
  readonly settings: Tensor;
  readonly generator: Generator;
  readonly maxTokens: number;
  readonly chunk: number;
  readonly stops: ReadonlySet<number>;
  readonly state?: readonly Tensor[];
  readonly signal?: AbortSignal;
}

/** The ids of each row, chunk for chunk. */
async function* chunksOf(
  model: LanguageModel,
  rows: readonly (readonly number[])[],
  { settings, generator, maxTokens, chunk, stops, state, signal }: Sampling,
): AsyncGenerator<number[][], void> {
  const { prefill, sampleChunk } = plansFor(model);
  let now = await prefill(...padded(rows, model.contextLength), state ?? null);
  const free = () => {
    for (const each of [now.logits, ...now.state]) each.dispose();
  };
  const submit = async () => {
    const { parts, ...next } = await sampleChunk(now, settings, tensor(generator.take(chunk)), chunk);
    free();
    now = next;
    return parts;
  };
  try {
    if (signal?.aborted) return;
    const isOpen = rows.map(() => true);
    let left = maxTokens;
    for await (const parts of ahead(Math.ceil(maxTokens / chunk), submit)) {
      const drawn = await readParts(parts); // [chunk, B]
      yield rows.map((_, row) => {
        if (!isOpen[row]) return [];
        const ids = Array.from({ length: Math.min(chunk, left) }, (_, i) => drawn[i * rows.length + row] as number);
        const end = ids.findIndex((id) => stops.has(id));
        if (end < 0) return ids;
        isOpen[row] = false;
        return ids.slice(0, end + 1);
      });
      left -= chunk;
      if (!isOpen.includes(true) || signal?.aborted) return;
    }
  } finally {
    free();
  }
}

/**
 * Prompts as ids [B, T] and the length of each, [B]. T is a power of two, or all of the context, so that prompts of all
 * lengths share a few plans.
 */
function padded(rows: readonly (readonly number[])[], contextLength: number): [ids: Tensor, lengths: Tensor] {
  const longest = Math.max(8, ...rows.map(({ length }) => length));
  const T = Math.min(2 ** Math.ceil(Math.log2(longest)), contextLength);
  const ids = new Int32Array(rows.length * T);
  for (const [row, prompt] of rows.entries()) ids.set(prompt, row * T);
  const lengths = Int32Array.from(rows, ({ length }) => length);
  return [tensor(ids, { shape: [rows.length, T] }), tensor(lengths)];
}

/** The compiled functions of a model. */
interface Plans {
  readonly prefill: Compiled<[ids: Tensor, lengths: Tensor, state: readonly Tensor[] | null], Decoded>;
  /** The ids of a chunk, [chunk, B] in parts, and what comes after them. */
  readonly sampleChunk: Compiled<
    [before: Decoded, settings: Tensor, key: Tensor, chunk: number],
    Decoded & { readonly parts: Tensor[] }
  >;
}

const plans = new WeakMap<LanguageModel, Plans>();

function plansFor(model: LanguageModel): Plans {
  const known = plans.get(model);
  if (known) return known;
  /** Lengths of prompts and sizes of batches; chunks of several sizes. */
  const kept = { plans: 16 };
  const made: Plans = {
    prefill: compile(
      (ids, lengths, state) => evaluating(() => noGrad(() => model.prefill(ids, lengths, state ?? undefined))),
      kept,
    ),
    sampleChunk: compile(
      (before, settings, key, chunk) =>
        evaluating(() =>
          noGrad(() => drawChunk(model, before, settings, turnKeys({ key, stream: 0 }, chunk, 1, false))),
        ),
      kept,
    ),
  };
  plans.set(model, made);
  return made;
}

/** Draws a token from the scores, has the model read it, and so on, once for each of the keys [chunk, …]. */
function drawChunk(model: LanguageModel, before: Decoded, settings: Tensor, keys: Tensor) {
  const { carry, ys } = scan(
    ([logits, ...state], [key]) => {
      const ids = sampleWith(logits as Tensor, settings, { key: key as Tensor, stream: 0 }); // [B]
      const next = model.decode(ids, state);
      return { carry: [next.logits, ...next.state], y: [ids] };
    },
    [before.logits, ...before.state],
    [keys],
  );
  const [logits, ...state] = carry as [Tensor, ...Tensor[]];
  return { logits, state, parts: inParts(nth(ys, 0)) };
}
