/** Training steps in jax-js: parameters, moments and the number of steps go into one jitted function and come out of it. */

import { type JsTree, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';
import type { GptStepProblem, LstmStepProblem } from '../suites/steps.ts';
import { transposed } from '../suites/suite.ts';
import type { Builders, Work } from './library.ts';

type Named = Record<string, np.Array>;
/** Takes ownership of parameters and batch. */
type Loss = (parameters: Named, x: np.Array, y: np.Array) => np.Array;

const gptStep = async (problem: GptStepProblem): Promise<Work> => {
  const { B, T, ids, targets } = problem;
  const batch = (data: Int32Array<ArrayBuffer>) => np.array(data, { shape: [B, T], dtype: np.int32 });
  return training(problem, gptLoss(problem), () => [batch(ids), batch(targets)]);
};

export const steps: Builders = {
  'gpt step': gptStep,
  'nanogpt-cpu step': gptStep,
  'lstm step': async (problem) => {
    const { T, B, I, x, y } = problem;
    return training(problem, lstmLoss(problem), () => [
      np.array(x, { shape: [T, B, I], dtype: np.float32 }),
      np.array(y, { shape: [B, 1], dtype: np.float32 }),
    ]);
  },
};

/** Weights of linear layers are kept as [in, out], so that no product transposes. */
const isLinear = (name: string, shape: readonly number[]) => shape.length > 1 && !/^(wte|wpe)\./.test(name);

async function training(
  { parameters, lr, betas, eps, weightDecay, clip }: GptStepProblem | LstmStepProblem,
  lossOf: Loss,
  batch: () => [np.Array, np.Array],
): Promise<Work> {
  const [beta1, beta2] = betas;
  const given = Object.entries(parameters).map(([name, { shape, data }]) => {
    const [rows, columns] = shape as [number, number];
    return isLinear(name, shape)
      ? ([name, np.array(transposed(data, rows, columns), { shape: [columns, rows], dtype: np.float32 })] as const)
      : ([name, np.array(data, { shape: [...shape], dtype: np.float32 })] as const);
  });
  const zeros = () => Object.fromEntries(given.map(([name, array]) => [name, np.zeros(array.shape)]));
  interface TrainingState {
    parameters: Named;
    mean: Named;
    square: Named;
    count: np.Array;
  }
  let state: TrainingState = {
    parameters: Object.fromEntries(given),
    mean: zeros(),
    square: zeros(),
    count: np.array(0, { dtype: np.float32 }),
  };

  const train = ({ parameters, mean, square, count }: TrainingState, x: np.Array, y: np.Array) => {
    const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(parameters), x, y) as unknown as [np.Array, Named];
    const squares = Object.values(gradients).map((g) => np.square(g.ref).sum());
    const norm = np.sqrt(squares.reduce((a, b) => a.add(b)));
    const scale = np.minimum(np.reciprocal(norm.add(1e-6)).mul(clip), 1);
    const step = count.add(1);
    // 1 − βᵗ, the share of the moments that the gradients so far make up.
    const share = (beta: number) =>
      np
        .exp(step.ref.mul(Math.log(beta)))
        .mul(-1)
        .add(1);
    const [share1, share2] = [share(beta1), share(beta2)];
    const next: TrainingState = { parameters: {}, mean: {}, square: {}, count: step };
    for (const [name, gradient] of Object.entries(gradients)) {
      const g = gradient.mul(scale.ref);
      const m = (mean[name] as np.Array).mul(beta1).add(g.ref.mul(1 - beta1));
      const v = (square[name] as np.Array).mul(beta2).add(np.square(g).mul(1 - beta2));
      const direction = m.ref.div(share1.ref).div(np.sqrt(v.ref.div(share2.ref)).add(eps));
      const p = parameters[name] as np.Array;
      const kept = p.ndim > 1 ? p.mul(1 - lr * weightDecay) : p;
      next.parameters[name] = kept.sub(direction.mul(lr));
      next.mean[name] = m;
      next.square[name] = v;
    }
    for (const array of [scale, share1, share2]) array.dispose();
    return { loss, next };
  };
  const step = jit(train as unknown as (...args: JsTree<np.Array>[]) => JsTree<np.Array>) as unknown as typeof train & {
    dispose(): void;
  };
  let loss = 0;
  return {
    async run() {
      const result = step(state, ...batch());
      state = result.next;
      [loss] = (await result.loss.data()) as unknown as [number];
    },
    results: async () => ({ loss: [loss] }),
    dispose() {
      tree.dispose(state as unknown as JsTree<np.Array>);
      step.dispose();
    },
  };
}

