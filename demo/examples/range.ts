import {
  concat,
  crossEntropy,
  DataLoader,
  log,
  mseLoss,
  nn,
  noGrad,
  optim,
  type Tensor,
  tensor,
  uniform,
  zeros,
} from '../../src/index.ts';
import {
  atLeast,
  atMost,
  colours,
  type Draw,
  example,
  type Lab,
  logarithmic,
  type Picture,
  Plot,
  samples,
} from '../frame/index.ts';

const [hidden, batch] = [32, 32];

export default example({
  claim: 'A plain RNN loses what lies a hundred steps back; an LSTM and a GRU keep it, if their gates start open',
  paper: 'Hochreiter and Schmidhuber 1997; Cho et al. 2014; Tallec and Ollivier 2018',
  full: {
    settings: { lengths: [10, 30, 100], steps: 600 },
    bars: {
      'latch of 100, LSTM: accuracy': atLeast(0.97),
      'latch of 100, GRU: accuracy': atLeast(0.97),
      'latch of 100, RNN: accuracy': atMost(0.6),
      'latch of 100, LSTM, forget bias 0: accuracy': atMost(0.4),
      'latch of 100, LSTM, forget bias 1: accuracy': atMost(0.4),
      'adding of 100, LSTM: error': atMost(0.02),
      'adding of 100, GRU: error': atMost(0.02),
      'adding of 100, RNN: error': atLeast(0.12),
    },
  },
  reduced: {
    settings: { lengths: [30], steps: 240 },
    bars: {
      'latch of 30, LSTM: accuracy': atLeast(0.95),
      'latch of 30, GRU: accuracy': atLeast(0.95),
      'latch of 30, LSTM, forget bias 0: accuracy': atMost(0.5),
      'adding of 30, GRU: error': atMost(0.04),
      'adding of 30, RNN: error': atLeast(0.12),
    },
  },
  async run(lab, { lengths, steps }) {
    const longest = lengths.at(-1) as number;
    const rows: Row[] = [];
    for (const task of [latch, adding]) {
      for (const length of lengths) {
        for (const name of ['LSTM', 'GRU', 'RNN'] as const) {
          rows.push({ task: task.name, length, name, figure: await learn(lab, task, length, name, steps) });
        }
      }
    }
    for (const name of ['LSTM, forget bias 0', 'LSTM, forget bias 1'] as const) {
      rows.push({ task: 'latch', length: longest, name, figure: await learn(lab, latch, longest, name, steps) });
    }
    const label = ({ task, length, name }: Row) =>
      `${task} of ${length}, ${name}: ${task === 'latch' ? 'accuracy' : 'error'}`;
    const figures = (isMetric: boolean) =>
      Object.fromEntries(
        rows.filter(({ name }) => ['LSTM', 'GRU'].includes(name) === isMetric).map((row) => [label(row), row.figure]),
      );
    return {
      metrics: figures(true),
      baseline: { ...figures(false), 'latch, guessing: accuracy': 1 / latch.outputs, 'adding, guessing: error': 1 / 6 },
      picture: pictureOf(rows, lengths),
    };
  },
});

/** What a network reaches in a task: accuracy, or mean squared error. */
interface Row {
  readonly task: string;
  readonly length: number;
  readonly name: Network;
  readonly figure: number;
}

/** Sequences [T, I] with an answer each, which a network is to give at the end. */
interface Task {
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  sample(draw: Draw, length: number): [sequence: Float32Array, answer: number];
  /** Of outputs [B, O] and answers [B]. */
  loss(output: Tensor, answer: Tensor): Tensor;
  /** What is shown: of outputs and answers. */
  figure(output: Tensor, answer: Tensor): Tensor;
}

/** Which of four symbols came first is to be told at the end; others come at every second step, to be let pass. */
const symbols = 4;
const latch: Task = {
  ...{ name: 'latch', inputs: symbols + 1, outputs: symbols },
  sample(draw, length) {
    const width = symbols + 1; // a symbol, one-hot or none, and a mark of the first
    const sequence = new Float32Array(width * length);
    const answer = draw.below(symbols);
    sequence[answer] = sequence[symbols] = 1;
    for (let t = 1; t < length; t++) if (draw.chance(0.5)) sequence[width * t + draw.below(symbols)] = 1;
    return [sequence, answer];
  },
  loss: (output, answer) => crossEntropy(output, answer.cast('i32')),
  figure: (output, answer) => output.argMax(1).cast('f32').equal(answer).cast('f32').mean(),
};

