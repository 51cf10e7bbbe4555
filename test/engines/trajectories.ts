import type { InitOptions, Tensor } from '../../src/index.ts';
import { compile, init, manualSeed, models, optim, tensor } from '../../src/index.ts';

/** Losses of the first steps of training, by model, on the device that an engine gives. */
export interface Trajectories {
  readonly adapter: string;
  readonly profile: string;
  readonly losses: Readonly<Record<'gpt' | 'lstm', readonly number[]>>;
}

const [B, T, V, steps] = [4, 16, 17, 10];

/** Trains a small GPT, with dropout and clipping, and a small LSTM. Random numbers are the same on all engines. */
export async function trajectories(options: InitOptions = {}): Promise<Trajectories> {
  const device = await init(options);
  manualSeed(1);
  const ids = Int32Array.from({ length: B * T + 1 }, (_, i) => (i * i + 3 * i) % V);
  const batch = (from: number) => tensor(ids.slice(from, from + B * T), { shape: [B, T] });
  const [x, y] = [batch(0), batch(1)];
  const gpt = new models.GPT({ vocabularySize: V, contextLength: T, layers: 2, heads: 2, width: 32, dropout: 0.1 });
  const lstm = new models.CharRNN({ cell: 'lstm', vocabularySize: V, embedding: 16, hidden: 32 });
  const losses = { gpt: await train(gpt, x, y), lstm: await train(lstm, x.transpose(), y.transpose()) };
  const { adapter, profile } = device;
  device.destroy();
  return { adapter, profile: profile.selection, losses };
}

async function train(model: models.GPT | models.CharRNN, x: Tensor, y: Tensor): Promise<number[]> {
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  const step = compile((input: Tensor, target: Tensor) => {
    const loss = model.loss(input, target);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push(await (await step(x, y)).item());
  return losses;
}
