import type { Tensor } from '../graph/tensor.ts';
import { readAll } from '../runtime/eager.ts';
import { Clock } from './clock.ts';
import type { HealthCheck } from './health.ts';
import type { Outcome, Stepper } from './step.ts';

/** An error, to be thrown once all that came before it is told. */
export interface Fault {
  readonly error: unknown;
}

/** A step that has been made, as long as nobody has read its losses. */
interface Made {
  readonly step: number;
  readonly outcomes: readonly Outcome[];
}

/** Means over the batches of a step whose losses have been read. */
type Means = Readonly<Record<string, number>>;

/** Makes steps, and reads their losses late and together. */
export class Run<Batch> {
  readonly clock: Clock;
  readonly #stepper: Stepper<Batch>;
  readonly #check: HealthCheck;
  readonly #start: number;
  /** Steps made, those before this run included. */
  #step: number;
  /** How many of these steps have losses that were read. */
  #known: number;
  #unread: Made[] = [];
  #waiting: { readonly step: number; readonly resolve: () => void }[] = [];
  /** Means of the steps that were read and not told yet. */
  #news: Means[] = [];
  /** The last means that were told. */
  #means: Means = { loss: Number.NaN };
  #learningRate: number | null = null;

  constructor(
    makeStepper: (step: () => number) => Stepper<Batch>,
    start: number,
    check: HealthCheck,
    now: () => number,
  ) {
    this.#check = check;
    this.#start = start;
    this.#step = start;
    this.#known = start;
    this.clock = new Clock(now);
    this.#stepper = makeStepper(() => this.#step);
  }

  get step(): number {
    return this.#step;
  }

  get readIsDue(): boolean {
    return this.clock.readIsDue(this.#step - this.#start);
  }

  /** Makes the next step. */
  async make(batches: readonly Batch[]): Promise<void> {
    const learningRate = this.#stepper.learningRate();
    const outcomes = await this.#stepper.make(batches);
    this.#step++;
    this.#learningRate = learningRate;
    // Skips steps that are made again: their losses are known already.
    if (this.#step > this.#known) this.#unread.push({ step: this.#step, outcomes });
  }

  /** How many steps have known losses. */
  get known(): number {
    return this.#known;
  }

  /** Resolves when the losses up to this step are known. */
  async whenKnown(step: number): Promise<void> {
    if (step > this.#known) await new Promise<void>((resolve) => this.#waiting.push({ step, resolve }));
  }

  /** Goes back, so that the step after this one is the next. */
  rewind(step: number): void {
    this.#step = step;
    this.#unread = [];
    this.#waiting = [];
    this.clock.seen(step - this.#start);
  }

  /** Reads the losses of all steps so far. Those up to a step that failed, or whose loss is not finite, become news. */
  async read(): Promise<Fault | null> {
    const made = this.#unread;
    this.#unread = [];
    if (made.length === 0) return null;
    const { numbers, fault } = await numbersOf(
      made.flatMap(({ outcomes }) => outcomes.flatMap(Object.values<Tensor | number>)),
    );
    const read: Means[] = [];
    for (const { outcomes } of made) {
      const wanted = outcomes.flatMap(Object.keys).length;
      if (numbers.length < wanted) break;
      read.push(meansOf(outcomes, numbers.splice(0, wanted)));
    }
    const first = (made[0] as Made).step;
    const losses = read.map(({ loss }) => loss as number);
    const error = this.#check(losses, first);
    const sound = error ? read.slice(0, error.step - first) : read;
    this.#news.push(...sound);
    this.#known += sound.length;
    for (const { step, resolve } of this.#waiting) if (step <= this.#known) resolve();
    this.#waiting = this.#waiting.filter(({ step }) => step > this.#known);
    this.clock.seen(this.#step - this.#start);
    return error ? { error } : fault;
  }

  get hasNews(): boolean {
    return this.#news.length > 0;
  }

  /** Tells what is new, once. `steps`: those of the whole run, if there is an end. */
  tell(steps: number | null) {
    const news = this.#news;
    this.#news = [];
    if (news.length > 0) this.#means = meanOf(news);
    const { loss, ...means } = this.#means;
    const { stepsPerSecond } = this.clock;
    return {
      step: this.#known,
      loss: loss as number,
      losses: news.map((each) => each.loss as number),
      means,
      learningRate: this.#learningRate,
      stepsPerSecond,
      secondsLeft: stepsPerSecond === null || steps === null ? null : (steps - this.#known) / stepsPerSecond,
    };
  }

  end(): void {
    this.#stepper.end();
  }
}

/** Reads the numbers behind scalars in one read; where that fails, those before the first that can't be read. */
async function numbersOf(scalars: readonly (Tensor | number)[]): Promise<{ numbers: number[]; fault: Fault | null }> {
  const tensors = scalars.filter((scalar) => typeof scalar !== 'number');
  try {
    const values = (tensors.length > 0 ? await readAll(tensors) : []).values();
    const numbers = scalars.map((scalar) =>
      typeof scalar === 'number' ? scalar : (values.next().value?.[0] as number),
    );
    return { numbers, fault: null };
  } catch (error) {
    const numbers: number[] = [];
    try {
      for (const scalar of scalars) numbers.push(typeof scalar === 'number' ? scalar : await scalar.item());
    } catch {
      // The error of the first read tells of it.
    }
    return { numbers, fault: { error } };
  }
}

/** Means by name over the batches of a step, whose numbers come one after another. */
function meansOf(outcomes: readonly Outcome[], numbers: readonly number[]): Means {
  const values = numbers.values();
  const each = outcomes.map((outcome) =>
    Object.fromEntries(Object.keys(outcome).map((name) => [name, values.next().value as number])),
  );
  return meanOf(each);
}

/** Means by name, over those that have the name. */
function meanOf(all: readonly Means[]): Means {
  const names = new Set(all.flatMap(Object.keys));
  return Object.fromEntries(
    [...names].map((name) => {
      const values = all.flatMap((each) => each[name] ?? []);
      return [name, values.reduce((sum, value) => sum + value, 0) / values.length];
    }),
  );
}
