import { at, build, extent, flatIndex, get, indices, mapLines, type Ref, type Rules, ref } from './ref.ts';

const within = (i: number, length: number) => i >= 0 && i < length;

/** The order of numbers; NaN is the largest of all, as in PyTorch. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Positions of the k largest (or smallest) values, best first; equal values keep their order. */
const best = (values: readonly number[], k: number, largest: boolean) =>
  [...values.keys()]
    .sort((a, b) => {
      const [first, second] = largest ? [b, a] : [a, b];
      return compare(values[first] as number, values[second] as number) || a - b;
    })
    .slice(0, k);

interface TopKAttributes {
  readonly k: number;
  readonly largest?: boolean;
}

interface SortAttributes {
  readonly axis?: number;
  readonly descending?: boolean;
}

/** An index that is out of range reads zeros and writes nothing. */
export const indexing = {
  /** weight [V, E], ids [...] → [..., E]. */
  embedding: ([weight, ids]: readonly [Ref, Ref]): [Ref] => {
    const [V, E] = [extent(weight, 0), extent(weight, 1)];
    return [
      build([...ids.shape, E], (index) => {
        const id = at(ids, index.slice(0, -1));
        return within(id, V) ? at(weight, [id, index.at(-1) as number]) : 0;
      }),
    ];
  },

  /** Gradient [..., E] and ids [...] → gradient of the weight [V, E]. */
  embeddingBackward: ([dy, ids]: readonly [Ref, Ref], { rows: V }: { rows: number }): [Ref] => {
    const E = extent(dy, -1);
    const dweight = ref([V, E]);
    for (const [position, id] of ids.data.entries()) {
      if (!within(id, V)) continue;
      for (let e = 0; e < E; e++) dweight.data[id * E + e] = get(dweight, id * E + e) + get(dy, position * E + e);
    }
    return [dweight];
  },

  /** ids [...] → [..., classes]. */
  oneHot: ([ids]: readonly [Ref], { classes }: { classes: number }): [Ref] => [
    build([...ids.shape, classes], (index) => Number(at(ids, index.slice(0, -1)) === index.at(-1))),
  ],

  /** y[…, j, …] = x[…, ids[…, j, …], …] at `axis`, as torch.gather. */
  gather: ([x, ids]: readonly [Ref, Ref], { axis }: { axis: number }): [Ref] => [
    build(ids.shape, (index) => {
      const i = at(ids, index);
      return within(i, extent(x, axis)) ? at(x, index.with(axis, i)) : 0;
    }),
  ],

  /** x with source[…, j, …] added to y[…, ids[…, j, …], …] at `axis`, as torch.scatter_add. */
  scatterAdd: ([x, ids, source]: readonly [Ref, Ref, Ref], { axis }: { axis: number }): [Ref] => {
    const y = ref(x.shape, x.data);
    for (const index of indices(ids.shape)) {
      const i = at(ids, index);
      if (!within(i, extent(x, axis))) continue;
      const target = flatIndex(x.shape, index.with(axis, i));
      y.data[target] = get(y, target) + at(source, index);
    }
    return [y];
  },

  /** x in order along an axis, the last by default, and the places that its elements come from. */
  sort: ([x]: readonly [Ref], { axis = x.shape.length - 1, descending = false }: SortAttributes): [Ref, Ref] => {
    const order = (line: readonly number[]) => best(line, line.length, descending);
    return [mapLines(x, axis, (line) => order(line).map((i) => line[i] as number)), mapLines(x, axis, order)];
  },

  /** x [..., N] → values and their positions in the last dimension, [..., k]. */
  topK: ([x]: readonly [Ref], { k, largest = true }: TopKAttributes): [Ref, Ref] => {
    const axis = x.shape.length - 1;
    return [
      mapLines(x, axis, (line) => best(line, k, largest).map((i) => line[i] as number)),
      mapLines(x, axis, (line) => best(line, k, largest)),
    ];
  },
} satisfies Rules;
