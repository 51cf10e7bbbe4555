import type { TuneReport } from '../../src/index.ts';
import type { Problem, ProblemOf } from '../suites/index.ts';

export const peerNames = ['tfjs', 'jax-js', 'onnxruntime-web'] as const;
export type PeerName = (typeof peerNames)[number];

/** A case made ready in one library: inputs on the GPU, everything compiled at the first run. */
export interface Work {
  /** Queues the work once, and gives back what the last run took, as the library's users would. */
  run(): void | Promise<void>;
  /** Submits what the library still holds back. */
  flush?(): void;
  /** The results of the last run, by the names that the reference uses, dense. */
  results(): Promise<Readonly<Record<string, ArrayLike<number>>>>;
  dispose(): void | Promise<void>;
  /** Finds the fastest kernels for the work on this device; only weft has that. */
  tune?(): Promise<TuneReport>;
  /** Something worth knowing, for the row: the kernels that were chosen. */
  note?: string;
  /** Bytes of the buffers for intermediate values, where the library plans them. */
  planBytes?: number;
}

/** A library with its device. */
export interface Library {
  readonly gpu: GPUDevice;
  /** Null where the library has no way to do it. */
  prepare(problem: Problem): Promise<Work> | null;
}

/** How a library does each kind of problem. */
export type Builders = {
  readonly [Kind in Problem['kind']]?: (problem: ProblemOf<Kind>) => Promise<Work>;
};

export function build(builders: Builders, problem: Problem): Promise<Work> | null {
  const builder = builders[problem.kind] as ((problem: Problem) => Promise<Work>) | undefined;
  return builder?.(problem) ?? null;
}

/** What the module of a peer exports. */
export interface PeerModule {
  /** Opens the library's own device. Throws where it can't. */
  open(): Promise<Library>;
}
