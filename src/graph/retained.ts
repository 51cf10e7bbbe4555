import type { Tensor } from './tensor.ts';

/** Values whose gradients `backward` keeps, though they are no parameters', with what it has kept so far. */
const retained = new WeakMap<Tensor, Tensor | null>();

/** Has the gradient of a value kept from now on. */
export function retain(tensor: Tensor): void {
  if (!retained.has(tensor)) retained.set(tensor, null);
}

/** Whether `backward` keeps the gradient of a value. */
export const isRetained = (tensor: Tensor): boolean => retained.has(tensor);

/** The gradient that was kept, or null. */
export const retainedGradient = (tensor: Tensor): Tensor | null => retained.get(tensor) ?? null;

/** Puts a gradient in the place of what was kept. */
export function setRetainedGradient(tensor: Tensor, gradient: Tensor): void {
  retained.set(tensor, gradient);
}
