import type { Tensor } from '../graph/tensor.ts';

/** A scope whose body runs: see `scope`. */
export interface Scope {
  readonly around: Scope | null;
  /** Tensors from this node on were made within. */
  readonly start: number;
  readonly settled: Set<Tensor>;
}
/** The scopes that have not ended, in the order of their beginning. */
export const openScopes: Scope[] = [];

/** Notes each tensor that gets memory on a device. */
export function noteSettled(tensor: Tensor): void {
  const scope = openScopes.at(-1);
  if (!scope || tensor.node.id < scope.start) return;
  // Leaves the tensor alone where scopes overlap: nothing tells whose it is.
  const nested = openScopes.every(({ around }, i) => i === 0 || around === openScopes[i - 1]);
  if (nested) scope.settled.add(tensor);
}
