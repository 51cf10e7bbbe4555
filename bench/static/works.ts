import type { Tensor } from '../../src/index.ts';
import * as weft from '../../src/index.ts';
import { models, type nn, optim, tensor } from '../../src/index.ts';
import { LastOutput } from '../weftSteps.ts';

/** Something to compile, and the variants of kernels that are pinned meanwhile. Nothing of it runs. */
export interface Work {
  readonly name: string;
  readonly choices?: Readonly<Record<string, string>>;
  /** A function, and what it is called with. */
  make(): readonly [fn: (...args: Tensor[]) => unknown, ...args: Tensor[]];
}

const size = (shape: readonly number[]) => shape.reduce((product, extent) => product * extent, 1);
const f32 = (...shape: number[]) => tensor(new Float32Array(size(shape)), { shape });
const ids = (...shape: number[]) => tensor(new Int32Array(size(shape)), { shape });

type Layout = 'NN' | 'NT' | 'TN';
const layouts: readonly Layout[] = ['NN', 'NT', 'TN'];

/** A product whose operands are stored as they are (N) or transposed (T). */
const product = (layout: Layout, M: number, N: number, K: number, variant?: string): Work => ({
  name: `matmul ${layout} ${M}x${N}x${K}`,
  ...(variant && { choices: { matmul: variant } }),
  make: () => [
    (a, b) =>
      weft.matmul(
        layout === 'TN' ? weft.transpose(a as Tensor) : (a as Tensor),
        layout === 'NT' ? weft.transpose(b as Tensor) : (b as Tensor),
      ),
    layout === 'TN' ? f32(K, M) : f32(M, K),
    layout === 'NT' ? f32(N, K) : f32(K, N),
  ],
});

const attention = (D: number, options: { mask?: boolean; T?: number } = {}): Work => {
  const { mask = false, T = 1024 } = options;
  return {
    name: `attention B4 H8 T${T} D${D} ${mask ? 'masked' : 'causal'}`,
    choices: { attentionForward: 'flash', attentionBackward: 'flash' },
    make: () => [
      (seed, ...operands) => {
        const [q, k, v, m] = operands as [Tensor, Tensor, Tensor, Tensor?];
        const output = weft.scaledDotProductAttention(q, k, v, m ? { mask: m } : { causal: true });
        return weft.grad(output, [q, k, v], { seed: seed as Tensor });
      },
      ...Array.from({ length: 4 }, () => f32(4, 8, T, D)),
      ...(mask ? [f32(T, T)] : []),
    ],
  };
};

const recurrence = (cell: 'lstm' | 'gru' | 'rnn', T: number, B: number, H: number, variant: string): Work => ({
  name: `${cell} T${T} B${B} H${H}`,
  choices: { recurrentForward: variant, recurrentBackward: variant },
  make: () => [
    (seed, gates, weights) => {
      const start = weft.zeros([B, H]);
      const { output } =
        cell === 'lstm'
          ? weft.lstm(gates as Tensor, start, start, weights as Tensor)
          : (cell === 'gru' ? weft.gru : weft.rnn)(gates as Tensor, start, weights as Tensor);
      return weft.grad(output, [gates as Tensor, weights as Tensor], { seed: seed as Tensor });
    },
    f32(T, B, H),
    f32(T, B, { lstm: 4, gru: 3, rnn: 1 }[cell] * H),
    f32({ lstm: 4, gru: 3, rnn: 1 }[cell] * H, H),
  ],
});

/** A training step: gradients clipped by their norm, then AdamW. */
function training(model: nn.Module, loss: (x: Tensor, y: Tensor) => Tensor): (x: Tensor, y: Tensor) => Tensor {
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  return (x, y) => {
    const value = loss(x, y);
    value.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return value;
  };
}

const gpt = (layers: number, heads: number, width: number, T: number, B: number, V: number): Work => ({
  name: `gpt step width ${width}, ${heads} heads, T ${T}, B ${B}, V ${V}`,
  make: () => {
    const model = new models.GPT({ vocabularySize: V, contextLength: T, layers, heads, width });
    const step = training(model, (x, y) => model.loss(x, y));
    return [(x, y) => step(x as Tensor, y as Tensor), ids(B, T), ids(B, T)];
  },
});

