import { ValueError } from '../core/errors.ts';
import { abortSignal, anything, callback, countUpTo, declareOptions, shown } from '../core/options.ts';
import { defaultGenerator, Generator } from '../core/random.ts';
import { noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { evaluating } from '../nn/module.ts';
import { tensor } from '../ops/create.ts';
import { embedding } from '../ops/embedding.ts';
import { type SamplingSettings, sampleWith, samplingKinds, settingsTensor } from '../ops/sample.ts';
import { at } from '../ops/slice.ts';
import { reshape } from '../ops/view.ts';
import { type Compiled, compile } from '../runtime/step.ts';
import type { GPT } from './gpt.ts';
import type { RecurrentLanguageModel } from './recurrent.ts';

/** Options of `generate`: how many tokens, and how each is drawn. */
export interface GenerateOptions extends SamplingSettings {
  /** How many tokens to make. */
  tokens: number;
  /** Makes the sample repeatable, and leaves the default generator as it was; without it that one is drawn from. */
  seed?: number | bigint;
  /** Ends the sample early: the tokens so far are returned. */
  signal?: AbortSignal;
  /** Called with each token as it comes. */
  onToken?: (id: number) => void;
}

type LanguageModel = GPT | RecurrentLanguageModel;

const generateOptions = declareOptions<GenerateOptions>(
  { tokens: countUpTo(2 ** 24), ...samplingKinds, seed: anything, signal: abortSignal, onToken: callback },
  ['tokens'],
);

/**
 * Continues a prompt of token ids, and gives the ids of the new tokens. Each is drawn on the GPU by one compiled step, whose
 * arguments the settings are; only its id is read. The model's mode is left alone: the step evaluates. Calls may overlap,
 * with each other and with training, whose weights each token takes as they are then.
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
  const next = model.carries === 'window' ? continueGPT(model, choice) : continueRecurrent(model, choice);
  for (const id of given.slice(0, -1)) await next.add(id);
  const made: number[] = [];
  let last = given.at(-1) as number;
  while (made.length < tokens && !signal?.aborted) {
    last = await (await next.draw(last)).item();
    made.push(last);
    onToken?.(last);
  }
  return made;
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

/** A text that is being continued. */
interface Continuation {
  /** Adds a token whose successor is known. */
  add(id: number): Promise<unknown>;
  /** Adds a token and draws its successor, [1]. */
  draw(id: number): Promise<Tensor>;
}

/**
 * Continues with a GPT. The window has the length of the context, and the position to read is an input, so that one plan
 * serves all positions.
 */
function continueGPT(model: GPT, choice: Choice): Continuation {
  const { contextLength } = model.config;
  const seen: number[] = [];
  const step = stepOf(model, (ids: Tensor, position: Tensor, settings: Tensor, key: Tensor) => {
    // [1, E]; what follows the position is padding, which causal attention does not see from there.
    const row = embedding(position, at(model.hidden(ids), 0));
    return chosen(model.logits(row), settings, key); // [1]
  });
  return {
    add: async (id) => seen.push(id),
    draw: (id) => {
      seen.push(id);
      const window = new Int32Array(contextLength);
      window.set(seen.slice(-contextLength));
      const position = Math.min(seen.length, contextLength) - 1;
      return step(tensor(window, { shape: [1, contextLength] }), tensor(Int32Array.of(position)), ...choice.next());
    },
  };
}

/**
 * Continues with a recurrent model. The state goes from step to step; the prompt's tokens take the same plan, and nothing
 * of them is read.
 */
function continueRecurrent(model: RecurrentLanguageModel, choice: Choice): Continuation {
  const { cell, layers, hidden } = model.config;
  const zeros = () => tensor(new Float32Array(layers * hidden), { shape: [layers, 1, hidden] });
  let state: readonly Tensor[] = cell === 'lstm' ? [zeros(), zeros()] : [zeros()];
  const step = stepOf(model, (id: Tensor, before: readonly Tensor[], settings: Tensor, key: Tensor) => {
    const { logits, state: after } = model.run(id, before); // [1, 1, V]
    return { next: chosen(reshape(logits, [1, -1]), settings, key), after };
  });
  const draw = async (id: number) => {
    const { next, after } = await step(tensor(Int32Array.of(id), { shape: [1, 1] }), state, ...choice.next());
    state = after;
    return next;
  };
  return { add: draw, draw };
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
