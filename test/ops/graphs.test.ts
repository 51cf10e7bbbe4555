import { describe, expect, it } from 'vitest';
import { verifyPlan } from '../../src/compile/memory.ts';
import { buildProgram } from '../../src/compile/program.ts';
import { compile, type HostArray, manualSeed, type Tensor } from '../../src/index.ts';
import { type Approximation, interpret } from '../reference/interpret.ts';
import { checkSlope, compare } from '../support/check.ts';
import { fuzz, profile, runtime, seed } from '../support/environment.ts';
import { device, generator, read, useGpu } from '../support/gpu.ts';
import { differentiated, type RandomGraph, randomGraph } from '../support/randomGraphs.ts';

useGpu();

interface Made extends RandomGraph {
  readonly number: number;
  readonly loss: Tensor;
  /** Roots and gradients. */
  readonly results: readonly Tensor[];
}

/** Graph `number` of this seed; every fourth one has gradients of gradients. */
function make(number: number): Made {
  generator.manualSeed(BigInt(seed) * 2n ** 24n + BigInt(number));
  const graph = number % 4 === 3 ? randomGraph(3) : randomGraph(5);
  const { loss, gradients } = differentiated(graph, number % 4 === 3 ? 2 : 1);
  return { ...graph, number, loss, results: [...graph.roots, ...gradients] };
}

/** Graphs that share a plan and a read. */
const batch = 15;
const batches = Array.from({ length: Math.ceil((fuzz.end - fuzz.start) / batch) }, (_, i) => {
  const start = fuzz.start + i * batch;
  const end = Math.min(fuzz.end, start + batch);
  return { title: `${start} to ${end - 1}`, start, end };
});

describe('random graphs of all ops, with gradients: eager = compiled = float64 = differences', () => {
  it.for(batches)('numbers $title', async ({ start, end }) => {
    const makeAll = () => Array.from({ length: end - start }, (_, i) => make(start + i));
    manualSeed(start);
    const graphs = makeAll();
    const roots = graphs.flatMap(({ results }) => results);
    verify(roots);
    const exact = interpret(roots, { errors: true });
    const parts = <T>(all: readonly T[]) => {
      let from = 0;
      return graphs.map(({ results }) => {
        from += results.length;
        return all.slice(from - results.length, from);
      });
    };
    // Before anything is read: values that are there are leaves, the interpreter then finds no graph behind them.
    const failures = graphs.flatMap((graph, i) => faultOfRules(graph, parts(exact)[i] ?? []));
    const step = compile(() => makeAll().flatMap(({ results }) => results));
    const runs: Record<string, HostArray[]> = { eager: await read(...roots) };
    for (const run of ['compiled', 'compiled, again']) {
      manualSeed(start);
      device.buffers.poison();
      runs[run] = await read(...(await step()));
    }
    for (const [run, values] of Object.entries(runs)) {
      const [given, wanted] = [parts(values), parts(exact)];
      for (const [i, graph] of graphs.entries()) failures.push(...faultOf(graph, run, given[i] ?? [], wanted[i] ?? []));
    }
    const again = `WEFT_SEED=${seed} npm test -- --runtime ${runtime} --profile ${profile} --fuzz ${start}-${end - 1}`;
    expect(failures, `again: ${again}`).toEqual([]);
  });
});

function faultOf(
  { number, results, roots, trail }: Made,
  run: string,
  values: readonly HostArray[],
  exact: readonly Approximation[],
): string[] {
  const names = results.map((_, i) => (i < roots.length ? `root ${i}` : `gradient of leaf ${i - roots.length}`));
  try {
    compare(results, values, exact, names);
    return [];
  } catch (error) {
    return [`graph ${number}, ${run}: ${trail.join(' → ')}: ${(error as Error).message}`];
  }
}

/** Whether the gradients are the slopes, all in float64. A kink that a step crosses lies in the way of no smaller one. */
function faultOfRules({ number, loss, leaves, roots, trail }: Made, exact: readonly Approximation[]): string[] {
  const gradients = exact.slice(roots.length).map(({ value }) => value);
  const faults = [1e-5, 1e-7].flatMap((step) => {
    try {
      checkSlope(loss, leaves, gradients, step);
      return [];
    } catch (error) {
      return [`graph ${number}, rules: ${trail.join(' → ')}: ${(error as Error).message}`];
    }
  });
  return faults.length > 1 ? faults.slice(0, 1) : [];
}

describe('deep random graphs', () => {
  it.for(Array.from({ length: 60 }, (_, i) => i))('number %i keeps every value until it was read', () =>
    verify(randomGraph(40, { withSamples: false }).roots),
  );
});

/** Plans the graph for both kinds of device, and proves that no value is overwritten while somebody still wants it. */
function verify(roots: readonly Tensor[]): void {
  for (const selection of ['gpu', 'software'] as const) {
    const { problem, memory } = buildProgram({ results: roots, updates: [] }, (tensor) => tensor.isComputed, {
      ...device.profile,
      selection,
    });
    verifyPlan(problem, memory);
  }
}
