import type { Tensor } from './tensor.ts';

/** Values that eager use has to compute although nobody has asked for them, besides the assignments of states. */

/** Values that the next flush computes and keeps: what later steps stand on, and what was differentiated. */
const kept = new Set<WeakRef<Tensor>>();
export function keepAtFlush(tensor: Tensor): void {
  kept.add(new WeakRef(tensor));
}

/** Takes those values that somebody still holds; the flush computes them. */
export function takeKept(): Tensor[] {
  const taken = [...kept].flatMap((reference) => reference.deref() ?? []);
  kept.clear();
  return taken;
}

/** The backward pass that a loss, or a version of a gradient, belongs to. */
const passes = new WeakMap<Tensor, object>();
/** Notes that these tensors belong to one backward pass: where one can't be computed, neither can the others. */
export function inOnePass(tensors: readonly Tensor[]): void {
  const pass = {};
  for (const tensor of tensors) passes.set(tensor, pass);
}
export function passOf(tensor: Tensor): object | undefined {
  return passes.get(tensor);
}
