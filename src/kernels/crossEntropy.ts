import backward from '../../shaders/crossEntropy/backward.wgsl' with { type: 'text' };
import forward from '../../shaders/crossEntropy/forward.wgsl' with { type: 'text' };
import { family } from './family.ts';
import type { Dispatch } from './kernel.ts';
import { grid, input, output, status } from './kernel.ts';
import { elementsOf, fewLanes, manyLanes, roughly, rowsOf } from './lanes.ts';
import { loop } from './loopLimit.ts';

/** Logits [rows, V] against class indices [rows]. */
export interface CrossEntropyProblem {
  readonly rows: number;
  readonly V: number;
  /** Rows with this target count for nothing. */
  readonly ignoreIndex: number;
  /** ε of loss = (1 − ε) · −log p(target) + ε / V · Σ −log p. */
  readonly labelSmoothing: number;
  readonly targetDType: 'i32' | 'u32';
  /** Backward: elements from one row's dloss to the next; 0 where all rows share one. Default 1. */
  readonly dLossStride?: number;
}

const vectorFunctions = {
  logitAt: 'fn logitAt(start: u32, v: u32) -> f32 { return logits[start + v / 4u][v % 4u]; }',
};
const vectorFunctionsBackward = {
  ...vectorFunctions,
  elementOf: 'fn elementOf(v: u32) -> u32 { return v / 4u; }',
  writeAt: 'fn writeAt(start: u32, v: u32, value: f32) { output[start + v / 4u][v % 4u] = value; }',
};

type Layout = readonly [lanes: number, size: number];

/** What forward and backward have in common. */
function common({ rows, V, ignoreIndex, labelSmoothing, targetDType }: CrossEntropyProblem, [lanes, size]: Layout) {
  const { constants, functions, n, pieces, meeting, workgroups } = rowsOf(rows, V, 1, lanes, size);
  return {
    constants: { ...constants, Index: targetDType },
    functions,
    uniforms: { rows, n, pieces, V, ignoreIndex, labelSmoothing },
    workgroups: grid(workgroups),
    turns: loop(pieces) + meeting,
  };
}

function forwardDispatch(problem: CrossEntropyProblem, variant: string, layout: Layout): Dispatch {
  const { constants, functions, uniforms, ...extent } = common(problem, layout);
  return {
    kernel: `crossEntropy/${variant}`,
    source: forward,
    constants: { ...constants, SMOOTH: problem.labelSmoothing > 0 },
    functions: { ...functions, ...(problem.V % 4 === 0 && vectorFunctions) },
    bindings: [output(0), output(1), output(2), input(0), input(1), status],
    uniforms: { ...uniforms, statusCode: 0 },
    ...extent,
  };
}

function backwardDispatch(problem: CrossEntropyProblem, variant: string, layout: Layout): Dispatch {
  const { constants, functions, uniforms, ...extent } = common(problem, layout);
  return {
    kernel: `crossEntropyBackward/${variant}`,
    source: backward,
    constants,
    functions: { ...functions, ...(problem.V % 4 === 0 && vectorFunctionsBackward) },
    bindings: [output(0), input(0), input(1), input(2), input(3)],
    uniforms: { ...uniforms, dLossStride: problem.dLossStride ?? 1 },
    ...extent,
    // Of rows that lie side by side some count, and others get zeros.
    turns: loop(uniforms.pieces) + loop(4 * uniforms.pieces),
  };
}

const lossFamily = (name: string, call: typeof forwardDispatch) =>
  family<CrossEntropyProblem>({
    name,
    variants: {
      /** A lane for each row; more only for long rows. */
      thread: { call: (problem) => ({ dispatches: [call(problem, 'thread', fewLanes(elementsOf(problem.V)))] }) },
      /** Up to a workgroup for each row. */
      rows: { call: (problem) => ({ dispatches: [call(problem, 'rows', manyLanes(elementsOf(problem.V)))] }) },
    },
    select: (_, { selection }) => (selection === 'gpu' ? 'rows' : 'thread'),
    shapeClass: ({ rows, V }) => roughly(rows, V),
  });

/**
 * input(0) logits, input(1) targets → output(0) loss [rows], output(1) statistics [rows, 2] of the maximum m and
 * log Σ exp(logits − m), output(2) weight [rows]: 1, or 0 for an ignored row.
 */
export const crossEntropy = lossFamily('crossEntropy', forwardDispatch);

/** input(0) logits, input(1) targets, input(2) statistics, input(3) dloss [rows] → output(0) dlogits [rows, V]. */
export const crossEntropyBackward = lossFamily('crossEntropyBackward', backwardDispatch);
