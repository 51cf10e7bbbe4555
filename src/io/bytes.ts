import { ValueError } from '../core/errors.ts';
import { brief, briefly } from '../core/options.ts';

/** Bytes in memory: a buffer, or any view of one at any offset (Uint8Array, Node's Buffer, DataView, …). */
export type ByteSource = ArrayBufferView | ArrayBufferLike;

/**
 * Exactly the bytes of `source`, as a plain Uint8Array: the `slice` of Node's Buffer, a subclass, shares memory instead of
 * copying it. Memory that is shared or can be resized is copied: few functions of a platform take it.
 * Throws ValueError for anything else, with what to do about it.
 */
export function bytesOf(op: string, source: unknown): Uint8Array<ArrayBuffer> {
  const bytes = viewOf(source);
  if (!bytes)
    throw new ValueError(
      `[${op}] takes bytes: an ArrayBuffer, or a view of one such as Uint8Array; got ${kindOf(source)}${remedy(source)}`,
    );
  return isPlain(bytes) ? bytes : new Uint8Array(bytes);
}

export const isBytes = (value: unknown): value is ByteSource => viewOf(value) !== null;

function viewOf(source: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  return isBuffer(source) ? new Uint8Array(source) : null;
}

/** Compares tags: a buffer from another realm (a frame, a test runner) is no instance of this one's class. */
const tagOf = (value: unknown) => Object.prototype.toString.call(value).slice(8, -1);
const isBuffer = (value: unknown): value is ArrayBufferLike => /^(Shared)?ArrayBuffer$/.test(tagOf(value));
const isPlain = (bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> =>
  tagOf(bytes.buffer) === 'ArrayBuffer' && !(bytes.buffer as ArrayBuffer).resizable;

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'string') return `the string ${briefly(value)}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object') return `${typeof value} ${brief(String(value))}`;
  const name: unknown = value.constructor?.name;
  return typeof name === 'string' && name !== '' && name !== 'Object'
    ? `an object of class ${brief(name)}`
    : 'a plain object';
}

function remedy(source: unknown): string {
  if (typeof source === 'string') return '; io.load(path) reads a file';
  if (typeof source !== 'object' || source === null) return '';
  if ('then' in source) return ': await it first';
  return 'arrayBuffer' in source ? ': pass its `await x.arrayBuffer()`' : '';
}
