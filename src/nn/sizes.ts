import { ValueError } from '../core/errors.ts';
import { count, expectKind } from '../core/options.ts';

/** Throws a ValueError unless all of these are positive integers. */
export function checkSizes(module: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) expectKind(module, name, size, count);
}

/** Throws a ValueError unless `heads` divides `width`. */
export function checkHeads(module: string, width: number, heads: number): void {
  checkSizes(module, { width, heads });
  if (width % heads !== 0)
    throw new ValueError(`[${module}] the width, ${width}, must be a multiple of the number of heads, ${heads}`);
}