const lstmStep = (T: number, B: number, I: number, H: number): Work => ({
  name: `lstm step T ${T}, B ${B}, I ${I}, H ${H}`,
  make: () => {
    const model = new LastOutput(I, H);
    const step = training(model, (x, y) => weft.mseLoss(model.forward(x), y));
    return [(x, y) => step(x as Tensor, y as Tensor), f32(T, B, I), f32(B, 1)];
  },
});

const layerNorm = (rows: number, E: number): Work => ({
  name: `layer norm ${rows}x${E}`,
  make: () => [
    (seed, ...operands) => {
      const [x, w, b] = operands as [Tensor, Tensor, Tensor];
      return weft.grad(weft.layerNorm(x, w, b), [x, w, b], { seed: seed as Tensor });
    },
    ...[f32(rows, E), f32(rows, E), f32(E), f32(E)],
  ],
});

/** What a GPU's selection of kernels comes to, in works of their usual sizes. A kernel is listed with the first work that needs it. */
export const works: readonly Work[] = [
  ...['tiled32', 'tiled64', 'tiled64x128', 'tiled128'].flatMap((variant) =>
    layouts.map((layout) => product(layout, 1024, 1024, 1024, variant)),
  ),
  ...layouts.map((layout) => product(layout, 768, 128, 4096, 'splitK')),
  product('NN', 1023, 1023, 1023, 'tiled64'), // no vec4s
  product('NN', 1, 4096, 4096, 'gemv'),
  product('NT', 1, 4096, 4096, 'gemv'),
  attention(64),
  attention(128),
  attention(64, { mask: true }),
  { name: 'softmax 4096x1024', make: () => [(x) => weft.softmax(x as Tensor, -1), f32(4096, 1024)] },
  layerNorm(4096, 1024),
  layerNorm(4096, 16),
  {
    name: 'cross-entropy 4096x1024',
    make: () => [
      (x, y) => weft.grad(weft.crossEntropy(x as Tensor, y as Tensor), [x as Tensor]),
      ...[f32(4096, 1024), ids(4096)],
    ],
  },
  recurrence('lstm', 32, 16, 128, 'sequence'),
  recurrence('lstm', 64, 8, 256, 'sequence'),
  recurrence('lstm', 8, 64, 512, 'steps'),
  recurrence('gru', 64, 8, 256, 'sequence'),
  recurrence('gru', 8, 64, 512, 'steps'),
  recurrence('rnn', 64, 8, 256, 'sequence'),
  recurrence('rnn', 8, 64, 512, 'steps'),
  {
    name: 'adamw 4 Mi',
    make: () => {
      const weights = weft.parameter(f32(2 ** 22));
      const optimizer = new optim.AdamW([weights], { lr: 1e-3 });
      return [
        (gradient) => {
          weights.grad = gradient as Tensor;
          optimizer.step();
          optimizer.zeroGrad();
          return weights.version;
        },
        f32(2 ** 22),
      ];
    },
  },
  {
    name: 'elementwise affine 4096x1024',
    make: () => [
      (...operands) => {
        const [x, a, b, g, r] = operands as [Tensor, Tensor, Tensor, Tensor, Tensor];
        return x.mul(a).add(b).relu().mul(g).add(r);
      },
      ...[f32(4096, 1024), f32(1024), f32(1024), f32(4096, 1024), f32(4096, 1024)],
    ],
  },
  {
    name: 'elementwise gelu 4096x1024',
    make: () => [
      (...operands) => {
        const [x, b, r] = operands as [Tensor, Tensor, Tensor];
        return weft.gelu(x.add(b), { approximate: 'tanh' }).add(r);
      },
      ...[f32(4096, 1024), f32(1024), f32(4096, 1024)],
    ],
  },
  gpt(2, 4, 64, 32, 4, 64),
  gpt(2, 12, 768, 1024, 8, 8192),
  lstmStep(32, 8, 32, 64),
  lstmStep(64, 16, 128, 256),
];
