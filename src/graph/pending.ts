import type { Tensor } from './tensor.ts';

/** What eager use has to know of values that nobody has asked for yet, besides the assignments of states. */

/** Values that the next flush computes and keeps: what later steps stand on, and what was differentiated. */
const kept = new Set<WeakRef<Tensor>>();
export function keepAtFlush(tensor: Tensor): void {
  kept.add(new WeakRef(tensor));
}

/** For the flush: those of them that somebody still holds. */
export function takeKept(): Tensor[] {
  const taken = [...kept].flatMap((reference) => reference.deref() ?? []);
  kept.clear();
  return taken;
}

/** Which backward pass a loss went through, and a version of a gradient is from. */
const passes = new WeakMap<Tensor, object>();
/** Tells that these are of one backward pass: without the one there is not the other. */
export function inOnePass(tensors: readonly Tensor[]): void {
  const pass = {};
  for (const tensor of tensors) passes.set(tensor, pass);
}
export function passOf(tensor: Tensor): object | undefined {
  return passes.get(tensor);
}
