import { describe, expect, test } from 'vitest';
import type { Value } from '../../src/compile/ir.ts';
import { type MemoryProblem, planMemory, verifyPlan } from '../../src/compile/memory.ts';
import type { Command } from '../../src/compile/schedule.ts';
import { denseLayout } from '../../src/core/layout.ts';
import { Generator, randomIntegers } from '../../src/core/random.ts';
import { specialise } from '../../src/kernels/specialise.ts';

/** Memory by lifetime: values that do not live together share it, what a dispatch reads and writes never lies in one buffer. */
function value(label: string, elements: number): Value {
  return { type: { shape: [elements], dtype: 'f32' }, layout: denseLayout([elements]), label, leaf: false };
}

/** A dispatch that reads some values and writes others; only its bindings matter here. */
function dispatch(reads: Value[], writes: Value[]): Command {
  const bindings = [...reads, ...writes];
  const source = bindings
    .map(
      (_, i) =>
        `@group(0) @binding(${i + 1}) var<storage, ${i < reads.length ? 'read' : 'read_write'}> b${i}: array<f32>;`,
    )
    .join('\n');
  const description = {
    kernel: 'test',
    source,
    bindings: bindings.map((_, index) => ({ kind: 'input', index }) as const),
    workgroups: [1, 1, 1] as const,
  };
  return {
    kind: 'dispatch',
    label: 'test',
    dispatch: description,
    shader: specialise(description),
    bindings,
    fused: [],
  };
}

function problem(commands: Command[], results: Value[]): MemoryProblem {
  return { commands, results, packs: new Set(), placed: new Set(), largestSlab: 2 ** 27 };
}

describe('the memory plan', () => {
  test('of a chain needs two slabs of one value each', () => {
    const chain = Array.from({ length: 6 }, (_, i) => value(`v${i}`, 640));
    const commands = chain.slice(1).map((each, i) => dispatch([chain[i] as Value], [each]));
    const given = problem([dispatch([], [chain[0] as Value]), ...commands], [chain.at(-1) as Value]);
    const plan = planMemory(given);
    verifyPlan(given, plan);
    expect(plan.slabs).toEqual([2560, 2560]);
    expect(plan.lowerBound).toBe(5120);
  });

  test('starts every value at a multiple of 256 bytes', () => {
    const [a, b, c] = [value('a', 3), value('b', 65), value('c', 1)];
    const given = problem([dispatch([], [a, b, c])], [a, b, c]);
    for (const place of planMemory(given).places.values()) expect(place.offset % 256).toBe(0);
  });

  test('keeps results to the end', () => {
    const [a, b, c] = [value('a', 64), value('b', 64), value('c', 64)];
    const given = problem([dispatch([], [a]), dispatch([], [b]), dispatch([b], [c])], [a, c]);
    verifyPlan(given, planMemory(given));
  });

  test('opens another slab rather than exceed a buffer', () => {
    const values = Array.from({ length: 24 }, (_, i) => value(`v${i}`, 64));
    const given = { ...problem([dispatch([], values)], values), largestSlab: 512 };
    const plan = planMemory(given);
    verifyPlan(given, plan);
    expect(Math.max(...plan.slabs)).toBe(512);
    expect(plan.peak).toBe(24 * 256);
  });

  test('holds for random programs', () => {
    const generator = new Generator(7);
    const random = (below: number) => randomIntegers(1, below, generator)[0] as number;
    for (let round = 0; round < 30; round++) {
      const values: Value[] = [];
      const commands: Command[] = [];
      for (let i = 0; i < 60; i++) {
        const reads = [
          ...new Set(
            Array.from({ length: random(4) }, () => values[Math.max(0, values.length - 1 - random(12))]).filter(
              (each) => each !== undefined,
            ),
          ),
        ];
        const writes = Array.from({ length: 1 + random(2) }, () => value(`${round}.${i}`, 1 + random(5000)));
        values.push(...writes);
        commands.push(dispatch(reads, writes));
      }
      const given = problem(commands, values.slice(-3));
      const plan = planMemory(given);
      verifyPlan(given, plan);
      expect(plan.peak).toBe(plan.slabs.reduce((a, b) => a + b, 0));
      expect(plan.peak).toBeGreaterThanOrEqual(plan.lowerBound);
      expect(plan.peak / plan.lowerBound).toBeLessThanOrEqual(1.15);
    }
  });
});

describe('verifyPlan', () => {
  test('names values that share memory while both live', () => {
    const [a, b] = [value('first', 64), value('second', 64)];
    const given = problem([dispatch([], [a]), dispatch([], [b])], [a, b]);
    const place = { slab: 0, offset: 0, bytes: 256, first: 0, last: 2 };
    expect(() =>
      verifyPlan(given, {
        places: new Map([
          [a, place],
          [b, place],
        ]),
        slabs: [256],
        dedicated: [],
        peak: 0,
        lowerBound: 0,
      }),
    ).toThrow(/first and second share memory/);
  });

  test('names a dispatch that reads and writes one buffer', () => {
    const [a, b] = [value('source', 64), value('target', 64)];
    const given = problem([dispatch([], [a]), dispatch([a], [b])], [b]);
    const places = new Map([
      [a, { slab: 0, offset: 0, bytes: 256, first: 0, last: 1 }],
      [b, { slab: 0, offset: 256, bytes: 256, first: 1, last: 2 }],
    ]);
    expect(() => verifyPlan(given, { places, slabs: [512], dedicated: [], peak: 0, lowerBound: 0 })).toThrow(
      /reads source and writes target in one buffer/,
    );
  });
});