/** Two of the numbers are marked, one in each half; their sum is wanted (Hochreiter and Schmidhuber 1997). */
const adding: Task = {
  ...{ name: 'adding', inputs: 2, outputs: 1 },
  sample(draw, length) {
    const sequence = new Float32Array(2 * length);
    for (let t = 0; t < length; t++) sequence[2 * t] = draw.uniform();
    const half = length / 2;
    const marked = [draw.below(half), half + draw.below(half)];
    for (const t of marked) sequence[2 * t + 1] = 1;
    return [sequence, marked.reduce((sum, t) => sum + (sequence[2 * t] as number), 0)];
  },
  loss: (output, answer) => mseLoss(output.squeeze(1), answer),
  figure: (output, answer) => mseLoss(output.squeeze(1), answer),
};

type Network = 'LSTM' | 'GRU' | 'RNN' | 'LSTM, forget bias 0' | 'LSTM, forget bias 1';

/** The recurrent layer of that name; LSTM and GRU with gates that keep units open for up to `length` steps. */
function layerOf(name: Network, inputs: number, length: number): nn.LSTM | nn.GRU | nn.RNN {
  const options = { batchFirst: true };
  if (name === 'RNN') return new nn.RNN(inputs, hidden, options);
  if (name === 'GRU') {
    const gru = new nn.GRU(inputs, hidden, options);
    const keep = log(uniform([hidden], { low: 1, high: length - 1 })); // r, z, n
    const biases = { bias_ih_l0: concat([zeros([hidden]), keep, zeros([hidden])]), bias_hh_l0: zeros([3 * hidden]) };
    gru.loadStateDict(biases, { strict: false });
    return gru;
  }
  const lstm = new nn.LSTM(inputs, hidden, options);
  const forget = name === 'LSTM' ? null : Number(name.at(-1));
  const bias = Array.from({ length: 4 * hidden }, (_, i) => (i >= hidden && i < 2 * hidden ? (forget ?? 0) : 0)); // i, f, g, o
  const first = forget === null ? nn.init.chrono(hidden, length) : tensor(bias);
  lstm.loadStateDict({ bias_ih_l0: first, bias_hh_l0: zeros([4 * hidden]) }, { strict: false });
  return lstm;
}

/** Trains a network on a task, and gives what it reaches on sequences that it has not seen. */
async function learn(lab: Lab, task: Task, length: number, name: Network, steps: number): Promise<number> {
  const layer = layerOf(name, task.inputs, length);
  const head = new nn.Linear(hidden, task.outputs);
  const answer = (sequences: Tensor) => {
    const [states] = layer.forward(sequences.reshape([-1, length, task.inputs])); // [B, T, H]
    return head.forward(states.at(-1, 1)); // [B, O]
  };
  const optimizer = new optim.Adam([...layer.parameters(), ...head.parameters()], { lr: 1e-2 });
  const loss = (sequences: Tensor, answers: Tensor) => task.loss(answer(sequences), answers);
  const loader = (draw: Draw, batchSize: number) =>
    new DataLoader(() => samples((from) => task.sample(from, length), draw), { batchSize });
  const batches = loader(lab.draw(), batch);
  await lab.train(`${task.name} of ${length}, ${name}`, { step: { loss, optimizer, clip: 1 }, batches, steps });
  for await (const [sequences, answers] of loader(lab.draw(), 1000))
    return noGrad(() => task.figure(answer(sequences), answers)).item();
  throw new Error('there are samples without end');
}

const networkColours: Readonly<Record<Network, string>> = {
  LSTM: colours.blue,
  GRU: colours.green,
  RNN: colours.orange,
  'LSTM, forget bias 0': colours.purple,
  'LSTM, forget bias 1': colours.sky,
};

function pictureOf(rows: readonly Row[], lengths: readonly number[]): Picture {
  const coloured = rows.map((row) => ({ ...row, colour: networkColours[row.name] }));
  const of = (task: string) => coloured.filter((row) => row.task === task);
  const x: Plot.ScaleOptions = {
    type: 'log',
    label: 'length of the sequence',
    ticks: [...lengths],
    tickFormat: String,
  };
  const marks = (task: string) => [
    Plot.line(of(task), { x: 'length', y: 'figure', z: 'name', stroke: 'colour', strokeWidth: 2 }),
    Plot.dot(of(task), { x: 'length', y: 'figure', fill: 'colour', r: 5 }),
  ];
  const longest = lengths.at(-1);
  const said = (task: string) =>
    of(task)
      .filter(({ length }) => length === longest)
      .map(({ name, figure }) => `${figure.toPrecision(2)} of ${name}`)
      .join('; ');
  return {
    title: 'What a network still knows at the end of a sequence',
    description:
      `Left, the accuracy in naming the first symbol, at ${longest} steps: ${said('latch')}. ` +
      `Right, the mean squared error of a sum of two marked numbers: ${said('adding')}.`,
    legend: networkColours,
    charts: [
      { x, y: { label: 'latch: accuracy', domain: [0, 1], grid: true }, marks: marks('latch') },
      { x, y: logarithmic('adding: mean squared error'), marks: marks('adding') },
    ],
  };
}
