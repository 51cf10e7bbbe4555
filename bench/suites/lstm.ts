import { type Case, type Expected, type Inputs, normal, unit } from './suite.ts';

interface Sizes {
  readonly T: number;
  readonly B: number;
  readonly I: number;
  readonly H: number;
}

/** Gates in the order i, f, g, o; weightIH [4H, I], weightHH [4H, H], bias [4H]. */
type Weights = Inputs<'weightIH' | 'weightHH' | 'bias'>;

/** One step: x [B, I], h and c [B, H] → h and c of the next. */
export interface LstmCellProblem extends Omit<Sizes, 'T'>, Weights, Inputs<'x' | 'h' | 'c'> {
  readonly kind: 'lstm cell';
}

/** x [T, B, I], states that start at zero → output [T, B, H], or its gradients dx, dWeightIH, dWeightHH, dBias given dOutput. */
export interface LstmProblem extends Sizes, Weights, Inputs<'x' | 'dOutput'> {
  readonly kind: 'lstm sequence forward' | 'lstm sequence forward+backward';
}

const sizes: readonly Sizes[] = [
  { B: 16, T: 32, I: 128, H: 128 },
  { B: 8, T: 64, I: 128, H: 256 },
];

const common = { suite: 'kernels', bound: 'arithmetic' } as const;
const weights = ({ I, H }: Omit<Sizes, 'T' | 'B'>) => ({
  weightIH: normal(4 * H * I, 1, 1 / Math.sqrt(I)),
  weightHH: normal(4 * H * H, 2, 1 / Math.sqrt(H)),
  bias: normal(4 * H, 3),
});
/** Products with both weights, gates and states. */
const stepFlops = ({ B, I, H }: Omit<Sizes, 'T'>) => B * (8 * H * (I + H) + 30 * H);
/** Gates sum up I + H terms; functions of them add a few roundings, and each step passes the errors of the last on. */
const tolerance = ({ I, H }: Omit<Sizes, 'T' | 'B'>, T: number) => unit * (I + H + 30) * Math.sqrt(T);

export const lstmCellCases = sizes.map(
  ({ B, I, H }, i): Case => ({
    ...common,
    name: 'lstm cell',
    shape: `B${B} I${I} H${H}`,
    quick: i === 0,
    flops: stepFlops({ B, I, H }),
    bytes: 4 * (B * (I + 4 * H) + 4 * H * (I + H + 1)),
    tolerance: tolerance({ I, H }, 1),
    problem: (): LstmCellProblem => ({
      kind: 'lstm cell',
      B,
      I,
      H,
      ...weights({ I, H }),
      x: normal(B * I, 4),
      h: normal(B * H, 5, 0.5),
      c: normal(B * H, 6),
    }),
    expected: (problem) => {
      const { x, h, c, ...given } = problem as LstmCellProblem;
      const step = stepFrom({ ...given, x }, 0, h, c);
      return [whole('h', step.h), whole('c', step.c)];
    },
  }),
);

export const lstmCases = (['lstm sequence forward', 'lstm sequence forward+backward'] as const).flatMap((kind) =>
  sizes.map((size, i): Case => {
    const { T, B, I, H } = size;
    const backward = kind === 'lstm sequence forward+backward';
    return {
      ...common,
      name: kind,
      shape: `B${B} T${T} I${I} H${H}`,
      quick: i === 0,
      // Backward has two products for each of forward's.
      flops: T * stepFlops(size) * (backward ? 3 : 1),
      bytes: 4 * (T * B * (I + H) * (backward ? 2 : 1) + 4 * H * (I + H + 1) * (backward ? 2 : 1)),
      // Gradients of weights sum up T·B terms.
      tolerance: tolerance(size, T) * (backward ? 8 : 1),
      problem: (): LstmProblem => ({
        kind,
        ...size,
        ...weights(size),
        x: normal(T * B * I, 4),
        dOutput: normal(T * B * H, 5),
      }),
      expected: (problem) => (backward ? gradients : outputs)(problem as LstmProblem),
    };
  }),
);

