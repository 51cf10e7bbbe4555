import { wordSize } from '../core/dtype.ts';
import { OutOfMemoryError } from '../core/errors.ts';
import { answered } from './answered.ts';
import { Arena } from './arena.ts';
import { pressure } from './ballast.ts';
import { bufferUsage } from './flags.ts';

/** Where something begins in a GPU buffer. */
export interface BufferRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** A range of a GPU buffer that holds one tensor. */
export interface Storage extends BufferRange {
  readonly bytes: number;
  /** Gives the memory back; the range must not be used again. */
  release(): void;
}

const storageUsage = bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST;
/** Bytes that the pool may keep unused even if fewer are in use. */
const leastPool = 2 ** 27;

/** Bytes of tensors below which growth never waits for the garbage collector. */
const leastGrowth = 2 ** 26;
/** Milliseconds that the collector has to find something. */
const patience = 500;

/** How often the collector is asked meanwhile. */
const mostPressure = 40;

/** A group of allocations that succeed or fail together. */
interface Securing {
  /** The answer of the device to each allocation: an error, or null. */
  readonly answers: Promise<OutOfMemoryError | null>[];
  /** Calls that free every allocation of the group. */
  readonly undos: (() => void)[];
}

/**
 * All buffers of a device: every one is created, counted and destroyed here. Those of tensors are kept by size class when
 * they are released, so that loops reuse memory; sizes grow in steps of an eighth, so little is wasted.
 *
 * Whether a device had the memory for a buffer shows only later. One that it had not is told of as an OutOfMemoryError, and
 * is never handed out again: see `secured`.
 */
export class BufferPool {
  readonly #gpu: GPUDevice;
  /** Of the device, for those who wait for what lies in buffers. */
  readonly queue: GPUQueue;
  /** Hears of memory that could not be had, where nobody waits for it. */
  readonly #report: (error: OutOfMemoryError) => void;
  /** Slabs that all plans of the device share. */
  readonly arena: Arena;
  readonly #free = new Map<number, GPUBuffer[]>();
  /** The pooled buffers, those first that have lain unused the longest. */
  readonly #unused = new Set<GPUBuffer>();
  readonly #failed = new WeakSet<GPUBuffer>();
  #liveBytes = 0;
  #pooledBytes = 0;
  #buffers = 0;
  #tensors = 0;
  #tensorBytes = 0;
  /** Bytes of tensors above which allocation next waits for the garbage collector. */
  #grownAt = leastGrowth;
  #securing: Securing | null = null;
  /** Buffers to destroy later: see `keepingAll`. */
  #postponed: GPUBuffer[] | null = null;

  constructor(gpu: GPUDevice, report: (error: OutOfMemoryError) => void) {
    this.#gpu = gpu;
    this.queue = gpu.queue;
    this.#report = report;
    // Slabs are nobody's own: they stay when what has asked for them could not be had as a whole.
    this.arena = new Arena({
      create: (bytes, label) => this.#create(bytes, label),
      destroy: (buffer) => this.destroy(buffer),
    });
  }

