/** TensorFlow.js on its WebGPU backend: ops one by one, intermediate values freed by `tidy`. */

import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-webgpu';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import type { AttentionProblem } from '../suites/attention.ts';
import type { ConvProblem } from '../suites/conv.ts';
import type { LstmCellProblem, RecurrentProblem } from '../suites/recurrent.ts';
import { swapped, transposed, turned } from '../suites/suite.ts';
import { type Builders, build, type Library, type Work } from './library.ts';
import { causalMask, cell, crossEntropy, gelu, layerNorm } from './tfjsOps.ts';
import { steps } from './tfjsSteps.ts';

export async function open(): Promise<Library> {
  tf.enableProdMode();
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs found no WebGPU device');
  await tf.ready();
  const { device } = tf.backend() as WebGPUBackend;
  return { gpu: device, prepare: (problem) => build({ ...builders, ...steps }, problem) };
}

/** `fn` gives its results by name; `unpack` brings one into the order that the reference uses. */
function eager(
  inputs: Readonly<Record<string, tf.Tensor>>,
  fn: () => Record<string, tf.Tensor>,
  unpack: (name: string, data: Float32Array) => Float32Array = (_, data) => data,
): Work {
  let last: Record<string, tf.Tensor> = {};
  return {
    run() {
      tf.dispose(last);
      last = tf.tidy(fn) as Record<string, tf.Tensor>;
    },
    flush,
    async results() {
      const data = Object.entries(last).map(
        async ([name, tensor]) => [name, unpack(name, (await tensor.data()) as Float32Array)] as const,
      );
      return Object.fromEntries(await Promise.all(data));
    },
    dispose() {
      tf.dispose(last);
      tf.dispose(inputs);
    },
  };
}

/** Dispatches are submitted fifteen at a time; this submits the rest, as a read would. */
function flush(): void {
  const backend = tf.backend() as WebGPUBackend;
  // Private, for there is no other way but reading.
  const { commandEncoder } = backend as unknown as { commandEncoder: GPUCommandEncoder | null };
  if (!commandEncoder) return;
  (backend as unknown as { endComputePassEncoder(): void }).endComputePassEncoder();
  backend.submitQueue();
}

