import { ShapeError, ValueError } from '../core/errors.ts';
import { callback, declareOptions, type Kind, positive, shown } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectSync } from '../core/sync.ts';
import { isPlainObject } from '../graph/nested.ts';
import { Tensor } from '../graph/tensor.ts';
import { clipGradNorm } from '../optim/clip.ts';
import type { CommonSettings } from '../optim/groups.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import type { Schedule } from '../optim/schedules.ts';
import { compile } from '../runtime/step.ts';

/** The arguments of a function for a batch: the items of an array one by one, anything else as it is. */
export type Arguments<Batch> = Batch extends readonly unknown[]
  ? { -readonly [Key in keyof Batch]: Batch[Key] }
  : [batch: Batch];

type NumberArray = readonly (number | boolean | NumberArray)[];
/** The traced form of a value in a compiled function: tensors for typed arrays and arrays of numbers. */
export type Traced<Value> = Value extends Tensor
  ? Value
  : Value extends ArrayBufferView | NumberArray
    ? Tensor
    : Value extends object
      ? { [Key in keyof Value]: Traced<Value[Key]> }
      : Value;
/** The arguments of a loss function for a batch. */
export type TracedArguments<Batch> = Batch extends readonly unknown[]
  ? { -readonly [Key in keyof Batch]: Traced<Batch[Key]> }
  : [batch: Traced<Batch>];

/** The result of a step: its loss, a tensor of one element, alone or by name among others. */
export type StepResult = Tensor | number | Readonly<{ loss: Tensor | number; [name: string]: Tensor | number }>;

/** A whole training step, compiled or not: all that is to happen with a batch. */
export type StepFunction<Batch> = (...batch: Arguments<Batch>) => StepResult | Promise<StepResult>;

/** What a training step is made of. */
export interface LossStep<Batch> {
  /** The loss of a batch, alone or by name among other scalars; is compiled. */
  readonly loss: (...batch: TracedArguments<Batch>) => Tensor | Readonly<{ loss: Tensor; [name: string]: Tensor }>;
  /** Changes the parameters after each backward pass. */
  readonly optimizer: Optimizer<CommonSettings>;
  /** The longest gradient, as a norm over all parameters of the optimizer, that is not shortened; see `clipGradNorm`. */
  readonly clip?: number;
}

/** An optimizer. It is recognised by its methods. */
const optimizerLike: Kind<object> = {
  wanted: 'an optimizer, like new optim.AdamW(model.parameters())',
  accepts: (value): value is object =>
    typeof (value as { learningRate?: unknown } | null)?.learningRate === 'function' &&
    Array.isArray((value as { groups?: unknown }).groups),
};
export const lossStepOptions = declareOptions<LossStep<never>>(
  { loss: callback, optimizer: optimizerLike, clip: positive },
  ['loss', 'optimizer'],
);

/** Scalars that a step has given for a batch, `loss` among them. */
export type Outcome = Readonly<Record<string, Tensor | number>>;

/** Makes the steps of a run. */
export interface Stepper<Batch> {
  /** One step on these batches; gives the outcome of each. */
  make(batches: readonly Batch[]): Promise<Outcome[]>;
  /** The learning rate of the next step, of the optimizer's first group; null where that is not known here. */
  learningRate(): number | null;
  /** Puts back what the run has changed. */
  end(): void;
}

const argumentsOf = <Batch>(batch: Batch): Arguments<Batch> =>
  (Array.isArray(batch) ? batch : [batch]) as Arguments<Batch>;

/** Steps that a function makes, of one batch each. */
export function functionStepper<Batch>(step: StepFunction<Batch>): Stepper<Batch> {
  return {
    make: async ([batch]) => [outcomeOf('step', await step(...argumentsOf(batch as Batch)))],
    learningRate: () => null,
    end: () => {},
  };
}

/** Steps of an optimizer, whose gradients are the mean over the batches; `step` tells which one is made. */
export function compiledStepper<Batch>(
  { loss, optimizer, clip }: LossStep<Batch>,
  accumulate: number,
  schedule: Schedule | undefined,
  step: () => number,
): Stepper<Batch> {
  const addGradients = (...batch: Arguments<Batch>): Outcome => {
    const returned = loss(...(batch as never));
    expectSync('train', 'loss', returned);
    const outcome = outcomeOf('loss', returned);
    const own = outcome.loss;
    if (!(own instanceof Tensor))
      throw new ValueError(`[train] loss must give a tensor, got ${own}; a number has no gradients`);
    (accumulate === 1 ? own : own.mul(1 / accumulate)).backward();
    return outcome;
  };
  const gradients = compile(addGradients);
  const whole = compile(function trainingStep(...batch: Arguments<Batch>): Outcome {
    const outcome = addGradients(...batch);
    if (clip !== undefined) clipGradNorm(parametersOf(optimizer), clip);
    optimizer.step();
    optimizer.zeroGrad();
    return outcome;
  });
  const putBack = schedule ? schedules(optimizer, () => schedule(step())) : () => {};
  return {
    async make(batches) {
      const outcomes: Outcome[] = [];
      try {
        for (const batch of batches.slice(0, -1)) outcomes.push(await gradients(...argumentsOf(batch)));
        outcomes.push(await whole(...argumentsOf(batches.at(-1) as Batch)));
        return outcomes;
      } catch (error) {
        // Drops the gradients of half a step, which belong to nobody.
        if (outcomes.length > 0) optimizer.zeroGrad();
        throw error;
      }
    },
    learningRate: () => optimizer.learningRate(),
    end: putBack,
  };
}

const parametersOf = ({ groups }: Optimizer<CommonSettings>) => groups.flatMap(({ params }) => params);

/** Gives all groups a schedule; the function that it returns takes it away. */
function schedules(optimizer: Optimizer<CommonSettings>, schedule: Schedule): () => void {
  for (const group of optimizer.groups) group.schedule = schedule;
  return () => {
    for (const group of optimizer.groups) delete group.schedule;
  };
}

/** The scalars that a step gave, by name. Throws where there is no loss. */
function outcomeOf(from: 'step' | 'loss', result: unknown): Outcome {
  const named: unknown = result instanceof Tensor || typeof result === 'number' ? { loss: result } : result;
  if (!isPlainObject(named) || named.loss === undefined)
    throw new ValueError(
      `[train] ${from} must give the loss, a tensor of one element, alone or as { loss, … }; got ${shown(result)}`,
    );
  for (const [name, value] of Object.entries(named)) {
    if (typeof value === 'number') continue;
    if (!(value instanceof Tensor))
      throw new ValueError(`[train] ${from} must give tensors of one element, or numbers; ${name} is ${shown(value)}`);
    if (value.size !== 1)
      throw new ShapeError(
        `[train] ${from} must give tensors of one element; ${name} has shape ${formatShape(value.shape)}: take its mean or sum`,
      );
  }
  return named as Outcome;
}
