/** jax-js: everything under `jit`. A call consumes its arguments, hence `.ref` on what is used again. */

import {
  defaultDevice,
  getWebGPUDevice,
  init,
  type JsTree,
  jit,
  lax,
  nn,
  numpy as np,
  valueAndGrad,
  vjp,
} from '@jax-js/jax';
import { gatesOf, type LstmCellProblem, type RecurrentProblem } from '../suites/recurrent.ts';
import { transposed } from '../suites/suite.ts';
import { steps } from './jaxSteps.ts';
import { type Builders, build, type Library, type Work } from './library.ts';

export async function open(): Promise<Library> {
  const devices = await init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('jax-js found no WebGPU device');
  defaultDevice('webgpu');
  return { gpu: getWebGPUDevice(), prepare: (problem) => build({ ...builders, ...steps }, problem) };
}

type Arrays<Name extends string> = { [Key in Name]: np.Array };

/** `fn` takes ownership of the inputs and gives the results by name. */
function jitted<Name extends string>(
  fn: (inputs: Arrays<Name>) => Record<string, np.Array>,
  inputs: Arrays<Name>,
): Work {
  const compiled = jit(fn as (inputs: JsTree<np.Array>) => JsTree<np.Array>) as unknown as typeof fn & {
    dispose(): void;
  };
  const given = Object.entries(inputs) as [Name, np.Array][];
  let last: Record<string, np.Array> = {};
  const release = () => {
    for (const array of Object.values(last)) array.dispose();
    last = {};
  };
  return {
    run() {
      release();
      last = compiled(Object.fromEntries(given.map(([name, array]) => [name, array.ref])) as Arrays<Name>);
      // jax-js queues nothing until a value is wanted; asking for the buffer submits the work without waiting for it.
      for (const array of Object.values(last)) array.ref.gpuBufferSync();
    },
    async results() {
      const data = Object.entries(last).map(async ([name, array]) => [name, await array.ref.data()] as const);
      return Object.fromEntries(await Promise.all(data));
    },
    dispose() {
      release();
      for (const [, array] of given) array.dispose();
      compiled.dispose();
    },
  };
}

const array = (data: Float32Array<ArrayBuffer>, shape: number[]) => np.array(data, { shape, dtype: np.float32 });

