/** Training steps in TensorFlow.js: variables, `variableGrads`, and its own Adam, with clipping and decay before it. */

import * as tf from '@tensorflow/tfjs-core';
import type { GptStepProblem, LstmStepProblem } from '../suites/steps.ts';
import { transposed } from '../suites/suite.ts';
import type { Builders, Work } from './library.ts';
import { causalMask, cell, crossEntropy, gelu, layerNorm } from './tfjsOps.ts';

type Named = Readonly<Record<string, tf.Variable>>;

const gptStep = async (problem: GptStepProblem): Promise<Work> => {
  const { ids, targets } = problem;
  const loss = gptLoss(problem);
  return training(problem, (p) => loss(p, tf.tensor1d(ids, 'int32'), tf.tensor1d(targets, 'int32')));
};

export const steps: Builders = {
  'gpt step': gptStep,
  'nanogpt-cpu step': gptStep,
  'lstm step': async (problem) => {
    const { T, B, I, x, y } = problem;
    return training(problem, (p) => lstmLoss(problem, p, tf.tensor2d(x, [T * B, I]), tf.tensor2d(y, [B, 1])));
  },
};

/** Weights of linear layers are kept as [in, out]: the backend is slower on a transposed second factor. */
const isLinear = (name: string, shape: readonly number[]) => shape.length > 1 && !/^(wte|wpe)\./.test(name);

async function training(
  { parameters, lr, betas, eps, weightDecay, clip }: GptStepProblem | LstmStepProblem,
  lossOf: (parameters: Named) => tf.Scalar,
): Promise<Work> {
  const variables = Object.fromEntries(
    Object.entries(parameters).map(([name, { shape, data }]) => {
      const [rows, columns] = shape as [number, number];
      const initial = isLinear(name, shape)
        ? tf.tensor2d(transposed(data, rows, columns), [columns, rows])
        : tf.tensor(data, [...shape]);
      return [name, tf.variable(initial, true, undefined)] as const;
    }),
  );
  const list = Object.values(variables);
  const optimizer = tf.train.adam(lr, ...betas, eps);
  const step = () =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => lossOf(variables), list);
      const squares = Object.values(grads).map((g) => tf.sum(tf.square(g)));
      // addN binds them all at once, and a stage has no more than a few bindings.
      const norm = tf.sqrt(squares.reduce((a, b) => tf.add(a, b)));
      const scale = tf.minimum(tf.div(clip, tf.add(norm, 1e-6)), 1);
      for (const variable of list) {
        if (variable.rank > 1) variable.assign(tf.mul(variable, 1 - lr * weightDecay));
      }
      optimizer.applyGradients(Object.fromEntries(Object.entries(grads).map(([name, g]) => [name, tf.mul(g, scale)])));
      return value;
    });
  let loss = 0;
  return {
    async run() {
      const value = step();
      [loss] = (await value.data()) as unknown as [number];
      value.dispose();
    },
    results: async () => ({ loss: [loss] }),
    dispose() {
      optimizer.dispose();
      tf.dispose(list);
    },
  };
}

function gptLoss({ sizes, B, T }: GptStepProblem) {
  const { layers, heads, width: E } = sizes;
  const D = E / heads;
  const mask = tf.keep(causalMask(T));
  return (p: Named, ids: tf.Tensor1D, targets: tf.Tensor1D): tf.Scalar => {
    const of = (name: string) => p[name] as tf.Variable;
    const linear = (x: tf.Tensor, name: string) =>
      tf.fused.matMul({ a: x, b: of(`${name}.weight`), bias: of(`${name}.bias`) });
    const norm = (x: tf.Tensor, name: string) => layerNorm(x, of(`${name}.weight`), of(`${name}.bias`));
    const embedded = tf.add(tf.reshape(tf.gather(of('wte.weight'), ids), [B, T, E]), of('wpe.weight'));
    let x: tf.Tensor = tf.reshape(embedded, [B * T, E]);
    for (let i = 0; i < layers; i++) {
      const block = `h.${i}`;
      const qkv = tf.split(linear(norm(x, `${block}.ln_1`), `${block}.attn.c_attn`), 3, 1);
      const [q, k, v] = qkv.map((part) => tf.transpose(tf.reshape(part, [B, T, heads, D]), [0, 2, 1, 3])) as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D)), mask);
      const mixed = tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]), [B * T, E]);
      x = tf.add(x, linear(mixed, `${block}.attn.c_proj`));
      x = tf.add(x, linear(gelu(linear(norm(x, `${block}.ln_2`), `${block}.mlp.c_fc`)), `${block}.mlp.c_proj`));
    }
    return crossEntropy(tf.matMul(norm(x, 'ln_f'), of('wte.weight'), false, true), targets);
  };
}

function lstmLoss({ T, B, H }: LstmStepProblem, p: Named, x: tf.Tensor2D, y: tf.Tensor2D): tf.Scalar {
  const of = (name: string) => p[name] as tf.Variable;
  const bias = tf.add(of('lstm.bias_ih_l0'), of('lstm.bias_hh_l0'));
  const share = tf.add(tf.matMul(x, of('lstm.weight_ih_l0')), bias);
  let [h, c]: [tf.Tensor, tf.Tensor] = [tf.zeros([B, H]), tf.zeros([B, H])];
  for (const step of tf.split(share, T)) [h, c] = cell(step, h, c, of('lstm.weight_hh_l0'));
  const prediction = tf.add(tf.matMul(h, of('head.weight')), of('head.bias'));
  return tf.mean(tf.square(tf.sub(prediction, y)));
}
