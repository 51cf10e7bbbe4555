import backward from '../../shaders/crossEntropy/backward.wgsl' with { type: 'text' };
import forward from '../../shaders/crossEntropy/forward.wgsl' with { type: 'text' };
import type { Dispatch, Family } from './kernel.ts';
import { grid, input, output, status } from './kernel.ts';
import { fewThreads, rowLanes, vectors } from './reduce.ts';
import { foldVector } from './softmax.ts';

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

type Call = (problem: CrossEntropyProblem, variant: string, lanes: number, size: number) => Dispatch;

const vectorFunctions = {
  forward: {
    ...foldVector,
    logitAt: 'fn logitAt(start: u32, j: u32) -> f32 { return logits[start + j / 4u][j % 4u]; }',
  },
  backward: {
    oneHot:
      'fn oneHot(j: u32, label: u32) -> Element { return select(vec4(0.0), vec4(1.0), 4u * j + vec4(0u, 1u, 2u, 3u) == vec4(label)); }',
  },
};

/** What forward and backward have in common. */
function rowDispatch(problem: CrossEntropyProblem, stage: 'forward' | 'backward', lanes: number, size: number) {
  const { rows, V, ignoreIndex, labelSmoothing, targetDType } = problem;
  const vector = V % 4 === 0;
  return {
    constants: { Element: vector ? 'vec4<f32>' : 'f32', Index: targetDType, SIZE: size, LANES: lanes },
    functions: vector ? vectorFunctions[stage] : {},
    uniforms: { rows, V, n: vector ? V / 4 : V, ignoreIndex, labelSmoothing },
    workgroups: grid(Math.ceil((rows * lanes) / size)),
  };
}

const forwardDispatch: Call = (problem, variant, lanes, size) => {
  const common = rowDispatch(problem, 'forward', lanes, size);
  return {
    ...common,
    kernel: `crossEntropy/${variant}`,
    source: forward,
    bindings: [output(0), output(1), output(2), input(0), input(1), status],
    uniforms: { ...common.uniforms, statusCode: 0 },
  };
};

const backwardDispatch: Call = (problem, variant, lanes, size) => {
  const common = rowDispatch(problem, 'backward', lanes, size);
  return {
    ...common,
    kernel: `crossEntropyBackward/${variant}`,
    source: backward,
    bindings: [output(0), input(0), input(1), input(2), input(3)],
    uniforms: { ...common.uniforms, dLossStride: problem.dLossStride ?? 1 },
  };
};

const family = (name: string, call: Call): Family<CrossEntropyProblem> => ({
  name,
  variants: {
    /** A thread for each row. */
    thread: {
      call: (problem) => ({ dispatches: [call(problem, 'thread', ...fewThreads(2 * vectors(problem.V)))] }),
    },
    /** Up to a workgroup for each row. */
    rows: { call: (problem) => ({ dispatches: [call(problem, 'rows', rowLanes(problem.V), 256)] }) },
  },
  select: (_, { selection }) => (selection === 'gpu' ? 'rows' : 'thread'),
});

/** input(0) logits, input(1) targets → output(0) loss [rows], output(1) log Σ exp(logits) [rows], output(2) weight [rows]: 1, or 0 for an ignored row. */
export const crossEntropy = family('crossEntropy', forwardDispatch);

/** input(0) logits, input(1) targets, input(2) log Σ exp(logits), input(3) dloss [rows] → output(0) dlogits [rows, V]. */
export const crossEntropyBackward = family('crossEntropyBackward', backwardDispatch);