const builders: Builders = {
  matmul: async ({ M, N, K, layout, a, b }) => {
    const inputs = {
      a: array(a, layout === 'TN' ? [K, M] : [M, K]),
      b: array(b, layout === 'NT' ? [N, K] : [K, N]),
    };
    return jitted(
      ({ a, b }) => ({ c: np.matmul(layout === 'TN' ? a.transpose() : a, layout === 'NT' ? b.transpose() : b) }),
      inputs,
    );
  },
  'attention forward': async ({ B, H, T, D, q, k, v }) => {
    const shape = [B, T, H, D];
    return jitted(({ q, k, v }) => ({ O: nn.dotProductAttention(q, k, v, { isCausal: true }) }), {
      q: array(q, shape),
      k: array(k, shape),
      v: array(v, shape),
    });
  },
  'attention forward+backward': async ({ B, H, T, D, q, k, v, dO }) => {
    const shape = [B, T, H, D];
    const attend = (q: np.Array, k: np.Array, v: np.Array) => nn.dotProductAttention(q, k, v, { isCausal: true });
    return jitted(
      ({ q, k, v, dO }) => {
        const [O, back] = vjp(attend, [q, k, v]);
        O.dispose();
        const [dQ, dK, dV] = back(dO) as [np.Array, np.Array, np.Array];
        back.dispose();
        return { dQ, dK, dV };
      },
      { q: array(q, shape), k: array(k, shape), v: array(v, shape), dO: array(dO, shape) },
    );
  },
  'conv forward': async ({ B, C, F, S, x, weight }) =>
    jitted(({ x, weight }) => ({ y: lax.conv(x, weight, [1, 1], 'SAME') }), {
      x: array(x, [B, C, S, S]),
      weight: array(weight, [F, C, 3, 3]),
    }),
  'conv forward+backward': async ({ B, C, F, S, x, weight, dY }) => {
    const convolve = (x: np.Array, weight: np.Array) => lax.conv(x, weight, [1, 1], 'SAME');
    return jitted(
      ({ x, weight, dY }) => {
        const [y, back] = vjp(convolve, [x, weight]);
        const [dX, dWeight] = back(dY) as [np.Array, np.Array];
        back.dispose();
        return { y, dX, dWeight };
      },
      { x: array(x, [B, C, S, S]), weight: array(weight, [F, C, 3, 3]), dY: array(dY, [B, F, S, S]) },
    );
  },
  softmax: async ({ rows, width, x }) => jitted(({ x }) => ({ y: nn.softmax(x, -1) }), { x: array(x, [rows, width]) }),
  'layer norm': async ({ rows, width, x, weight, bias }) =>
    jitted(({ x, weight, bias }) => ({ y: nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias) }), {
      x: array(x, [rows, width]),
      weight: array(weight, [width]),
      bias: array(bias, [width]),
    }),
  'cross-entropy': async ({ rows, width, logits, targets, gradient }) => {
    const inputs = { logits: array(logits, [rows, width]), targets: np.array(targets, { dtype: np.int32 }) };
    const lossOf = (logits: np.Array, targets: np.Array) =>
      nn
        .logSoftmax(logits, -1)
        .mul(nn.oneHot(targets, width))
        .sum()
        .mul(-1 / rows);
    if (!gradient) return jitted(({ logits, targets }) => ({ loss: lossOf(logits, targets) }), inputs);
    return jitted(({ logits, targets }) => {
      const [loss, dLogits] = valueAndGrad(lossOf)(logits, targets) as [np.Array, np.Array];
      return { loss, dLogits };
    }, inputs);
  },
  'lstm cell': async (problem) => {
    const { B, I, H } = problem;
    return jitted(
      ({ x, h, c, weightIH, weightHH, bias }) => {
        const share = np.matmul(x, weightIH).add(bias);
        const next = cell(share, h, c, weightHH, H);
        return { h: next[0], c: next[1] };
      },
      {
        ...weightsOf(problem),
        x: array(problem.x, [B, I]),
        h: array(problem.h, [B, H]),
        c: array(problem.c, [B, H]),
      },
    );
  },
  'lstm sequence forward': sequenceForward,
  'lstm sequence forward+backward': sequenceBackward,
  'gru sequence forward': sequenceForward,
  'gru sequence forward+backward': sequenceBackward,
  'rnn sequence forward': sequenceForward,
  'rnn sequence forward+backward': sequenceBackward,
  adamw: async ({ N, lr, betas, eps, weightDecay, step, ...inputs }) => {
    const [beta1, beta2] = betas;
    return jitted(
      ({ parameters, gradients, mean, square }) => {
        const m = mean.mul(beta1).add(gradients.ref.mul(1 - beta1));
        const v = square.mul(beta2).add(np.square(gradients).mul(1 - beta2));
        const direction = m.ref.mul(1 / (1 - beta1 ** step)).div(np.sqrt(v.ref.mul(1 / (1 - beta2 ** step))).add(eps));
        return { parameters: parameters.mul(1 - lr * weightDecay).sub(direction.mul(lr)), mean: m, square: v };
      },
      {
        parameters: array(inputs.parameters, [N]),
        gradients: array(inputs.gradients, [N]),
        mean: array(inputs.mean, [N]),
        square: array(inputs.square, [N]),
      },
    );
  },
  'elementwise chain': async ({ rows, width, chain, ...inputs }) => {
    const [x, residual, shift] = [
      array(inputs.x, [rows, width]),
      array(inputs.residual, [rows, width]),
      array(inputs.shift, [width]),
    ] as const;
    if (chain === 'gelu') {
      return jitted(({ x, residual, shift }) => ({ y: nn.gelu(x.add(shift)).add(residual) }), { x, residual, shift });
    }
    return jitted(
      ({ x, gate, residual, scale, shift }) => ({ y: nn.relu(x.mul(scale).add(shift)).mul(gate).add(residual) }),
      { x, residual, shift, gate: array(inputs.gate, [rows, width]), scale: array(inputs.scale, [width]) },
    );
  },
};

