import { ValueError } from '../core/errors.ts';
import {
  abortSignal,
  callback,
  count,
  countOrNone,
  declareOptions,
  either,
  notNegative,
  object,
} from '../core/options.ts';
import type { Schedule } from '../optim/schedules.ts';
import { type Batches, batchesKind, Feed } from './batches.ts';
import { healthCheck } from './health.ts';
import { type Recovered, Rescue, type RescueOptions, rescueOptions } from './rescue.ts';
import { type Fault, Run } from './run.ts';
import {
  compiledStepper,
  functionStepper,
  type LossStep,
  lossStepOptions,
  type StepFunction,
  type Stepper,
} from './step.ts';

/** What `train` takes: a step, batches, and what is done besides. */
export interface TrainOptions<Batch, Evaluation = unknown> {
  /**
   * A function that makes a whole step with a batch, compiled or not, and gives its loss; or what such a step is made of,
   * which is then compiled: backward, clipping, the optimizer's step, `zeroGrad`. A batch that is an array comes as several
   * arguments. Next to the loss there may be other scalars: `{ loss, accuracy }`.
   */
  step: StepFunction<Batch> | LossStep<Batch>;
  /** What to train on, gone through again and again where `steps` asks for more. */
  batches: Batches<Batch>;
  /** Steps of the whole run, those of `start` included. By default what `batches` has, once. */
  steps?: number;
  /** Steps that were done before, by the run that this one goes on with. Default 0. */
  start?: number;
  /** A factor of the learning rate for each step, counted from 0. Needs a step with an optimizer that has no schedule. */
  schedule?: Schedule;
  /** Batches for each step, whose gradient is their mean; 1 by default. Needs a step with an optimizer. */
  accumulate?: number;
  /** Called with the number of steps done, every `every` steps and after the last; what it gives is in the metrics. */
  evaluate?: (step: number) => Evaluation | Promise<Evaluation>;
  /** Steps from one evaluation to the next; by default there is one, after the last step. */
  every?: number;
  /** Saves what the run needs to go on, from time to time and at the end. */
  checkpoint?: CheckpointOptions;
  /** Has the run survive its device: see `recover`. */
  recover?: RescueOptions;
  /** Ends the run after the step that is being made: its losses are told, a checkpoint is saved, nothing is thrown. */
  signal?: AbortSignal;
}

/** When and how a run saves what it needs to go on. */
export interface CheckpointOptions {
  /**
   * Saves what the run needs to go on. It is called after the metrics with all losses up to then, which are finite, so that
   * no good checkpoint is written over by lost weights.
   */
  save: (state: CheckpointState) => unknown;
  /** Seconds from one save to the next; 30 by default. */
  everySeconds?: number;
  /** It also saves after each step whose number this divides. */
  everySteps?: number;
}

/** Where a run is when it saves; model and optimizer are saved by their own `stateDict()`. */
export interface CheckpointState {
  /** Steps done: the `start` of the run that goes on. */
  readonly step: number;
  /** The `state()` of the batches, for their `restore`; null where they have none. */
  readonly batches: unknown;
  /** True where the run ends with this. */
  readonly isLast: boolean;
}

/** What `train` tells of the steps since it last told. */
export interface TrainMetrics<Evaluation = unknown> {
  /** Steps done, those before the run included. */
  readonly step: number;
  /** Mean loss; the one before where there were no steps since. */
  readonly loss: number;
  /** The loss of each of these steps; with `accumulate`, its mean over the batches. */
  readonly losses: readonly number[];
  /** Means of the other scalars that the step gives, by name. */
  readonly means: Readonly<Record<string, number>>;
  /** The learning rate of the last step, for the optimizer's first group; null where the step is a function. */
  readonly learningRate: number | null;
  /**
   * Steps per second of the run so far, without the first two steps, in which kernels are compiled, and without the time
   * of evaluations, saves and the body of the loop. Null as long as there were no other steps.
   */
  readonly stepsPerSecond: number | null;
  /** Seconds until the last step, at that speed; null where the speed or the number of steps is not known. */
  readonly secondsLeft: number | null;
  /** What `evaluate` gave, where it was called after these steps. */
  readonly evaluation?: Evaluation;
  /** Set after the device was lost: where the run goes on. Steps that are made again are not told again. */
  readonly recovered?: Recovered;
}

