import { configOf, type GPTSizes } from '../../demo/configs.ts';
import { Generator, randomIntegers } from '../../src/core/random.ts';
import { type Case, normal, unit } from './suite.ts';
import { type Matrix, Tape } from './tape.ts';

/** Whole training steps: forward, backward, clipping by the norm of all gradients, AdamW, and the loss is read. */

/** A parameter by PyTorch's name and in its layout: linear weights are [out, in]. */
export interface Parameter {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

interface Training {
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Of matrices; biases and gains are left alone. */
  readonly weightDecay: number;
  /** Longest gradient that is not shortened. */
  readonly clip: number;
}

/** GPT-2's shape with tied output weights and biases; ids and targets [B, T]. */
export interface GptStepProblem extends Training {
  readonly kind: 'gpt step' | 'nanogpt-cpu step';
  readonly sizes: GPTSizes;
  readonly B: number;
  readonly T: number;
  readonly V: number;
  readonly ids: Int32Array<ArrayBuffer>;
  readonly targets: Int32Array<ArrayBuffer>;
}

/** x [T, B, I] → LSTM → linear layer on the last output → mean squared distance from y [B, 1]. */
export interface LstmStepProblem extends Training {
  readonly kind: 'lstm step';
  readonly T: number;
  readonly B: number;
  readonly I: number;
  readonly H: number;
  readonly x: Float32Array<ArrayBuffer>;
  readonly y: Float32Array<ArrayBuffer>;
}

/** The loss of this step is compared with the reference: it shows what the steps before it have done. */
export const checkedStep = 3;

const small = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01, clip: 1 } as const;

const gptStep = (
  kind: GptStepProblem['kind'],
  shape: string,
  { sizes, B, T, V }: Pick<GptStepProblem, 'sizes' | 'B' | 'T' | 'V'>,
  training: Omit<Training, 'parameters'>,
): Case => {
  const { layers, width: E } = sizes;
  return {
    suite: 'training steps',
    name: kind,
    shape,
    quick: kind === 'gpt step',
    // Forward's products with weights and, half of them hidden, of attention; backward has two for each of them.
    flops: 3 * B * T * (layers * (24 * E * E + 2 * (T + 1) * E) + 2 * E * V),
    bytes: null,
    bound: 'arithmetic',
    runsToCheck: checkedStep,
    // Each layer's results are sums of up to 4E terms, and their errors add up along the layers and the steps.
    tolerance: unit * (layers * 8 * E + V) * checkedStep,
    problem: (): GptStepProblem => {
      const draw = (seed: number) => Int32Array.from(randomIntegers(B * T, V, new Generator(seed)));
      const parameters = gptParameters(sizes, T, V);
      return { kind, sizes, B, T, V, ...training, parameters, ids: draw(1), targets: draw(2) };
    },
    expected: (problem) => [trained(problem as GptStepProblem, gptLoss)],
  };
};

const nano = configOf('nanogpt-cpu', 'gpt', null);

export const stepCases: readonly Case[] = [
  gptStep(
    'gpt step',
    '2 layers, E64, 4 heads, T32, B4, V64',
    { sizes: { layers: 2, heads: 4, width: 64 }, B: 4, T: 32, V: 64 },
    small,
  ),
  lstmStep({ T: 32, B: 8, I: 32, H: 64 }),
  gptStep(
    'nanogpt-cpu step',
    '4 layers, E128, 4 heads, T64, B12, V65',
    { sizes: nano.sizes as GPTSizes, B: nano.batch, T: nano.context, V: 65 },
    { ...nano, eps: 1e-8 },
  ),
];

function lstmStep({ T, B, I, H }: Pick<LstmStepProblem, 'T' | 'B' | 'I' | 'H'>): Case {
  return {
    suite: 'training steps',
    name: 'lstm step',
    shape: `I${I} H${H} T${T} B${B}`,
    quick: true,
    flops: 3 * T * B * (8 * H * (I + H) + 30 * H),
    bytes: null,
    bound: 'arithmetic',
    runsToCheck: checkedStep,
    // Sums of I + H terms, whose errors each step of time passes on.
    tolerance: unit * (I + H) * T * checkedStep,
    problem: (): LstmStepProblem => {
      const bound = 1 / Math.sqrt(H);
      const shapes = {
        'lstm.weight_ih_l0': [4 * H, I],
        'lstm.weight_hh_l0': [4 * H, H],
        'lstm.bias_ih_l0': [4 * H],
        'lstm.bias_hh_l0': [4 * H],
        'head.weight': [1, H],
        'head.bias': [1],
      };
      const parameters = drawn(shapes, () => bound);
      return { kind: 'lstm step', T, B, I, H, ...small, parameters, x: normal(T * B * I, 101), y: normal(B, 102) };
    },
    expected: (problem) => [trained(problem as LstmStepProblem, lstmLoss)],
  };
}

function drawn(
  shapes: Readonly<Record<string, readonly number[]>>,
  scale: (name: string) => number,
): Record<string, Parameter> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const gain = /ln_\w+\.weight$/.test(name);
      const data = normal(size, i + 1, scale(name)).map((value) => (gain ? 1 + value : value));
      return [name, { shape, data }];
    }),
  );
}

