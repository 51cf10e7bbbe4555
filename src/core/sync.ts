import { WeftError } from './errors.ts';

/** Functions of the user's that must run at once, since what they record counts only until they return. */

/** Throws where such a function has returned a promise. */
export function expectSync(op: string, what: string, returned: unknown): void {
  if (!takeRejection(returned)) return;
  throw new WeftError(
    `[${op}] ${what} is async; it runs once and at once, so it must return tensors, not a promise. Await outside of it.`,
  );
}

/** Takes notice of a promise that is refused, so that its rejection does not count as unhandled. True for promises. */
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
