import { DataLoader, models, noGrad, optim, padSequences, readAll, type Tensor, tensor } from '../../src/index.ts';
import { atLeast, atMost, colours, type Draw, example, type Lab, Plot, samples } from '../frame/index.ts';

/** Formulas over the digits 0 to 4: the smaller, the larger, and the sum modulo 5, of two formulas. */
const digits = 5;
const operations: Record<string, (a: number, b: number) => number> = {
  min: Math.min,
  max: Math.max,
  '+': (a, b) => (a + b) % digits,
};
const symbols = Object.keys(operations);
const vocabulary = [...Array.from({ length: digits }, (_, digit) => `${digit}`), ...symbols, '(', ')'];
const [fewest, most, hidden, batch] = [2, 8, 48, 32];
const sizes = { vocabularySize: vocabulary.length, embedding: hidden, hidden, classes: digits };

/** A digit, or an operation on two formulas. */
interface Formula {
  readonly word: string;
  readonly parts: readonly Formula[];
  readonly value: number;
}

export default example({
  claim:
    'Meaning is put together along a tree: a network that follows it learns what one that reads on and on does not',
  paper: 'Socher et al. 2011; Tai, Socher and Manning 2015',
  full: {
    settings: { steps: 500 },
    bars: {
      'tree network': atLeast(0.9),
      'LSTM over words and brackets': atMost(0.85),
      'difference from plain recursion': atMost(1e-6),
    },
  },
  reduced: {
    settings: { steps: 250 },
    bars: {
      'tree network': atLeast(0.7),
      'LSTM over words and brackets': atMost(0.65),
      'difference from plain recursion': atMost(1e-6),
    },
  },
  async run(lab, { steps }) {
    const formulas = [...samples(formula, lab.draw(), 4000)];
    const tests = [...samples(formula, lab.draw(), 1000)];
    const schedule = optim.cosine({ steps });

    const tree = new models.TreeRNN({ ...sizes, cell: 'lstm' });
    const difference = await differenceFromRecursion(tree, tests.slice(0, 50));
    // Room for any batch, so that all of them share one plan.
    const room = models.treeSizes(formulas.map(treeOf), batch);
    const trees = (some: readonly Formula[]) =>
      [models.packTrees(some.map(treeOf), { sizes: room }), valuesOf(some)] as const;
    await lab.train('tree network', {
      step: {
        loss: (given: models.TreeBatch, targets: Tensor) => tree.loss(given, targets),
        ...{ optimizer: new optim.Adam(tree.parameters(), { lr: 5e-3 }), clip: 1 },
      },
      ...{ batches: loader(lab, formulas, trees), steps, schedule },
    });

    const sequence = new models.SequenceClassifier({ ...sizes, cell: 'lstm' });
    await lab.train('LSTM over words and brackets', {
      step: {
        loss: (ids: Tensor, lengths: Tensor, targets: Tensor) => sequence.loss(ids, targets, { lengths }),
        ...{ optimizer: new optim.Adam(sequence.parameters(), { lr: 5e-3 }), clip: 1 },
      },
      ...{ batches: loader(lab, formulas, padded), steps, schedule },
    });

    const [ids, lengths] = padded(tests);
    const byTree = await foundBy(tree, tests);
    const bySequence = await noGrad(() => sequence.forward(ids, { lengths }))
      .argMax(1)
      .data();
    const networks = [
      { name: 'tree network', found: byTree, colour: colours.blue },
      { name: 'LSTM over words and brackets', found: [...bySequence], colour: colours.orange },
    ];
    const accuracy = (found: readonly number[], leaves?: number) => {
      const hits = tests.flatMap((test, i) =>
        leaves === undefined || leavesOf(test) === leaves ? [found[i] === test.value] : [],
      );
      return hits.filter((hit) => hit).length / hits.length;
    };
    const counts = Array.from({ length: most - fewest + 1 }, (_, i) => fewest + i);
    const points = networks.flatMap(({ found, ...network }) =>
      counts.map((leaves) => ({ ...network, leaves, accuracy: accuracy(found, leaves) })),
    );
    const shown = tests.find((test) => leavesOf(test) === most) as Formula;
    return {
      metrics: { 'tree network': accuracy(byTree), 'difference from plain recursion': difference },
      baseline: { 'LSTM over words and brackets': accuracy([...bySequence]), guessing: 1 / digits },
      picture: {
        title: 'The value of a formula',
        description:
          `Accuracy against the digits in a formula, for ${networks.map(({ name, found }) => `a ${name} (${accuracy(found).toFixed(2)} of all)`).join(' and ')}. ` +
          `On the right the tree of ${wordsOf(shown).join(' ')}, with the value that the tree network gives each of its parts.`,
        legend: Object.fromEntries(networks.map(({ name, colour }) => [name, colour])),
        charts: [
          {
            x: { label: 'digits in the formula', ticks: counts, tickFormat: 'd' },
            y: { label: 'accuracy', domain: [0, 1], grid: true },
            marks: [
              Plot.ruleY([1 / digits], { stroke: colours.grey, strokeDasharray: '4 4' }),
              Plot.line(points, { x: 'leaves', y: 'accuracy', z: 'name', stroke: 'colour', strokeWidth: 2 }),
              Plot.dot(points, { x: 'leaves', y: 'accuracy', fill: 'colour', r: 4 }),
            ],
          },
          await drawing(tree, shown),
        ],
      },
    };
  },
});

