import { randomIntegers } from '../../src/core/random.ts';
import { compile, models, optim, type Tensor, tensor } from '../../src/index.ts';

/** V of both models. */
const vocabularySize = 65;

/** What a training step depends on; a sweep changes one of them. */
export interface Sizes {
  readonly T: number;
  readonly B: number;
  readonly layers: number;
  /** E of the Transformer, H of the LSTM. */
  readonly width: number;
}

export type Model = 'gpt' | 'lstm';

/** One size runs through `values`, the others stay as they are in `base`. */
export interface Sweep {
  readonly model: Model;
  readonly of: keyof Sizes;
  readonly values: readonly number[];
}

export const base: Readonly<Record<Model, Sizes>> = {
  gpt: { T: 64, B: 4, layers: 2, width: 128 },
  lstm: { T: 32, B: 8, layers: 2, width: 128 },
};

export const sweeps: readonly Sweep[] = [
  { model: 'gpt', of: 'T', values: [16, 32, 64, 128, 256, 512, 1024] },
  { model: 'gpt', of: 'B', values: [1, 2, 4, 8, 16, 32] },
  { model: 'gpt', of: 'layers', values: [1, 2, 4, 8, 12] },
  { model: 'gpt', of: 'width', values: [32, 64, 128, 256, 512] },
  { model: 'lstm', of: 'T', values: [8, 16, 32, 64, 128, 256] },
  { model: 'lstm', of: 'B', values: [1, 2, 4, 8, 16, 32, 64] },
  { model: 'lstm', of: 'layers', values: [1, 2, 4, 8] },
  { model: 'lstm', of: 'width', values: [32, 64, 128, 256, 512] },
];

/** Floating-point operations of a training step: a forward pass, and twice as many backward (Kaplan et al. 2020, 2.1). */
export function flops(model: Model, { T, B, layers, width: E }: Sizes): number {
  const tokens = B * T;
  const head = 2 * tokens * E * vocabularySize;
  // GPT: QKV, projection and feed-forward are 12 E² multiply-adds a token; scores and values of a causal mask (T + 1) E.
  const gpt = tokens * (24 * E * E + 2 * (T + 1) * E);
  // LSTM: four gates of an input and a state.
  const lstm = tokens * 16 * E * E;
  return 3 * (head + layers * (model === 'gpt' ? gpt : lstm));
}

/** A compiled training step on random tokens: forward, backward, clipping, AdamW; and the bytes of its plan. */
export async function trainingStep(model: Model, { T, B, layers, width }: Sizes) {
  const network =
    model === 'gpt'
      ? new models.GPT({ vocabularySize, contextLength: T, layers, heads: 4, width })
      : new models.CharRNN({ cell: 'lstm', vocabularySize, embedding: width, hidden: width, layers });
  const optimizer = new optim.AdamW(network.parameters(), { lr: 1e-4 });
  const step = compile((ids: Tensor, targets: Tensor) => {
    const loss = network.loss(ids, targets);
    loss.backward();
    optim.clipGradNorm(network.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const draw = () => tensor(Int32Array.from(randomIntegers(B * T, vocabularySize)), { shape: [B, T] });
  const [ids, targets] = [draw(), draw()];
  const plan = await step.prepare(ids, targets);
  return { run: async () => (await step(ids, targets)).item(), plan };
}
