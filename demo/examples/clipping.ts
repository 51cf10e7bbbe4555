import {
  DataLoader,
  DivergenceError,
  manualSeed,
  mseLoss,
  nn,
  optim,
  type Tensor,
  tensor,
  zeros,
} from '../../src/index.ts';
import { atMost, colours, Draw, example, type Lab, logarithmic, Plot, samples } from '../frame/index.ts';

const [length, hidden, batch] = [50, 32, 32];

export default example({
  claim: 'A training that explodes within a few steps converges when long gradients are shortened',
  paper: 'Pascanu, Mikolov and Bengio 2013',
  full: {
    settings: { steps: 400 },
    bars: { 'mean squared error with clipping': atMost(0.2), 'steps to NaN without': atMost(10) },
  },
  reduced: {
    settings: { steps: 60 },
    bars: { 'mean squared error with clipping': atMost(0.4), 'steps to NaN without': atMost(10) },
  },
  async run(lab, { steps }) {
    const clipped = await learn(lab, 1, steps);
    const free = await learn(lab, null, steps);
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const error = mean(clipped.slice(-Math.ceil(steps / 20)));
    const points = (losses: readonly number[], colour: string) =>
      losses.map((loss, i) => ({ step: i + 1, loss, colour }));
    return {
      metrics: { 'mean squared error with clipping': error },
      baseline: { 'steps to NaN without': free.length + 1, 'guessing the mean': 1 },
      picture: {
        title: 'A ReLU network with 1.05 times the identity between its states',
        description:
          `The loss of each training step, on a logarithmic axis. Without clipping it is not a number in step ${free.length + 1}; with clipping it swings ` +
          `for some steps, and falls to ${error.toFixed(2)} in ${steps}.`,
        legend: { 'gradients clipped to norm 1': colours.blue, 'not clipped': colours.orange },
        charts: [40, steps].map((last) => ({
          x: { label: 'training step', domain: [0, last] as const },
          y: logarithmic('mean squared error', [0.005, 300]),
          marks: [
            Plot.line(points(clipped.slice(0, last), colours.blue), { x: 'step', y: 'loss', stroke: 'colour' }),
            Plot.line(points(free, colours.orange), { x: 'step', y: 'loss', stroke: 'colour', marker: 'dot' }),
            Plot.text(['NaN'], { x: free.length + 1, y: 150, fill: colours.orange, textAnchor: 'start' }),
          ],
        })),
      },
    };
  },
});

/** Trains from the same weights on the same data, and gives the losses up to the first that is not finite. */
async function learn(lab: Lab, clip: number | null, steps: number): Promise<number[]> {
  manualSeed(lab.seed);
  const rnn = new nn.RNN(1, hidden, { batchFirst: true, nonlinearity: 'relu' });
  const identity = Array.from({ length: hidden }, (_, i) => Array.from({ length: hidden }, (_, j) => Number(i === j)));
  const biases = { bias_ih_l0: zeros([hidden]), bias_hh_l0: zeros([hidden]) };
  rnn.loadStateDict({ weight_hh_l0: tensor(identity).mul(1.05), ...biases }, { strict: false });
  const head = new nn.Linear(hidden, 1);
  const optimizer = new optim.SGD([...rnn.parameters(), ...head.parameters()], { lr: 0.02 });
  const loss = (x: Tensor, y: Tensor) => {
    const [states] = rnn.forward(x.unsqueeze(2)); // [B, T, H]
    return mseLoss(head.forward(states.at(-1, 1)).squeeze(1), y);
  };
  const draw = new Draw(lab.seed);
  const batches = new DataLoader(() => samples(sum, draw), { batchSize: batch });
  const losses: number[] = [];
  const step = { loss, optimizer, ...(clip !== null && { clip }) };
  const schedule = optim.cosine({ steps });
  try {
    await lab.train(
      clip === null ? 'without clipping' : `clipped to ${clip}`,
      { step, batches, steps, schedule },
      losses,
    );
  } catch (error) {
    if (!(error instanceof DivergenceError)) throw error;
    lab.print(`  diverged     in step ${error.step}`);
  }
  return losses;
}

/** Uniform numbers [T], and their sum, brought to variance 1. */
function sum(draw: Draw): [numbers: Float32Array, sum: number] {
  const numbers = Float32Array.from({ length }, () => draw.uniform(-3, 3));
  return [numbers, numbers.reduce((total, value) => total + value, 0) / Math.sqrt(3 * length)];
}
