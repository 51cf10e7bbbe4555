/** jax-js: everything under `jit`. A call consumes its arguments, hence `.ref` on what is used again. */

import { defaultDevice, getWebGPUDevice, init, type JsTree, jit, nn, numpy as np, vjp } from '@jax-js/jax';
import { type Builders, build, type Library, type Work } from './library.ts';

export async function open(): Promise<Library> {
  const devices = await init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('jax-js found no WebGPU device');
  defaultDevice('webgpu');
  return { gpu: getWebGPUDevice(), prepare: (problem) => build(builders, problem) };
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
  softmax: async ({ rows, width, x }) => jitted(({ x }) => ({ y: nn.softmax(x, -1) }), { x: array(x, [rows, width]) }),
  'layer norm': async ({ rows, width, x, weight, bias }) =>
    jitted(({ x, weight, bias }) => ({ y: nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight).add(bias) }), {
      x: array(x, [rows, width]),
      weight: array(weight, [width]),
      bias: array(bias, [width]),
    }),
};
