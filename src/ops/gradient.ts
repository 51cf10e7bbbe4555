import { ShapeError, ValueError } from '../errors.ts';
import { keepAtFlush } from '../gpu/run.ts';
import { differentiate, provideDriverOps } from '../graph/autograd.ts';
import { currentTrace } from '../graph/record.ts';
import { formatShape } from '../graph/shape.ts';
import { type State, stateOf } from '../graph/state.ts';
import { declareOptions, tensorLike } from '../options.ts';
import { gradientOf, type Parameter, setGradient, type Tensor } from '../tensor.ts';
import { add, ones, zeros } from './elementwise.ts';
import { sumTo } from './reduce.ts';

provideDriverOps({ add, sumTo, onesLike: (x) => ones(x.shape) });

function scalar(op: string, loss: Tensor, seed?: Tensor): void {
  if (!seed && loss.size !== 1)
    throw new ShapeError(
      `[${op}] needs a loss of one element, got ${formatShape(loss.shape)}; reduce it first, or give a seed`,
    );
  if (loss.dtype !== 'f32') throw new ValueError(`[${op}] the loss is ${loss.dtype}; only f32 has gradients`);
}

const trainable = (tensor: Tensor) => stateOf(tensor)?.trainable === true;

/** Adds the gradient of `loss` to the `grad` of every parameter it depends on. */
export function backward(loss: Tensor, seed?: Tensor): void {
  scalar('backward', loss, seed);
  const gradients = differentiate(loss, trainable, seed);
  if (gradients.size === 0)
    throw new ValueError(
      '[backward] the loss depends on no parameter; was it computed from parameter(…), outside of noGrad?',
    );
  const byState = new Map<State, Tensor>();
  for (const [tensor, gradient] of gradients) {
    const state = stateOf(tensor) as State;
    const before = byState.get(state);
    byState.set(state, before ? add(before, gradient) : gradient);
  }
  for (const [state, gradient] of byState) {
    const before = gradientOf(state);
    setGradient(state, before ? add(before, gradient) : gradient);
  }
  if (!currentTrace()) keepAtFlush(loss);
}

const gradOptions = declareOptions<{ seed?: Tensor }>({ seed: tensorLike });
/** Gradients of a scalar with respect to tensors or parameters, in their order; zeros where it does not depend on one. */
export function grad(loss: Tensor, targets: readonly Tensor[], options?: { seed?: Tensor }): Tensor[] {
  const { seed } = gradOptions('grad', options);
  scalar('grad', loss, seed);
  const wanted = new Set(targets.map((tensor) => tensor.version));
  const gradients = differentiate(loss, (tensor) => wanted.has(tensor), seed);
  return targets.map((tensor) => gradients.get(tensor.version) ?? zeros(tensor.shape));
}

/** Turns a function that returns a scalar loss into one that also returns the gradients of its parameters. */
export function valueAndGrad<Args extends readonly unknown[]>(
  fn: (...args: Args) => Tensor,
  parameters: readonly (Parameter | Tensor)[],
): (...args: Args) => { value: Tensor; gradients: Tensor[] } {
  return (...args) => {
    const value = fn(...args);
    return { value, gradients: grad(value, parameters) };
  };
}
