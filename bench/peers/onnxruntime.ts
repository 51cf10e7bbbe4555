/** onnxruntime-web on its WebGPU execution provider. It has no gradients: forward passes only. */

import * as ort from 'onnxruntime-web/webgpu';
import type { LstmCellProblem, RecurrentProblem } from '../suites/recurrent.ts';
import { type Builders, build, type Library, type Work } from './library.ts';
import { type Graph, modelOf } from './onnx.ts';

/** Its attention takes subgroups of this size for granted: with 4, as on SwiftShader, its results are wrong. */
const leastSubgroup = 16;

export async function open(): Promise<Library> {
  ort.env.logLevel = 'error';
  const gpu = await ownDevice();
  return { gpu, prepare: (problem) => build(builders(gpu), problem) };
}

/** A device like the one that onnxruntime-web would open, but without small subgroups. */
async function ownDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('onnxruntime-web found no WebGPU device');
  const small = (adapter.info.subgroupMinSize ?? 0) < leastSubgroup;
  const limits = [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
    'maxComputeWorkgroupSizeY',
    'maxComputeWorkgroupSizeZ',
    'maxStorageBuffersPerShaderStage',
  ] as const;
  const features = ['shader-f16', 'timestamp-query', ...(small ? [] : ['subgroups'])] as GPUFeatureName[];
  return adapter.requestDevice({
    requiredLimits: Object.fromEntries(limits.map((name) => [name, adapter.limits[name]])),
    requiredFeatures: features.filter((feature) => adapter.features.has(feature)),
  });
}

type Feed = readonly [data: Float32Array | BigInt64Array | Int32Array, shape: readonly number[]];

/** A session for the graph, whose inputs lie on the GPU and whose outputs stay there. */
async function session(
  gpu: GPUDevice,
  graph: Graph,
  feeds: Readonly<Record<string, Feed>>,
  unpack: (name: string, data: Float32Array) => Float32Array = (_, data) => data,
): Promise<Work> {
  const run = await ort.InferenceSession.create(modelOf(graph, feeds), {
    executionProviders: [{ name: 'webgpu', device: gpu }],
    preferredOutputLocation: 'gpu-buffer',
  });
  const buffers: GPUBuffer[] = [];
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, [data, dims]]) => {
      const { BYTES_PER_ELEMENT } = data;
      const size = Math.ceil((data.length * BYTES_PER_ELEMENT) / 16) * 16;
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      const buffer = gpu.createBuffer({ size, usage });
      gpu.queue.writeBuffer(buffer, 0, data as BufferSource & typeof data);
      buffers.push(buffer);
      const dataType = data instanceof Float32Array ? 'float32' : data instanceof Int32Array ? 'int32' : 'int64';
      return [name, ort.Tensor.fromGpuBuffer(buffer, { dataType, dims })];
    }),
  );
  let last: Readonly<Record<string, ort.Tensor>> = {};
  const release = () => {
    for (const tensor of Object.values(last)) tensor.dispose();
    last = {};
  };
  return {
    async run() {
      release();
      last = await run.run(inputs);
    },
    async results() {
      const data = Object.entries(last).map(
        async ([name, tensor]) => [name, unpack(name, (await tensor.getData()) as Float32Array)] as const,
      );
      return Object.fromEntries(await Promise.all(data));
    },
    async dispose() {
      release();
      for (const buffer of buffers) buffer.destroy();
      await run.release();
    },
  };
}

