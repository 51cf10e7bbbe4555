/** Groups of steps that may be under way at once. */
const groupsInFlight = 2;
/**
 * Work in a group, as far as known. A queue is asked once per group whether it is done, since the answer can take this
 * long though the work does not: Deno looks every 10 ms.
 */
const groupMs = 10;
const mostSteps = 16;

/** Keeps a loop of steps from running far ahead of the GPU: two steps, or 20 ms of short ones. */
export class BackPressure {
  readonly #queue: Pick<GPUQueue, 'onSubmittedWorkDone'>;
  readonly #now: () => number;
  readonly #groups: { done: Promise<unknown>; steps: number }[] = [];
  /** Steps submitted since the last group was closed, and steps to a group. */
  #open = 0;
  #size = 1;
  #lastDone = 0;

  constructor(queue: Pick<GPUQueue, 'onSubmittedWorkDone'>, now = () => performance.now()) {
    this.#queue = queue;
    this.#now = now;
  }

  /** Waits until another step may be submitted. */
  async room(): Promise<void> {
    for (let group = this.#groups[0]; group && this.#groups.length >= groupsInFlight; group = this.#groups[0]) {
      this.#groups.shift();
      await group.done;
      const now = this.#now();
      const ms = (now - this.#lastDone) / group.steps;
      this.#lastDone = now;
      this.#size = Math.max(1, Math.min(mostSteps, Math.floor(groupMs / ms)));
    }
  }

  /** Called after each submit. */
  submitted(): void {
    if (++this.#open < this.#size) return;
    this.#groups.push({ done: this.#queue.onSubmittedWorkDone(), steps: this.#open });
    this.#open = 0;
  }
}