const builders: Builders = {
  matmul: async ({ M, N, K, layout, a, b }) => {
    const inputs = {
      a: tf.tensor2d(a, layout === 'TN' ? [K, M] : [M, K]),
      b: tf.tensor2d(b, layout === 'NT' ? [N, K] : [K, N]),
    };
    return eager(inputs, () => ({ c: tf.matMul(inputs.a, inputs.b, layout === 'TN', layout === 'NT') }));
  },
  'attention forward': async (problem) => {
    const { q, k, v, mask } = heads(problem);
    const attend = attention(problem, mask);
    return eager({ q, k, v, mask }, () => ({ O: attend(q, k, v) }), unswap(problem));
  },
  'attention forward+backward': async (problem) => {
    const { q, k, v, dO, mask } = heads(problem);
    const gradients = tf.grads(attention(problem, mask));
    return eager(
      { q, k, v, dO, mask },
      () => {
        const [dQ, dK, dV] = gradients([q, k, v], dO) as [tf.Tensor, tf.Tensor, tf.Tensor];
        return { dQ, dK, dV };
      },
      unswap(problem),
    );
  },
  'conv forward': async (problem) => {
    const { x, weight } = pictures(problem);
    return eager({ x, weight }, () => ({ y: tf.conv2d(x, weight, 1, 'same') }), channelsFirst(problem));
  },
  'conv forward+backward': async (problem) => {
    const inputs = pictures(problem);
    const { x, weight, dY } = inputs;
    const both = tf.valueAndGrads((x: tf.Tensor, weight: tf.Tensor) =>
      tf.conv2d(x as tf.Tensor4D, weight as tf.Tensor4D, 1, 'same'),
    );
    return eager(
      inputs,
      () => {
        const { value, grads } = both([x, weight], dY);
        const [dX, dWeight] = grads as [tf.Tensor, tf.Tensor];
        return { y: value, dX, dWeight };
      },
      channelsFirst(problem),
    );
  },
  softmax: async ({ rows, width, x }) => {
    const inputs = { x: tf.tensor2d(x, [rows, width]) };
    return eager(inputs, () => ({ y: tf.softmax(inputs.x) }));
  },
  'layer norm': async ({ rows, width, x, weight, bias }) => {
    const inputs = { x: tf.tensor2d(x, [rows, width]), weight: tf.tensor1d(weight), bias: tf.tensor1d(bias) };
    return eager(inputs, () => ({ y: layerNorm(inputs.x, inputs.weight, inputs.bias) }));
  },
  'cross-entropy': async ({ rows, width, logits, targets, gradient }) => {
    const inputs = { logits: tf.tensor2d(logits, [rows, width]), targets: tf.tensor1d(targets, 'int32') };
    const lossOf = (logits: tf.Tensor) => crossEntropy(logits, inputs.targets);
    if (!gradient) return eager(inputs, () => ({ loss: lossOf(inputs.logits) }));
    const both = tf.valueAndGrad(lossOf);
    return eager(inputs, () => {
      const { value, grad } = both(inputs.logits);
      return { loss: value, dLogits: grad };
    });
  },
  'lstm cell': async (problem) => {
    const { B, I, H } = problem;
    const inputs = {
      ...weightsOf(problem),
      x: tf.tensor2d(problem.x, [B, I]),
      h: tf.tensor2d(problem.h, [B, H]),
      c: tf.tensor2d(problem.c, [B, H]),
    };
    const { x, h, c, weightIH, weightHH, bias } = inputs;
    return eager(inputs, () => {
      const [nextH, nextC] = cell(tf.fused.matMul({ a: x, b: weightIH, bias }), h, c, weightHH);
      return { h: nextH, c: nextC };
    });
  },
  'lstm sequence forward': sequenceForward,
  'lstm sequence forward+backward': sequenceBackward,
  'gru sequence forward': sequenceForward,
  'gru sequence forward+backward': sequenceBackward,
  'rnn sequence forward': sequenceForward,
  'rnn sequence forward+backward': sequenceBackward,
  adamw: async (problem) => {
    const { lr, betas, eps, weightDecay, step } = problem;
    const [beta1, beta2] = betas;
    const [parameters, gradients, mean, square] = (['parameters', 'gradients', 'mean', 'square'] as const).map((name) =>
      tf.tensor1d(problem[name]),
    ) as [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D, tf.Tensor1D];
    return eager({ parameters, gradients, mean, square }, () => {
      const m = tf.add(tf.mul(mean, beta1), tf.mul(gradients, 1 - beta1));
      const v = tf.add(tf.mul(square, beta2), tf.mul(tf.square(gradients), 1 - beta2));
      const denominator = tf.add(tf.sqrt(tf.mul(v, 1 / (1 - beta2 ** step))), eps);
      const direction = tf.div(tf.mul(m, lr / (1 - beta1 ** step)), denominator);
      return { parameters: tf.sub(tf.mul(parameters, 1 - lr * weightDecay), direction), mean: m, square: v };
    });
  },
  'elementwise chain': async ({ rows, width, chain, ...data }) => {
    const matrix = (values: Float32Array) => tf.tensor2d(values, [rows, width]);
    const inputs = { x: matrix(data.x), residual: matrix(data.residual), shift: tf.tensor1d(data.shift) };
    const { x, residual, shift } = inputs;
    if (chain === 'gelu') return eager(inputs, () => ({ y: tf.add(gelu(tf.add(x, shift)), residual) }));
    const more = { gate: matrix(data.gate), scale: tf.tensor1d(data.scale) };
    return eager({ ...inputs, ...more }, () => {
      const y = tf.relu(tf.add(tf.mul(x, more.scale), shift));
      return { y: tf.add(tf.mul(y, more.gate), residual) };
    });
  },
};

/** Pictures as [B, S, S, C] and weights as [3, 3, C, F]: the only order that the backend has gradients for. */
function pictures({ B, C, F, S, x, weight, dY }: ConvProblem) {
  return {
    x: tf.tensor4d(turned(x, C, S * S), [B, S, S, C]),
    weight: tf.tensor4d(transposed(turned(weight, C, 9), F, 9 * C), [3, 3, C, F]),
    dY: tf.tensor4d(turned(dY, F, S * S), [B, S, S, F]),
  };
}
const channelsFirst =
  ({ C, F, S }: ConvProblem) =>
  (name: string, data: Float32Array) =>
    name === 'dWeight' ? turned(transposed(data, 9 * C, F), 9, C) : turned(data, S * S, name === 'y' ? F : C);

