import { alignment, byteSize, rootOf, type Value } from './ir.ts';
import type { Command } from './schedule.ts';

/**
 * Where values lie: a few slabs, ranges in them by lifetime. A slab becomes one GPUBuffer, and WebGPU rejects a dispatch
 * that binds one buffer both for reading and for writing; so what a dispatch reads and what it writes get different slabs.
 */
export interface MemoryPlan {
  readonly places: ReadonlyMap<Value, Place>;
  /** Bytes of each slab. */
  readonly slabs: readonly number[];
  /** Values with memory of their own, zeroed once. */
  readonly dedicated: readonly Value[];
  /** The largest sum of live bytes at any command: no plan can do with less. */
  readonly lowerBound: number;
}

export interface Place {
  readonly slab: number;
  readonly offset: number;
  readonly bytes: number;
  /** Commands between which the value lives, both included. */
  readonly first: number;
  readonly last: number;
}

const granularity = alignment * 4;

export interface MemoryProblem {
  readonly commands: readonly Command[];
  /** Values that are read after the last command. */
  readonly results: readonly Value[];
  readonly packs: ReadonlySet<Value>;
  /** Values that are given memory from outside: state that is updated in place. */
  readonly placed: ReadonlySet<Value>;
  readonly largestSlab: number;
}

export function planMemory({ commands, results, packs, placed, largestSlab }: MemoryProblem): MemoryPlan {
  const lives = lifetimes(commands, results);
  const dedicated: Value[] = [];
  const items: { value: Value; bytes: number; first: number; last: number }[] = [];
  for (const [value, { first, last }] of lives) {
    if (value.leaf || placed.has(value)) continue;
    if (packs.has(value)) dedicated.push(value);
    else items.push({ value, bytes: Math.ceil(byteSize(value.type) / granularity) * granularity, first, last });
  }
  const enemies = readWriteConflicts(commands);
  const slabs: { bytes: number; places: Map<Value, Place> }[] = [];
  const places = new Map<Value, Place>();
  // The largest first: small values then fill the holes.
  for (const item of items.sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    let best: { slab: number; offset: number; growth: number } | null = null;
    for (const [index, slab] of slabs.entries()) {
      if ([...(enemies.get(item.value) ?? [])].some((enemy) => slab.places.has(enemy))) continue;
      const offset = firstFit([...slab.places.values()], item);
      if (offset + item.bytes > largestSlab) continue;
      const growth = Math.max(0, offset + item.bytes - slab.bytes);
      if (!best || growth < best.growth) best = { slab: index, offset, growth };
      if (growth === 0) break;
    }
    if (!best) {
      slabs.push({ bytes: 0, places: new Map() });
      best = { slab: slabs.length - 1, offset: 0, growth: item.bytes };
    }
    const slab = slabs[best.slab] as (typeof slabs)[number];
    const place = { slab: best.slab, offset: best.offset, bytes: item.bytes, first: item.first, last: item.last };
    slab.places.set(item.value, place);
    slab.bytes = Math.max(slab.bytes, best.offset + item.bytes);
    places.set(item.value, place);
  }
  return { places, slabs: slabs.map((slab) => slab.bytes), dedicated, lowerBound: peakBytes(items, commands.length) };
}

/** First and last command that touch each root value. */
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

/** The lowest offset at which the item overlaps no place whose lifetime overlaps its own. */
function firstFit(places: readonly Place[], item: { bytes: number; first: number; last: number }): number {
  const living = places
    .filter((place) => place.first <= item.last && item.first <= place.last)
    .sort((a, b) => a.offset - b.offset);
  let offset = 0;
  for (const place of living) {
    if (offset + item.bytes <= place.offset) break;
    offset = Math.max(offset, place.offset + place.bytes);
  }
  return offset;
}

function peakBytes(items: readonly { bytes: number; first: number; last: number }[], length: number): number {
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

/** Proves that no value that is still wanted is overwritten. Throws a sentence that names both; runs in tests and in debug mode. */
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
