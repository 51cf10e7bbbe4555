import { ValueError } from '../errors.ts';
import { type Compiled, compile } from '../gpu/step.ts';
import { noGrad } from '../graph/record.ts';
import { checkSizes } from '../nn/sizes.ts';
import { tensor } from '../ops/create.ts';
import { embedding } from '../ops/embedding.ts';
import { type SampleOptions, sample } from '../ops/sampling.ts';
import { at, reshape } from '../ops/view.ts';
import { defaultGenerator, manualSeed } from '../random.ts';
import type { Tensor } from '../tensor.ts';
import { GPT } from './gpt.ts';
import type { RecurrentLanguageModel } from './recurrent.ts';

export interface GenerateOptions extends SampleOptions {
  /** How many tokens to make. */
  tokens: number;
  /** Makes the sample repeatable, and leaves the default generator as it was; without it that one is drawn from. */
  seed?: number;
  /** Ends the sample early. */
  signal?: AbortSignal;
  /** Called with each token as it comes. */
  onToken?: (id: number) => void;
}

type LanguageModel = GPT | RecurrentLanguageModel;

/**
 * Continues a prompt of token ids, and gives the ids of the new tokens. Each is drawn on the GPU by one compiled step; only
 * its id is read. The model is in evaluation mode meanwhile.
 */
export async function generate(
  model: LanguageModel,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): Promise<number[]> {
  const { tokens, seed, signal, onToken, ...sampling } = options;
  checkSizes('generate', { tokens, ...(sampling.topK === undefined ? {} : { topK: sampling.topK }) });
  const given = Array.from(prompt);
  checkPrompt(given, model.config.vocabularySize);
  const random = defaultGenerator.state();
  const mode = model.training;
  if (seed !== undefined) manualSeed(seed);
  model.eval();
  try {
    const next = model instanceof GPT ? continueGPT(model, sampling) : continueRecurrent(model, sampling);
    for (const id of given.slice(0, -1)) await next.add(id);
    const made: number[] = [];
    let last = given.at(-1) as number;
    while (made.length < tokens && !signal?.aborted) {
      last = await (await next.draw(last)).item();
      made.push(last);
      onToken?.(last);
    }
    return made;
  } finally {
    model.train(mode);
    if (seed !== undefined) defaultGenerator.restore(random);
  }
}

/** A text under way. */
interface Continuation {
  /** Adds a token whose successor is known. */
  add(id: number): Promise<unknown>;
  /** Adds a token and draws its successor, [1]. */
  draw(id: number): Promise<Tensor>;
}

/** The window has the length of the context, and the position to read is an input, so that one plan serves all positions. */
function continueGPT(model: GPT, sampling: SampleOptions): Continuation {
  const { contextLength } = model.config;
  const seen: number[] = [];
  const step = stepOf(model, sampling, (ids: Tensor, position: Tensor) => {
    // [1, E]; what follows the position is padding, which causal attention does not see from there.
    const row = embedding(position, at(model.hidden(ids), 0));
    return sample(model.logits(row), sampling); // [1]
  });
  return {
    add: async (id) => seen.push(id),
    draw: (id) => {
      seen.push(id);
      const window = new Int32Array(contextLength);
      window.set(seen.slice(-contextLength));
      const position = Math.min(seen.length, contextLength) - 1;
      return step(tensor(window, { shape: [1, contextLength] }), tensor(Int32Array.of(position)));
    },
  };
}

/** The state goes from step to step; the prompt's tokens take the same plan, and nothing of it is read. */
function continueRecurrent(model: RecurrentLanguageModel, sampling: SampleOptions): Continuation {
  const { cell, layers, hidden } = model.config;
  const zeros = () => tensor(new Float32Array(layers * hidden), { shape: [layers, 1, hidden] });
  let state: readonly Tensor[] = cell === 'lstm' ? [zeros(), zeros()] : [zeros()];
  const step = stepOf(model, sampling, (id: Tensor, before: readonly Tensor[]) => {
    const { logits, state: after } = model.run(id, before); // [1, 1, V]
    return { next: sample(reshape(logits, [1, -1]), sampling), after };
  });
  const draw = async (id: number) => {
    const { next, after } = await step(tensor(Int32Array.of(id), { shape: [1, 1] }), state);
    state = after;
    return next;
  };
  return { add: draw, draw };
}

/** Compiled steps of a model by the options that they were traced with: sampling now and then compiles once. */
const steps = new WeakMap<LanguageModel, Map<string, unknown>>();

function stepOf<Args extends readonly unknown[], Result>(
  model: LanguageModel,
  sampling: SampleOptions,
  body: (...args: Args) => Result,
): Compiled<Args, Result> {
  const own = steps.get(model) ?? new Map<string, unknown>();
  steps.set(model, own);
  const key = JSON.stringify(Object.entries(sampling).sort());
  const step = own.get(key) ?? compile((...args: Args) => noGrad(() => body(...args)));
  own.set(key, step);
  // A model has one kind of step.
  return step as Compiled<Args, Result>;
}

function checkPrompt(ids: readonly number[], vocabularySize: number): void {
  if (ids.length === 0) throw new ValueError('[generate] the prompt is empty; give at least one token to start from');
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize);
  if (wrong !== undefined)
    throw new ValueError(`[generate] the prompt holds ${wrong}, which is no id of a vocabulary of ${vocabularySize}`);
}
