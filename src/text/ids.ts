import { DTypeError } from '../core/errors.ts';
import { shown } from '../core/options.ts';

/** Throws DTypeError unless `data` is token ids as `encode` gives them. */
export function expectIds(op: string, data: unknown): asserts data is Int32Array {
  if (!(data instanceof Int32Array))
    throw new DTypeError(`[${op}] takes token ids in an Int32Array, as encode() gives them, got ${shown(data)}`);
}