/** Inputs as [B, H, T, D], so that products need no transposes, and what is added to scores. */
function heads(problem: AttentionProblem) {
  const { B, H, T, D } = problem;
  const of = (data: Float32Array) => tf.tensor4d(swapped(data, B, T, H, D), [B, H, T, D]);
  return { q: of(problem.q), k: of(problem.k), v: of(problem.v), dO: of(problem.dO), mask: causalMask(T) };
}
const unswap =
  ({ B, H, T, D }: AttentionProblem) =>
  (_: string, data: Float32Array) =>
    swapped(data, B, H, T, D);

const attention =
  ({ D }: { D: number }, mask: tf.Tensor) =>
  (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor): tf.Tensor =>
    tf.matMul(tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D)), mask)), v);

/** The weights are stored transposed: the backend is slower on a transposed second factor. */
const weightsOf = ({ I, H, weightIH, weightHH, bias }: RecurrentProblem | LstmCellProblem) => ({
  weightIH: tf.tensor2d(transposed(weightIH, bias.length, I), [I, bias.length]),
  weightHH: tf.tensor2d(transposed(weightHH, bias.length, H), [H, bias.length]),
  bias: tf.tensor1d(bias),
});

/** All steps by hand, the input's share being one product: the layers of tfjs-layers multiply step by step. */
function unrolled({ cell: kind, T, B, H }: RecurrentProblem) {
  return (x: tf.Tensor, weightIH: tf.Tensor, weightHH: tf.Tensor, bias: tf.Tensor): tf.Tensor => {
    const share = tf.add(tf.matMul(x, weightIH), bias);
    let [h, c]: [tf.Tensor, tf.Tensor] = [tf.zeros([B, H]), tf.zeros([B, H])];
    const outputs: tf.Tensor[] = [];
    for (const step of tf.split(share, T)) {
      if (kind === 'lstm') [h, c] = cell(step, h, c, weightHH);
      else h = (kind === 'gru' ? gatedUnit : plainUnit)(step, h, weightHH);
      outputs.push(h);
    }
    return tf.stack(outputs);
  };
}

const plainUnit = (share: tf.Tensor, h: tf.Tensor, weightHH: tf.Tensor) =>
  tf.tanh(tf.add(share, tf.matMul(h, weightHH)));

function gatedUnit(share: tf.Tensor, h: tf.Tensor, weightHH: tf.Tensor): tf.Tensor {
  const [xr, xz, xn] = tf.split(share, 3, 1) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const [hr, hz, hn] = tf.split(tf.matMul(h, weightHH), 3, 1) as [tf.Tensor, tf.Tensor, tf.Tensor];
  const [r, z] = [tf.sigmoid(tf.add(xr, hr)), tf.sigmoid(tf.add(xz, hz))];
  const n = tf.tanh(tf.add(xn, tf.mul(r, hn)));
  return tf.add(n, tf.mul(z, tf.sub(h, n)));
}

async function sequenceForward(problem: RecurrentProblem) {
  const { T, B, I } = problem;
  const inputs = { ...weightsOf(problem), x: tf.tensor2d(problem.x, [T * B, I]) };
  const { x, weightIH, weightHH, bias } = inputs;
  const run = unrolled(problem);
  return eager(inputs, () => ({ output: run(x, weightIH, weightHH, bias) }));
}

async function sequenceBackward(problem: RecurrentProblem) {
  const { T, B, I, H } = problem;
  const inputs = {
    ...weightsOf(problem),
    x: tf.tensor2d(problem.x, [T * B, I]),
    dOutput: tf.tensor3d(problem.dOutput, [T, B, H]),
  };
  const { x, weightIH, weightHH, bias, dOutput } = inputs;
  const gradients = tf.grads(unrolled(problem) as (...tensors: tf.Tensor[]) => tf.Tensor);
  const rows = problem.bias.length;
  return eager(
    inputs,
    () => {
      const [dx, dWeightIH, dWeightHH, dBias] = gradients([x, weightIH, weightHH, bias], dOutput) as [
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
        tf.Tensor,
      ];
      return { dx, dWeightIH, dWeightHH, dBias };
    },
    (name, data) => (name.startsWith('dWeight') ? transposed(data, data.length / rows, rows) : data),
  );
}