/** A formula of 2 to 8 digits, split anywhere. */
function formula(draw: Draw, leaves = fewest + draw.below(most - fewest + 1)): Formula {
  if (leaves === 1) {
    const value = draw.below(digits);
    return { word: `${value}`, parts: [], value };
  }
  const word = draw.pick(symbols);
  const left = formula(draw, 1 + draw.below(leaves - 1));
  const right = formula(draw, leaves - leavesOf(left));
  return {
    word,
    parts: [left, right],
    value: (operations[word] as (a: number, b: number) => number)(left.value, right.value),
  };
}

const leavesOf = ({ parts }: Formula): number => parts.reduce((sum, part) => sum + leavesOf(part), 0) || 1;
const partsOf = (whole: Formula): Formula[] => [whole, ...whole.parts.flatMap(partsOf)];
const tokenOf = (word: string) => vocabulary.indexOf(word);
const valuesOf = (formulas: readonly Formula[]) => tensor(Int32Array.from(formulas, ({ value }) => value));

/** As a tree of words. */
function treeOf(whole: Formula): models.Tree {
  const nodes = partsOf(whole);
  return nodes.map(({ word, parts }) => ({ token: tokenOf(word), children: parts.map((part) => nodes.indexOf(part)) }));
}

/** As it is written: ( 3 + ( 1 max 2 ) ). */
function wordsOf({ word, parts }: Formula): string[] {
  const [left, right] = parts.map(wordsOf);
  return left && right ? ['(', ...left, word, ...right, ')'] : [word];
}

/** Ids [B, T], lengths [B], values [B] */
function padded(formulas: readonly Formula[]): [ids: Tensor, lengths: Tensor, targets: Tensor] {
  const rows = formulas.map((each) => wordsOf(each).map(tokenOf));
  const { values, lengths } = padSequences(rows, { length: 4 * most - 3, dtype: 'i32' });
  return [values, lengths, valuesOf(formulas)];
}

const loader = <Batch>(lab: Lab, formulas: readonly Formula[], collate: (some: readonly Formula[]) => Batch) =>
  new DataLoader(formulas, { batchSize: batch, shuffle: true, dropLast: true, seed: lab.seed, collate });

/** The value that the network gives each formula. */
async function foundBy(model: models.TreeRNN, formulas: readonly Formula[]): Promise<number[]> {
  return [
    ...(await noGrad(() => model.forward(models.packTrees(formulas.map(treeOf))))
      .argMax(1)
      .data()),
  ];
}

