import { WeftError } from '../core/errors.ts';
import { tensorsIn } from '../graph/nested.ts';
import { currentTrace, nextNodeId } from '../graph/record.ts';
import { stateOf } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { materialise } from './eager.ts';
import { openScopes, type Scope } from './openScopes.ts';
import { residenceOf } from './residence.ts';

/** Runs a body in a scope, and gives it the `scope` for scopes within. */
export type Scoped = <T>(body: (scope: Scoped) => T | Promise<T>) => Promise<T>;

/**
 * Runs `body`, then frees the memory of the tensors that were made meanwhile, but for states, for what compiled functions
 * have captured, and for what it returns (alone, or in any objects but their private fields), which is computed first. A
 * freed tensor is computed again where its graph is there, and counts as disposed of where it is not: results of compiled
 * functions, of `noGrad`, and of `detach`.
 *
 * The body is given a `scope` for scopes within: what they return is freed when the one around them ends. Any others that
 * overlap leave what is made meanwhile to the garbage collector, since nothing tells whose it is.
 *
 * Never needed: forgotten tensors are freed when the garbage collector gets to them. A scope for each turn keeps a long loop
 * of eager ops small. One that awaits also takes hold of what other tasks make meanwhile. Rejects with what `body` throws.
 */
export const scope: Scoped = (body) => {
  if (currentTrace())
    throw new WeftError(
      `[scope] is called inside ${currentTrace()?.label}, where nothing has memory yet; leave it out there`,
    );
  return run(body, null);
};

async function run<T>(body: (scope: Scoped) => T | Promise<T>, around: Scope | null): Promise<T> {
  const own: Scope = { around, start: nextNodeId(), settled: new Set() };
  openScopes.push(own);
  const returned = new Set<Tensor>();
  try {
    const result = await body((inner) => run(inner, own));
    for (const tensor of tensorsIn(result)) if (!tensor.state) returned.add(tensor.version);
    await materialise([...returned]);
    return result;
  } catch (error) {
    // Computes what is assigned so far, which may depend on what is freed now.
    await materialise([]).catch(() => {});
    throw error;
  } finally {
    openScopes.splice(openScopes.indexOf(own), 1);
    for (const tensor of returned) {
      if (!around) residenceOf(tensor).kept = true;
      else if (own.settled.has(tensor)) around.settled.add(tensor);
    }
    for (const tensor of own.settled) {
      if (!returned.has(tensor) && !stateOf(tensor)) forget(tensor);
    }
  }
}

function forget(tensor: Tensor): void {
  const residence = residenceOf(tensor);
  if (!residence.kept) residence.forget();
}
