import { DTypeError, ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { callback, declareOptions, expectKind, listOf, tensorLike } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectSync } from '../core/sync.ts';
import { reachable } from '../graph/node.ts';
import { gradientOf, type Parameter, setGradient } from '../graph/parameter.ts';
import { inOnePass, keepAtFlush } from '../graph/pending.ts';
import { currentTrace, expectTensor } from '../graph/record.ts';
import { isRetained, retainedGradient, setRetainedGradient } from '../graph/retained.ts';
import { type State, stateOf } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { differentiate } from './autograd.ts';
import { add, zeros } from './elementwise.ts';

function scalar(op: string, loss: Tensor, seed?: Tensor): void {
  expectTensor(op, 'the loss', loss);
  if (seed !== undefined) expectTensor(op, 'the seed', seed);
  if (!seed && loss.size !== 1)
    throw new ShapeError(
      `[${op}] needs a loss of one element, got ${formatShape(loss.shape)}; reduce it first, or give a seed`,
    );
  if (loss.dtype !== 'f32') throw new ValueError(`[${op}] the loss is ${loss.dtype}; only f32 has gradients`);
}

/** The owner of a gradient: a state for all of its versions, else the tensor itself. */
const ownerOf = (tensor: Tensor): State | Tensor => stateOf(tensor) ?? tensor;
/** Gradients added up by whom they belong to, but for those that belong to nobody. */
function byOwner<Owner>(
  gradients: ReadonlyMap<Tensor, Tensor>,
  ownerOf: (tensor: Tensor) => Owner | undefined,
): Map<Owner, Tensor> {
  const owned = new Map<Owner, Tensor>();
  for (const [tensor, gradient] of gradients) {
    const owner = ownerOf(tensor);
    if (owner === undefined) continue;
    const before = owned.get(owner);
    owned.set(owner, before ? add(before, gradient) : gradient);
  }
  return owned;
}

const trainable = (tensor: Tensor) => stateOf(tensor)?.trainable === true;

/** The parameters that are not frozen. Each is asked once, since what a trace asks is remembered. */
function unfrozen(): (tensor: Tensor) => boolean {
  const known = new Map<State, boolean>();
  return (tensor) => {
    const state = stateOf(tensor);
    if (!state?.trainable) return false;
    const before = known.get(state);
    if (before !== undefined) return before;
    const { requiresGrad } = state;
    known.set(state, requiresGrad);
    return requiresGrad;
  };
}

/**
 * Adds the gradient of `loss` to the `grad` of every parameter it depends on, but of those that are frozen, for whose sake
 * nothing is computed, and of every value that was told to `retainGrad`.
 */
export function backward(loss: Tensor, seed?: Tensor): void {
  scalar('backward', loss, seed);
  const isUnfrozen = unfrozen();
  const gradients = differentiate(loss, (tensor) => isRetained(tensor) || isUnfrozen(tensor), seed, isUnfrozen);
  if (gradients.size === 0) {
    const nodes = reachable([loss.version], trainable);
    const found = [loss.version, ...nodes.flatMap(({ inputs }) => inputs)].filter(trainable);
    const frozen = found.length > 0 && !found.some(isUnfrozen);
    throw new ValueError(
      frozen
        ? '[backward] all parameters that the loss depends on are frozen; unfreeze() their module, or set requiresGrad = true of one'
        : '[backward] the loss depends on no parameter; was it computed from parameter(…), outside of noGrad?',
    );
  }
  const assigned: State[] = [];
  for (const [state, gradient] of byOwner(gradients, stateOf)) {
    const before = gradientOf(state);
    setGradient(state, before ? add(before, gradient) : gradient);
    assigned.push(state);
  }
  const kept: Tensor[] = [];
  for (const [tensor, gradient] of gradients) {
    if (!isRetained(tensor)) continue;
    const before = retainedGradient(tensor);
    setRetainedGradient(tensor, before ? add(before, gradient) : gradient);
    kept.push(gradient);
  }
  if (currentTrace()) return;
  keepAtFlush(loss);
  inOnePass([loss, ...assigned.flatMap(({ gradient }) => (gradient ? [gradient.committed] : [])), ...kept]);
}

interface GradOptions {
  /** Gradient of the loss itself, of its shape; 1 by default. A loss of more than one element needs it. */
  seed?: Tensor;
}
const gradOptions = declareOptions<GradOptions>({ seed: tensorLike });
/**
 * Gradients of a scalar with respect to tensors or parameters, in their order; zeros where it does not depend on one. They
 * are tensors like any other, and can be differentiated again. Each counts every way to its target, through other targets
 * too. Throws a DTypeError for a target that is not f32.
 */
export function grad(loss: Tensor, targets: readonly Tensor[], options?: GradOptions): Tensor[] {
  const { seed } = gradOptions('grad', options);
  scalar('grad', loss, seed);
  expectKind('grad', 'targets', targets, listOf(tensorLike));
  for (const [i, { dtype }] of targets.entries()) {
    if (dtype !== 'f32') throw new DTypeError(`[grad] target ${i} is ${dtype}; only f32 has gradients`);
  }
  const owners = targets.map((tensor) => ownerOf(tensor.version));
  const wanted = new Set(owners);
  const isTarget = (tensor: Tensor) => wanted.has(ownerOf(tensor));
  const gradients = byOwner(
    differentiate(loss, isTarget, seed, () => false),
    ownerOf,
  );
  return targets.map(({ shape }, i) => gradients.get(nth(owners, i)) ?? zeros(shape));
}

/** Turns a function that returns a scalar loss into one that also returns the gradients of its parameters. */
export function valueAndGrad<Args extends readonly unknown[]>(
  fn: (...args: Args) => Tensor,
  parameters: readonly (Parameter | Tensor)[],
): (...args: Args) => { value: Tensor; gradients: Tensor[] } {
  expectKind('valueAndGrad', 'fn', fn, callback);
  return (...args) => {
    const value = fn(...args);
    expectSync('valueAndGrad', 'the function', value);
    return { value, gradients: grad(value, parameters) };
  };
}
