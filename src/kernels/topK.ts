import insertion from '../../shaders/topK/insertion.wgsl' with { type: 'text' };
import sort from '../../shaders/topK/sort.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import { family } from './family.ts';
import type { DeviceProfile, Dispatch, KernelCall } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop, timesIn } from './loopLimit.ts';
import './rankingLibrary.ts';

/** The k ≤ 1024 largest or smallest of each row of [rows, n]. */
export interface TopKProblem {
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  readonly largest: boolean;
}

/**
 * input(0) f32 [rows, n] → output(0) values f32 [rows, k], best first, output(1) their indices i32 [rows, k]. Equal values
 * keep the order of their indices.
 */
export const topK = family<TopKProblem>({
  name: 'topK',
  variants: {
    /** An invocation picks from a chunk; one in the wrong order takes k moves for each candidate. */
    insertion: {
      unsupported: ({ k }, profile) => {
        if (k > 128) return 'k > 128: too many moves for one invocation';
        return insertionChunk(k, profile) >= 2 * k
          ? null
          : `k = ${k}: too many moves for a limit of ${profile.loopLimit}`;
      },
      call: (problem, profile) => {
        const { n, k } = problem;
        const SIZE = profile.selection === 'software' ? 8 : 64;
        const chunk = Math.min(n, insertionChunk(k, profile));
        return tournament(problem, () => ({
          variant: 'insertion',
          source: insertion,
          constants: { SIZE },
          chunk,
          chunksPerGroup: SIZE,
          uniforms: { chunk },
          turns: loop(chunk, k + 1) + loop(k),
        }));
      },
    },
    /** A workgroup sorts a chunk. */
    sort: {
      unsupported: ({ k }, { workgroupMemory }) => {
        if (k > 1024) return 'k > 1024: a chunk of 2048 would not halve the candidates';
        return workgroupMemory >= 16384 ? null : 'needs 16 KiB of workgroup memory';
      },
      call: (problem) =>
        tournament(problem, (count) => {
          const CHUNK = count <= 128 ? 128 : count <= 512 ? 512 : 2048;
          const SIZE = Math.min(256, CHUNK / 2);
          const runs = Math.log2(CHUNK);
          return {
            variant: 'sort',
            source: sort,
            constants: { SIZE, CHUNK },
            chunk: CHUNK,
            chunksPerGroup: 1,
            turns: 2 * loop(CHUNK / SIZE) + loop(runs, loop(runs, loop(CHUNK / 2 / SIZE))),
          };
        }),
    },
  },
  select: ({ n, k }, { selection }) => (k <= 128 && (selection === 'software' || n * k <= 512) ? 'insertion' : 'sort'),
  shapeClass: ({ rows, n, k }) => roughly(rows, n, k),
});

/** Candidates of an invocation, which may have to move a whole list for each: as many as make one busy for long enough. */
const insertionChunk = (k: number, { loopLimit }: DeviceProfile): number =>
  timesIn(Math.min(loopLimit, 2 ** 16 - 1) - loop(k), k + 1);

/** What picks the best k of each chunk of candidates. */
interface Picker {
  readonly variant: string;
  readonly source: string;
  readonly constants: Readonly<Record<string, number>>;
  readonly uniforms?: Readonly<Record<string, number>>;
  /** Candidates to a chunk, at least 2k. */
  readonly chunk: number;
  readonly chunksPerGroup: number;
  readonly turns: number;
}

/** Stages, each over the winners of the one before, until a chunk holds all candidates of its row. */
function tournament({ rows, n, k, largest }: TopKProblem, pickerFor: (count: number) => Picker): KernelCall {
  const dispatches: Dispatch[] = [];
  const winners: number[] = [];
  let count = n;
  for (let stage = 0; ; stage++) {
    const { variant, source, constants, uniforms, chunk, chunksPerGroup, turns } = pickerFor(count);
    const chunks = Math.ceil(count / chunk);
    const candidates = 2 * (stage - 1);
    dispatches.push({
      kernel: `topK/${variant}/${stage}`,
      source,
      constants: { ...constants, LARGEST: largest },
      ...(stage > 0 && carriedIndices),
      bindings: [
        stage === 0 ? input(0) : scratch(candidates),
        ...(chunks === 1 ? [output(0), output(1)] : [scratch(candidates + 2), scratch(candidates + 3)]),
        ...(stage === 0 ? [] : [scratch(candidates + 1)]),
      ],
      uniforms: { rows, count, k, chunks, ...uniforms },
      workgroups: grid(Math.ceil((rows * chunks) / chunksPerGroup)),
      turns,
    });
    if (chunks === 1) return { dispatches, scratch: winners };
    count = chunks * k;
    winners.push(rows * count * wordSize, rows * count * wordSize);
  }
}

/** The first stage takes candidate j for index j; later ones read the indices that the winners carry. */
const carriedIndices = {
  declarations: bindingText(4, 'read', 'candidates', 'array<u32>'),
  functions: {
    candidate: 'fn candidate(row: u32, j: u32) -> u32 { return candidates[row * params.count + j]; }',
  },
};
