import { randomIntegers } from '../src/core/random.ts';
import {
  compile,
  crossEntropy,
  grad,
  models,
  mseLoss,
  nn,
  optim,
  randn,
  scaledDotProductAttention,
  type Tensor,
  tensor,
} from '../src/index.ts';

/** Makes a workload ready on the current device; the function that comes back runs it once. */
export type Workload = () => Promise<() => Promise<unknown>>;

/** Small workloads whose WebGPU calls are counted; a training step includes reading its loss. */
export const workloads: Readonly<Record<string, Workload>> = {
  gptStep: async () => {
    const { model, ids, targets } = gpt();
    const step = trainingStep(model, (x, y) => crossEntropy(model.forward(x), y));
    return async () => (await step(ids, targets)).item();
  },
  gptForward: async () => {
    const { model, ids } = gpt();
    return disposing(
      compile((x: Tensor) => model.forward(x)),
      ids,
    );
  },
  lstmStep: recurrentStep('lstm'),
  gruStep: recurrentStep('gru'),
  rnnStep: recurrentStep('rnn'),
  lstmForward: async () => {
    const { model, x } = recurrent('lstm');
    return disposing(
      compile((input: Tensor) => model.forward(input)),
      x,
    );
  },
  attentionForward: async () => {
    const [q, k, v] = attentionInputs();
    return disposing(
      compile((...qkv: Tensor[]) => attend(...(qkv as Three))),
      q,
      k,
      v,
    );
  },
  attentionStep: async () => {
    const [q, k, v] = attentionInputs();
    const dO = randn(attentionShape);
    const gradients = compile((seed: Tensor, ...qkv: Tensor[]) => grad(attend(...(qkv as Three)), qkv, { seed }));
    return disposing(gradients, dO, q, k, v);
  },
};

/** GPT: 2 layers, width 64, 4 heads, T 32, B 4, V 64. */
function gpt() {
  const [B, T, V] = [4, 32, 64];
  const model = new models.GPT({ vocabularySize: V, contextLength: T, layers: 2, heads: 4, width: 64 });
  const draw = () => tensor(Int32Array.from(randomIntegers(B * T, V)), { shape: [B, T] });
  return { model, ids: draw(), targets: draw() };
}

const layers = { lstm: () => new nn.LSTM(32, 64), gru: () => new nn.GRU(32, 64), rnn: () => new nn.RNN(32, 64) };

/** I 32, H 64, T 32, B 8; a linear layer on the last output. */
class LastOutput extends nn.Module {
  readonly layer: nn.LSTM | nn.GRU | nn.RNN;
  readonly head = new nn.Linear(64, 1);

  constructor(kind: keyof typeof layers) {
    super();
    this.layer = layers[kind]();
  }

  /** [T, B, I] → [B, 1] */
  forward(x: Tensor): Tensor {
    return this.head.forward(this.layer.forward(x)[0].at(-1));
  }
}

function recurrent(kind: keyof typeof layers) {
  return { model: new LastOutput(kind), x: randn([32, 8, 32]), y: randn([8, 1]) };
}

function recurrentStep(kind: keyof typeof layers): Workload {
  return async () => {
    const { model, x, y } = recurrent(kind);
    const step = trainingStep(model, (input, target) => mseLoss(model.forward(input), target));
    return async () => (await step(x, y)).item();
  };
}

/** Gradients clipped by their norm, then AdamW. */
function trainingStep(model: nn.Module, lossOf: (x: Tensor, y: Tensor) => Tensor) {
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  return compile((x: Tensor, y: Tensor) => {
    const loss = lossOf(x, y);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
}

type Three = [Tensor, Tensor, Tensor];
/** B H T D */
const attentionShape = [1, 4, 256, 64] as const;
const attentionInputs = (): Three => [randn(attentionShape), randn(attentionShape), randn(attentionShape)];
const attend = (q: Tensor, k: Tensor, v: Tensor) => scaledDotProductAttention(q, k, v, { causal: true });

/** Results stay on the device, and go back to the pool at once. */
function disposing(
  compiled: (...args: Tensor[]) => Promise<Tensor | Tensor[]>,
  ...args: Tensor[]
): () => Promise<void> {
  return async () => {
    for (const result of [await compiled(...args)].flat()) result.dispose();
  };
}
