import { WeftError } from './errors.ts';

/** Guards for functions of the user that must not be async: what they record counts only until they return. */

/** Throws where such a function has returned a promise. */
export function expectSync(op: string, what: string, returned: unknown): void {
  if (!takeRejection(returned)) return;
  throw new WeftError(
    `[${op}] ${what} is async; it runs once and at once, so it must return tensors, not a promise. Await outside of it.`,
  );
}

/**
 * Handles the rejection of a promise that is refused, so that the runtime does not report it as unhandled. Returns true
 * for promises.
 */
export function takeRejection(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { then } = value as { then?: unknown };
  if (typeof then !== 'function') return false;
  then.call(
    value,
    () => {},
    () => {},
  );
  return true;
}
