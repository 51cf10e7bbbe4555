import type { BufferPool } from '../device/buffers.ts';
import type { RecordedCommand, RecordedDispatch, Recorder } from '../device/recorder.ts';
import { readTimestamps } from './timestamps.ts';

/** Dispatches between two timestamps: a query set holds at most 4096. */
const perQuerySet = 2048;

/**
 * Encodes a plan's commands while a function is profiled: each dispatch gets a pass of its own, and a timestamp on each
 * side.
 */
export class DispatchRecorder implements Recorder {
  readonly dispatches: RecordedDispatch[] = [];
  readonly #device: { readonly gpu: GPUDevice; readonly buffers: BufferPool };
  readonly #timestamps: boolean;
  readonly #querySets: GPUQuerySet[] = [];

  constructor(device: { readonly gpu: GPUDevice; readonly buffers: BufferPool }, timestamps: boolean) {
    this.#device = device;
    this.#timestamps = timestamps;
  }

  encode(command: RecordedCommand, encoder: GPUCommandEncoder): void {
    if (command.kind === 'copy') {
      const { from, to, bytes } = command;
      encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
      return;
    }
    const pass = encoder.beginComputePass({ label: command.label, ...(this.#timestamps && this.#stamps()) });
    pass.setPipeline(command.pipeline);
    pass.setBindGroup(0, command.group);
    pass.dispatchWorkgroups(...command.workgroups);
    pass.end();
    this.dispatches.push(command);
  }

  #stamps(): { timestampWrites: GPUComputePassTimestampWrites } {
    const at = this.dispatches.length % perQuerySet;
    if (at === 0) {
      const label = 'weft profile';
      this.#querySets.push(this.#device.gpu.createQuerySet({ label, type: 'timestamp', count: 2 * perQuerySet }));
    }
    const querySet = this.#querySets.at(-1) as GPUQuerySet;
    return { timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * at, endOfPassWriteIndex: 2 * at + 1 } };
  }

  /** Nanoseconds at which each dispatch began and ended; the last submit must have been made. */
  async times(): Promise<readonly (readonly [begin: bigint, end: bigint])[]> {
    const found: [bigint, bigint][] = [];
    for (const [i, querySet] of this.#querySets.entries()) {
      const count = Math.min(perQuerySet, this.dispatches.length - i * perQuerySet);
      const values = await readTimestamps(this.#device, querySet, 2 * count);
      for (let j = 0; j < count; j++) found.push([values[2 * j] as bigint, values[2 * j + 1] as bigint]);
      querySet.destroy();
    }
    return found;
  }
}
