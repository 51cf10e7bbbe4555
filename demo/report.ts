import type { Config } from './configs.ts';
import type { Data } from './data.ts';

/** What `--json` prints. Losses are in nats per character. */
export interface Summary {
  readonly adapter: string;
  readonly runtime: string;
  /** V, the number of different characters. */
  readonly vocabulary: number;
  /** Validation loss of a model that counts pairs of characters; null where no text was read. */
  readonly bigramLoss: number | null;
  readonly models: readonly ModelSummary[];
}

/** Null stands for what a run that was stopped early, or had too few steps, could not find out. */
export interface ModelSummary {
  readonly model: string;
  readonly parameters: number;
  /** Steps done. */
  readonly steps: number;
  /** Training loss of the first step, and the mean over the last 20. */
  readonly firstLoss: number;
  readonly finalLoss: number;
  readonly valLoss: number | null;
  readonly tokensPerSecond: number | null;
  /** WebGPU calls of one step, its loss read. */
  readonly dispatchesPerStep: number | null;
  readonly submitsPerStep: number | null;
  readonly sample: string | null;
  /** Null where there was no step, and so nothing to save. */
  readonly checkpoint: string | null;
}

/** What `--json` prints where a trained model only was to write. */
export interface SampleSummary {
  readonly prompt: string;
  readonly sample: string;
  readonly checkpoint: string;
}

/** The lines above all models. */
export function introduction(data: Data, adapter: string, runtime: string, selection: 'gpu' | 'software'): string {
  const { vocabulary, train, validation, bigram } = data;
  const kernels = selection === 'gpu' ? 'a GPU' : 'a software adapter (a driver that computes on the CPU)';
  const guessing = Math.log(vocabulary.size).toFixed(3);
  return [
    `Adapter     ${adapter}, ${runtime}, with kernels for ${kernels}`,
    `Text        ${data.name}: ${number(train.length)} characters to learn from, ${number(validation.length)} to validate, ${vocabulary.size} different ones`,
    `To beat     ${bigram.toFixed(3)} nats per character (a nat is 1.44 bits, and fewer are better), which bigram counts reach: how often each character follows each; guessing gives ${guessing}`,
  ].join('\n');
}

/** The line above a model. */
export function headline({ model, sizes, context, batch, steps, lr }: Config, parameters: number): string {
  const shape =
    'heads' in sizes
      ? `${sizes.heads} heads, width ${sizes.width}`
      : `embedding ${sizes.embedding}, hidden ${sizes.hidden}`;
  return (
    `${model.toUpperCase()}  ${sizes.layers} layers, ${shape}: ${number(parameters)} parameters; ` +
    `context ${context}, batch ${batch}, ${number(steps)} steps, learning rate ${lr}`
  );
}

/** The lines under a model that is trained. */
export function results(
  summary: ModelSummary & { readonly valLoss: number; readonly checkpoint: string },
  bigram: number,
  curve: string,
): string {
  const { finalLoss, valLoss, dispatchesPerStep, submitsPerStep, tokensPerSecond, checkpoint } = summary;
  const verdict =
    valLoss < bigram
      ? `${(bigram - valLoss).toFixed(3)} below the bigram counts`
      : `not below the bigram counts, ${bigram.toFixed(3)}`;
  const speed = tokensPerSecond === null ? '' : `, ${number(Math.round(tokensPerSecond))} tokens per second`;
  const calls = `${dispatchesPerStep} dispatches (kernels started) in ${submitsPerStep} submit${submitsPerStep === 1 ? '' : 's'} to the device`;
  return [
    `  loss         ${finalLoss.toFixed(3)} in training, ${valLoss.toFixed(3)} in validation (${verdict})`,
    ...(dispatchesPerStep === null ? [] : [`  a step       ${calls}${speed}`]),
    `  checkpoint   ${checkpoint}`,
    `  loss curve   ${curve}`,
  ].join('\n');
}

/** What is said where a run that is to go on has nothing left to do. */
export function nothingLeft(done: number, { steps }: Config, path: string, text: string): string {
  const state =
    done === steps
      ? `is finished: it has done all its ${number(steps)} steps`
      : `has done ${number(done)} steps already`;
  return [
    `${path} ${state}. Nothing was changed.`,
    `  train on     npm start -- --resume ${path} --steps ${2 * done}${text}`,
    `  write text   npm start -- --sample "PROMPT" --checkpoint ${path}`,
  ].join('\n');
}

/** Text that a model wrote, set apart from what the program says. */
export const quoted = (sample: string) => `  sample\n${sample.trimEnd().replaceAll(/^/gm, '    │ ')}`;

const number = (value: number) => value.toLocaleString('en');
