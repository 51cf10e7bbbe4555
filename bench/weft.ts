/** weft as a contender: with the kernels that selection chooses, and with each variant pinned. */

import {
  compile,
  conv2d,
  crossEntropy,
  gelu,
  grad,
  gru,
  init,
  layerNorm,
  lstm,
  matmul,
  rnn,
  softmax,
  type Tensor,
  tensor,
  tune,
  zeros,
} from '../src/index.ts';
import { attentionBackward, attentionForward } from '../src/kernels/attention.ts';
import { conv } from '../src/kernels/conv.ts';
import { crossEntropyBackward, crossEntropy as crossEntropyFamily } from '../src/kernels/crossEntropy.ts';
import type { Choices } from '../src/kernels/kernel.ts';
import { matmul as matmulFamily } from '../src/kernels/matmul.ts';
import { norm } from '../src/kernels/norm.ts';
import { recurrentBackward, recurrentForward } from '../src/kernels/recurrent.ts';
import { softmax as softmaxFamily } from '../src/kernels/softmax.ts';
import { adamw } from '../src/kernels/updates.ts';
import { selfAttention } from '../src/nn/attention.ts';
import { Buffer } from '../src/nn/buffer.ts';
import { adamHyper, adamwUpdate } from '../src/ops/updates.ts';
import { type Builders, build, type Library, type Work } from './peers/library.ts';
import type { AttentionProblem } from './suites/attention.ts';
import type { Problem } from './suites/index.ts';
import type { LstmCellProblem, RecurrentProblem } from './suites/recurrent.ts';
import { steps } from './weftSteps.ts';

/** The families whose variants are compared in each kind of problem. A name pins it in each family that has it. */
const families: { readonly [Kind in Problem['kind']]?: readonly { name: string; variants: object }[] } = {
  matmul: [matmulFamily],
  'attention forward': [attentionForward],
  'attention forward+backward': [attentionForward, attentionBackward],
  'conv forward': [conv],
  'conv forward+backward': [conv],
  softmax: [softmaxFamily],
  'layer norm': [norm],
  'cross-entropy': [crossEntropyFamily, crossEntropyBackward],
  'lstm cell': [recurrentForward],
  'lstm sequence forward': [recurrentForward],
  'lstm sequence forward+backward': [recurrentForward, recurrentBackward],
  'gru sequence forward': [recurrentForward],
  'gru sequence forward+backward': [recurrentForward, recurrentBackward],
  'rnn sequence forward': [recurrentForward],
  'rnn sequence forward+backward': [recurrentForward, recurrentBackward],
  adamw: [adamw],
};

/** What `tune` finds stands beside the variants: for a whole step it is a mixture of them. */
const tuned = 'weft:tuned';
/** The kernels that a GPU gets, on any adapter: those whose dispatches `npm run counts` counts. */
export const counted = 'weft:counted';
const isCounted = (kind: Problem['kind']) => kind in steps || /^(attention|lstm|gru|rnn)/.test(kind);

/** Contenders besides `weft` itself: the variants of the kernels that a kind of problem is about, and mixtures of them. */
export function variantsOf(kind: Problem['kind']): string[] {
  const names = new Set((families[kind] ?? []).flatMap(({ variants }) => Object.keys(variants)));
  return [
    ...(isCounted(kind) ? [counted] : []),
    ...[...names].map((name) => `weft:${name}`),
    ...(names.size > 1 || kind in steps ? [tuned] : []),
  ];
}

export interface Weft extends Library {
  readonly adapter: string;
  /** The same work as one of `variantsOf`; null where the variant can't do it, or is what this adapter gets anyway. */
  prepareVariant(problem: Problem, contender: string): Promise<Work | null>;
}

export async function openWeft(): Promise<Weft> {
  const device = await init();
  const { gpu, adapter } = device;
  const own = device.profile.selection;
  /** A device of weft's around the same GPU device: plans stay valid though the next one has other choices. */
  const prepare = async (problem: Problem, choices: Choices = {}, profile = own): Promise<Work | null> => {
    await init({ device: gpu, profile, choices });
    return build({ ...builders, ...steps }, problem);
  };
  return {
    gpu,
    adapter,
    prepare: (problem) => prepare(problem) as Promise<Work>,
    async prepareVariant(problem, contender) {
      if (contender === counted) return own === 'gpu' ? null : prepare(problem, {}, 'gpu');
      if (contender === tuned) {
        const work = await prepare(problem);
        const report = await work?.tune?.();
        await work?.dispose();
        const found = await prepare(problem, report?.choices);
        const others = report?.results.filter(({ winner, favourite }) => winner !== favourite) ?? [];
        const note =
          others.length === 0 ? 'as by rule' : others.map((each) => `${each.choice}: ${each.winner}`).join(', ');
        return found && { ...found, note: [found.note, note].filter(Boolean).join('; ') };
      }
      const variant = contender.slice('weft:'.length);
      const pinned = (families[problem.kind] ?? []).filter(({ variants }) => variant in variants);
      const work = await prepare(problem, Object.fromEntries(pinned.map(({ name }) => [name, variant])));
      // Selection passes over a variant that can't do the problem.
      const used = pinned.some(({ name }) => work?.note?.includes(`${name}/${variant}`));
      if (!used) work?.dispose();
      return used ? work : null;
    },
  };
}

