import type { DType } from '../core/dtype.ts';
import { WeftError } from '../core/errors.ts';
import type { Dispatch } from './kernel.ts';

/**
 * Numbers in generated WGSL. Those that vary with extents and positions (an offset, the bound of a window, 1/N, the stream of
 * a random op) are marked, and become uniforms: texts which differ in nothing else are one text, and share a pipeline.
 */

/** A field of `struct Params`: one 4-byte word. */
export interface Field {
  readonly name: string;
  readonly type: 'u32' | 'i32' | 'f32';
  /** Of a number that was marked in the text; the others are uniforms of the call. */
  readonly value?: number;
}

/** A WGSL expression for a number of the given element type. Infinities and NaN are no literals, so they come from bits.wgsl. */
export function literal(value: number, dtype: DType): string {
  if (dtype === 'bool') return value ? 'true' : 'false';
  if (dtype === 'u32') return `${Math.trunc(value) >>> 0}u`;
  if (dtype === 'i32') return Math.trunc(value) === -2147483648 ? 'i32(-2147483647 - 1)' : `i32(${Math.trunc(value)})`;
  const single = Math.fround(value);
  if (Number.isNaN(single)) return 'notANumber()';
  if (!Number.isFinite(single)) return single > 0 ? 'infinity()' : '(-infinity())';
  const text = String(single);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A finite number as a uniform: `takeNumbers` gives it a field. WGSL has no use for the mark's `#`. */
export const uniformText = (value: number, type: Field['type']): string => `#${type} ${value}#`;

const marked = /#(u32|i32|f32) ([^#]+)#/g;

/** A block of uniforms has 64 words (see executable.ts). */
const mostFields = 64;

const params = /struct Params \{([^}]*)\}/;

/** The fields of `struct Params` in a text, in order. */
export const paramFields = (code: string): Field[] =>
  [...(params.exec(code)?.[1] ?? '').matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)].map((match) => ({
    name: match[1] as string,
    type: match[2] as Field['type'],
  }));

/** `struct Params` with further fields in front. Throws where there is none. */
export function addFields(code: string, fields: readonly Field[], kernel: string): string {
  if (fields.length === 0) return code;
  if (!params.test(code)) throw new WeftError(`[specialise] ${kernel} has numbers, and no struct Params for them`);
  const declarations = fields.map(({ name, type }) => `${name}: ${type}`).join(', ');
  return code.replace('struct Params {', (start) => `${start} ${declarations},`);
}

/** The texts of a dispatch in which numbers may be marked. */
type Texts = Pick<Dispatch, 'source' | 'functions' | 'declarations'>;

/** The texts with fields in place of the numbers that they mark. Those that find no room beside `taken` fields stay numbers. */
export function takeNumbers({ source, functions = {}, declarations }: Texts, taken: () => number): [Texts, Field[]] {
  const fields: Field[] = [];
  const isMarked = [source, ...Object.values(functions), declarations].some((text) => text?.includes('#'));
  if (!isMarked) return [{ source, functions, declarations }, fields];
  const room = mostFields - taken();
  const take = (text: string) =>
    text.replace(marked, (_, type: Field['type'], digits: string) => {
      const value = Number(digits);
      if (fields.length >= room) return literal(value, type);
      const name = `number${fields.length}`;
      fields.push({ name, type, value });
      return `params.${name}`;
    });
  const texts = {
    source: take(source),
    functions: Object.fromEntries(Object.entries(functions).map(([name, text]) => [name, take(text)])),
    declarations: declarations && take(declarations),
  };
  return [texts, fields];
}