const builders = (gpu: GPUDevice): Builders => ({
  matmul: ({ M, N, K, layout, a, b }) => {
    const feeds = {
      a: [a, layout === 'TN' ? [K, M] : [M, K]],
      b: [b, layout === 'NT' ? [N, K] : [K, N]],
    } as const;
    const attributes = { transA: Number(layout === 'TN'), transB: Number(layout === 'NT') };
    const node = { op: 'Gemm', inputs: ['a', 'b'], outputs: ['c'], attributes };
    return session(gpu, { nodes: [node], outputs: { c: [M, N] } }, feeds);
  },
  'attention forward': ({ B, H, T, D, q, k, v }) => {
    const shape = [B, T, H * D];
    const node = {
      op: 'MultiHeadAttention',
      domain: 'com.microsoft',
      inputs: ['q', 'k', 'v'],
      outputs: ['O'],
      attributes: { num_heads: H, unidirectional: 1 },
    };
    return session(gpu, { nodes: [node], outputs: { O: shape } }, { q: [q, shape], k: [k, shape], v: [v, shape] });
  },
  'conv forward': ({ B, C, F, S, x, weight }) => {
    const node = { op: 'Conv', inputs: ['x', 'weight'], outputs: ['y'], attributes: { auto_pad: 'SAME_UPPER' } };
    const feeds = { x: [x, [B, C, S, S]], weight: [weight, [F, C, 3, 3]] } as const;
    return session(gpu, { nodes: [node], outputs: { y: [B, F, S, S] } }, feeds);
  },
  softmax: ({ rows, width, x }) => {
    const node = { op: 'Softmax', inputs: ['x'], outputs: ['y'], attributes: { axis: -1 } };
    return session(gpu, { nodes: [node], outputs: { y: [rows, width] } }, { x: [x, [rows, width]] });
  },
  'layer norm': ({ rows, width, x, weight, bias }) => {
    const node = {
      op: 'LayerNormalization',
      inputs: ['x', 'weight', 'bias'],
      outputs: ['y'],
      attributes: { axis: -1, epsilon: 1e-5 },
    };
    const feeds = { x: [x, [rows, width]], weight: [weight, [width]], bias: [bias, [width]] } as const;
    return session(gpu, { nodes: [node], outputs: { y: [rows, width] } }, feeds);
  },
  'lstm cell': async (problem) => {
    const { B, I, H, x, h, c } = problem;
    const node = {
      op: 'LSTM',
      inputs: ['x', 'weightIH', 'weightHH', 'bias', '', 'h0', 'c0'],
      outputs: ['', 'h', 'c'],
      attributes: { hidden_size: H },
    };
    return session(
      gpu,
      { nodes: [node], outputs: { h: [1, B, H], c: [1, B, H] } },
      { x: [x, [1, B, I]], ...recurrentWeights(problem, 'lstm'), h0: [h, [1, B, H]], c0: [c, [1, B, H]] },
    );
  },
  'lstm sequence forward': (problem) => sequenceForward(gpu, problem),
  'gru sequence forward': (problem) => sequenceForward(gpu, problem),
  'rnn sequence forward': (problem) => sequenceForward(gpu, problem),
  adamw: ({ N, lr, betas, eps, weightDecay, step, parameters, gradients, mean, square }) => {
    const [beta1, beta2] = betas;
    const graph: Graph = {
      constants: {
        beta1,
        oneLessBeta1: 1 - beta1,
        beta2,
        oneLessBeta2: 1 - beta2,
        rate: lr / (1 - beta1 ** step),
        correction: 1 / (1 - beta2 ** step),
        eps,
        decay: 1 - lr * weightDecay,
      },
      nodes: [
        ...chain('nextMean', ['Mul', 'mean', 'beta1'], ['Mul', 'gradients', 'oneLessBeta1'], ['Add', 0, 1]),
        ...chain(
          'nextSquare',
          ['Mul', 'gradients', 'gradients'],
          ['Mul', 0, 'oneLessBeta2'],
          ['Mul', 'square', 'beta2'],
          ['Add', 1, 2],
        ),
        ...chain(
          'nextParameters',
          ['Mul', 'nextSquare', 'correction'],
          ['Sqrt', 0],
          ['Add', 1, 'eps'],
          ['Mul', 'nextMean', 'rate'],
          ['Div', 3, 2],
          ['Mul', 'parameters', 'decay'],
          ['Sub', 5, 4],
        ),
      ],
      outputs: { nextParameters: [N], nextMean: [N], nextSquare: [N] },
    };
    const feeds = {
      parameters: [parameters, [N]],
      gradients: [gradients, [N]],
      mean: [mean, [N]],
      square: [square, [N]],
    } as const;
    return renamed(session(gpu, graph, feeds), {
      nextParameters: 'parameters',
      nextMean: 'mean',
      nextSquare: 'square',
    });
  },
  'elementwise chain': ({ rows, width, chain: kind, x, gate, residual, scale, shift }) => {
    const matrix = [rows, width];
    const given = { x: [x, matrix], residual: [residual, matrix], shift: [shift, [width]] } as const;
    const outputs = { y: matrix };
    if (kind === 'gelu') {
      const nodes = [
        { op: 'Add', inputs: ['x', 'shift'], outputs: ['u'] },
        { op: 'Gelu', inputs: ['u'], outputs: ['g'], attributes: { approximate: 'tanh' } },
        { op: 'Add', inputs: ['g', 'residual'], outputs: ['y'] },
      ];
      return session(gpu, { nodes, outputs }, given);
    }
    const nodes = chain(
      'y',
      ['Mul', 'x', 'scale'],
      ['Add', 0, 'shift'],
      ['Relu', 1],
      ['Mul', 2, 'gate'],
      ['Add', 3, 'residual'],
    );
    return session(gpu, { nodes, outputs }, { ...given, gate: [gate, matrix], scale: [scale, [width]] });
  },
});