/** The tree of a formula, each part with the value that the network gives it. */
async function drawing(model: models.TreeRNN, whole: Formula): Promise<Plot.PlotOptions> {
  const parts = partsOf(whole);
  const found = await foundBy(model, parts);
  let leaves = 0;
  const places = new Map<Formula, { x: number; y: number }>();
  const place = (part: Formula, depth: number): number => {
    const below = part.parts.map((each) => place(each, depth + 1));
    const x = below.length > 0 ? below.reduce((a, b) => a + b) / below.length : leaves++;
    places.set(part, { x, y: -depth });
    return x;
  };
  place(whole, 0);
  const nodes = parts.map((part, i) => ({
    ...part,
    ...(places.get(part) as { x: number; y: number }),
    found: found[i] as number,
  }));
  const edges = nodes.flatMap(({ parts, x, y }) =>
    parts.map((part) => ({ x, y, to: places.get(part) as { x: number; y: number } })),
  );
  return {
    ...{ width: 560, margin: 32, x: { axis: null }, y: { axis: null } },
    marks: [
      Plot.link(edges, { x1: 'x', y1: 'y', x2: ({ to }) => to.x, y2: ({ to }) => to.y, stroke: colours.grey }),
      Plot.dot(nodes, {
        ...{ x: 'x', y: 'y', r: 15, stroke: 'white' },
        fill: ({ found, value }) => (found === value ? colours.blue : colours.orange),
      }),
      Plot.text(nodes, { x: 'x', y: 'y', text: 'found', fill: 'white', fontWeight: 'bold' }),
      Plot.text(
        nodes.filter(({ parts }) => parts.length > 0),
        { x: 'x', y: 'y', text: 'word', dy: -22, fontSize: 12 },
      ),
    ],
  };
}

/** The largest difference between the states of roots, computed level by level, and node by node in double precision. */
async function differenceFromRecursion(model: models.TreeRNN, formulas: readonly Formula[]): Promise<number> {
  const names = model.namedParameters().map(([name]) => name);
  const values = await readAll(model.parameters());
  const [embedding, W, b, U] = ['embedding.weight', 'input.weight', 'input.bias', 'children.weight'].map(
    (name) => values[names.indexOf(name)] as Float32Array,
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const dot = (weights: Float32Array, row: number, x: ArrayLike<number>) => {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += (weights[row * x.length + i] as number) * (x[i] as number);
    return sum;
  };
  const nothing = { h: new Array<number>(hidden).fill(0), c: new Array<number>(hidden).fill(0) };
  /** i, f and f of both parts, g, o: c = i·g + f·c₁ + f·c₂, h = o·tanh(c) */
  const state = ({ word, parts }: Formula): { h: number[]; c: number[] } => {
    const [left = nothing, right = nothing] = parts.map(state);
    const x = embedding.subarray(tokenOf(word) * hidden, (tokenOf(word) + 1) * hidden);
    const gate = (index: number, unit: number) => {
      const row = index * hidden + unit;
      return (b[row] as number) + dot(W, row, x) + dot(U, row, [...left.h, ...right.h]);
    };
    const c = nothing.c.map(
      (_, j) =>
        sigmoid(gate(0, j)) * Math.tanh(gate(3, j)) +
        sigmoid(gate(1, j)) * (left.c[j] as number) +
        sigmoid(gate(2, j)) * (right.c[j] as number),
    );
    return { h: c.map((cell, j) => sigmoid(gate(4, j)) * Math.tanh(cell)), c };
  };
  const batch = models.packTrees(formulas.map(treeOf));
  const [states, roots] = await readAll([model.nodes(batch), batch.roots]);
  const differences = formulas.flatMap((each, i) =>
    state(each).h.map((want, j) => Math.abs(want - (states?.[(roots?.[i] as number) * hidden + j] as number))),
  );
  return Math.max(...differences);
}
