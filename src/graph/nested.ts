import { ValueError } from '../core/errors.ts';
import { brief } from '../core/options.ts';
import { takeRejection } from '../core/sync.ts';
import type { Tensor } from './tensor.ts';
import { isTensor } from './tensor.ts';

/** How values that hold tensors are taken apart and put together again: arguments, results, what a scope or a module holds. */

/** The deepest nesting that is followed: an object that holds itself has no end. */
const deepest = 64;

/**
 * Rebuilds arrays, plain objects and Maps with other leaves. `leaf` gives what replaces anything else, and the arrays that
 * `isWhole` accepts; `path` says where it lies, as in `result.states[0]`.
 */
export function mapLeaves(
  op: string,
  path: string,
  value: unknown,
  leaf: (value: unknown, path: string) => unknown,
  isWhole: (array: readonly unknown[]) => boolean = () => false,
): unknown {
  const map = (value: unknown, path: string, depth: number): unknown => {
    if (depth > deepest)
      throw new ValueError(`[${op}] ${brief(path)} lies more than ${deepest} deep; does it hold itself?`);
    if (Array.isArray(value))
      return isWhole(value) ? leaf(value, path) : value.map((item, i) => map(item, `${path}[${i}]`, depth + 1));
    if (value instanceof Map) {
      return new Map(
        [...value].map(([key, item]) => {
          if (!isPlainValue(key))
            throw new ValueError(
              `[${op}] ${brief(path)} is a Map with ${kindOf(key)} as a key; keys must be texts or numbers`,
            );
          return [key, map(item, `${path}.get(${literal(key)})`, depth + 1)];
        }),
      );
    }
    if (!isPlainObject(value)) return leaf(value, path);
    const entries = Object.entries(value).map(([name, item]) => [
      name,
      map(item, /^[\w$]+$/.test(name) ? `${path}.${name}` : `${path}[${literal(name)}]`, depth + 1),
    ]);
    return Object.setPrototypeOf(Object.fromEntries(entries), Object.getPrototypeOf(value));
  };
  return map(value, path, 0);
}

/**
 * Rebuilds a value with its tensors replaced. Numbers, strings, booleans, bigints, null and undefined stay as they are,
 * and so do parameters and buffers, which stand for their state. Throws a ValueError on anything else, and says where it
 * lies.
 */
export function mapTensors(op: string, path: string, value: unknown, map: (tensor: Tensor) => unknown): unknown {
  return mapLeaves(op, path, value, (leaf, at) => {
    if (isTensor(leaf)) return leaf.state ? leaf : map(leaf);
    if (isPlainValue(leaf)) return leaf;
    takeRejection(leaf);
    throw new ValueError(
      `[${op}] ${brief(at)} is ${kindOf(leaf)}; here may stand tensors, numbers, strings, booleans, null, and arrays, plain objects and Maps of them${ArrayBuffer.isView(leaf) ? '; tensor(values) makes a tensor of an array' : ''}`,
    );
  });
}

/** All tensors that a value leads to, in whatever objects they lie. */
export function tensorsIn(value: unknown): Set<Tensor> {
  const found = new Set<Tensor>();
  const seen = new Set<unknown>();
  const open = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (isTensor(next)) found.add(next);
    else if (!seen.has(next)) {
      seen.add(next);
      for (const [, item] of contentsOf(next) ?? []) open.push(item);
    }
  }
  return found;
}

/**
 * What a value holds, with names: the items of arrays and Sets, the entries of Maps, the fields of objects of any class, but
 * for those of the platform (typed arrays, promises, elements of a page). Null where it holds nothing. A Map's key that is
 * an object counts by its position.
 */
export function contentsOf(value: unknown): (readonly [name: string, content: unknown])[] | null {
  if (typeof value !== 'object' || value === null) return null;
  if (value instanceof Map) return [...value].map(([key, item], i) => [isPlainValue(key) ? String(key) : `${i}`, item]);
  if (value instanceof Set) return [...value].map((item, i) => [`${i}`, item]);
  if (Array.isArray(value) || Object.prototype.toString.call(value) === '[object Object]') return Object.entries(value);
  return null;
}

export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  // The prototype of all objects has none: also that of another frame.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** True for what has no identity: it can be compared, and written down. */
export function isPlainValue(value: unknown): value is string | number | boolean | bigint | null | undefined {
  return value === null || ['string', 'number', 'boolean', 'bigint', 'undefined'].includes(typeof value);
}

/** A plain value as text, different for different ones. */
export function literal(value: string | number | boolean | bigint | null | undefined): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  return Object.is(value, -0) ? '-0' : String(value);
}

function kindOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  const name = value.constructor?.name ?? 'object';
  return `${/^[AEIOU]/i.test(name) ? 'an' : 'a'} ${brief(name)}`;
}