const trainOptions = declareOptions<TrainOptions<never>>(
  {
    step: either(callback, object),
    batches: batchesKind,
    steps: count,
    start: countOrNone,
    schedule: callback,
    accumulate: count,
    evaluate: callback,
    every: count,
    checkpoint: object,
    recover: object,
    signal: abortSignal,
  },
  ['step', 'batches'],
);
const checkpointOptions = declareOptions<CheckpointOptions>(
  { save: callback, everySeconds: notNegative, everySteps: count },
  ['save'],
);

/**
 * Trains step by step, and tells how it goes: `for await (const { step, loss } of train({ … }))`. Losses are read late and
 * together, each half second or 50 steps, since a read in every step costs more than a small step: the metrics come then,
 * and after evaluations, saves and the last step.
 *
 * Errors of the step, the batches, `evaluate` and `save` end the loop, after the metrics of the steps before; a loss that is
 * not finite, or a parameter of the optimizer where it is known, is a DivergenceError. With `recover`, a device that is lost does not: the run goes on from the last step that
 * was kept, with the same batches, and ends with the same losses. Leaving the loop early ends the run as it is, and saves nothing; `signal` ends it with a
 * checkpoint. Throws a ValueError, at the call, where options don't fit each other.
 */
export function train<Batch, Evaluation = never>(
  options: TrainOptions<Batch, Evaluation>,
): AsyncGenerator<TrainMetrics<Evaluation>, void, undefined> {
  return trainBy(() => performance.now(), options);
}

/** Trains as `train` does, by another clock: `now` gives milliseconds. */
export function trainBy<Batch, Evaluation>(
  now: () => number,
  options: TrainOptions<Batch, Evaluation>,
): AsyncGenerator<TrainMetrics<Evaluation>, void, undefined> {
  return loop(now, checked(options));
}

async function* loop<Batch, Evaluation>(
  now: () => number,
  options: TrainOptions<Batch, Evaluation>,
): AsyncGenerator<TrainMetrics<Evaluation>, void, undefined> {
  const { batches, steps = null, start = 0, accumulate = 1, evaluate, every, signal } = options;
  const optimizer = optimizerOf(options);
  const watched = optimizer ? { optimizer, model: options.recover?.model } : null;
  const run = new Run((step) => stepperOf(options, step), start, healthCheck(watched, start), now);
  const feed = new Feed(batches, accumulate, start, steps !== null);
  const saves = new Saves(options.checkpoint, start, now);
  const isOver = () => run.step >= (steps ?? Infinity) || signal?.aborted === true;
  /** Makes a step; false where the run has come to its end, before it or with it. */
  const advance = async () => {
    if (isOver()) return false;
    const taken = await feed.take();
    if (taken) await run.make(taken);
    feed.forget(rescue?.from ?? run.step);
    return taken !== null && !isOver();
  };
  let rescue: Rescue | null = null;
  let evaluated = start;
  const evaluationIsDue = (isLast: boolean) => {
    if (!evaluate || run.step <= evaluated || signal?.aborted) return false;
    return isLast || (every !== undefined && run.step % every === 0);
  };
  try {
    if (options.recover) rescue = await Rescue.begin(options.recover, optimizer, run, feed);
    for (let goesOn = true; goesOn; ) {
      const { value = false, fault: broken } = await attempt(advance);
      goesOn = value;
      const evaluates = evaluationIsDue(!goesOn);
      const savesNow = saves.areDue(run.step, !goesOn);
      if (goesOn && !evaluates && !savesNow && !run.readIsDue) continue;
      const unreadable = await run.read();
      let fault = broken ?? unreadable;
      const told: { evaluation?: Evaluation } = {};
      if (evaluates && !fault) {
        const given = await run.clock.without(() => attempt(async () => evaluate?.(run.step) as Evaluation));
        evaluated = run.step;
        fault = given.fault;
        if (!fault) told.evaluation = given.value as Evaluation;
      }
      if (run.hasNews || 'evaluation' in told) {
        const goOn = run.clock.stop();
        yield { ...run.tell(steps), ...told };
        goOn();
      }
      if (savesNow && !fault) {
        const save = () => saves.save(run.step, feed.place, !goesOn);
        fault = (await run.clock.without(() => attempt(save))).fault;
      }
      if (!fault) continue;
      const recovered = await run.clock.without(async () => (await rescue?.after(fault.error)) ?? null);
      if (!recovered) throw fault.error;
      goesOn = true;
      yield { ...run.tell(steps), recovered };
    }
  } finally {
    rescue?.end();
    run.end();
    await feed.close();
  }
}

