import bitonic from '../../shaders/sort/bitonic.wgsl' with { type: 'text' };
import insertion from '../../shaders/sort/insertion.wgsl' with { type: 'text' };
import merge from '../../shaders/sort/merge.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { family } from './family.ts';
import type { BindingSource, Dispatch, KernelCall } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { powerOfTwo, roughly } from './lanes.ts';
import { loop } from './loopLimit.ts';
import './rankingLibrary.ts';

/** Each row of [rows, n]. */
export interface SortProblem {
  readonly rows: number;
  readonly n: number;
  readonly descending: boolean;
  readonly dtype: 'f32' | 'i32' | 'u32';
}

/**
 * input(0) [rows, n] → output(0) the same elements in order, output(1) the places in the row that they come from, i32 [rows, n].
 * Equal elements keep their order; NaN counts as more than infinity.
 */
export const sort = family<SortProblem>({
  name: 'sort',
  variants: {
    /** An invocation sorts a short chunk; longer rows are merged. */
    insertion: {
      call: (problem) => {
        const chunk = Math.min(problem.n, 16);
        return merged(problem, 'insertion', {
          source: insertion,
          constants: { SIZE: 8 },
          chunk,
          chunksPerGroup: 8,
          uniforms: { chunk },
          turns: loop(chunk, loop(chunk)),
        });
      },
    },
    /** A workgroup sorts a chunk; longer rows are merged. */
    bitonic: {
      unsupported: (_, { workgroupMemory }) => (workgroupMemory >= 16384 ? null : 'needs 16 KiB of workgroup memory'),
      call: (problem) => {
        const chunk = Math.max(64, powerOfTwo(problem.n, 2048));
        const size = Math.min(256, chunk / 2);
        const steps = Math.log2(chunk);
        return merged(problem, 'bitonic', {
          source: bitonic,
          constants: { SIZE: size, CHUNK: chunk },
          chunk,
          chunksPerGroup: 1,
          turns: 2 * loop(chunk / size) + loop(steps, loop(steps, loop(chunk / 2 / size))),
        });
      },
    },
  },
  select: (_, { selection }) => (selection === 'gpu' ? 'bitonic' : 'insertion'),
  shapeClass: ({ rows, n }) => roughly(rows, n),
});

/** What sorts the chunks. */
interface Chunks extends Pick<Dispatch, 'source' | 'constants' | 'uniforms' | 'turns'> {
  readonly chunk: number;
  readonly chunksPerGroup: number;
}

/** `orderOf` of the library is that of floats; integers are in order as they are, but for the sign. */
function orderOf(dtype: SortProblem['dtype']): Readonly<Record<string, string>> {
  if (dtype === 'f32') return {};
  const ascending = dtype === 'i32' ? 'bitcast<u32>(value) ^ 0x80000000u' : 'value';
  return {
    orderOf: `fn orderOf(value: ${dtype}) -> u32 { let order = ${ascending}; return select(~order, order, LARGEST); }`,
  };
}

/** Chunks, and from them runs of twice the length until one is the whole row: back and forth between two buffers, the outputs last. */
function merged({ rows, n, descending, dtype }: SortProblem, variant: string, chunks: Chunks): KernelCall {
  const { source, constants, uniforms, turns = 0, chunk, chunksPerGroup } = chunks;
  const perRow = Math.ceil(n / chunk);
  const merges = Math.ceil(Math.log2(perRow));
  const place = (stage: number): [BindingSource, BindingSource] => {
    if (stage === merges) return [output(0), output(1)];
    const first = 2 * ((merges - 1 - stage) % 2);
    return [scratch(first), scratch(first + 1)];
  };
  const settings = { constants: { Element: dtype, LARGEST: descending }, functions: orderOf(dtype) };
  const dispatches: Dispatch[] = [
    {
      kernel: `sort/${variant}`,
      source,
      ...settings,
      constants: { ...settings.constants, ...constants },
      bindings: [input(0), ...place(0)],
      uniforms: { rows, n, chunks: perRow, ...uniforms },
      workgroups: grid(Math.ceil((rows * perRow) / chunksPerGroup)),
      turns,
    },
  ];
  for (let stage = 1; stage <= merges; stage++) {
    dispatches.push({
      kernel: `sort/${variant}/merge`,
      source: merge,
      ...settings,
      bindings: [...place(stage - 1), ...place(stage)],
      uniforms: { rows, n, run: chunk * 2 ** (stage - 1) },
      workgroups: grid(Math.ceil((rows * n) / 64)),
      turns: loop(33),
    });
  }
  const buffers = 2 * Math.min(merges, 2);
  return { dispatches, ...(buffers > 0 && { scratch: new Array<number>(buffers).fill(rows * n * wordSize) }) };
}
