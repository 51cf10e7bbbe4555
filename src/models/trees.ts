import { ShapeError, ValueError } from '../core/errors.ts';
import {
  array,
  count,
  countOrNone,
  countUpTo,
  declareOptions,
  expectKind,
  listOf,
  object,
  shown,
} from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { tensor } from '../ops/create.ts';

/** A node of a tree. */
export interface TreeNode {
  /** Id of what stands at the node; none by default. */
  token?: number;
  /** Places of its children in the list of the tree's nodes, from left to right; none by default. */
  children?: readonly number[];
}

/** The nodes of a tree in any order: the root is the one that is nobody's child. */
export type Tree = readonly TreeNode[];

/** Nodes of one height. */
export interface TreeLevel {
  /** i32 [n]; −1 where there is none. */
  readonly tokens: Tensor;
  /** Of each child its row plus 1, counted over all levels, i32 [n, arity]; 0 where there is none. */
  readonly children: Tensor;
}

/** B trees for a `TreeRNN`. */
export interface TreeBatch {
  /** The nodes of height 0, which are the leaves, then those of height 1, and so on; N rows in all. */
  readonly levels: readonly TreeLevel[];
  /** Rows of the roots, i32 [B]. */
  readonly roots: Tensor;
}

/** Options of `packTrees`. */
export interface PackTreesOptions {
  /** The most children that a node may have, that of the model; 2 by default. */
  arity?: number;
  /**
   * Rows of each height, from 0 on; by default as many as there are nodes. Batches of the same sizes share a compiled plan:
   * `treeSizes` gives some that fit all.
   */
  sizes?: readonly number[];
}
const packOptions = declareOptions<PackTreesOptions>({ arity: countUpTo(1000), sizes: listOf(count) });

/**
 * Puts B trees together so that all nodes of one height are computed at once. Throws a ValueError for a tree that is none: a
 * cycle, an unknown child, a node with two parents, two roots; a ShapeError where there are more nodes than `sizes` has rows.
 */
export function packTrees(trees: readonly Tree[], options?: PackTreesOptions): TreeBatch {
  const { arity = 2, sizes: wanted } = packOptions('packTrees', options);
  const heights = heightsOf('packTrees', trees);
  for (const [i, tree] of trees.entries()) {
    const wide = tree.findIndex(({ children = [] }) => children.length > arity);
    if (wide >= 0)
      throw new ValueError(
        `[packTrees] node ${wide} of tree ${i} has ${tree[wide]?.children?.length} children, more than the arity, ${arity}`,
      );
  }
  const counts = countsOf(heights);
  const found = totals(counts);
  const sizes = wanted ?? found;
  const short = found.findIndex((total, height) => total > (sizes[height] ?? 0));
  if (short >= 0)
    throw new ShapeError(
      `[packTrees] ${found[short]} nodes have a height of ${short}, and there are ${sizes[short] ?? 'no'} rows for them in sizes; treeSizes(trees, B) gives sizes that fit`,
    );
  const starts = sizes.map((_, height) => sizes.slice(0, height).reduce((sum, size) => sum + size, 0));
  const levels = sizes.map((size) => ({
    tokens: new Int32Array(size).fill(-1),
    children: new Int32Array(size * arity),
  }));
  const roots = new Int32Array(trees.length);
  const next = sizes.map(() => 0);
  const places = heights.map((list) => list.map((height) => (next[height] as number)++));
  for (const [i, tree] of trees.entries()) {
    const [height, place] = [heights[i] as number[], places[i] as number[]];
    const row = (n: number) => (starts[height[n] as number] as number) + (place[n] as number);
    for (const [n, { token, children = [] }] of tree.entries()) {
      const level = levels[height[n] as number] as (typeof levels)[number];
      if (token !== undefined) level.tokens[place[n] as number] = token;
      for (const [k, child] of children.entries()) level.children[(place[n] as number) * arity + k] = 1 + row(child);
    }
    // No node is as high as the root.
    roots[i] = row(height.indexOf(Math.max(...height)));
  }
  return {
    levels: levels.map(({ tokens, children }) => ({
      tokens: tensor(tokens),
      children: tensor(children, { shape: [tokens.length, arity] }),
    })),
    roots: tensor(roots),
  };
}