function gptLoss({ sizes, B, T, V }: GptStepProblem): Loss {
  const { layers, heads, width: E } = sizes;
  return (p, ids, targets) => {
    // A parameter is used once, but for the token embedding, whose first use takes a reference.
    const of = (name: string) => p[name] as np.Array;
    const linear = (x: np.Array, name: string) => np.matmul(x, of(`${name}.weight`)).add(of(`${name}.bias`));
    const norm = (x: np.Array, name: string) =>
      nn
        .standardize(x, -1, { epsilon: 1e-5 })
        .mul(of(`${name}.weight`))
        .add(of(`${name}.bias`));
    const table = of('wte.weight');
    // As a product, because indexing has no gradient for the table.
    const tokens = np.matmul(nn.oneHot(ids.reshape([B * T]), V), table.ref).reshape([B, T, E]);
    let x = tokens.add(of('wpe.weight'));
    for (let i = 0; i < layers; i++) {
      const block = `h.${i}`;
      const qkv = linear(norm(x.ref, `${block}.ln_1`), `${block}.attn.c_attn`);
      const head = (n: number) =>
        (n < 2 ? qkv.ref : qkv).slice([], [], [n * E, (n + 1) * E]).reshape([B, T, heads, E / heads]);
      const mixed = nn.dotProductAttention(head(0), head(1), head(2), { isCausal: true }).reshape([B, T, E]);
      x = x.add(linear(mixed, `${block}.attn.c_proj`));
      const wide = nn.gelu(linear(norm(x.ref, `${block}.ln_2`), `${block}.mlp.c_fc`));
      x = x.add(linear(wide, `${block}.mlp.c_proj`));
    }
    const logits = np.matmul(norm(x, 'ln_f').reshape([B * T, E]), table.transpose());
    const wanted = nn.oneHot(targets.reshape([B * T]), V);
    return nn
      .logSoftmax(logits, -1)
      .mul(wanted)
      .sum()
      .mul(-1 / (B * T));
  };
}

function lstmLoss({ T, B, I, H }: LstmStepProblem): Loss {
  return (p, x, y) => {
    const of = (name: string) => p[name] as np.Array;
    const weightHH = of('lstm.weight_hh_l0');
    const share = np
      .matmul(x.reshape([T * B, I]), of('lstm.weight_ih_l0'))
      .add(of('lstm.bias_ih_l0').add(of('lstm.bias_hh_l0')))
      .reshape([T, B, 4 * H]);
    let [h, c] = [np.zeros([B, H]), np.zeros([B, H])];
    for (let t = 0; t < T; t++) {
      const last = t === T - 1;
      const gates = (last ? share : share.ref).slice(t).add(np.matmul(h, last ? weightHH : weightHH.ref));
      const gate = (n: number) => (n < 3 ? gates.ref : gates).slice([], [n * H, (n + 1) * H]);
      const [i, f, g, o] = [nn.sigmoid(gate(0)), nn.sigmoid(gate(1)), np.tanh(gate(2)), nn.sigmoid(gate(3))];
      const next = f.mul(c).add(i.mul(g));
      h = o.mul(np.tanh(next.ref));
      c = next;
    }
    c.dispose();
    const prediction = np.matmul(h, of('head.weight')).add(of('head.bias'));
    return np.square(prediction.sub(y)).mean();
  };
}
