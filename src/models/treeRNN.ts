import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { count, declareOptions, object, oneOf, shown } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectDType } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Embedding } from '../nn/embedding.ts';
import { constant } from '../nn/init.ts';
import { Linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { crossEntropy } from '../ops/crossEntropy.ts';
import { add, less, maximum, mul, sigmoid, tanh, where, zeros } from '../ops/elementwise.ts';
import { embedding as rowsOf } from '../ops/embedding.ts';
import { concat, split } from '../ops/join.ts';
import { overwritten } from '../ops/packing.ts';
import { slice } from '../ops/slice.ts';
import { reshape, unsqueeze } from '../ops/view.ts';
import type { TreeBatch } from './trees.ts';

/** Sizes and settings of a `TreeRNN`. */
export interface TreeRNNConfig {
  /**
   * What a node makes of its children: `rnn` is tanh(W·x + Σ U_k·h_k + b) (Socher et al. 2011), `lstm` has a memory with a
   * forget gate for each child (Tai et al. 2015).
   */
  cell: 'rnn' | 'lstm';
  /** Tokens that may stand at nodes, V. */
  vocabularySize: number;
  /** Width of the token embedding. */
  embedding: number;
  /** Width of the state of a node, H. */
  hidden: number;
  /** Classes to tell apart, C. */
  classes: number;
  /** The most children that a node may have; 2 by default. */
  arity?: number;
}
const treeConfig = declareOptions<TreeRNNConfig>(
  {
    cell: oneOf('rnn', 'lstm'),
    vocabularySize: count,
    embedding: count,
    hidden: count,
    classes: count,
    arity: count,
  },
  ['cell', 'vocabularySize', 'embedding', 'hidden', 'classes'],
);

/**
 * A recursive network over trees: the state of a node is made of its token and of the states of its children, with the same
 * weights everywhere. All nodes of one height, in all trees of a batch, are one product, so that a batch takes as many steps
 * as its highest tree has levels.
 */
export class TreeRNN extends Module {
  /** Embedding of the tokens, [V, embedding]. */
  readonly embedding: Embedding;
  /** The token's share of a node: W and b, [gates·H, embedding]; gates are i, f of each child, g, o of an LSTM. */
  readonly input: Linear;
  /** The children's share of a node: U of all places side by side, [gates·H, arity·H]. */
  readonly children: Linear;
  /** Scores of the classes, [..., H] → [..., C]. */
  readonly head: Linear;
  /** The configuration, with its defaults filled in. */
  readonly config: Readonly<Required<TreeRNNConfig>>;

  constructor(config: TreeRNNConfig) {
    super();
    this.config = { arity: 2, ...treeConfig('TreeRNN', config) };
    const { cell, vocabularySize, embedding, hidden, classes, arity } = this.config;
    const gates = cell === 'lstm' ? 3 + arity : 1;
    this.embedding = new Embedding(vocabularySize, embedding);
    this.input = new Linear(embedding, gates * hidden);
    this.children = new Linear(arity * hidden, gates * hidden, { bias: false });
    this.head = new Linear(hidden, classes);
    const { bias } = this.input;
    // Children are remembered to begin with.
    if (cell === 'lstm' && bias) bias.assign(overwritten(bias, hidden, constant([arity * hidden], 1)));
  }

  /** B trees of `packTrees` → logits [B, C] of their roots. A token outside [0, V) throws a ValueError at the next read. */
  forward(batch: TreeBatch): Tensor {
    const states = this.nodes(batch);
    return this.head.forward(rowsOf(batch.roots, states));
  }

  /** B trees of `packTrees` → the states of all nodes [N, H], those of height 0 first. */
  nodes(batch: TreeBatch): Tensor {
    this.#check(batch);
    const { levels } = batch;
    const { hidden } = this.config;
    const tokens = concat(levels.map((level) => level.tokens)); // [N]
    const known = where(unsqueeze(less(tokens, 0), 1), 0, this.embedding.forward(maximum(tokens, 0))); // [N, E]
    const shares = split(
      this.input.forward(known),
      levels.map((level) => nth(level.tokens.shape, 0)),
    ); // [n, gates·H]
    const width = this.config.cell === 'lstm' ? 2 * hidden : hidden; // h, or h and c side by side
    // Row 0 stands for children that are not there.
    const states = [zeros([1, width])];
    for (const [height, { children }] of levels.entries()) {
      const below = height === 0 ? null : rowsOf(children, concat(states)); // [n, arity, width]
      states.push(this.#level(shares[height] as Tensor, below));
    }
    return slice(concat(states.slice(1)), [null, [0, hidden]]);
  }

  /** Mean cross-entropy in nats of targets [B], the classes of the roots (i32 or u32). */
  loss(batch: TreeBatch, targets: Tensor): Tensor {
    const logits = this.forward(batch);
    expectDType('TreeRNN', 'targets', targets, ['i32', 'u32']);
    if (!sameShape(targets.shape, logits.shape.slice(0, 1)))
      throw new ShapeError(`[TreeRNN] targets must be [B] = [${logits.shape[0]}], got ${formatShape(targets.shape)}`);
    return crossEntropy(logits, targets);
  }

  /** The nodes of one height: shares of their tokens [n, gates·H], states of their children [n, arity, width] → [n, width] */
  #level(share: Tensor, below: Tensor | null): Tensor {
    const { cell, hidden, arity } = this.config;
    const [n] = share.shape as [number];
    const statesBelow = below && reshape(slice(below, [null, null, [0, hidden]]), [n, arity * hidden]);
    const sum = statesBelow ? add(share, this.children.forward(statesBelow)) : share;
    if (cell === 'rnn') return tanh(sum);
    const [i, f, g, o] = split(sum, [hidden, arity * hidden, hidden, hidden], 1) as [Tensor, Tensor, Tensor, Tensor];
    let c = mul(sigmoid(i), tanh(g)); // [n, H]
    if (below) {
      const forget = sigmoid(reshape(f, [n, arity, hidden]));
      c = add(c, mul(forget, slice(below, [null, null, [hidden, 2 * hidden]])).sum(1));
    }
    return concat([mul(sigmoid(o), tanh(c)), c], 1);
  }

  /** Throws unless it is a batch of `packTrees` for this arity. */
  #check(batch: TreeBatch): void {
    if (!object.accepts(batch) || !Array.isArray(batch.levels) || batch.levels.length === 0)
      throw new ValueError(`[TreeRNN] the batch must be what packTrees gives, got ${shown(batch)}`);
    const { arity } = this.config;
    expectDType('TreeRNN', 'roots', batch.roots, ['i32']);
    for (const { tokens, children } of batch.levels) {
      expectDType('TreeRNN', 'tokens', tokens, ['i32']);
      expectDType('TreeRNN', 'children', children, ['i32']);
      if (tokens.rank !== 1 || !sameShape(children.shape, [nth(tokens.shape, 0), arity]))
        throw new ShapeError(
          `[TreeRNN] a level must have tokens [n] and children [n, ${arity}], got ${formatShape(tokens.shape)} and ${formatShape(children.shape)}; packTrees(trees, { arity: ${arity} }) makes them`,
        );
    }
  }
}
