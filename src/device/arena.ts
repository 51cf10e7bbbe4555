/** The sizes of the slabs that an executable wants, in bytes. */
export type Slabs = readonly number[];

/** Where buffers come from. */
interface Memory {
  create(bytes: number, label: string): GPUBuffer;
  destroy(buffer: GPUBuffer): void;
}

/**
 * Slabs that all executables of a device share: they run one after another, and nothing in a slab outlives its run. There is
 * one buffer for each slab, as large as the largest of them wants it; a larger one takes its place, and those that ran in
 * it move at their next run.
 */
export class Arena {
  readonly #memory: Memory;
  readonly #users = new Set<Slabs>();
  readonly #buffers: (GPUBuffer | undefined)[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** The buffers that are allocated now. */
  get buffers(): GPUBuffer[] {
    return this.#buffers.filter((buffer) => buffer !== undefined);
  }

  /** Registers a user of these slabs. */
  join(slabs: Slabs): void {
    this.#users.add(slabs);
  }

  /** Unregisters a user; frees buffers that are more than twice as large as any other user needs. */
  leave(slabs: Slabs): void {
    this.#users.delete(slabs);
    for (const [i, buffer] of this.#buffers.entries())
      if (buffer && buffer.size > 2 * this.#wanted(i)) this.#dropOne(i);
  }

  /** Allocates what buffers these slabs still lack. */
  reserve(slabs: Slabs): void {
    for (const i of slabs.keys()) this.at(i, slabs);
  }

  /** The buffer of a slab, at least as large as it says in `slabs`. */
  at(i: number, slabs: Slabs): GPUBuffer {
    const wanted = slabs[i] as number;
    const existing = this.#buffers[i];
    if (existing && existing.size >= wanted) return existing;
    // Frees the old buffer before the new one is made: there need not be room for both.
    this.#dropOne(i);
    const buffer = this.#memory.create(wanted, `weft slab ${i}`);
    this.#buffers[i] = buffer;
    return buffer;
  }

  /** Frees all buffers, or the given one if it is a slab's; the next run allocates anew. */
  drop(buffer?: GPUBuffer): void {
    for (const [i, each] of this.#buffers.entries()) if (!buffer || each === buffer) this.#dropOne(i);
  }

  #wanted(i: number): number {
    let most = 0;
    for (const slabs of this.#users) most = Math.max(most, slabs[i] ?? 0);
    return most;
  }

  #dropOne(i: number): void {
    const buffer = this.#buffers[i];
    if (buffer) this.#memory.destroy(buffer);
    this.#buffers[i] = undefined;
  }
}
