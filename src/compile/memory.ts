import { alignment } from '../core/layout.ts';
import { byteSize } from '../core/types.ts';
import { rootOf, type Value } from './ir.ts';
import type { Command } from './schedule.ts';

/**
 * The place of each value: a range of one of a few slabs, given by lifetime. A slab becomes one GPUBuffer, and WebGPU
 * rejects a dispatch that binds one buffer both for reading and for writing; so what a dispatch reads and what it writes
 * get different slabs.
 */
export interface MemoryPlan {
  readonly places: ReadonlyMap<Value, Place>;
  /** Bytes of each slab, the largest first: plans share slabs by their position. */
  readonly slabs: readonly number[];
  /** Values with memory of their own, zeroed once. */
  readonly dedicated: readonly Value[];
  /** Bytes of slabs and dedicated values. */
  readonly peak: number;
  /** The largest sum of live bytes at any command: no plan can do with less. What is dedicated lives from plan to plan. */
  readonly lowerBound: number;
}

export interface Place {
  readonly slab: number;
  readonly offset: number;
  readonly bytes: number;
  /** First and last command in which the value is alive. */
  readonly first: number;
  readonly last: number;
}

const granularity = alignment * 4;
const alignedBytes = (value: Value) => Math.ceil(byteSize(value.type) / granularity) * granularity;
const sum = (sizes: readonly number[]) => sizes.reduce((total, bytes) => total + bytes, 0);

export interface MemoryProblem {
  readonly commands: readonly Command[];
  /** Values that are read after the last command. */
  readonly results: readonly Value[];
  readonly packs: ReadonlySet<Value>;
  /** Values that are given memory from outside: state that is updated in place. */
  readonly placed: ReadonlySet<Value>;
  /** What one buffer may hold. */
  readonly largestSlab: number;
}

