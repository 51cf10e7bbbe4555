import bits from '../../shaders/lib/bits.wgsl' with { type: 'text' };
import elementwise from '../../shaders/lib/elementwise.wgsl' with { type: 'text' };
import order from '../../shaders/lib/order.wgsl' with { type: 'text' };
import quotient from '../../shaders/lib/quotient.wgsl' with { type: 'text' };
import status from '../../shaders/lib/status.wgsl' with { type: 'text' };
import { WeftError } from '../core/errors.ts';

/**
 * Functions that shaders share, by the name of their file, which the first line of a shader uses: `// uses: order.wgsl`.
 * What most kernels need is here; each family adds what its own do, so that it comes with the family.
 */
const files = new Map<string, string>();

/** Adds files of shaders/lib/. */
export function addLibrary(texts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(texts)) files.set(name, text);
}

/** The text of a file of shaders/lib/. Throws where nobody has added it. */
export function libraryText(name: string): string {
  const text = files.get(name);
  if (text === undefined) throw new WeftError(`[specialise] shaders/lib/ has no file ${name}`);
  return text;
}

/** The files that were added. */
export const libraryFiles = (): readonly string[] => [...files.keys()];

addLibrary({ 'bits.wgsl': bits, 'elementwise.wgsl': elementwise, 'order.wgsl': order });
addLibrary({ 'quotient.wgsl': quotient, 'status.wgsl': status });