  /** Memory for a tensor of `bytes`; its contents are undefined. */
  allocate(bytes: number, label: string): Storage {
    const size = sizeClass(bytes);
    const buffer = this.#reuse(size) ?? this.#create(size, label);
    this.#tensors++;
    this.#tensorBytes += size;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.#tensors--;
      this.#tensorBytes -= size;
      this.#keep(buffer);
    };
    this.#securing?.undos.push(release);
    return { buffer, offset: 0, bytes, release };
  }

  /** A zeroed buffer of its own, which the caller destroys: parts of plans, staging buffers. */
  create(bytes: number, label: string, usage = storageUsage): GPUBuffer {
    const buffer = this.#create(bytes, label, usage);
    this.#securing?.undos.push(() => this.destroy(buffer));
    return buffer;
  }

  destroy(buffer: GPUBuffer): void {
    if (this.#postponed) {
      this.#postponed.push(buffer);
      return;
    }
    this.#buffers--;
    this.#liveBytes -= buffer.size;
    buffer.destroy();
  }

  /**
   * What `make` allocates, once it is known that the device had the memory for all of it. Where it had not, or where `make`
   * throws, everything is given back. For want of memory what lies unused is dropped, too, and `make` tries once more; where
   * that fails as well, rejects with an OutOfMemoryError. `make` is to allocate and do nothing else: what uses a buffer that
   * could not be had is an error of its own.
   */
  async secured<Made>(make: () => Made): Promise<Made> {
    if (this.#tensorBytes > this.#grownAt) await this.#lookForGarbage();
    for (let again = false; ; again = true) {
      const { made, answers, undo } = this.#secure(make);
      if (answers.length === 0) return made;
      const error = (await Promise.all(answers)).find((each) => each !== null);
      if (!error) return made;
      undo();
      if (again) throw error;
      this.trim();
      this.arena.drop();
      // Memory that is being worked with is given back at the end of the work.
      await answered(this.queue, this.queue.onSubmittedWorkDone());
    }
  }

  /**
   * Gives the garbage collector time to free tensors that nobody holds: a loop may make them faster than it runs. What is
   * held may grow to twice as much before the next time.
   */
  async #lookForGarbage(): Promise<void> {
    const end = performance.now() + patience;
    const held: unknown[] = [];
    while (this.#tensorBytes > this.#grownAt / 2 && performance.now() < end) {
      if (held.length < mostPressure) held.push(pressure());
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.#grownAt = Math.max(leastGrowth, 2 * this.#tensorBytes);
  }

  #secure<Made>(make: () => Made): { made: Made; answers: Securing['answers']; undo: () => void } {
    const securing: Securing = { answers: [], undos: [] };
    const { answers, undos } = securing;
    this.#securing = securing;
    const undo = () => {
      for (const each of undos) each();
    };
    try {
      return { made: make(), answers, undo };
    } catch (error) {
      undo();
      throw error;
    } finally {
      this.#securing = null;
    }
  }

  /** Postpones the destruction of buffers until `work` is over: it may run a plan again that has gone meanwhile. */
  async keepingAll<T>(work: () => Promise<T>): Promise<T> {
    const postponed: GPUBuffer[] = [];
    this.#postponed = postponed;
    try {
      return await work();
    } finally {
      this.#postponed = null;
      for (const buffer of postponed) this.destroy(buffer);
    }
  }

  /** Fills the slabs with a pattern that is NaN as f32 and absurd as an index: for tests that look for stale reads. */
  poison(): void {
    for (const buffer of this.arena.buffers)
      this.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / wordSize).fill(0x7fc0dead));
  }

  /** Drops pooled buffers. */
  trim(): void {
    while (this.#unused.size > 0) this.#dropOldest();
  }

  report(): { liveBytes: number; pooledBytes: number; buffers: number; tensors: number } {
    return {
      liveBytes: this.#liveBytes - this.#pooledBytes,
      pooledBytes: this.#pooledBytes,
      buffers: this.#buffers,
      tensors: this.#tensors,
    };
  }

  #create(bytes: number, label: string, usage = storageUsage): GPUBuffer {
    const size = Math.ceil(bytes / 256) * 256;
    const { maxBufferSize } = this.#gpu.limits;
    if (size > maxBufferSize) {
      throw new OutOfMemoryError(
        `[device] ${label} needs a buffer of ${size} bytes; this device allows ${maxBufferSize}. Use smaller batches or a smaller model`,
      );
    }
    this.#gpu.pushErrorScope('out-of-memory');
    const buffer = this.#gpu.createBuffer({ label, size, usage });
    this.#buffers++;
    this.#liveBytes += size;
    const answer = this.#gpu.popErrorScope().then(
      (error) => (error ? this.#refused(buffer, error) : null),
      // A lost device says so elsewhere.
      () => null,
    );
    if (this.#securing) this.#securing.answers.push(answer);
    else answer.then((error) => error && this.#report(error));
    return buffer;
  }

  #reuse(size: number): GPUBuffer | undefined {
    const buffer = this.#free.get(size)?.pop();
    if (!buffer) return undefined;
    this.#unused.delete(buffer);
    this.#pooledBytes -= size;
    return buffer;
  }

  /** Keeps a buffer for the next tensor of its size; never more bytes than are in use, but for a few. */
  #keep(buffer: GPUBuffer): void {
    if (this.#failed.has(buffer)) {
      this.destroy(buffer);
      return;
    }
    const { size } = buffer;
    const list = this.#free.get(size);
    if (list) list.push(buffer);
    else this.#free.set(size, [buffer]);
    this.#unused.add(buffer);
    this.#pooledBytes += size;
    while (this.#pooledBytes > Math.max(leastPool, this.#liveBytes - this.#pooledBytes)) this.#dropOldest();
  }

  #dropOldest(): void {
    const [buffer] = this.#unused as Iterable<GPUBuffer> as [GPUBuffer];
    this.#forget(buffer);
    this.destroy(buffer);
  }

  /** Takes an unused buffer out of the pool. */
  #forget(buffer: GPUBuffer): void {
    const list = this.#free.get(buffer.size) as GPUBuffer[];
    list.splice(list.indexOf(buffer), 1);
    if (list.length === 0) this.#free.delete(buffer.size);
    this.#unused.delete(buffer);
    this.#pooledBytes -= buffer.size;
  }

  #refused(buffer: GPUBuffer, { message }: GPUError): OutOfMemoryError {
    this.#failed.add(buffer);
    this.arena.drop(buffer);
    // The buffer may be in use again meanwhile.
    if (this.#unused.has(buffer)) {
      this.#forget(buffer);
      this.destroy(buffer);
    }
    const { liveBytes, pooledBytes } = this.report();
    return new OutOfMemoryError(
      `[device] out of GPU memory: ${buffer.label} needs ${buffer.size} bytes, beside ${liveBytes - buffer.size} in use and ${pooledBytes} kept for reuse (${message}). Use smaller batches or a smaller model; nothing else has changed`,
    );
  }
}

function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}
