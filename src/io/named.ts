import { ValueError } from '../core/errors.ts';
import { briefly } from '../core/options.ts';
import { kindOf } from './bytes.ts';

/**
 * The entries of a set of tensors by name, a Map or an object, each checked by `fits`; `whyNot` says what an entry is that
 * does not fit. Throws ValueError for anything that is no such set, and for an empty one, which would save nothing.
 */
export function namedTensors<T>(
  op: string,
  given: unknown,
  fits: (value: unknown) => value is T,
  whyNot: (value: unknown) => string,
): [name: string, tensor: T][] {
  const entries = entriesOf(op, given);
  if (entries.length === 0)
    throw new ValueError(`[${op}] there are no tensors in what was given: a file of it would hold nothing`);
  return entries.map(([name, value]): [string, T] => {
    if (typeof name !== 'string') throw new ValueError(`[${op}] names are strings; got ${kindOf(name)} as one`);
    if (!fits(value)) throw new ValueError(`[${op}] ${briefly(name)} is ${whyNot(value)}`);
    return [name, value];
  });
}

function entriesOf(op: string, given: unknown): [unknown, unknown][] {
  if (given instanceof Map) return [...given];
  const prototype = typeof given === 'object' && given !== null ? Object.getPrototypeOf(given) : undefined;
  if (prototype === null || prototype === Object.prototype) return Object.entries(given as object);
  throw new ValueError(
    `[${op}] takes tensors by name, in a Map or a plain object; got ${kindOf(given)}${remedy(given)}`,
  );
}

function remedy(given: unknown): string {
  if (typeof given !== 'object' || given === null) return '';
  if ('stateDict' in given) return ': `await io.save(…)` takes it as it is, or pass its stateDict()';
  if ('then' in given) return ': await it first';
  return 'dtype' in given ? ': give it a name, { name: tensor }' : '';
}
