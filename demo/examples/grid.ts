import { crossEntropy, DataLoader, models, nn, noGrad, optim, readAll, type Tensor, tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples } from '../frame/index.ts';

/** Rows and columns of a maze, how likely a cell is a wall, and mazes in a batch. */
const [side, walled, batch] = [8, 0.3, 32];
/** Widths of the states: both networks have some 2,700 numbers to learn. */
const [hidden, alongRows] = [16, 24];
const sizes = { features: 1, classes: 2 };

/** The cells of a maze, row by row. */
interface Maze {
  readonly walls: readonly boolean[];
  /** Where one comes from the upper left by steps to the right and down. */
  readonly reached: readonly boolean[];
}
const hasWay = ({ reached }: Maze) => reached.at(-1) as boolean;

/** Of mazes x [B, R, C, 1] the logits [B, 2] of having no way through, and of having one. */
type Reader = nn.Module & { forward(x: Tensor): Tensor };

export default example({
  claim:
    'What lies above a cell is near in a picture and far in its rows: an LSTM in two dimensions finds ways that one along the rows misses',
  paper: 'Graves, Fernández and Schmidhuber 2007',
  full: {
    settings: { steps: 600 },
    bars: {
      'two-dimensional LSTM': atLeast(0.95),
      'LSTM along the rows': atMost(0.9),
      'difference from a double loop': atMost(1e-6),
    },
  },
  reduced: {
    settings: { steps: 300 },
    bars: {
      'two-dimensional LSTM': atLeast(0.85),
      'LSTM along the rows': atMost(0.8),
      'difference from a double loop': atMost(1e-6),
    },
  },
  async run(lab, { steps }) {
    const tests = [...samples(maze, lab.draw(), 1000)];
    const grid = new models.GridLSTM({ ...sizes, hidden });
    const difference = await differenceFromDoubleLoop(grid, tests.slice(0, 20));
    const networks = [
      { name: 'two-dimensional LSTM', model: grid, colour: colours.blue },
      { name: 'LSTM along the rows', model: new AlongRows(), colour: colours.orange },
    ];
    const points: { name: string; colour: string; step: number; loss: number }[] = [];
    const accuracies: number[] = [];
    for (const { name, model, colour } of networks) {
      const losses = await learn(lab, name, model, steps);
      points.push(...smoothed(losses).map((point) => ({ name, colour, ...point })));
      accuracies.push(await accuracyOf(model, tests));
    }
    const [inTwo, inRows] = accuracies as [number, number];
    const cells = await beliefs(grid, tests);
    const open = tests.flatMap(({ walls, reached }, n) =>
      walls.flatMap((isWall, i) => (isWall ? [] : [(cells[n]?.[i] as number) > 0.5 === reached[i]])),
    );
    const shown = [true, false].map((way) => tests.findIndex((each) => hasWay(each) === way));
    return {
      metrics: {
        'two-dimensional LSTM': inTwo,
        'of its open cells': open.filter((hit) => hit).length / open.length,
        'difference from a double loop': difference,
      },
      baseline: { 'LSTM along the rows': inRows, guessing: 0.5 },
      picture: {
        title: 'Is there a way to the right and down?',
        description:
          `The loss in training of ${networks.map(({ name }, i) => `a ${name} (accuracy ${accuracies[i]?.toFixed(2)})`).join(' and ')}. ` +
          'Beside it a maze with a way through and one without, walls black: the two-dimensional LSTM was only ever asked about the last cell; ' +
          'each cell is the bluer the more its state says that a way leads there, and a dot stands where one does.',
        legend: Object.fromEntries(networks.map(({ name, colour }) => [name, colour])),
        charts: [
          {
            x: { label: 'training step' },
            y: { label: 'cross-entropy (nats)', domain: [0, 0.8], grid: true },
            marks: [
              Plot.ruleY([Math.LN2], { stroke: colours.grey, strokeDasharray: '4 4' }),
              Plot.line(points, { x: 'step', y: 'loss', z: 'name', stroke: 'colour', strokeWidth: 2 }),
            ],
          },
          ...shown.map((n) => drawing(tests[n] as Maze, cells[n] as readonly number[])),
        ],
      },
    };
  },
});

/** Reads the cells of x [B, R, C, 1] one after another. */
class AlongRows extends nn.Module {
  readonly classifier = new models.SequenceClassifier({ ...sizes, cell: 'lstm', hidden: alongRows });

  forward(x: Tensor): Tensor {
    return this.classifier.forward(x.reshape([-1, side * side, 1]));
  }
}

/** Trains with mazes that are drawn afresh, and gives the losses. */
function learn(lab: Lab, label: string, model: Reader, steps: number): Promise<number[]> {
  const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
  const loss = (x: Tensor, targets: Tensor) => crossEntropy(model.forward(x), targets);
  const draw = lab.draw();
  const batches = new DataLoader(() => samples((each) => maze(each), draw), { batchSize: batch, collate });
  return lab.train(label, { step: { loss, optimizer, clip: 1 }, batches, steps, schedule: optim.cosine({ steps }) });
}

