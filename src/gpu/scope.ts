import { nextNodeId } from '../graph/record.ts';
import { stateOf } from '../graph/state.ts';
import type { Tensor } from '../tensor.ts';
import { mapTensors } from './arguments.ts';
import { materialise } from './run.ts';

interface Scope {
  /** Tensors from this node on were made within. */
  readonly start: number;
  readonly settled: Set<Tensor>;
}
/** The innermost last. */
const scopes: Scope[] = [];

/** Told of each tensor that gets memory on a device. */
export function noteSettled(tensor: Tensor): void {
  const scope = scopes.at(-1);
  if (scope && tensor.node.id >= scope.start) scope.settled.add(tensor);
}

/**
 * Runs `body`, then frees the memory of the tensors that were made meanwhile, but for states, for what compiled functions
 * have captured, and for what it returns (alone, or in arrays and plain objects), which is computed first. A freed tensor is computed again where its graph is there, and
 * counts as disposed of where it is not: results of compiled functions, and of `noGrad`.
 *
 * Never needed: forgotten tensors are freed when the garbage collector gets to them. A scope for each turn keeps a long loop
 * of eager ops small. One that awaits also takes hold of what other tasks make meanwhile. Rejects with what `body` throws.
 */
export async function scope<T>(body: () => T | Promise<T>): Promise<T> {
  const own: Scope = { start: nextNodeId(), settled: new Set() };
  scopes.push(own);
  const returned = new Set<Tensor>();
  try {
    const result = await body();
    mapTensors(result, (tensor) => returned.add(tensor.version));
    await materialise([...returned]);
    return result;
  } catch (error) {
    // What has been assigned until then may depend on what is freed now.
    await materialise([]).catch(() => {});
    throw error;
  } finally {
    scopes.splice(scopes.indexOf(own), 1);
    for (const tensor of own.settled) {
      if (returned.has(tensor)) noteSettled(tensor);
      else if (!tensor.kept && !stateOf(tensor)) tensor.forget();
    }
  }
}
