/** Training steps in weft, as in the README: a model, an optimizer, one compiled function. */

import { compile, models, mseLoss, nn, optim, type Tensor, tensor, tune } from '../src/index.ts';
import type { Builders, Work } from './peers/library.ts';
import type { GptStepProblem, LstmStepProblem } from './suites/steps.ts';

const gptStep = async (problem: GptStepProblem): Promise<Work> => {
  const { sizes, B, T, V, ids, targets } = problem;
  const model = new models.GPT({ vocabularySize: V, contextLength: T, ...sizes });
  const loss = (x: Tensor, y: Tensor) => model.loss(x, y);
  return training(problem, model, loss, () => [tensor(ids, { shape: [B, T] }), tensor(targets, { shape: [B, T] })]);
};

export const steps: Builders = {
  'gpt step': gptStep,
  'nanogpt-cpu step': gptStep,
  'lstm step': async (problem) => {
    const { T, B, I, H, x, y } = problem;
    const model = new LastOutput(I, H);
    const loss = (x: Tensor, y: Tensor) => mseLoss(model.forward(x), y);
    return training(problem, model, loss, () => [tensor(x, { shape: [T, B, I] }), tensor(y, { shape: [B, 1] })]);
  },
};

/** An LSTM whose last output goes through a linear layer. */
export class LastOutput extends nn.Module {
  readonly lstm: nn.LSTM;
  readonly head: nn.Linear;

  constructor(I: number, H: number) {
    super();
    this.lstm = new nn.LSTM(I, H);
    this.head = new nn.Linear(H, 1);
  }

  /** [T, B, I] → [B, 1] */
  forward(x: Tensor): Tensor {
    return this.head.forward(this.lstm.forward(x)[0].at(-1));
  }
}

/** Every step takes its batch from the host. */
async function training(
  { parameters, lr, betas, eps, weightDecay, clip }: GptStepProblem | LstmStepProblem,
  model: nn.Module,
  lossOf: (x: Tensor, y: Tensor) => Tensor,
  batch: () => [Tensor, Tensor],
): Promise<Work> {
  for (const [name, parameter] of model.namedParameters()) {
    const { data, shape } = parameters[name] as (typeof parameters)[string];
    parameter.assign(tensor(data, { shape: [...shape] }));
  }
  const all = model.parameters();
  const optimizer = new optim.AdamW(
    [
      { params: all.filter(({ rank }) => rank > 1), weightDecay },
      { params: all.filter(({ rank }) => rank < 2), weightDecay: 0 },
    ],
    { lr, betas, eps },
  );
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = lossOf(x, y);
    loss.backward();
    optim.clipGradNorm(all, clip);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const plan = await step.prepare(...batch());
  let loss = 0;
  return {
    planBytes: plan.summary().peakBytes,
    async run() {
      loss = await (await step(...batch())).item();
    },
    tune: () => tune(step, batch(), { store: null }),
    results: async () => ({ loss: [loss] }),
    dispose: () => plan.destroy(),
  };
}