/** How a result of weft's becomes one that the reference knows. */
type Results = Readonly<
  Record<string, { value: Tensor; unpack?: (data: Float32Array) => Readonly<Record<string, Float32Array>> }>
>;

/**
 * `fn` compiled. Its results become versions of states, so that kernels write them where they stay: what a function
 * returns is copied into buffers that the caller owns, which a peer that hands out its own buffers has no need of.
 */
async function compiled(fn: () => Results, states = new Map<string, Buffer>()): Promise<Work> {
  const unpackers = new Map<string, (data: Float32Array) => Readonly<Record<string, Float32Array>>>();
  const step = compile(() => {
    for (const [name, { value, unpack }] of Object.entries(fn())) {
      if (!states.has(name))
        states.set(name, new Buffer(tensor(new Float32Array(value.size), { shape: value.shape }), name));
      if (unpack) unpackers.set(name, unpack);
      (states.get(name) as Buffer).assign(value);
    }
  });
  const plan = await step.prepare();
  const { kernels, copies, statesCopied, peakBytes } = plan.summary();
  const copied = copies + statesCopied;
  return {
    planBytes: peakBytes,
    note: [...Object.keys(kernels), ...(copied > 0 ? [`${copied} copies`] : [])].join(', '),
    run: async () => {
      await step();
    },
    tune: () => tune(step, [], { store: null }),
    async results() {
      const all: Record<string, ArrayLike<number>> = {};
      for (const [name, state] of states) {
        const data = (await state.data()) as Float32Array;
        Object.assign(all, unpackers.get(name)?.(data) ?? { [name]: data });
      }
      return all;
    },
    dispose() {
      plan.destroy();
      for (const state of states.values()) state.dispose();
    },
  };
}

/** q, k and v as a model's projection gives them, [B, T, 3·H·D], so that their gradients are wanted like that too. */
function packed({ B, H, T, D, q, k, v }: AttentionProblem) {
  const row = H * D;
  const data = new Float32Array(3 * B * T * row);
  for (let i = 0; i < B * T; i++) {
    for (const [n, part] of [q, k, v].entries()) data.set(part.subarray(i * row, (i + 1) * row), (3 * i + n) * row);
  }
  return tensor(data, { shape: [B, T, 3 * row] });
}

