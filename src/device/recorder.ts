import type { BufferRange } from './buffers.ts';

/** A dispatch as the profiler sees it. */
export interface RecordedDispatch {
  readonly kind: 'dispatch';
  /** The op that it is of. */
  readonly label: string;
  /** family/variant[/stage] */
  readonly kernel: string;
  /** The ops that run in the same kernel. */
  readonly fused: readonly string[];
  readonly workgroups: readonly [number, number, number];
  /** A letter for each storage binding: `r` read, `w` read and write. */
  readonly access: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly layout: GPUBindGroupLayout;
  /** The uniform block, then the storage bindings. */
  readonly bindings: readonly Required<GPUBufferBinding>[];
}

export type RecordedCommand =
  | RecordedDispatch
  | { readonly kind: 'copy'; readonly from: BufferRange; readonly to: BufferRange; readonly bytes: number };

/** Takes the place of a plan's encoding while somebody watches: see `profile`. */
export interface Recorder {
  encode(command: RecordedCommand, encoder: GPUCommandEncoder): void;
}
