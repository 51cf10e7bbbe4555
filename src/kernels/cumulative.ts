import scan from '../../shaders/cumulative/scan.wgsl' with { type: 'text' };
import serial from '../../shaders/cumulative/serial.wgsl' with { type: 'text' };
import type { Family, KernelCall } from './kernel.ts';
import { grid, input, output } from './kernel.ts';
import { loopLimit, tooManyIterations } from './loops.ts';
import { roughly } from './rows.ts';

/** Cumulative sums along the middle axis of [outer, n, inner], from the start or, with `reverse`, from the end. */
export interface CumsumProblem {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly reverse: boolean;
  readonly dtype: 'f32' | 'i32' | 'u32';
}

/** input(0) [outer, n, inner] → output(0) of the same shape and dtype. */
export const cumsum: Family<CumsumProblem> = {
  name: 'cumsum',
  variants: {
    /** An invocation for each line. */
    serial: {
      unsupported: ({ n }, profile) => tooManyIterations(n, profile),
      call: (problem) => dispatch(problem, 'serial', serial, 64, 64),
    },
    /** A workgroup for each line. */
    scan: { call: (problem) => dispatch(problem, 'scan', scan, 256, 1) },
  },
  select: ({ outer, n, inner }, { selection }) => {
    if (selection === 'software') return n <= loopLimit ? 'serial' : 'scan';
    return n >= 256 && outer * inner < 4096 ? 'scan' : 'serial';
  },
  shapeClass: ({ outer, n, inner }) => roughly(outer, n, inner),
};

function dispatch(problem: CumsumProblem, name: string, source: string, SIZE: number, lines: number): KernelCall {
  const { outer, n, inner, reverse, dtype } = problem;
  return {
    dispatches: [
      {
        kernel: `cumsum/${name}`,
        source,
        constants: { Element: dtype, SIZE, REVERSE: reverse },
        bindings: [input(0), output(0)],
        uniforms: { outer, n, inner },
        workgroups: grid(Math.ceil((outer * inner) / lines)),
      },
    ],
  };
}