/** The weights are stored transposed, [I, G·H] and [H, G·H]: so jax-js multiplies by them faster. */
const weightsOf = ({ I, H, weightIH, weightHH, bias }: RecurrentProblem | LstmCellProblem) => ({
  weightIH: array(transposed(weightIH, bias.length, I), [I, bias.length]),
  weightHH: array(transposed(weightHH, bias.length, H), [H, bias.length]),
  bias: array(bias, [bias.length]),
});

/** One step: the input's share of the gates [B, 4H], h and c [B, H] → h and c. */
function cell(share: np.Array, h: np.Array, c: np.Array, weightHH: np.Array, H: number): [np.Array, np.Array] {
  const gates = share.add(np.matmul(h, weightHH));
  const gate = (n: number) => (n < 3 ? gates.ref : gates).slice([], [n * H, (n + 1) * H]);
  const [i, f, g, o] = [nn.sigmoid(gate(0)), nn.sigmoid(gate(1)), np.tanh(gate(2)), nn.sigmoid(gate(3))];
  const next = f.mul(c).add(i.mul(g));
  return [o.mul(np.tanh(next.ref)), next];
}

function gatedUnit(share: np.Array, h: np.Array, weightHH: np.Array, H: number): np.Array {
  const product = np.matmul(h.ref, weightHH);
  const gate = (of: np.Array, n: number) => (n < 2 ? of.ref : of).slice([], [n * H, (n + 1) * H]);
  const [r, z] = [0, 1].map((n) => nn.sigmoid(gate(share, n).add(gate(product, n)))) as [np.Array, np.Array];
  const fresh = np.tanh(gate(share, 2).add(r.mul(gate(product, 2))));
  return fresh.ref.add(z.mul(h.sub(fresh)));
}

const plainUnit = (share: np.Array, h: np.Array, weightHH: np.Array) => np.tanh(share.add(np.matmul(h, weightHH)));

/** All steps, since jax-js has no scan; the input's share is one product. */
function unrolled({ cell: kind, T, B, I, H }: RecurrentProblem) {
  return (x: np.Array, weightIH: np.Array, weightHH: np.Array, bias: np.Array): np.Array => {
    const share = np
      .matmul(x.reshape([T * B, I]), weightIH)
      .add(bias)
      .reshape([T, B, gatesOf[kind] * H]);
    let [h, c] = [np.zeros([B, H]), np.zeros([B, H])];
    const outputs: np.Array[] = [];
    for (let t = 0; t < T; t++) {
      const [own, weights] = t < T - 1 ? [share.ref, weightHH.ref] : [share, weightHH];
      if (kind === 'lstm') [h, c] = cell(own.slice(t), h, c, weights, H);
      else h = (kind === 'gru' ? gatedUnit : plainUnit)(own.slice(t), h, weights, H);
      outputs.push(t < T - 1 ? h.ref : h);
    }
    c.dispose();
    return np.stack(outputs);
  };
}

async function sequenceForward(problem: RecurrentProblem) {
  const { T, B, I } = problem;
  return jitted(({ x, weightIH, weightHH, bias }) => ({ output: unrolled(problem)(x, weightIH, weightHH, bias) }), {
    ...weightsOf(problem),
    x: array(problem.x, [T, B, I]),
  });
}

async function sequenceBackward(problem: RecurrentProblem) {
  const { T, B, I, H } = problem;
  return jitted(
    ({ x, weightIH, weightHH, bias, dOutput }) => {
      const [output, back] = vjp(unrolled(problem), [x, weightIH, weightHH, bias]);
      output.dispose();
      const [dx, dWeightIH, dWeightHH, dBias] = back(dOutput) as [np.Array, np.Array, np.Array, np.Array];
      back.dispose();
      return { dx, dWeightIH: dWeightIH.transpose(), dWeightHH: dWeightHH.transpose(), dBias };
    },
    { ...weightsOf(problem), x: array(problem.x, [T, B, I]), dOutput: array(problem.dOutput, [T, B, H]) },
  );
}
