import { nn, parameter, randn, stack, type Tensor, tensor, unbind, where, zeros } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, logarithmic, Plot, within } from '../frame/index.ts';

const [batch, hidden] = [8, 32];

/** The state after a step: h alone, or h and c. */
type State = readonly [h: Tensor, ...rest: Tensor[]];
type Cell = (x: Tensor, state: State) => State;

export default example({
  claim: 'The gradient that comes back through T steps goes as ρ^T in a linear RNN; in an LSTM the forget gates decide',
  paper: 'Bengio, Simard and Frasconi 1994; Hochreiter and Schmidhuber 1997',
  full: {
    settings: { length: 100 },
    bars: {
      'linear RNN, ρ = 0.9: factor per step': within(0.02, 0.9),
      'linear RNN, ρ = 1.1: factor per step': within(0.02, 1.1),
      'LSTM, forget bias 4: left of the gradient': atLeast(1e-3),
      'LSTM: left of the gradient': atMost(1e-15),
    },
  },
  reduced: {
    settings: { length: 60 },
    bars: {
      'linear RNN, ρ = 0.9: factor per step': within(0.03, 0.9),
      'linear RNN, ρ = 1.1: factor per step': within(0.03, 1.1),
      'LSTM, forget bias 4: left of the gradient': atLeast(1e-2),
      'LSTM: left of the gradient': atMost(1e-8),
    },
  },
  async run(lab, { length }) {
    const shrinking = await gradients(length, linearCell(lab.draw(), 0.9));
    const growing = await gradients(length, linearCell(lab.draw(), 1.1));
    const plain = await gradients(length, lstmCell(null));
    const open = await gradients(length, lstmCell(4));
    const lines = [
      { norms: growing, colour: colours.orange, name: 'linear RNN, ρ = 1.1' },
      { norms: shrinking, colour: colours.yellow, name: 'linear RNN, ρ = 0.9' },
      { norms: open, colour: colours.green, name: 'LSTM, forget bias 4' },
      { norms: plain, colour: colours.blue, name: "LSTM, PyTorch's initial values" },
    ];
    const points = lines.flatMap(({ norms, ...line }) =>
      norms.map((norm, t) => ({ ...line, back: length - 1 - t, ratio: norm / (norms.at(-1) as number) })),
    );
    const left = (norms: readonly number[]) => (norms[0] as number) / (norms.at(-1) as number);
    const power = (value: number) => value.toExponential(0);
    return {
      metrics: {
        'linear RNN, ρ = 0.9: factor per step': factor(shrinking),
        'linear RNN, ρ = 1.1: factor per step': factor(growing),
        'LSTM, forget bias 4: left of the gradient': left(open),
      },
      baseline: { 'LSTM: left of the gradient': left(plain) },
      picture: {
        title: 'What comes back of ∂L/∂h',
        description:
          `The norm of the gradient at a state against how many steps before the loss it lies, on a logarithmic axis. Over ${length} steps ` +
          `it grows to ${power(left(growing))} of its size in a linear RNN with ρ = 1.1, and falls to ${power(left(shrinking))} with ρ = 0.9, both along straight lines; ` +
          `to ${power(left(plain))} in an LSTM with PyTorch's initial values, and to ${power(left(open))} where the bias of its forget gates is 4.`,
        legend: Object.fromEntries(lines.map(({ name, colour }) => [name, colour])),
        charts: [
          {
            width: 720,
            x: { label: 'steps back' },
            y: logarithmic('norm, of that at the last step'),
            marks: [Plot.line(points, { x: 'back', y: 'ratio', z: 'name', stroke: 'colour', strokeWidth: 2 })],
          },
        ],
      },
    };
  },
});

/** h' = W·h + x, with a random W of spectral radius ρ. */
function linearCell(draw: Draw, rho: number): Cell {
  const numbers = Float64Array.from({ length: hidden ** 2 }, () => draw.normal());
  const radius = spectralRadius(numbers, hidden);
  const W = tensor(
    Float32Array.from(numbers, (value) => (value * rho) / radius),
    { shape: [hidden, hidden] },
  );
  return (x, [h]) => [h.matmul(W).add(x)];
}

/** An LSTM with PyTorch's initial values, but for the bias of its forget gates where one is given. */
function lstmCell(forget: number | null): Cell {
  const cell = new nn.LSTMCell(hidden, hidden);
  if (forget !== null) {
    const isForget = tensor(Array.from({ length: 4 * hidden }, (_, i) => i >= hidden && i < 2 * hidden)); // i, f, g, o
    cell.bias_ih?.assign(where(isForget, forget, cell.bias_ih));
    cell.bias_hh?.assign(where(isForget, 0, cell.bias_hh));
  }
  return (x, state) => cell.forward(x, state as [Tensor, Tensor]);
}

/** ‖∂L/∂h_t‖ for each t, where L is a random projection of the last state. */
async function gradients(length: number, cell: Cell): Promise<number[]> {
  const [inputs, projection] = [randn([length, batch, hidden]), randn([batch, hidden])];
  // Stands at the beginning, so that there is something to differentiate by: weights have no part in it.
  const start = parameter(zeros([batch, hidden]));
  let state: State = [start, zeros([batch, hidden])];
  const seen: Tensor[] = [];
  for (const x of unbind(inputs)) {
    state = cell(x, state); // x, h and c [B, H]
    seen.push(state[0].retainGrad());
  }
  state[0].mul(projection).sum().backward();
  const found = await stack(seen.map(({ grad }) => grad as Tensor)).data(); // [T, B, H]
  const size = batch * hidden;
  return seen.map((_, t) => Math.hypot(...found.subarray(t * size, (t + 1) * size)));
}

/** By how much a step changes the norm: the slope of a line through the logarithms, from 20 steps back on. */
function factor(norms: readonly number[]): number {
  const logs = norms.slice(0, -20).map(Math.log).reverse();
  const middle = (logs.length - 1) / 2;
  const sum = (of: (i: number) => number) => logs.reduce((total, _, i) => total + of(i), 0);
  return Math.exp(sum((i) => (i - middle) * (logs[i] as number)) / sum((i) => (i - middle) ** 2));
}

/** ‖W^n‖^(1/n) for a large n (Gelfand), by squaring. */
function spectralRadius(matrix: Float64Array, n: number): number {
  let power = matrix;
  let log = 0;
  for (let k = 1; k <= 12; k++) {
    const squared = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let m = 0; m < n; m++) sum += (power[i * n + m] as number) * (power[m * n + j] as number);
        squared[i * n + j] = sum;
      }
    }
    const norm = Math.hypot(...squared);
    power = squared.map((value) => value / norm);
    log += Math.log(norm) / 2 ** k;
  }
  return Math.exp(log);
}