/** Returns what work gives, or what it throws. */
async function attempt<T>(work: () => Promise<T>): Promise<{ readonly value?: T; readonly fault: Fault | null }> {
  try {
    return { value: await work(), fault: null };
  } catch (error) {
    return { fault: { error } };
  }
}

/** Decides when checkpoints are saved. */
class Saves {
  readonly #options: CheckpointOptions | undefined;
  readonly #now: () => number;
  /** The last step that lies in a checkpoint, and when it was saved. */
  #step: number;
  #time: number;

  constructor(options: CheckpointOptions | undefined, start: number, now: () => number) {
    this.#options = options;
    this.#now = now;
    this.#step = start;
    this.#time = now();
  }

  areDue(step: number, isLast: boolean): boolean {
    if (!this.#options || step <= this.#step) return false;
    const { everySeconds = 30, everySteps = Infinity } = this.#options;
    return isLast || step % everySteps === 0 || this.#now() - this.#time >= 1000 * everySeconds;
  }

  async save(step: number, batches: unknown, isLast: boolean): Promise<void> {
    await this.#options?.save({ step, batches, isLast });
    this.#step = step;
    this.#time = this.#now();
  }
}

function stepperOf<Batch>(
  { step, schedule, accumulate = 1 }: TrainOptions<Batch, unknown>,
  current: () => number,
): Stepper<Batch> {
  return typeof step === 'function' ? functionStepper(step) : compiledStepper(step, accumulate, schedule, current);
}

/** The optimizer of the run, where it is known. */
const optimizerOf = <Batch>({ step, recover }: Pick<TrainOptions<Batch>, 'step' | 'recover'>) =>
  recover?.optimizer ?? (typeof step === 'function' ? undefined : step.optimizer);

/** Returns the options, or throws where they don't fit each other. */
function checked<Batch, Evaluation>(options: TrainOptions<Batch, Evaluation>): TrainOptions<Batch, Evaluation> {
  const {
    step,
    schedule,
    accumulate = 1,
    evaluate,
    every,
    checkpoint,
    recover,
  } = trainOptions('train', options as TrainOptions<never>);
  if (checkpoint) checkpointOptions('train.checkpoint', checkpoint);
  if (recover) {
    rescueOptions('train.recover', recover);
    if (!optimizerOf(options))
      throw new ValueError(
        '[train] recover needs the optimizer, where step is a function: recover: { model, optimizer }',
      );
  }
  if (every !== undefined && !evaluate)
    throw new ValueError('[train] every is the number of steps between evaluations: it needs evaluate, a function');
  if (typeof step === 'function') {
    const needing = schedule ? 'schedule' : accumulate > 1 ? 'accumulate' : null;
    if (needing)
      throw new ValueError(
        `[train] ${needing} needs a step of the form { loss, optimizer }, got a function: what it does with its optimizer is its own business`,
      );
  } else {
    const { optimizer } = lossStepOptions('train.step', step);
    if (schedule && optimizer.groups.some((group) => group.schedule))
      throw new ValueError('[train] the optimizer has a schedule of its own: leave out one of the two');
  }
  return options;
}
