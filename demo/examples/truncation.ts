import { crossEntropy, DataLoader, nn, noGrad, oneHot, optim, type Tensor, tensor, zeros } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot } from '../frame/index.ts';

/** Symbols come in without end, and each is to go out again `delay` steps later. */
const task = { symbols: 4, delay: 5, hidden: 32, batch: 16 };

export default example({
  claim: 'Gradients that end at the border of a window teach nothing that lies further back, though the state goes on',
  paper: 'Williams and Peng 1990',
  full: {
    settings: { windows: [2, 4, 6, 8, 15], steps: 400 },
    bars: { 'window of 15': atLeast(0.95), 'window of 4': atMost(0.4) },
  },
  reduced: {
    settings: { windows: [4, 15], steps: 250 },
    bars: { 'window of 15': atLeast(0.8), 'window of 4': atMost(0.4) },
  },
  async run(lab, { windows, steps }) {
    const rows: { window: number; accuracy: number }[] = [];
    for (const window of windows) rows.push({ window, accuracy: await echo(lab, window, steps) });
    const figures = (chosen: typeof rows) =>
      Object.fromEntries(chosen.map(({ window, accuracy }) => [`window of ${window}`, accuracy]));
    const guessing = 1 / task.symbols;
    return {
      metrics: figures(rows.filter(({ window }) => window > task.delay)),
      baseline: { ...figures(rows.filter(({ window }) => window <= task.delay)), guessing },
      picture: {
        title: `Echo of ${task.delay} steps`,
        description:
          `Accuracy of an LSTM against the length of the windows that it is trained on: ` +
          `${rows.map(({ window, accuracy }) => `${accuracy.toFixed(2)} with ${window} steps`).join(', ')}. ` +
          `Windows that are no longer than the delay stay near ${guessing}, which guessing reaches.`,
        charts: [
          {
            x: { label: 'steps in a window', ticks: windows, domain: [0, 16] },
            y: { label: 'accuracy', domain: [0, 1], grid: true },
            marks: [
              Plot.ruleX([task.delay], { stroke: colours.grey, strokeDasharray: '4 4' }),
              Plot.text(['delay'], { x: task.delay, y: 0.9, textAnchor: 'end', dx: -5, fill: colours.grey }),
              Plot.ruleY([guessing], { stroke: colours.grey, strokeDasharray: '4 4' }),
              Plot.text(['guessing'], { x: 16, y: guessing, textAnchor: 'end', dy: 9, fill: colours.grey }),
              Plot.line(rows, { x: 'window', y: 'accuracy', stroke: colours.blue, strokeWidth: 2 }),
              Plot.dot(rows, { x: 'window', y: 'accuracy', fill: colours.blue, r: 5 }),
            ],
          },
        ],
      },
    };
  },
});

class Echo extends nn.Module {
  readonly lstm = new nn.LSTM(task.symbols, task.hidden, { batchFirst: true });
  readonly head = new nn.Linear(task.hidden, task.symbols);

  /** ids [B, T] → logits [B, T, V], and the state that goes on */
  forward(ids: Tensor, state?: [h: Tensor, c: Tensor]): [logits: Tensor, state: [h: Tensor, c: Tensor]] {
    const [output, last] = this.lstm.forward(oneHot(ids, task.symbols), state); // [B, T, H]
    return [this.head.forward(output), last];
  }
}

/** Trains on windows of streams, and gives the accuracy on a stream that is not cut. */
async function echo(lab: Lab, window: number, steps: number): Promise<number> {
  const { batch, hidden, delay } = task;
  const model = new Echo();
  const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
  // The next window starts with the state that the last one left; no gradient goes from one to the other.
  const h = new nn.Buffer(zeros([1, batch, hidden]));
  const c = new nn.Buffer(zeros([1, batch, hidden]));
  const loss = (inputs: Tensor, targets: Tensor) => {
    const [logits, state] = model.forward(inputs, [h, c]);
    h.assign(state[0]);
    c.assign(state[1]);
    return crossEntropy(logits, targets);
  };
  const draw = lab.draw();
  const batches = new DataLoader(() => windowsOf(draw, window), { batchSize: batch });
  await lab.train(`windows of ${window} steps`, { step: { loss, optimizer, clip: 1 }, batches, steps });

  const [ids, targets] = stream(lab.draw(), 1000);
  const [logits] = noGrad(() => model.forward(tensor([[...ids]], { dtype: 'i32' })));
  const echoed = await logits.argMax(2).data();
  return targets.filter((id, t) => t >= delay && id === echoed[t]).length / (ids.length - delay);
}

/** Symbols, and what each step is to give: the symbol that came `delay` steps before it. */
function stream(draw: Draw, length: number): [ids: Int32Array, targets: Int32Array] {
  const ids = Int32Array.from({ length }, () => draw.below(task.symbols));
  return [ids, ids.map((_, t) => ids[t - task.delay] ?? 0)];
}

/** The windows of as many streams as there are rows in a batch: the first of each, then the second of each, and so on. */
function* windowsOf(draw: Draw, window: number): Generator<[ids: Int32Array, targets: Int32Array]> {
  const streams = Array.from({ length: task.batch }, () => stream(draw, 500 * window));
  for (let at = 0; at < 500 * window; at += window) {
    for (const [ids, targets] of streams) yield [ids.slice(at, at + window), targets.slice(at, at + window)];
  }
}
