import type { Run } from '../runs.ts';

/** The run of test/runs.ts that this file is part of, from `WEFT_RUNTIME`. */
const run = import.meta.env.WEFT_RUNTIME as Run['runtime'];

/** Which WebGPU stack runs this file: Chromium (Tint, Dawn), Deno or Firefox (naga, wgpu), or Node (Tint, Dawn). */
export const runtime = run === 'worker' ? 'deno' : run;

/** Whether this run has the chosen part of the tests: few cases of what has many. */
export const isChosenPart = run !== 'chromium' && run !== 'deno';

export const hasFiles = runtime === 'deno' || runtime === 'node';

/** The kernel selection profile that this run pins, from `WEFT_PROFILE`. */
export const profile: 'gpu' | 'software' = import.meta.env.WEFT_PROFILE === 'gpu' ? 'gpu' : 'software';

/** Seed for inputs that are drawn afresh in each run; the runner prints it, and `WEFT_SEED` repeats it. */
export const seed = Number(import.meta.env.WEFT_SEED);

/** Whether `--soak` asks for the long form of the tests that attack files and processes. */
export const soak = import.meta.env.WEFT_SOAK === '1';

/** The random graphs of this run, by number: those that `--fuzz` asks for, else a share of its own of a few hundred. */
export const fuzz: { readonly start: number; readonly end: number } = graphsOf(import.meta.env.WEFT_FUZZ ?? '');

function graphsOf(asked: string): { start: number; end: number } {
  // A pipeline takes Chromium ten times as long as Deno.
  const shares: Record<string, [number, number]> = {
    'deno software': [0, 105],
    'deno gpu': [105, 210],
    'chromium software': [210, 225],
    'chromium gpu': [225, 240],
    'firefox software': [240, 260],
    'node software': [260, 270],
    'worker software': [270, 290],
  };
  const [start, end] = shares[`${run} ${profile}`] as [number, number];
  if (asked === '') return { start, end };
  const [first, last] = asked.split('-').map(Number) as [number, number?];
  return last === undefined ? { start: 0, end: first } : { start: first, end: last + 1 };
}