const whole = (output: string, values: Float64Array): Expected => ({
  output,
  indices: Uint32Array.from(values, (_, i) => i),
  values,
});

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** The gates after activation [B, 4H], and the states after the step that reads x from row `first` on. */
function stepFrom(
  { B, I, H, weightIH, weightHH, bias, x }: Omit<Sizes, 'T'> & Weights & Inputs<'x'>,
  first: number,
  h: ArrayLike<number>,
  c: ArrayLike<number>,
) {
  const gates = new Float64Array(B * 4 * H);
  const next = { gates, h: new Float64Array(B * H), c: new Float64Array(B * H) };
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < 4 * H; g++) {
      let sum = bias[g] as number;
      for (let i = 0; i < I; i++) sum += (x[(first + b) * I + i] as number) * (weightIH[g * I + i] as number);
      for (let j = 0; j < H; j++) sum += (h[b * H + j] as number) * (weightHH[g * H + j] as number);
      gates[b * 4 * H + g] = g >= 2 * H && g < 3 * H ? Math.tanh(sum) : sigmoid(sum);
    }
    for (let j = 0; j < H; j++) {
      const [i, f, g, o] = [0, 1, 2, 3].map((n) => gates[b * 4 * H + n * H + j]) as [number, number, number, number];
      const cell = f * (c[b * H + j] as number) + i * g;
      next.c[b * H + j] = cell;
      next.h[b * H + j] = o * Math.tanh(cell);
    }
  }
  return next;
}

/** All steps, with what backward needs of them. */
function forward(problem: LstmProblem) {
  const { T, B, H } = problem;
  const steps: ReturnType<typeof stepFrom>[] = [];
  let [h, c]: [Float64Array, Float64Array] = [new Float64Array(B * H), new Float64Array(B * H)];
  for (let t = 0; t < T; t++) {
    const step = stepFrom(problem, t * B, h, c);
    steps.push(step);
    [h, c] = [step.h, step.c];
  }
  return steps;
}

function outputs(problem: LstmProblem): Expected[] {
  const { T, B, H } = problem;
  const output = new Float64Array(T * B * H);
  for (const [t, { h }] of forward(problem).entries()) output.set(h, t * B * H);
  return [whole('output', output)];
}

/** Back propagation through time. */
function gradients(problem: LstmProblem): Expected[] {
  const { T, B, I, H, weightIH, weightHH, x, dOutput } = problem;
  const steps = forward(problem);
  const result = {
    dx: new Float64Array(T * B * I),
    dWeightIH: new Float64Array(4 * H * I),
    dWeightHH: new Float64Array(4 * H * H),
    dBias: new Float64Array(4 * H),
  };
  const add = (target: Float64Array, at: number, value: number) => {
    target[at] = (target[at] as number) + value;
  };
  const zeros = new Float64Array(B * H);
  let [dh, dc]: [Float64Array, Float64Array] = [new Float64Array(B * H), new Float64Array(B * H)];
  for (let t = T - 1; t >= 0; t--) {
    const { gates, c } = steps[t] as (typeof steps)[number];
    const before = steps[t - 1] ?? { h: zeros, c: zeros };
    const [dhBefore, dcBefore] = [new Float64Array(B * H), new Float64Array(B * H)];
    for (let b = 0; b < B; b++) {
      for (let j = 0; j < H; j++) {
        const at = b * H + j;
        const gate = (n: number) => gates[b * 4 * H + n * H + j] as number;
        const [i, f, g, o] = [gate(0), gate(1), gate(2), gate(3)];
        const dHidden = (dOutput[t * B * H + at] as number) + (dh[at] as number);
        const tanh = Math.tanh(c[at] as number);
        const dCell = (dc[at] as number) + dHidden * o * (1 - tanh * tanh);
        dcBefore[at] = dCell * f;
        const dGates = [
          dCell * g * i * (1 - i),
          dCell * (before.c[at] as number) * f * (1 - f),
          dCell * i * (1 - g * g),
          dHidden * tanh * o * (1 - o),
        ];
        for (const [n, d] of dGates.entries()) {
          const row = n * H + j;
          add(result.dBias, row, d);
          for (let k = 0; k < I; k++) {
            add(result.dx, (t * B + b) * I + k, d * (weightIH[row * I + k] as number));
            add(result.dWeightIH, row * I + k, d * (x[(t * B + b) * I + k] as number));
          }
          for (let k = 0; k < H; k++) {
            add(dhBefore, b * H + k, d * (weightHH[row * H + k] as number));
            add(result.dWeightHH, row * H + k, d * (before.h[b * H + k] as number));
          }
        }
      }
    }
    [dh, dc] = [dhBefore, dcBefore];
  }
  return Object.entries(result).map(([output, values]) => whole(output, values));
}