/** A value that needs a place. */
interface Item {
  readonly value: Value;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Lays the values out in several orders, and goes on from the best: values that made a slab grow come earlier the next
 * time (squeaky wheel optimisation, Joslin and Clements 1999). It stops once a plan is close to the bound.
 */
export function planMemory(problem: MemoryProblem): MemoryPlan {
  const items: Item[] = [];
  const dedicated: Value[] = [];
  for (const [value, { first, last }] of lifetimes(problem.commands, problem.results)) {
    if (value.leaf || problem.placed.has(value)) continue;
    if (problem.packs.has(value)) dedicated.push(value);
    else items.push({ value, bytes: alignedBytes(value), first, last });
  }
  const enemies = readWriteConflicts(problem.commands);
  const bound = largestSum(items, problem.commands.length);
  const tries = Math.max(1, Math.min(mostTries, Math.floor(effort / (items.length ** 2 + 1))));
  let best: Layout | null = null;
  let last: Layout | null = null;
  for (let i = 0; i < tries && !(best && best.bytes <= close * bound); i++) {
    if (i === orders.length) last = best;
    const order = i < orders.length ? [...items].sort(orders[i]) : complainersFirst(last as Layout);
    last = layOut(order, enemies, problem.largestSlab);
    if (!best || last.bytes < best.bytes) best = last;
  }
  const { places, slabs, bytes } = best as Layout;
  const own = sum(dedicated.map(alignedBytes));
  return { places, slabs, dedicated, peak: own + bytes, lowerBound: own + bound };
}

/** The multiple of the bound at which another try is not worth it. */
const close = 1.02;
const mostTries = 100;
/** The work that tries may cost; one costs about the square of the number of values. */
const effort = 3e6;

const duration = ({ first, last }: Item) => last - first;
const byStart = (a: Item, b: Item) => a.first - b.first || b.bytes - a.bytes;
/**
 * Orders to begin with, none of which is always best. Large values first leaves holes that small ones fill; long lives
 * first keep the rest together.
 */
const orders: readonly ((a: Item, b: Item) => number)[] = [
  (a, b) => b.bytes - a.bytes || byStart(a, b),
  (a, b) => b.bytes * duration(b) - a.bytes * duration(a) || byStart(a, b),
  (a, b) => b.last - a.last || byStart(a, b),
  (a, b) => b.bytes - a.bytes || duration(b) - duration(a) || byStart(a, b),
  (a, b) => duration(b) - duration(a) || byStart(a, b),
  byStart,
];

interface Layout {
  readonly places: ReadonlyMap<Value, Place>;
  readonly slabs: readonly number[];
  readonly bytes: number;
  /** The items in the order in which they got their places, and those that made a slab grow. */
  readonly order: readonly Item[];
  readonly complainers: ReadonlySet<Item>;
}

/** The order of a layout, with those who made it grow moved ahead by a part of its length. */
function complainersFirst({ order, complainers }: Layout): Item[] {
  const position = new Map(order.map((item, i) => [item, complainers.has(item) ? i - 0.3 * order.length : i]));
  return [...order].sort((a, b) => (position.get(a) as number) - (position.get(b) as number));
}

interface Slab {
  bytes: number;
  readonly values: Set<Value>;
  /** The places, by offset. */
  readonly places: (Omit<Place, 'slab'> & { readonly value: Value })[];
}

/** Gives each item in turn the place that makes its slab grow least; a slab of its own, where that costs no more. */
function layOut(order: readonly Item[], enemies: ReadonlyMap<Value, ReadonlySet<Value>>, largestSlab: number): Layout {
  const slabs: Slab[] = [];
  const complainers = new Set<Item>();
  for (const item of order) {
    let best: { slab: Slab; offset: number; growth: number } | null = null;
    for (const slab of slabs) {
      if (meets(slab.values, enemies.get(item.value))) continue;
      const offset = firstFit(slab.places, item);
      if (offset + item.bytes > largestSlab) continue;
      const growth = Math.max(0, offset + item.bytes - slab.bytes);
      if (!best || growth < best.growth) best = { slab, offset, growth };
      if (growth === 0) break;
    }
    if (!best || (best.growth === item.bytes && slabs.length < enoughSlabs)) {
      best = { slab: { bytes: 0, values: new Set(), places: [] }, offset: 0, growth: item.bytes };
      slabs.push(best.slab);
    }
    const { slab, offset, growth } = best;
    const after = slab.places.findIndex((place) => place.offset > offset);
    slab.places.splice(after < 0 ? slab.places.length : after, 0, { ...item, offset });
    slab.values.add(item.value);
    slab.bytes += growth;
    if (growth > 0) complainers.add(item);
  }
  slabs.sort((a, b) => b.bytes - a.bytes);
  const places = new Map<Value, Place>();
  for (const [slab, { places: own }] of slabs.entries())
    for (const { value, offset, bytes, first, last } of own) places.set(value, { slab, offset, bytes, first, last });
  const sizes = slabs.map(({ bytes }) => bytes);
  return { places, slabs: sizes, bytes: sum(sizes), order, complainers };
}

/** The most slabs: more help little, and each is a buffer. */
const enoughSlabs = 8;

function meets(values: ReadonlySet<Value>, others: ReadonlySet<Value> = new Set()): boolean {
  for (const value of others) if (values.has(value)) return true;
  return false;
}

/** Finds the first and last command that touch each root value. */
export function lifetimes(
  commands: readonly Command[],
  results: readonly Value[],
): Map<Value, { first: number; last: number }> {
  const lives = new Map<Value, { first: number; last: number }>();
  const touch = (value: Value, at: number) => {
    const root = rootOf(value);
    const life = lives.get(root);
    if (life) life.last = Math.max(life.last, at);
    else lives.set(root, { first: at, last: at });
  };
  for (const [index, command] of commands.entries()) {
    for (const value of command.kind === 'copy' ? [command.from, command.to] : command.bindings) touch(value, index);
  }
  for (const value of results) touch(value, commands.length);
  return lives;
}

/** Pairs of root values of which one dispatch reads one and writes the other. */
function readWriteConflicts(commands: readonly Command[]): Map<Value, Set<Value>> {
  const pairs = new Map<Value, Set<Value>>();
  const add = (a: Value, b: Value) => {
    const set = pairs.get(a) ?? new Set();
    pairs.set(a, set.add(b));
  };
  for (const command of commands) {
    const { reads, writes } = readsAndWrites(command);
    for (const read of reads) {
      for (const write of writes) {
        add(read, write);
        add(write, read);
      }
    }
  }
  return pairs;
}

/** Root values that a command reads and writes. A copy within one buffer is refused by WebGPU too. */
export function readsAndWrites(command: Command): { reads: Value[]; writes: Value[] } {
  if (command.kind === 'copy') return { reads: [rootOf(command.from)], writes: [rootOf(command.to)] };
  const reads: Value[] = [];
  const writes: Value[] = [];
  for (const [i, value] of command.bindings.entries())
    (command.shader.access[i] === 'r' ? reads : writes).push(rootOf(value));
  return { reads, writes };
}

/** The lowest offset at which the item overlaps no place whose lifetime overlaps its own; `places` go by offset. */
function firstFit(places: Slab['places'], item: Item): number {
  let offset = 0;
  for (const place of places) {
    if (place.first > item.last || item.first > place.last) continue;
    if (offset + item.bytes <= place.offset) break;
    offset = Math.max(offset, place.offset + place.bytes);
  }
  return offset;
}

function largestSum(items: readonly Item[], length: number): number {
  const change = new Array<number>(length + 2).fill(0);
  for (const { bytes, first, last } of items) {
    change[first] = (change[first] as number) + bytes;
    change[last + 1] = (change[last + 1] as number) - bytes;
  }
  let live = 0;
  let peak = 0;
  for (const delta of change) {
    live += delta;
    peak = Math.max(peak, live);
  }
  return peak;
}

/**
 * Proves that no value is overwritten while it is still needed; throws a sentence that names both values. Tests run it
 * over plans.
 */
export function verifyPlan(problem: MemoryProblem, plan: MemoryPlan): void {
  const lives = lifetimes(problem.commands, problem.results);
  const list = [...plan.places];
  for (const [i, [value, place]] of list.entries()) {
    const life = lives.get(value) as { first: number; last: number };
    if (place.offset % granularity !== 0) throw new Error(`[memory] ${value.label} lies at an unaligned offset`);
    for (const [other, otherPlace] of list.slice(i + 1)) {
      const otherLife = lives.get(other) as { first: number; last: number };
      const sameTime = life.first <= otherLife.last && otherLife.first <= life.last;
      const sameMemory =
        place.slab === otherPlace.slab &&
        place.offset < otherPlace.offset + byteSize(other.type) &&
        otherPlace.offset < place.offset + byteSize(value.type);
      if (sameTime && sameMemory)
        throw new Error(`[memory] ${value.label} and ${other.label} share memory while both live`);
    }
  }
  for (const command of problem.commands) {
    const { reads, writes } = readsAndWrites(command);
    for (const read of reads) {
      for (const write of writes) {
        const a = plan.places.get(read);
        const b = plan.places.get(write);
        if (read === write || (a && b && a.slab === b.slab))
          throw new Error(`[memory] ${command.label} reads ${read.label} and writes ${write.label} in one buffer`);
      }
    }
  }
}