/** Nodes in a row; a number stands for the result of the node at that place, the last result is called `name`. */
function chain(name: string, ...steps: readonly (readonly [op: string, ...inputs: (string | number)[]])[]) {
  const result = (i: number) => (i === steps.length - 1 ? name : `${name}${i}`);
  return steps.map(([op, ...inputs], i) => ({
    op,
    inputs: inputs.map((input) => (typeof input === 'number' ? result(input) : input)),
    outputs: [result(i)],
  }));
}

async function renamed(made: Promise<Work>, names: Readonly<Record<string, string>>): Promise<Work> {
  const work = await made;
  return {
    ...work,
    results: async () =>
      Object.fromEntries(Object.entries(await work.results()).map(([name, data]) => [names[name] ?? name, data])),
  };
}

/** The op of a cell, where its gates stand in ours, and what else tells it to be PyTorch's. */
const recurrentOps = {
  lstm: { op: 'LSTM', order: [0, 3, 1, 2], attributes: {} },
  gru: { op: 'GRU', order: [1, 0, 2], attributes: { linear_before_reset: 1 } },
  rnn: { op: 'RNN', order: [0], attributes: {} },
} as const;

async function sequenceForward(gpu: GPUDevice, problem: RecurrentProblem) {
  const { cell, T, B, I, H, x } = problem;
  const { op, attributes } = recurrentOps[cell];
  const node = {
    op,
    inputs: ['x', 'weightIH', 'weightHH', 'bias'],
    outputs: ['output'],
    attributes: { hidden_size: H, ...attributes },
  };
  return session(
    gpu,
    { nodes: [node], outputs: { output: [T, 1, B, H] } },
    { x: [x, [T, B, I]], ...recurrentWeights(problem, cell) },
  );
}

/** ONNX has two biases in one tensor. */
function recurrentWeights(
  { I, H, weightIH, weightHH, bias }: RecurrentProblem | LstmCellProblem,
  cell: RecurrentProblem['cell'],
): Record<string, Feed> {
  const reordered = (data: Float32Array, width: number) => {
    const gate = (n: number) => data.subarray(n * H * width, (n + 1) * H * width);
    return Float32Array.from(recurrentOps[cell].order.flatMap((n) => [...gate(n)]));
  };
  const rows = bias.length;
  const both = new Float32Array(2 * rows);
  both.set(reordered(bias, 1));
  return {
    weightIH: [reordered(weightIH, I), [1, rows, I]],
    weightHH: [reordered(weightHH, H), [1, rows, H]],
    bias: [both, [1, 2 * rows]],
  };
}