/** A maze; half of all have a way. */
function maze(draw: Draw): Maze {
  const isWanted = draw.chance(0.5);
  const ends = [0, side * side - 1];
  for (;;) {
    const walls = Array.from({ length: side * side }, (_, i) => !ends.includes(i) && draw.chance(walled));
    const reached: boolean[] = [];
    for (const [i, isWall] of walls.entries()) {
      const [above, left] = [reached[i - side], i % side > 0 && reached[i - 1]];
      reached.push(!isWall && (i === 0 || above || left || false));
    }
    if (reached.at(-1) === isWanted) return { walls, reached };
  }
}

/** Walls as ones [B, R, C, 1], and 1 where there is a way [B] */
function collate(mazes: readonly Maze[]): [x: Tensor, targets: Tensor] {
  const x = Float32Array.from(mazes.flatMap(({ walls }) => walls.map(Number)));
  return [
    tensor(x, { shape: [mazes.length, side, side, 1] }),
    tensor(Int32Array.from(mazes, (each) => Number(hasWay(each)))),
  ];
}

async function accuracyOf(model: Reader, mazes: readonly Maze[]): Promise<number> {
  const [x] = collate(mazes);
  const found = await noGrad(() => model.forward(x))
    .argMax(1)
    .data();
  return mazes.filter((each, i) => hasWay(each) === (found[i] === 1)).length / mazes.length;
}

/** For each maze how likely its cells are reached, by what the head makes of their states. */
async function beliefs(model: models.GridLSTM, mazes: readonly Maze[]): Promise<number[][]> {
  const [x] = collate(mazes);
  const ways = await noGrad(() => model.forwardCells(x).softmax(3).at(1, 3)).data(); // [B, R, C]
  return mazes.map((_, n) => [...ways.slice(n * side * side, (n + 1) * side * side)]);
}

/** Means of a fortieth of all steps each. */
function smoothed(losses: readonly number[]): { step: number; loss: number }[] {
  const length = Math.ceil(losses.length / 40);
  return Array.from({ length: Math.ceil(losses.length / length) }, (_, i) => {
    const some = losses.slice(i * length, (i + 1) * length);
    return { step: i * length + some.length / 2, loss: some.reduce((a, b) => a + b) / some.length };
  });
}

/** A maze, with what is believed of its cells. */
function drawing({ walls, reached }: Maze, found: readonly number[]): Plot.PlotOptions {
  const cells = walls.map((isWall, i) => ({
    ...{ row: Math.floor(i / side), column: i % side, isWall, reached: reached[i] },
    found: found[i],
  }));
  const place = { x: 'column', y: 'row' };
  return {
    ...{ width: 300, margin: 10, x: { axis: null }, y: { axis: null } },
    color: { type: 'linear', domain: [0, 1], range: ['#f0f0f0', colours.blue] },
    marks: [
      Plot.cell(cells, { ...place, fill: 'found', inset: 0.5, filter: ({ isWall }) => !isWall }),
      Plot.cell(cells, { ...place, fill: colours.black, inset: 0.5, filter: 'isWall' }),
      Plot.dot(cells, { ...place, fill: 'white', r: 3, filter: 'reached' }),
    ],
  };
}

/** The largest difference between the states of cells, computed by diagonals, and cell by cell in double precision. */
async function differenceFromDoubleLoop(model: models.GridLSTM, mazes: readonly Maze[]): Promise<number> {
  const [x] = collate(mazes);
  const { input, recurrent } = model;
  const [W, b, U, found] = (await readAll([
    ...[input.weight, input.bias as Tensor, recurrent.weight],
    noGrad(() => model.cells(x)), // [B, R, C, H]
  ])) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  interface State {
    readonly h: readonly number[];
    readonly c: readonly number[];
  }
  const zeros = new Array<number>(hidden).fill(0);
  const nothing: State = { h: zeros, c: zeros };
  /** i, f of the cell above and of that on the left, g, o: c = i·g + f₁·c₁ + f₂·c₂, h = o·tanh(c) */
  const next = (wall: number, above: State, left: State): State => {
    const before = [...left.h, ...above.h];
    const gate = (index: number, unit: number) => {
      const row = index * hidden + unit;
      const ofStates = before.reduce((sum, h, i) => sum + (U[row * before.length + i] as number) * h, 0);
      return (b[row] as number) + (W[row] as number) * wall + ofStates;
    };
    const c = zeros.map(
      (_, j) =>
        sigmoid(gate(0, j)) * Math.tanh(gate(3, j)) +
        sigmoid(gate(1, j)) * (above.c[j] as number) +
        sigmoid(gate(2, j)) * (left.c[j] as number),
    );
    return { h: c.map((cell, j) => sigmoid(gate(4, j)) * Math.tanh(cell)), c };
  };
  let largest = 0;
  for (const [n, { walls }] of mazes.entries()) {
    const states: State[][] = [];
    for (let row = 0; row < side; row++) {
      const line: State[] = [];
      for (let column = 0; column < side; column++) {
        const i = row * side + column;
        const state = next(Number(walls[i]), states[row - 1]?.[column] ?? nothing, line[column - 1] ?? nothing);
        line.push(state);
        for (const [j, want] of state.h.entries()) {
          const difference = Math.abs(want - (found[(n * side * side + i) * hidden + j] as number));
          largest = Math.max(largest, difference);
        }
      }
      states.push(line);
    }
  }
  return largest;
}
