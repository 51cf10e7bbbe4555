import {
  crossEntropy,
  DataLoader,
  dynamic,
  nn,
  noGrad,
  oneHot,
  optim,
  rand,
  randint,
  scan,
  type Tensor,
  tensor,
  where,
  zeros,
} from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples } from '../frame/index.ts';

/**
 * Symbols stand in a ring, and each is followed by the next one, but for slips: then any symbol follows, and it goes on from
 * there. A model that writes by itself slips as often.
 */
const task = { ring: 10, slips: 0.05, hidden: 32, batch: 32 };

export default example({
  claim:
    'A model that was always given the truth is led astray by its own errors; one that has read what it wrote is not',
  paper: 'Bengio, Vinyals, Jaitly and Shazeer 2015',
  full: {
    settings: { length: 30, steps: 600 },
    bars: {
      'scheduled sampling, last position': atLeast(0.85),
      'teacher forcing, last position': atMost(0.6),
    },
  },
  reduced: {
    settings: { length: 15, steps: 150 },
    bars: {
      'scheduled sampling, last position': atLeast(0.75),
      'teacher forcing, last position': atMost(0.7),
    },
  },
  async run(lab, { length, steps }) {
    const last = length - 1;
    const [forced, scheduled] = [new Writer(), new Writer()];
    await learn(lab, 'teacher forcing', forced, [length, steps], () => 0);
    // Ever more of what the model reads is its own: none at first, all in the second half.
    await learn(lab, 'scheduled sampling', scheduled, [length, steps], (step) => Math.min(1, (2 * step) / steps));
    const tried = new Map([
      ['teacher forcing', { curve: await accuracies(lab, forced, length, 1), colour: colours.orange }],
      ['scheduled sampling', { curve: await accuracies(lab, scheduled, length, 1), colour: colours.blue }],
      ['teacher forcing, given the truth', { curve: await accuracies(lab, forced, length, 0), colour: colours.grey }],
    ]);
    const at = (name: string) => tried.get(name)?.curve[last] as number;
    return {
      metrics: { 'scheduled sampling, last position': at('scheduled sampling') },
      baseline: {
        'teacher forcing, last position': at('teacher forcing'),
        'teacher forcing, given the truth, last position': at('teacher forcing, given the truth'),
        guessing: 1 / task.ring,
      },
      picture: {
        title: `Writing on by oneself, with ${100 * task.slips} % slips`,
        description:
          `Accuracy against the position in the sequence. With teacher forcing it falls to ${at('teacher forcing').toFixed(2)} at position ${last} ` +
          `when the model reads what it wrote itself, though it is ${at('teacher forcing, given the truth').toFixed(2)} when it is given the truth; ` +
          `with scheduled sampling it is ${at('scheduled sampling').toFixed(2)}.`,
        legend: Object.fromEntries([...tried].map(([name, { colour }]) => [name, colour])),
        charts: [
          {
            width: 640,
            x: { label: 'position', domain: [0, last] },
            y: { label: 'accuracy', domain: [0, 1], grid: true },
            marks: [...tried.values()].map(({ curve, colour }) =>
              Plot.lineY(curve, { stroke: colour, strokeWidth: 2 }),
            ),
          },
        ],
      },
    };
  },
});

class Writer extends nn.Module {
  readonly cell = new nn.LSTMCell(task.ring, task.hidden);
  readonly head = new nn.Linear(task.hidden, task.ring);

  /**
   * Reads at each step the symbol of the truth [T, B], or, with the probability `own`, what it has written itself, slips and
   * all. Gives the logits of what comes next, [T, B, V].
   */
  forward(truth: Tensor, own: Tensor | number): Tensor {
    const B = truth.shape[1] as number;
    const state = zeros([B, task.hidden]);
    const { ys } = scan(
      ([h, c, written], [symbol]) => {
        const read = where(rand([B]).less(own), written as Tensor, symbol as Tensor); // [B]
        const [nextH, nextC] = this.cell.forward(oneHot(read, task.ring), [h as Tensor, c as Tensor]); // [B, H]
        const logits = this.head.forward(nextH); // [B, V]
        const isSlip = rand([B]).less(task.slips);
        const next = where(isSlip, randint(0, task.ring, [B]), logits.argMax(1));
        return { carry: [nextH, nextC, next], y: [logits] };
      },
      [state, state, truth.at(0)],
      [truth],
    );
    return ys[0] as Tensor;
  }
}

async function learn(
  lab: Lab,
  label: string,
  model: Writer,
  [length, steps]: readonly [number, number],
  own: (step: number) => number,
): Promise<void> {
  const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
  const loss = (truth: Tensor, next: Tensor) => {
    const share = dynamic(() => own(optimizer.steps));
    return crossEntropy(model.forward(truth.transpose(), share), next.transpose());
  };
  const draw = lab.draw();
  const batches = new DataLoader(() => samples((from) => walk(from, length, task.slips), draw), {
    batchSize: task.batch,
  });
  await lab.train(label, { step: { loss, optimizer, clip: 1 }, batches, steps });
}

/** The share of symbols that a walk without slips has at each position, over a thousand sequences. */
async function accuracies(lab: Lab, model: Writer, length: number, own: number): Promise<number[]> {
  const draw = lab.draw();
  const walks = Array.from({ length: 1000 }, () => walk(draw, length, 0));
  const truth = tensor(
    walks.map(([symbols]) => [...symbols]),
    { dtype: 'i32' },
  );
  const written = await noGrad(() => model.forward(truth.transpose(), own).argMax(2).transpose()).data(); // [B, T]
  const isRight = (row: number, t: number) => written[row * length + t] === walks[row]?.[1][t];
  return Array.from({ length }, (_, t) => walks.filter((_, row) => isRight(row, t)).length / walks.length);
}

/** The symbols of a walk around the ring, and those that follow each of them. */
function walk(draw: Draw, length: number, slips: number): [symbols: Int32Array, next: Int32Array] {
  const symbols = [draw.below(task.ring)];
  while (symbols.length <= length)
    symbols.push(draw.chance(slips) ? draw.below(task.ring) : ((symbols.at(-1) as number) + 1) % task.ring);
  return [Int32Array.from(symbols.slice(0, -1)), Int32Array.from(symbols.slice(1))];
}
