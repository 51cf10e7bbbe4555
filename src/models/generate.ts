import { ValueError } from '../core/errors.ts';
import { abortSignal, anything, callback, countUpTo, declareOptions, shown } from '../core/options.ts';
import { defaultGenerator, Generator } from '../core/random.ts';
import { noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { evaluating } from '../nn/module.ts';
import { tensor } from '../ops/create.ts';
import { embedding } from '../ops/embedding.ts';
import { gather } from '../ops/gather.ts';
import { concat } from '../ops/join.ts';
import { type SamplingSettings, sampleWith, samplingKinds, settingsTensor } from '../ops/sample.ts';
import { at } from '../ops/slice.ts';
import { reshape } from '../ops/view.ts';
import { mostInFlight } from '../runtime/backPressure.ts';
import { type Compiled, compile } from '../runtime/step.ts';
import type { CharRNN } from './charRNN.ts';
import type { GPT } from './gpt.ts';

/** Options of `generate`: how many tokens, and how each is drawn. */
export interface GenerateOptions extends SamplingSettings {
  /** How many tokens to make. */
  tokens: number;
  /** Makes the sample repeatable, and leaves the default generator as it was; without it that one is drawn from. */
  seed?: number | bigint;
  /** Ends the sample early: the tokens so far are returned, and the few that are being drawn are not. */
  signal?: AbortSignal;
  /** Called with each token as it comes. */
  onToken?: (id: number) => void;
}

type LanguageModel = GPT | CharRNN;

const generateOptions = declareOptions<GenerateOptions>(
  { tokens: countUpTo(2 ** 24), ...samplingKinds, seed: anything, signal: abortSignal, onToken: callback },
  ['tokens'],
);

/**
 * Continues a prompt of token ids, and gives the ids of the new tokens. Each is drawn on the GPU by one compiled step, whose
 * arguments the settings and the token before are; only its id is read, while the next ones are made. The model's mode is
 * left alone: the step evaluates. Calls may overlap, with each other and with training, whose weights each token takes as
 * they are then.
 */
export async function generate(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): Promise<number[]> {
  const { tokens, seed, signal, onToken, ...settings } = generateOptions('generate', options);
  const given = Array.from(prompt);
  checkPrompt(given, model.config.vocabularySize);
  const choice = new Choice(settings, seed === undefined ? defaultGenerator : new Generator(seed));
  const before = given.slice(0, -1);
  const draw = await (model.carries === 'window'
    ? continueGPT(model, choice, before)
    : continueRecurrent(model, choice, before));
  const made: number[] = [];
  const reads: Read[] = [];
  let last = tensor(Int32Array.of(given.at(-1) as number));
  try {
    while (made.length < tokens && !signal?.aborted) {
      // A read takes up to 10 ms, however quick the token was: meanwhile the device makes the next ones.
      const isFree = !reads[0]?.isDone && reads.length < mostInFlight;
      if (isFree && made.length + reads.length < tokens) {
        last = await draw(last);
        reads.push(new Read(last));
      } else {
        const id = await (reads.shift() as Read).id;
        made.push(id);
        onToken?.(id);
      }
    }
  } finally {
    await Promise.allSettled(reads.map(({ id }) => id));
  }
  return made;
}

/** A token on its way to the host. */
class Read {
  readonly id: Promise<number>;
  isDone = false;

  constructor(token: Tensor) {
    this.id = token.item();
    const note = () => {
      this.isDone = true;
    };
    // An error is thrown by the read that is waited for.
    this.id.then(note, note);
  }
}

/** How one call chooses tokens: arguments of the compiled step, so that all calls share its plan. */
class Choice {
  readonly #settings: Tensor;
  readonly #generator: Generator;

  constructor(settings: SamplingSettings, generator: Generator) {
    this.#settings = settingsTensor(settings);
    this.#generator = generator;
  }

  /** The settings, and the key of the next draw. */
  next(): [settings: Tensor, key: Tensor] {
    return [this.#settings, tensor(this.#generator.take())];
  }
}

/** Draws an id for each row, inside of a step. */
const chosen = (logits: Tensor, settings: Tensor, key: Tensor) => sampleWith(logits, settings, { key, stream: 0 });

/** Adds a token [1] to a text, and draws its successor, [1]. */
type Draw = (id: Tensor) => Promise<Tensor>;

/**
 * Continues with a GPT. The window has the length of the context, and the position to read is an input, so that one plan
 * serves all positions.
 */
function continueGPT(model: GPT, choice: Choice, before: readonly number[]): Draw {
  const T = model.config.contextLength;
  const step = stepOf(
    model,
    (window: Tensor, id: Tensor, places: Tensor, position: Tensor, settings: Tensor, key: Tensor) => {
      const ids = gather(concat([window, reshape(id, [1, 1])], 1), places, 1); // [1, T]
      // [1, E]; what follows the position is padding, which causal attention does not see from there.
      const row = embedding(position, at(model.hidden(ids), 0));
      return { next: chosen(model.logits(row), settings, key), ids };
    },
  );
  const first = new Int32Array(T);
  first.set(before.slice(-T));
  let window = tensor(first, { shape: [1, T] });
  let count = Math.min(before.length, T);
  return async (id) => {
    // Where each id of the window lies in what it was, behind which the new one is.
    const isFull = count === T;
    const places = Int32Array.from({ length: T }, (_, i) => (isFull ? i + 1 : i === count ? T : i));
    if (!isFull) count++;
    const position = tensor(Int32Array.of(count - 1));
    const { next, ids } = await step(window, id, tensor(places, { shape: [1, T] }), position, ...choice.next());
    window = ids;
    return next;
  };
}

/**
 * Continues with a recurrent model. The state goes from step to step; the prompt's tokens take the same plan, and nothing
 * of them is read.
 */
async function continueRecurrent(model: CharRNN, choice: Choice, before: readonly number[]): Promise<Draw> {
  const { cell, layers, hidden } = model.config;
  const zeros = () => tensor(new Float32Array(layers * hidden), { shape: [layers, 1, hidden] });
  let state: readonly Tensor[] = cell === 'lstm' ? [zeros(), zeros()] : [zeros()];
  const step = stepOf(model, (id: Tensor, state: readonly Tensor[], settings: Tensor, key: Tensor) => {
    const { logits, state: after } = model.run(reshape(id, [1, 1]), state); // [1, 1, V]
    return { next: chosen(reshape(logits, [1, -1]), settings, key), after };
  });
  const draw = async (id: Tensor) => {
    const { next, after } = await step(id, state, ...choice.next());
    state = after;
    return next;
  };
  for (const id of before) await draw(tensor(Int32Array.of(id)));
  return draw;
}

/** The compiled step of each model. */
const steps = new WeakMap<LanguageModel, unknown>();

function stepOf<Args extends readonly unknown[], Result>(
  model: LanguageModel,
  body: (...args: Args) => Result,
): Compiled<Args, Result> {
  const step = steps.get(model) ?? compile((...args: Args) => evaluating(() => noGrad(() => body(...args))));
  steps.set(model, step);
  // Casts: a model has one kind of step.
  return step as Compiled<Args, Result>;
}

function checkPrompt(ids: readonly number[], vocabularySize: number): void {
  if (ids.length === 0) throw new ValueError('[generate] the prompt is empty; give at least one token to start from');
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
  if (wrong !== undefined)
    throw new ValueError(
      `[generate] the prompt holds ${shown(wrong)}, which is no id of a vocabulary of ${vocabularySize}`,
    );
}