/** Rows of each height that hold any B of these trees. Throws what `packTrees` throws for a tree that is none. */
export function treeSizes(trees: readonly Tree[], B: number): number[] {
  expectKind('treeSizes', 'B', B, count);
  const counts = countsOf(heightsOf('treeSizes', trees));
  const highest = Math.max(...counts.map(({ length }) => length));
  return Array.from({ length: highest }, (_, height) => B * Math.max(...counts.map((each) => each[height] ?? 0)));
}

/** Nodes of each height, for each tree. */
function countsOf(heights: readonly (readonly number[])[]): number[][] {
  return heights.map((list) => {
    const counts = new Array<number>(1 + Math.max(...list)).fill(0);
    for (const height of list) (counts[height] as number)++;
    return counts;
  });
}

function totals(counts: readonly (readonly number[])[]): number[] {
  const highest = Math.max(...counts.map(({ length }) => length));
  return Array.from({ length: highest }, (_, height) => counts.reduce((sum, each) => sum + (each[height] ?? 0), 0));
}

/** For each tree the height of each node above its leaves. */
function heightsOf(op: string, trees: readonly Tree[]): number[][] {
  expectKind(op, 'trees', trees, array);
  if (trees.length === 0) throw new ShapeError(`[${op}] there are no trees; weft has no empty tensors`);
  return trees.map((tree, i) => heightsIn(`[${op}] tree ${i}`, tree));
}

function heightsIn(name: string, tree: Tree): number[] {
  if (!array.accepts(tree) || tree.length === 0)
    throw new ValueError(`${name} must be an array of one or more nodes, got ${shown(tree)}`);
  const parents = new Array<number | undefined>(tree.length).fill(undefined);
  for (const [n, node] of tree.entries()) {
    if (!object.accepts(node)) throw new ValueError(`${name} has ${shown(node)} for node ${n}; nodes are objects`);
    const { token, children = [] } = node;
    if (token !== undefined && !countOrNone.accepts(token))
      throw new ValueError(`${name}: the token of node ${n} must be ${countOrNone.wanted}, got ${shown(token)}`);
    if (!array.accepts(children))
      throw new ValueError(`${name}: the children of node ${n} must be an array, got ${shown(children)}`);
    for (const child of children) {
      if (!countOrNone.accepts(child) || child >= tree.length)
        throw new ValueError(
          `${name}: node ${n} has the unknown child ${shown(child)}; children are places of nodes, 0 to ${tree.length - 1}`,
        );
      const other = parents[child];
      if (other !== undefined)
        throw new ValueError(
          other === n
            ? `${name}: node ${child} is twice a child of node ${n}`
            : `${name}: node ${child} is a child of node ${other} and of node ${n}; in a tree each node has one parent`,
        );
      parents[child] = n;
    }
  }
  const cycle = cycleAmong(parents);
  if (cycle) throw new ValueError(`${name} has a cycle: node ${cycle.join(' → node ')}`);
  const roots = [...parents.keys()].filter((n) => parents[n] === undefined);
  if (roots.length > 1)
    throw new ValueError(
      `${name} has ${roots.length} roots, nodes ${roots[0]} and ${roots[1]} among them; one node alone may be nobody's child`,
    );
  return heightsBelow(tree, roots[0] as number);
}

/** Nodes that lead from parent to child back to the first of them; null where there are none. */
function cycleAmong(parents: readonly (number | undefined)[]): number[] | null {
  const done = new Set<number>();
  for (const start of parents.keys()) {
    const path: number[] = [];
    for (let n: number | undefined = start; n !== undefined && !done.has(n); n = parents[n]) {
      done.add(n);
      path.push(n);
    }
    const above = parents[path.at(-1) ?? start];
    const from = above === undefined ? -1 : path.indexOf(above);
    if (from >= 0) return [...path.slice(from), above as number].reverse();
  }
  return null;
}

/** The height of each node; without recursion, since trees may be as deep as a list is long. */
function heightsBelow(tree: Tree, root: number): number[] {
  const order = [root];
  // Grows while it is gone through.
  for (const n of order) order.push(...(tree[n]?.children ?? []));
  const heights = new Array<number>(tree.length).fill(0);
  for (const n of order.reverse())
    for (const child of tree[n]?.children ?? [])
      heights[n] = Math.max(heights[n] as number, 1 + (heights[child] as number));
  return heights;
}
