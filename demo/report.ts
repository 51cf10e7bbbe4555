import type { Config } from './configs.ts';
import type { Data } from './data.ts';

/** What `--json` prints. Losses are in nats per character. */
export interface Summary {
  readonly adapter: string;
  readonly runtime: string;
  /** V, the number of different characters. */
  readonly vocabulary: number;
  /** Validation loss of a model that counts pairs of characters. */
  readonly bigramLoss: number;
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
  readonly checkpoint: string;
}

/** What `--json` prints where a trained model only was to write. */
export interface SampleSummary {
  readonly prompt: string;
  readonly sample: string;
  readonly checkpoint: string;
}

/** The lines above all models. */
export function introduction(data: Data, adapter: string, runtime: string, selection: 'gpu' | 'software'): string {
  const { size } = data.vocabulary;
  return [
    `Adapter     ${adapter}, ${runtime}, kernels for a ${selection === 'gpu' ? 'GPU' : 'software adapter'}`,
    `Text        ${data.name}: ${number(data.train.length)} characters to learn from, ${number(data.validation.length)} to validate, ${size} different ones`,
    `To beat     ${data.bigram.toFixed(3)} nats per character, by counting pairs; guessing gives ${Math.log(size).toFixed(3)}`,
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
export function results(summary: ModelSummary & { readonly valLoss: number }, bigram: number, curve: string): string {
  const { finalLoss, valLoss, dispatchesPerStep, submitsPerStep, tokensPerSecond, checkpoint } = summary;
  const verdict =
    valLoss < bigram
      ? `${(bigram - valLoss).toFixed(3)} below the bigram counts`
      : `not below the bigram counts, ${bigram.toFixed(3)}`;
  const speed = tokensPerSecond === null ? '' : `, ${number(Math.round(tokensPerSecond))} tokens per second`;
  const calls = `${dispatchesPerStep} dispatches, ${submitsPerStep} submit${submitsPerStep === 1 ? '' : 's'}`;
  return [
    `  loss         ${finalLoss.toFixed(3)} in training, ${valLoss.toFixed(3)} in validation (${verdict})`,
    ...(dispatchesPerStep === null ? [] : [`  a step       ${calls}${speed}`]),
    `  checkpoint   ${checkpoint}`,
    `  loss curve   ${curve}`,
  ].join('\n');
}

/** Text that a model wrote, set apart from what the program says. */
export const quoted = (sample: string) => `  sample\n${sample.trimEnd().replaceAll(/^/gm, '    │ ')}`;

const number = (value: number) => value.toLocaleString('en');
