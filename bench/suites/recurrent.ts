import { type Case, type Expected, type Inputs, normal, unit } from './suite.ts';
import { type Matrix, Tape } from './tape.ts';

interface Sizes {
  readonly T: number;
  readonly B: number;
  readonly I: number;
  readonly H: number;
}

/** weightIH [G·H, I], weightHH [G·H, H], bias [G·H]; gates of an LSTM in the order i, f, g, o. */
type Weights = Inputs<'weightIH' | 'weightHH' | 'bias'>;

/** One step: x [B, I], h and c [B, H] → h and c of the next. */
export interface LstmCellProblem extends Omit<Sizes, 'T'>, Weights, Inputs<'x' | 'h' | 'c'> {
  readonly kind: 'lstm cell';
}

export const cells = ['lstm', 'gru', 'rnn'] as const;
/** What runs at each step; an RNN's is tanh. */
export type CellKind = (typeof cells)[number];
/** Gates of a cell, G: those of a GRU in the order r, z, n, its share of the state without a bias. */
export const gatesOf: Readonly<Record<CellKind, number>> = { lstm: 4, gru: 3, rnn: 1 };

/** x [T, B, I], states that start at zero → output [T, B, H], or its gradients dx, dWeightIH, dWeightHH, dBias given dOutput. */
export interface RecurrentProblem extends Sizes, Weights, Inputs<'x' | 'dOutput'> {
  readonly kind: `${CellKind} sequence forward` | `${CellKind} sequence forward+backward`;
  readonly cell: CellKind;
}

const sizes: readonly Sizes[] = [
  { B: 16, T: 32, I: 128, H: 128 },
  { B: 8, T: 64, I: 128, H: 256 },
];

const common = { suite: 'kernels', bound: 'arithmetic' } as const;
const weights = ({ I, H }: Omit<Sizes, 'T' | 'B'>, G: number) => ({
  weightIH: normal(G * H * I, 1, 1 / Math.sqrt(I)),
  weightHH: normal(G * H * H, 2, 1 / Math.sqrt(H)),
  bias: normal(G * H, 3),
});
/** Products with both weights, gates and states. */
const stepFlops = ({ B, I, H }: Omit<Sizes, 'T'>, G: number) => B * (2 * G * H * (I + H) + 7.5 * G * H);
/** Gates sum up I + H terms; functions of them add a few roundings, and each step passes the errors of the last on. */
const tolerance = ({ I, H }: Omit<Sizes, 'T' | 'B'>, T: number) => unit * (I + H + 30) * Math.sqrt(T);

export const lstmCellCases = sizes.map(
  ({ B, I, H }, i): Case => ({
    ...common,
    name: 'lstm cell',
    shape: `B${B} I${I} H${H}`,
    quick: i === 0,
    flops: stepFlops({ B, I, H }, 4),
    bytes: 4 * (B * (I + 4 * H) + 4 * H * (I + H + 1)),
    tolerance: tolerance({ I, H }, 1),
    problem: (): LstmCellProblem => ({
      kind: 'lstm cell',
      B,
      I,
      H,
      ...weights({ I, H }, 4),
      x: normal(B * I, 4),
      h: normal(B * H, 5, 0.5),
      c: normal(B * H, 6),
    }),
    expected: (problem) => {
      const tape = new Tape();
      const { x, h, c } = problem as LstmCellProblem;
      const { step } = walk(tape, 'lstm', problem as LstmCellProblem);
      const next = step(tape.leaf(B, I, x), { h: tape.leaf(B, H, h), c: tape.leaf(B, H, c) });
      return [whole('h', next.h.data), whole('c', next.c.data)];
    },
  }),
);

export const recurrentCases = cells.flatMap((cell) =>
  (['forward', 'forward+backward'] as const).flatMap((direction) =>
    sizes.map((size, i): Case => {
      const { T, B, I, H } = size;
      const [G, kind] = [gatesOf[cell], `${cell} sequence ${direction}` as const];
      const backward = direction === 'forward+backward';
      return {
        ...common,
        name: kind,
        shape: `B${B} T${T} I${I} H${H}`,
        quick: i === 0,
        // Backward has two products for each of forward's.
        flops: T * stepFlops(size, G) * (backward ? 3 : 1),
        bytes: 4 * (T * B * (I + H) * (backward ? 2 : 1) + G * H * (I + H + 1) * (backward ? 2 : 1)),
        // Gradients of weights sum up T·B terms.
        tolerance: tolerance(size, T) * (backward ? 8 : 1),
        problem: (): RecurrentProblem => ({
          kind,
          cell,
          ...size,
          ...weights(size, G),
          x: normal(T * B * I, 4),
          dOutput: normal(T * B * H, 5),
        }),
        expected: (problem) => expected(problem as RecurrentProblem, backward),
      };
    }),
  ),
);

const whole = (output: string, values: Float64Array): Expected => ({
  output,
  indices: Uint32Array.from(values, (_, i) => i),
  values,
});

interface State {
  readonly h: Matrix;
  readonly c: Matrix;
}

/** The weights, and a step with them. */
function walk(tape: Tape, cell: CellKind, { I, H, ...given }: Pick<Sizes, 'I' | 'H'> & Weights) {
  const G = gatesOf[cell];
  const weightIH = tape.leaf(G * H, I, given.weightIH);
  const weightHH = tape.leaf(G * H, H, given.weightHH);
  const bias = tape.leaf(1, G * H, given.bias);
  const step = (x: Matrix, { h, c }: State): State => {
    const [share, product] = [tape.add(tape.linear(x, weightIH), bias), tape.linear(h, weightHH)];
    const gate = (of: Matrix, n: number) => tape.part(of, n * H, H);
    if (cell === 'rnn') return { h: tape.tanh(tape.add(share, product)), c };
    const both = (n: number) => tape.add(gate(share, n), gate(product, n));
    if (cell === 'gru') {
      const [r, z] = [tape.sigmoid(both(0)), tape.sigmoid(both(1))];
      const n = tape.tanh(tape.add(gate(share, 2), tape.mul(r, gate(product, 2))));
      return { h: tape.add(n, tape.mul(z, tape.add(h, tape.scale(n, -1)))), c };
    }
    const [i, f, o] = [tape.sigmoid(both(0)), tape.sigmoid(both(1)), tape.sigmoid(both(3))];
    const next = tape.add(tape.mul(f, c), tape.mul(i, tape.tanh(both(2))));
    return { h: tape.mul(o, tape.tanh(next)), c: next };
  };
  return { weightIH, weightHH, bias, step };
}

function expected(problem: RecurrentProblem, backward: boolean): Expected[] {
  const { T, B, I, H, cell, x, dOutput } = problem;
  const tape = new Tape();
  const { step, ...leaves } = walk(tape, cell, problem);
  const inputs = Array.from({ length: T }, (_, t) => tape.leaf(B, I, x.subarray(t * B * I, (t + 1) * B * I)));
  let state: State = { h: tape.leaf(B, H), c: tape.leaf(B, H) };
  const outputs = inputs.map((input) => {
    state = step(input, state);
    return state.h;
  });
  const joined = (parts: readonly Float64Array[]) => Float64Array.from(parts.flatMap((part) => [...part]));
  if (!backward) return [whole('output', joined(outputs.map(({ data }) => data)))];
  tape.backward(outputs, dOutput);
  return [
    whole('dx', joined(inputs.map(({ gradient }) => gradient))),
    whole('dWeightIH', leaves.weightIH.gradient),
    whole('dWeightHH', leaves.weightHH.gradient),
    whole('dBias', leaves.bias.gradient),
  ];
}
