import { describe, expect, it } from 'vitest';
import { compile, concat, grad, type Tensor, tensor } from '../../src/index.ts';
import { packTrees, type Tree, TreeRNN, treeSizes } from '../../src/models/index.ts';
import { drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

/** Trees of several heights, with nodes without a token, with one child and with two; roots stand anywhere. */
const trees: readonly Tree[] = [
  [{ token: 4 }],
  [
    { token: 1, children: [1, 2] },
    { token: 2 },
    { children: [3] },
    { token: 3, children: [4, 5] },
    { token: 0 },
    { token: 5 },
  ],
  [{ token: 3 }, { token: 6 }, { children: [1, 0] }],
  [{ token: 1 }, { token: 2, children: [0] }, { token: 3, children: [1] }, { token: 4, children: [2] }],
];
const sizes = { vocabularySize: 7, embedding: 3, hidden: 5, classes: 4 };

/** The formulas of a node, one node at a time and in double precision: the state of a node, h and then c of an LSTM. */
async function recursion(model: TreeRNN): Promise<(tree: Tree, n: number) => number[]> {
  const names = model.namedParameters().map(([name]) => name);
  const values = (await read(...model.parameters())) as Float32Array[];
  const of = (name: string) => values[names.indexOf(name)] as Float32Array;
  const { cell, embedding, hidden, arity } = model.config;
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const state = (tree: Tree, n: number): number[] => {
    const { token, children = [] } = tree[n] as Tree[number];
    const below = children.map((child) => state(tree, child));
    const sum = Array.from(of('input.bias'), (bias, row) => {
      let total = bias;
      for (let e = 0; token !== undefined && e < embedding; e++)
        total +=
          (of('input.weight')[row * embedding + e] as number) *
          (of('embedding.weight')[token * embedding + e] as number);
      for (const [k, child] of below.entries())
        for (let j = 0; j < hidden; j++)
          total += (of('children.weight')[(row * arity + k) * hidden + j] as number) * (child[j] as number);
      return total;
    });
    if (cell === 'rnn') return sum.map(Math.tanh);
    const gate = (index: number, j: number) => sum[index * hidden + j] as number;
    const units = Array.from({ length: hidden }, (_, j) => j);
    const c = units.map((j) =>
      below.reduce(
        (total, child, k) => total + sigmoid(gate(1 + k, j)) * (child[hidden + j] as number),
        sigmoid(gate(0, j)) * Math.tanh(gate(1 + arity, j)),
      ),
    );
    return [...units.map((j) => sigmoid(gate(2 + arity, j)) * Math.tanh(c[j] as number)), ...c];
  };
  return state;
}

const rootOf = (tree: Tree) =>
  [...tree.keys()].find((n) => !tree.some(({ children }) => children?.includes(n))) as number;

describe.for(['rnn', 'lstm'] as const)('TreeRNN, %s', (cell) => {
  it.for([2, 3])('gives what plain recursion gives, with room for %s children', async (arity) => {
    const model = new TreeRNN({ ...sizes, cell, arity });
    const [logits, weight, bias] = (await read(
      model.forward(packTrees(trees, { arity })),
      model.head.weight,
      model.head.bias as Tensor,
    )) as [Float32Array, Float32Array, Float32Array];
    const state = await recursion(model);
    const wanted = trees.flatMap((tree) => {
      const h = state(tree, rootOf(tree));
      return [0, 1, 2, 3].map((k) =>
        [0, 1, 2, 3, 4].reduce((sum, j) => sum + (h[j] as number) * (weight[5 * k + j] as number), bias[k] as number),
      );
    });
    for (const [i, want] of wanted.entries()) expect(Math.abs((logits[i] as number) - want)).toBeLessThan(1e-6);
  });

  it('is the same for a batch as for each tree alone, gradients too, whatever room there is', async () => {
    const model = new TreeRNN({ ...sizes, cell });
    const targets = [2, 0, 3, 1];
    const ids = (values: number[]) => tensor(values, { dtype: 'i32' });
    const roomy = treeSizes(trees, 5);
    const together = model.loss(packTrees(trees, { sizes: roomy }), ids(targets));
    const alone = trees.map((tree, i) => model.loss(packTrees([tree]), ids([targets[i] as number])));
    const mean = alone.reduce((a, b) => a.add(b)).div(trees.length);
    const gradients = (loss: Tensor) => grad(loss, model.parameters());
    const [a, b, ...rest] = (await read(together, mean, ...gradients(together), ...gradients(mean))) as Float32Array[];
    expectNear(a as Float32Array, b as Float32Array, 'loss');
    const half = rest.length / 2;
    for (let i = 0; i < half; i++) expectNear(rest[i] as Float32Array, rest[half + i] as Float32Array, `gradient ${i}`);
  });

  it('takes batches of one size by one plan', async () => {
    const model = new TreeRNN({ ...sizes, cell });
    const step = compile((batch: ReturnType<typeof packTrees>) => model.forward(batch));
    const room = treeSizes(trees, 2);
    const [first, second] = [trees.slice(0, 2), trees.slice(2)].map((two) => packTrees(two, { sizes: room }));
    const [a, b, all] = (await read(
      await step(first as ReturnType<typeof packTrees>),
      await step(second as ReturnType<typeof packTrees>),
      model.forward(packTrees(trees)),
    )) as Float32Array[];
    expect(step.traces).toBe(1);
    expectNear([...(a as Float32Array), ...(b as Float32Array)], all as Float32Array, 'logits');
  });
});

describe('trees', () => {
  it('are packed by height, children before their parents', async () => {
    const batch = packTrees([trees[2] as Tree, trees[1] as Tree], { sizes: [6, 3, 1, 2] });
    const all = (part: 'tokens' | 'children') => concat(batch.levels.map((level) => level[part]));
    const [tokens, children, roots] = (await read(all('tokens'), all('children'), batch.roots)) as Int32Array[];
    expect(batch.levels.map(({ tokens }) => tokens.shape)).toEqual([[6], [3], [1], [2]]);
    expect([...(tokens as Int32Array)]).toEqual([
      3, 6, 2, 0, 5, -1, /* height 1 */ -1, 3, -1, /* 2 */ -1, /* 3 */ 1, -1,
    ]);
    const none = [0, 0];
    expect([...(children as Int32Array)]).toEqual([
      ...new Array(12).fill(0),
      ...[[2, 1], [4, 5], none, [8, 0], [3, 10], none].flat(),
    ]);
    expect([...(roots as Int32Array)]).toEqual([6, 10]);
  });

  const pack = (tree: unknown, options?: object) => () => packTrees([[{ token: 0 }], tree as Tree], options);
  it('that are none are refused', () => {
    expect(pack([{ children: [1] }, { children: [2] }, { children: [1] }])).toThrow(
      '[packTrees] tree 1: node 1 is a child of node 0 and of node 2',
    );
    expect(pack([{ token: 1 }, { children: [2] }, { children: [1] }])).toThrow(
      '[packTrees] tree 1 has a cycle: node 1 → node 2 → node 1',
    );
    expect(pack([{ children: [0] }])).toThrow('[packTrees] tree 1 has a cycle: node 0 → node 0');
    expect(pack([{ children: [1] }, { children: [2] }, { children: [0] }])).toThrow('has a cycle: node');
    expect(pack([{ children: [3] }, {}])).toThrow(
      '[packTrees] tree 1: node 0 has the unknown child 3; children are places of nodes, 0 to 1',
    );
    expect(pack([{ children: [1, 1] }, {}])).toThrow('node 1 is twice a child of node 0');
    expect(pack([{ token: 1 }, { token: 2 }])).toThrow('[packTrees] tree 1 has 2 roots, nodes 0 and 1 among them');
    expect(pack([])).toThrow('[packTrees] tree 1 must be an array of one or more nodes, got an array of 0');
    expect(pack([{ token: -1 }])).toThrow('the token of node 0 must be an integer of at least 0, got -1');
    expect(pack([{ children: [1, 2, 3] }, {}, {}, {}])).toThrow(
      'node 0 of tree 1 has 3 children, more than the arity, 2',
    );
    expect(pack([{}], { sizes: [1] })).toThrow('[packTrees] 2 nodes have a height of 0, and there are 1 rows');
    expect(() => packTrees([])).toThrow('[packTrees] there are no trees');
  });

  it('may be as deep as they like', () => {
    const chain = Array.from({ length: 5000 }, (_, i) => (i === 0 ? { token: 1 } : { children: [i - 1] }));
    expect(treeSizes([chain], 2)).toEqual(new Array(5000).fill(2));
  });
});

describe('TreeRNN', () => {
  it('says what it wants', async () => {
    expect(() => new TreeRNN({ ...sizes, cell: 'gru' as 'rnn' })).toThrow(
      "[TreeRNN] cell must be 'rnn' or 'lstm', got 'gru'",
    );
    const model = new TreeRNN({ ...sizes, cell: 'rnn' });
    expect(() => model.forward(packTrees(trees, { arity: 3 }))).toThrow('packTrees(trees, { arity: 2 }) makes them');
    expect(() => model.forward(trees as never)).toThrow('[TreeRNN] the batch must be what packTrees gives');
    expect(() => model.loss(packTrees(trees), drawIds([3], 4))).toThrow('[TreeRNN] targets must be [B] = [4], got [3]');
    await expect(read(model.forward(packTrees([[{ token: 7 }]])))).rejects.toThrow(
      '[embedding] a token id lies outside [0, 7)',
    );
  });
});
