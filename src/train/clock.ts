/** Steps that are not timed: their kernels and memory plans are made, which takes longer than the steps. */
const compilingSteps = 2;
/** Seconds between reads: losses are read together, so that a step seldom waits for a read. */
const secondsBetweenReads = 0.5;
const stepsBetweenReads = 50;

/** Tells when losses are to be read, and how fast steps are. */
export class Clock {
  readonly #now: () => number;
  /** Milliseconds without training. */
  #aside = 0;
  /** The moment from which steps are timed: after those that compile, once their results are there. */
  #start: { readonly steps: number; readonly time: number } | null = null;
  #seen: { readonly steps: number; readonly time: number };

  /** `now` gives milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#seen = { steps: 0, time: now() };
  }

  /** Whether it is time to read, after `steps` steps. */
  readIsDue(steps: number): boolean {
    const { steps: seen, time } = this.#seen;
    return (
      steps <= compilingSteps || steps - seen >= stepsBetweenReads || this.#time - time > 1000 * secondsBetweenReads
    );
  }

  /** Notes that the results of the first `steps` steps are there. */
  seen(steps: number): void {
    this.#seen = { steps, time: this.#time };
    if (steps >= compilingSteps) this.#start ??= this.#seen;
  }

  /** Steps per second; null as long as no step has been timed. */
  get stepsPerSecond(): number | null {
    if (!this.#start || this.#seen.steps === this.#start.steps) return null;
    return ((this.#seen.steps - this.#start.steps) * 1000) / (this.#seen.time - this.#start.time);
  }

  /** Stops the clock; the function that it returns starts it again. */
  stop(): () => void {
    const stopped = this.#now();
    return () => {
      this.#aside += this.#now() - stopped;
    };
  }

  /** Does work that is no training, with the clock stopped. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    const goOn = this.stop();
    try {
      return await work();
    } finally {
      goOn();
    }
  }

  get #time(): number {
    return this.#now() - this.#aside;
  }
}
