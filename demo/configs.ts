/** The models that the demo trains. */
export const modelNames = ['gpt', 'lstm', 'gru', 'rnn'] as const;
export type ModelName = (typeof modelNames)[number];

export interface GPTSizes {
  readonly layers: number;
  readonly heads: number;
  /** E, the size of a token's vector. */
  readonly width: number;
}

export interface RecurrentSizes {
  readonly layers: number;
  /** Size of a character's vector. */
  readonly embedding: number;
  /** H, the size of a layer's state. */
  readonly hidden: number;
}

/** All that fixes a training run but text, seed and device. */
export interface Config {
  readonly model: ModelName;
  readonly sizes: GPTSizes | RecurrentSizes;
  /** T, characters that the model looks back on while it trains. */
  readonly context: number;
  /** B, sequences in a step. */
  readonly batch: number;
  readonly steps: number;
  /** Highest learning rate, reached after `warmup` steps. */
  readonly lr: number;
  /** Where the cosine ends at the last step. */
  readonly finalLr: number;
  readonly warmup: number;
  readonly betas: readonly [number, number];
  /** Decays matrices; biases and gains are left alone. */
  readonly weightDecay: number;
  /** Longest gradient (norm over all parameters) that is not shortened. */
  readonly clip: number;
}

const recipe = { betas: [0.9, 0.99], weightDecay: 0.1, clip: 1 } as const;

/** Small enough for two processor cores and no GPU; large enough to beat counting pairs of characters. */
const small = { ...recipe, context: 64, batch: 8 };
const smallGPT = {
  ...small,
  sizes: { layers: 2, heads: 4, width: 64 },
  steps: 1200,
  lr: 3e-3,
  finalLr: 3e-4,
  warmup: 50,
};
const smallRecurrent = {
  ...small,
  sizes: { layers: 2, embedding: 32, hidden: 96 },
  steps: 700,
  lr: 1e-2,
  finalLr: 1e-3,
  warmup: 30,
};

/** The recipe for a CPU in nanoGPT's README (https://github.com/karpathy/nanoGPT), and its like for recurrent models. */
const nano = { ...recipe, context: 64, batch: 12, steps: 2000, warmup: 100 };
const nanoGPT = { ...nano, sizes: { layers: 4, heads: 4, width: 128 }, lr: 1e-3, finalLr: 1e-4 };
const nanoRecurrent = { ...nano, sizes: { layers: 2, embedding: 256, hidden: 256 }, lr: 3e-3, finalLr: 3e-4 };

const configs: Readonly<Record<string, (model: ModelName) => Config>> = {
  default: (model) => (model === 'gpt' ? { model, ...smallGPT } : { model, ...smallRecurrent }),
  'nanogpt-cpu': (model) => (model === 'gpt' ? { model, ...nanoGPT } : { model, ...nanoRecurrent }),
};

export const configNames: readonly string[] = Object.keys(configs);

/** The configuration of that name for a model, with another number of steps where one is given. */
export function configOf(name: string, model: ModelName, steps: number | null): Config {
  const make = configs[name];
  if (!make) throw new RangeError(`there is no configuration ${name}; there are ${configNames.join(', ')}`);
  return withSteps(make(model), steps);
}

/** A shorter training warms up for no more than a tenth of it. */
export function withSteps(config: Config, steps: number | null): Config {
  if (steps === null) return config;
  return { ...config, steps, warmup: Math.min(config.warmup, Math.ceil(steps / 10)) };
}
