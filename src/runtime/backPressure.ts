import { answered } from '../device/answered.ts';
import { deno } from '../device/deno.ts';

/**
 * Steps that may be under way at once: `fewest` long ones, so that a loop that is stopped ends soon, and `mostInFlight`
 * short ones.
 */
const fewest = 2;
export const mostInFlight = 8;
/**
 * Milliseconds below which a step is short. Chromium takes up to 2 ms to answer that a step is done; a device without more
 * to do would idle meanwhile.
 */
const short = 10;

/** Deno's, which the types of a page don't know. */
const { setImmediate } = globalThis as { setImmediate?: (callback: (value?: unknown) => void) => unknown };

/** Resolves in the next turn of the event loop; a timer would take 2 ms in Deno. */
const nextTurn = () => new Promise((resolve) => (setImmediate ?? setTimeout)(resolve));

type Queue = Pick<GPUQueue, 'onSubmittedWorkDone' | 'submit'>;

/** Keeps a loop of steps from running far ahead of the GPU. */
export class BackPressure {
  readonly #queue: Queue;
  readonly #asksLate: boolean;
  readonly #inFlight: Promise<unknown>[] = [];
  /** The present limit of steps under way. */
  #allowed = fewest;
  /** Steps submitted since the queue was last known to be empty. */
  #submitted = 0;

  /**
   * `asksLate`: the queue is asked only when a step has to wait, and is empty once the call returns. Asking Deno after each
   * submit would let host and device take turns, and waiting for its answer would cost 10 ms.
   */
  constructor(queue: Queue, asksLate = deno) {
    this.#queue = queue;
    this.#asksLate = asksLate;
  }

  /** Waits until another step may be submitted. */
  async room(): Promise<void> {
    if (!this.#asksLate) {
      while (this.#inFlight.length >= this.#allowed) {
        const start = performance.now();
        await this.#inFlight.shift();
        // One more step at a time while they are short.
        this.#allowed = performance.now() - start < short ? Math.min(mostInFlight, this.#allowed + 1) : fewest;
      }
    } else if (this.#submitted >= fewest) {
      this.#queue.onSubmittedWorkDone().catch(() => {});
      this.#submitted = 0;
      // Lets timers, signals and finalizers run.
      await nextTurn();
    }
  }

  /** Called after each submit. */
  submitted(): void {
    if (this.#asksLate) this.#submitted++;
    // Drops the error of a lost device, which shows in the next submit.
    else this.#inFlight.push(answered(this.#queue, this.#queue.onSubmittedWorkDone()).catch(() => {}));
  }
}