/** Biases and gains are drawn, too: a mistake in them would not show at 0 and 1. */
function gptParameters({ layers, width: E }: GPTSizes, T: number, V: number): Record<string, Parameter> {
  const shapes: Record<string, readonly number[]> = { 'wte.weight': [V, E], 'wpe.weight': [T, E] };
  for (let i = 0; i < layers; i++) {
    const block = `h.${i}.`;
    for (const norm of ['ln_1', 'ln_2']) {
      shapes[`${block}${norm}.weight`] = [E];
      shapes[`${block}${norm}.bias`] = [E];
    }
    const linear = {
      'attn.c_attn': [3 * E, E],
      'attn.c_proj': [E, E],
      'mlp.c_fc': [4 * E, E],
      'mlp.c_proj': [E, 4 * E],
    };
    for (const [name, shape] of Object.entries(linear)) {
      shapes[`${block}${name}.weight`] = shape;
      shapes[`${block}${name}.bias`] = [shape[0] as number];
    }
  }
  return drawn({ ...shapes, 'ln_f.weight': [E], 'ln_f.bias': [E] }, () => 0.05);
}

// ── the reference ────────────────────────────────────────────────────────────────────────────────────────────────────

type Named = Readonly<Record<string, Matrix>>;

/** The loss of the checked step, by training in float64. */
function trained<Problem extends Training>(
  problem: Problem,
  lossOf: (tape: Tape, p: Named, problem: Problem) => Matrix,
) {
  const { parameters, lr, betas, eps, weightDecay, clip } = problem;
  const [beta1, beta2] = betas;
  const states = Object.entries(parameters).map(([name, { shape, data }]) => ({
    name,
    matrix: shape.length > 1,
    rows: shape.length > 1 ? (shape[0] as number) : 1,
    values: Float64Array.from(data),
    mean: new Float64Array(data.length),
    square: new Float64Array(data.length),
  }));
  for (let step = 1; ; step++) {
    const tape = new Tape();
    const leaves = Object.fromEntries(
      states.map(({ name, rows, values }) => [name, tape.leaf(rows, values.length / rows, values)]),
    );
    const loss = lossOf(tape, leaves, problem);
    if (step === checkedStep) return { output: 'loss', indices: [0], values: loss.data };
    tape.backward([loss]);
    const gradients = states.map(({ name }) => (leaves[name] as Matrix).gradient);
    const norm = Math.sqrt(gradients.reduce((sum, g) => sum + g.reduce((a, b) => a + b * b, 0), 0));
    const scale = Math.min(1, clip / (norm + 1e-6));
    for (const [n, { values, mean, square, matrix }] of states.entries()) {
      for (const [i, raw] of (gradients[n] as Float64Array).entries()) {
        const g = raw * scale;
        const m = beta1 * (mean[i] as number) + (1 - beta1) * g;
        const v = beta2 * (square[i] as number) + (1 - beta2) * g * g;
        [mean[i], square[i]] = [m, v];
        const direction = m / (1 - beta1 ** step) / (Math.sqrt(v / (1 - beta2 ** step)) + eps);
        values[i] = (values[i] as number) * (1 - lr * (matrix ? weightDecay : 0)) - lr * direction;
      }
    }
  }
}

function gptLoss(tape: Tape, p: Named, { sizes, T, ids, targets }: GptStepProblem): Matrix {
  const of = (name: string) => p[name] as Matrix;
  const linear = (x: Matrix, name: string) => tape.add(tape.linear(x, of(`${name}.weight`)), of(`${name}.bias`));
  const norm = (x: Matrix, name: string) => tape.layerNorm(x, of(`${name}.weight`), of(`${name}.bias`));
  const positions = ids.map((_, i) => i % T);
  let x = tape.add(tape.rows(of('wte.weight'), ids), tape.rows(of('wpe.weight'), positions));
  for (let i = 0; i < sizes.layers; i++) {
    const block = `h.${i}`;
    const qkv = linear(norm(x, `${block}.ln_1`), `${block}.attn.c_attn`);
    x = tape.add(x, linear(tape.attention(qkv, sizes.heads, T), `${block}.attn.c_proj`));
    const wide = tape.gelu(linear(norm(x, `${block}.ln_2`), `${block}.mlp.c_fc`));
    x = tape.add(x, linear(wide, `${block}.mlp.c_proj`));
  }
  return tape.crossEntropy(tape.linear(norm(x, 'ln_f'), of('wte.weight')), targets);
}

function lstmLoss(tape: Tape, p: Named, { T, B, I, H, x, y }: LstmStepProblem): Matrix {
  const of = (name: string) => p[name] as Matrix;
  let [h, c] = [tape.leaf(B, H), tape.leaf(B, H)];
  for (let t = 0; t < T; t++) {
    const step = tape.leaf(B, I, x.subarray(t * B * I, (t + 1) * B * I));
    const share = tape.add(tape.linear(step, of('lstm.weight_ih_l0')), of('lstm.bias_ih_l0'));
    const gates = tape.add(tape.add(share, tape.linear(h, of('lstm.weight_hh_l0'))), of('lstm.bias_hh_l0'));
    const gate = (n: number) => tape.part(gates, n * H, H);
    const [i, f, o] = [tape.sigmoid(gate(0)), tape.sigmoid(gate(1)), tape.sigmoid(gate(3))];
    c = tape.add(tape.mul(f, c), tape.mul(i, tape.tanh(gate(2))));
    h = tape.mul(o, tape.tanh(c));
  }
  return tape.meanSquaredError(tape.add(tape.linear(h, of('head.weight')), of('head.bias')), y);
}