const builders: Builders = {
  matmul: async ({ M, N, K, layout, a, b }) => {
    const left = tensor(a, { shape: layout === 'TN' ? [K, M] : [M, K] });
    const right = tensor(b, { shape: layout === 'NT' ? [N, K] : [K, N] });
    return compiled(() => ({
      c: { value: matmul(layout === 'TN' ? left.transpose() : left, layout === 'NT' ? right.transpose() : right) },
    }));
  },
  'attention forward': async (problem) => {
    const qkv = packed(problem);
    return compiled(() => ({ O: { value: selfAttention(qkv, problem.H, { causal: true }) } }));
  },
  'attention forward+backward': async (problem) => {
    const { B, H, T, D } = problem;
    const qkv = packed(problem);
    const seed = tensor(problem.dO, { shape: [B, T, H * D] });
    return compiled(() => {
      const [value] = grad(selfAttention(qkv, H, { causal: true }), [qkv], { seed }) as [Tensor];
      return { gradients: { value, unpack: (data) => unpacked(data, B * T, H * D) } };
    });
  },
  'conv forward': async ({ B, C, F, S, x, weight }) => {
    const [pictures, w] = [tensor(x, { shape: [B, C, S, S] }), tensor(weight, { shape: [F, C, 3, 3] })];
    return compiled(() => ({ y: { value: conv2d(pictures, w, null, { padding: 1 }) } }));
  },
  'conv forward+backward': async ({ B, C, F, S, x, weight, dY }) => {
    const [pictures, w] = [tensor(x, { shape: [B, C, S, S] }), tensor(weight, { shape: [F, C, 3, 3] })];
    const seed = tensor(dY, { shape: [B, F, S, S] });
    return compiled(() => {
      const y = conv2d(pictures, w, null, { padding: 1 });
      const [dX, dWeight] = grad(y, [pictures, w], { seed }) as [Tensor, Tensor];
      return { y: { value: y }, dX: { value: dX }, dWeight: { value: dWeight } };
    });
  },
  softmax: async ({ rows, width, x }) => {
    const input = tensor(x, { shape: [rows, width] });
    return compiled(() => ({ y: { value: softmax(input, -1) } }));
  },
  'layer norm': async ({ rows, width, x, weight, bias }) => {
    const [input, gain, shift] = [tensor(x, { shape: [rows, width] }), tensor(weight), tensor(bias)];
    return compiled(() => ({ y: { value: layerNorm(input, gain, shift, { eps: 1e-5 }) } }));
  },
  'cross-entropy': async ({ rows, width, logits, targets, gradient }) => {
    const input = tensor(logits, { shape: [rows, width] });
    const classes = tensor(targets);
    return compiled(() => {
      const loss = crossEntropy(input, classes);
      const results = { loss: { value: loss } };
      return gradient ? { ...results, dLogits: { value: grad(loss, [input])[0] as Tensor } } : results;
    });
  },
  'lstm cell': async (problem) => {
    const { B, I, H } = problem;
    const [x, h, c] = [
      tensor(problem.x, { shape: [B, I] }),
      tensor(problem.h, { shape: [B, H] }),
      tensor(problem.c, { shape: [B, H] }),
    ];
    const { weightHH, inputShare } = recurrence(problem);
    return compiled(() => {
      const next = lstm(inputShare(x).unsqueeze(0), h, c, weightHH);
      return { h: { value: next.h }, c: { value: next.c } };
    });
  },
  'lstm sequence forward': sequenceForward,
  'lstm sequence forward+backward': sequenceBackward,
  'gru sequence forward': sequenceForward,
  'gru sequence forward+backward': sequenceBackward,
  'rnn sequence forward': sequenceForward,
  'rnn sequence forward+backward': sequenceBackward,
  adamw: async ({ N: _, step, parameters, gradients, mean, square, ...settings }) => {
    const counts = tensor(Int32Array.of(step - 1));
    const hyper = tensor(adamHyper({ ...settings, decoupled: true }));
    const given = tensor(gradients);
    const states = {
      parameters: new Buffer(tensor(parameters)),
      mean: new Buffer(tensor(mean)),
      square: new Buffer(tensor(square)),
    };
    return compiled(
      () => {
        const {
          parameters: value,
          mean,
          square,
        } = adamwUpdate({
          parameters: states.parameters.version,
          mean: states.mean.version,
          square: states.square.version,
          gradients: given,
          hyper,
          turn: { counts, scale: null },
        });
        return { parameters: { value }, mean: { value: mean }, square: { value: square } };
      },
      new Map(Object.entries(states)),
    );
  },
  'elementwise chain': async ({ rows, width, chain, ...inputs }) => {
    const [x, gate, residual] = (['x', 'gate', 'residual'] as const).map((name) =>
      tensor(inputs[name], { shape: [rows, width] }),
    ) as [Tensor, Tensor, Tensor];
    const [scale, shift] = [tensor(inputs.scale), tensor(inputs.shift)];
    const value = () =>
      chain === 'affine'
        ? x.mul(scale).add(shift).relu().mul(gate).add(residual)
        : gelu(x.add(shift), { approximate: 'tanh' }).add(residual);
    return compiled(() => ({ y: { value: value() } }));
  },
};

/** The weights as leaves, and the input's share of the gates, one product for all steps. */
function recurrence({ I, H, weightIH, weightHH, bias }: RecurrentProblem | LstmCellProblem) {
  const weights = {
    weightIH: tensor(weightIH, { shape: [weightIH.length / I, I] }),
    weightHH: tensor(weightHH, { shape: [weightHH.length / H, H] }),
    bias: tensor(bias),
  };
  return { ...weights, inputShare: (x: Tensor) => matmul(x, weights.weightIH.transpose()).add(weights.bias) };
}

/** The output of a recurrence over a sequence from states of zero. */
function sequence(problem: RecurrentProblem) {
  const { cell, T, B, I, H } = problem;
  const x = tensor(problem.x, { shape: [T, B, I] });
  const { inputShare, ...weights } = recurrence(problem);
  const run = () => {
    const start = zeros([B, H]);
    if (cell === 'lstm') return lstm(inputShare(x), start, start, weights.weightHH).output;
    return (cell === 'gru' ? gru : rnn)(inputShare(x), start, weights.weightHH).output;
  };
  return { x, run, ...weights };
}

async function sequenceForward(problem: RecurrentProblem) {
  const { run } = sequence(problem);
  return compiled(() => ({ output: { value: run() } }));
}

async function sequenceBackward(problem: RecurrentProblem) {
  const { T, B, H } = problem;
  const { run, x, weightIH, weightHH, bias } = sequence(problem);
  const seed = tensor(problem.dOutput, { shape: [T, B, H] });
  const names = ['dx', 'dWeightIH', 'dWeightHH', 'dBias'];
  return compiled(() => {
    const gradients = grad(run(), [x, weightIH, weightHH, bias], { seed });
    return Object.fromEntries(gradients.map((value, i) => [names[i] as string, { value }]));
  });
}

function unpacked(data: Float32Array, rows: number, row: number): Record<string, Float32Array> {
  const parts = ['dQ', 'dK', 'dV'].map((name) => [name, new Float32Array(rows * row)] as const);
  for (let i = 0; i < rows; i++) {
    for (const [n, [, part]] of parts.entries())
      part.set(data.subarray((3 * i + n) * row, (3 * i + n + 1) * row), i * row);
  }
  return Object.fromEntries(parts);
}
