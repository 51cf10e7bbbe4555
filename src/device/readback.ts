import { answered } from './answered.ts';
import type { BufferPool } from './buffers.ts';
import type { Device } from './device.ts';
import { bufferUsage, mapMode } from './flags.ts';
import type { Verdict } from './status.ts';

/** A range to bring to the host. */
export interface ReadRequest {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * A staging buffer that a plan's small results are copied to within its own submit, so that reading them later costs one
 * `mapAsync`. It serves one step at a time; `generation` tells which.
 */
export class Staging {
  readonly buffer: GPUBuffer;
  generation = 0;
  #reading: Promise<ArrayBuffer> | null = null;

  readonly #buffers: BufferPool;

  constructor(buffers: BufferPool, bytes: number) {
    this.#buffers = buffers;
    this.buffer = buffers.create(bytes, 'weft staging', bufferUsage.COPY_DST | bufferUsage.MAP_READ);
  }

  /** True while a read is under way: copying into the buffer then would be an error. */
  get busy(): boolean {
    return this.#reading !== null;
  }

  /** All bytes of the step that the buffer holds; several reads share one mapping. */
  read(): Promise<ArrayBuffer> {
    this.#reading ??= answered(this.#buffers.queue, this.buffer.mapAsync(mapMode.READ)).then(
      () => {
        const bytes = this.buffer.getMappedRange().slice(0);
        this.buffer.unmap();
        this.#reading = null;
        return bytes;
      },
      (error: unknown) => {
        this.#reading = null;
        throw error;
      },
    );
    return this.#reading;
  }

  /** Gives the memory back, once a read that is under way has its bytes. Later ones find another generation. */
  destroy(): void {
    this.generation++;
    const destroy = () => this.#buffers.destroy(this.buffer);
    if (this.#reading) this.#reading.then(destroy, destroy);
    else destroy();
  }
}

/** Staging buffers that are kept for the next read, and the bytes that they may have in all. */
const keptStagings = 8;
const keptBytes = 2 ** 25;

/** Bytes of a staging buffer that a range takes. */
const roomFor = ({ bytes }: Pick<ReadRequest, 'bytes'>) => Math.ceil(bytes / 16) * 16;

/** Brings values to the host through pooled staging buffers. */
export class Readback {
  readonly #device: Device;
  /** The free buffers, the last used at the end. */
  readonly #free: Staging[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  /**
   * Copies in one submit, and waits for one `mapAsync`. `now` tells where the ranges lie once there is a buffer for them.
   */
  async read(requests: readonly ReadRequest[], now = () => requests): Promise<ArrayBuffer[]> {
    await this.#device.checked();
    const staging = await this.stagingFor(requests);
    return this.copy(now(), staging);
  }

  /** Takes a buffer with room for the requests; `copy` gives it back. */
  async stagingFor(requests: readonly Pick<ReadRequest, 'bytes'>[]): Promise<Staging> {
    const bytes = requests.reduce((sum, each) => sum + roomFor(each), 0);
    const at = this.#free.findIndex(({ buffer: { size } }) => size >= bytes && size <= 4 * bytes + 1024);
    if (at >= 0) return this.#free.splice(at, 1)[0] as Staging;
    const { buffers } = this.#device;
    return buffers.secured(() => new Staging(buffers, Math.max(1024, bytes)));
  }

  /** Copies at once, behind all that was submitted, and brings the copy to the host later. */
  async copy(requests: readonly ReadRequest[], staging: Staging): Promise<ArrayBuffer[]> {
    const offsets: number[] = [];
    let bytes = 0;
    for (const request of requests) {
      offsets.push(bytes);
      bytes += roomFor(request);
    }
    const encoder = this.#device.gpu.createCommandEncoder({ label: 'weft readback' });
    for (const [i, { buffer, offset, bytes: length }] of requests.entries())
      encoder.copyBufferToBuffer(buffer, offset, staging.buffer, offsets[i] as number, length);
    this.#device.gpu.queue.submit([encoder.finish()]);
    try {
      const all = await this.#device.guarded(staging.read());
      return requests.map(({ bytes: length }, i) => {
        const offset = offsets[i] as number;
        return all.slice(offset, offset + length);
      });
    } finally {
      this.#giveBack(staging);
    }
  }

  #giveBack(staging: Staging): void {
    this.#free.push(staging);
    const bytes = () => this.#free.reduce((sum, { buffer }) => sum + buffer.size, 0);
    while (this.#free.length > keptStagings || bytes() > keptBytes) this.#free.shift()?.destroy();
  }

  /**
   * Reads what became of earlier submits, where `verdicts` say that one whose results nobody has read has something to
   * tell.
   */
  async learnEarlier(verdicts: readonly Verdict[]): Promise<void> {
    if (!verdicts.some(({ tellsOfEarlier }) => tellsOfEarlier)) return;
    const { range, bytes, learn } = this.#device.status.snapshot();
    const [words] = (await this.read([{ ...range, bytes }])) as [ArrayBuffer];
    learn(new Uint32Array(words));
    for (const verdict of verdicts) verdict.knowsEarlier();
  }
}
