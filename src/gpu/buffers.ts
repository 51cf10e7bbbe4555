import { OutOfMemoryError } from '../errors.ts';
import { bufferUsage } from './flags.ts';

/** A range of a GPU buffer that holds one tensor. */
export interface Storage {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
  /** Gives the memory back; the range must not be used again. */
  release(): void;
}

const usage = bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST;

/** Buffers by size class, so that loops reuse memory. Sizes grow in steps of an eighth, so little is wasted. */
export class BufferPool {
  readonly #gpu: GPUDevice;
  readonly #free = new Map<number, GPUBuffer[]>();
  #liveBytes = 0;
  #pooledBytes = 0;
  #buffers = 0;
  #tensors = 0;
  /** Slabs that all plans of the device share: plans run one after another, and nothing in a slab outlives its plan. */
  readonly #arena: GPUBuffer[] = [];
  /** Buffers to destroy later: see `keepingAll`. */
  #postponed: GPUBuffer[] | null = null;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  /** A buffer of at least `bytes`; its contents are undefined. */
  allocate(bytes: number, label: string): Storage {
    const size = sizeClass(bytes);
    const reused = this.#free.get(size)?.pop();
    if (reused) this.#pooledBytes -= size;
    const buffer = reused ?? this.#create(size, label);
    this.#liveBytes += size;
    this.#tensors++;
    let released = false;
    return {
      buffer,
      offset: 0,
      bytes,
      release: () => {
        if (released) return;
        released = true;
        this.#liveBytes -= size;
        this.#tensors--;
        this.#pooledBytes += size;
        const list = this.#free.get(size);
        if (list) list.push(buffer);
        else this.#free.set(size, [buffer]);
      },
    };
  }

  /** A zeroed buffer that is not pooled: parts of plans. */
  create(bytes: number, label: string, extraUsage = 0): GPUBuffer {
    const size = Math.ceil(bytes / 256) * 256;
    this.#liveBytes += size;
    return this.#create(size, label, extraUsage);
  }

  destroy(buffer: GPUBuffer): void {
    this.#liveBytes -= buffer.size;
    this.#destroy(buffer);
  }

  /** Nothing is destroyed before `work` is over: for what runs again later, though its plan may have gone meanwhile. */
  async keepingAll<T>(work: () => Promise<T>): Promise<T> {
    const postponed: GPUBuffer[] = [];
    this.#postponed = postponed;
    try {
      return await work();
    } finally {
      this.#postponed = null;
      for (const buffer of postponed) this.#destroy(buffer);
    }
  }

  /** One buffer for each slab, at least as large as asked; larger plans replace them, and older plans keep theirs. */
  arena(slabs: readonly number[]): GPUBuffer[] {
    return slabs.map((bytes, i) => {
      const existing = this.#arena[i];
      if (existing && existing.size >= bytes) return existing;
      const buffer = this.create(bytes, `weft slab ${i}`);
      this.#arena[i] = buffer;
      return buffer;
    });
  }

  /** Fills the slabs with a pattern that is NaN as f32 and absurd as an index: for tests that look for stale reads. */
  poison(): void {
    for (const buffer of this.#arena)
      this.#gpu.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / 4).fill(0x7fc0dead));
  }

  /** Drops pooled buffers. */
  trim(): void {
    for (const list of this.#free.values()) for (const buffer of list) this.#destroy(buffer);
    this.#free.clear();
    this.#pooledBytes = 0;
  }

  report(): { liveBytes: number; pooledBytes: number; buffers: number; tensors: number } {
    return {
      liveBytes: this.#liveBytes,
      pooledBytes: this.#pooledBytes,
      buffers: this.#buffers,
      tensors: this.#tensors,
    };
  }

  #destroy(buffer: GPUBuffer): void {
    if (this.#postponed) {
      this.#postponed.push(buffer);
      return;
    }
    this.#buffers--;
    buffer.destroy();
  }

  #create(size: number, label: string, extraUsage = 0): GPUBuffer {
    const { maxBufferSize } = this.#gpu.limits;
    if (size > maxBufferSize) {
      throw new OutOfMemoryError(
        `[device] ${label} needs a buffer of ${size} bytes; this device allows ${maxBufferSize}. Use smaller batches or a smaller model`,
      );
    }
    this.#buffers++;
    return this.#gpu.createBuffer({ label, size, usage: usage | extraUsage });
  }
}

function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}
