import type { DType } from '../core/dtype.ts';
import { WeftError } from '../core/errors.ts';
import type { Dispatch } from './kernel.ts';

/**
 * Numbers in generated WGSL. Those that vary with extents and positions (an offset, the bound of a window, 1/N, the stream of
 * a random op) are marked, and become uniforms: texts which differ in nothing else are one text, and share a pipeline.
 *
 * Extents that an index is divided by, and the strides and lengths that follow from them, have marks of another kind: a
 * divisor that the compiler knows can be faster than a uniform, but each makes a text of its own. So a text with such marks has
 * two forms: one with constants, and a general one with uniforms. A device chooses between them (see PipelineCache).
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

const markedNumber = /#(u32|i32|f32) ([^#]+)#/g;

/** A stride or a length that follows from inner extents, which becomes a uniform in the general form. */
export const extentText = (value: number, type: 'u32' | 'i32' = 'u32'): string => `#extent ${type} ${value}#`;

/**
 * The coordinate of `index`, a variable that stays below `bound`, along an axis with `inner` elements from one coordinate to
 * the next: index / inner % extent, or index / inner where the axis is the outermost and no extent is given.
 */
export function coordinateOf(index: string, bound: number, inner: number, extent?: number): string {
  return inner === 1 && extent === undefined ? index : `#coordinate ${index} ${bound} ${inner} ${extent ?? 0}#`;
}

const markedExtent = /#(extent|coordinate) ([^#]+)#/g;

/** A block of uniforms has 64 words (see executable.ts). */
const mostFields = 64;

const params = /struct Params\s*\{([^}]*)\}/;

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
  return code.replace(params, (start) => start.replace('{', () => `{ ${declarations},`));
}

/** The texts of a dispatch in which numbers may be marked. */
type Texts = Pick<Dispatch, 'source' | 'functions' | 'declarations'>;

/** The forms of a text: its extents are constants, or uniforms. */
export type TextForm = 'constant' | 'general';

export interface TakenNumbers extends Texts {
  readonly fields: readonly Field[];
  /** Whether there are extents among them, so that the text has two forms. */
  readonly hasExtents: boolean;
}

/**
 * The texts of a form with fields in place of the numbers that they mark. Those that find no room beside `taken` fields stay
 * numbers; extents find what others leave.
 */
export function takeNumbers(marked: Texts, taken: () => number, form: TextForm): TakenNumbers {
  const { source, functions = {}, declarations } = marked;
  const fields: Field[] = [];
  const isMarked = [source, ...Object.values(functions), declarations].some((text) => text?.includes('#'));
  if (!isMarked) return { source, functions, declarations, fields, hasExtents: false };
  const room = mostFields - taken();
  const each = (texts: Texts, take: (text: string) => string): Texts => ({
    source: take(texts.source),
    functions: Object.fromEntries(Object.entries(texts.functions ?? {}).map(([name, text]) => [name, take(text)])),
    declarations: texts.declarations && take(texts.declarations),
  });
  const withNumbers = each(marked, (text) =>
    text.replace(markedNumber, (_, type: Field['type'], digits: string) => {
      const value = Number(digits);
      if (fields.length >= room) return literal(value, type);
      const name = `number${fields.length}`;
      fields.push({ name, type, value });
      return `params.${name}`;
    }),
  );
  const extents = form === 'constant' ? constantExtents : new GeneralExtents(fields, room);
  let hasExtents = false;
  const texts = each(withNumbers, (text) =>
    text.replace(markedExtent, (_, kind: string, words: string) => {
      hasExtents = true;
      const [first, ...rest] = words.split(' ') as [string, ...string[]];
      if (kind === 'extent') return extents.number(first as 'u32' | 'i32', Number(rest[0]));
      const [bound, inner, extent] = rest.map(Number) as [number, number, number];
      return extents.coordinate(first, bound, inner, extent);
    }),
  );
  return { ...texts, fields, hasExtents };
}

/** How a form writes what extents decide. */
interface ExtentTexts {
  number(type: 'u32' | 'i32', value: number): string;
  /** index / inner % extent; without the remainder where `extent` is 0. */
  coordinate(index: string, bound: number, inner: number, extent: number): string;
}

const constantExtents: ExtentTexts = {
  number: (type, value) => (type === 'u32' ? `${value}u` : String(value)),
  coordinate(index, _, inner, extent) {
    const quotient = inner === 1 ? index : `(${index} / ${inner}u)`;
    return extent === 0 ? quotient : `(${quotient} % ${extent}u)`;
  },
};

/** The file of shaders/lib/ that general forms use. */
export const quotientFile = 'quotient';

/** Indices and quotients up to which one estimate is enough; see shaders/lib/quotient.wgsl. */
const [shortBound, shortQuotients] = [2 ** 31, 2 ** 20];

/** 1 / divisor as shaders/lib/quotient.wgsl wants it: too small, by so little that it is right to 2⁻²⁰ after its roundings. */
export const inverseOf = (divisor: number): number => Math.fround((1 - 3 * 2 ** -23) / divisor);

/** Extents as further fields, while there is room. A divisor has its inverse beside it. */
class GeneralExtents implements ExtentTexts {
  readonly #fields: Field[];
  readonly #room: number;
  /** Numbers by divisor. All coordinates of an index have divisors in common, and compilers see equal quotients. */
  readonly #divisors = new Map<number, number>();
  /** Extents by the text of the divisors that they lie between. */
  readonly #extents = new Map<string, string>();

  constructor(fields: Field[], room: number) {
    this.#fields = fields;
    this.#room = room;
  }

  number(type: 'u32' | 'i32', value: number): string {
    return this.#has(1) ? this.#field('extent', type, value) : constantExtents.number(type, value);
  }

  coordinate(index: string, bound: number, inner: number, extent: number): string {
    const outer = inner * extent;
    const divisors = [inner, outer].filter((divisor) => divisor > 1);
    const fresh = divisors.filter((divisor) => !this.#divisors.has(divisor)).length;
    const between = Number(extent > 0 && inner > 1);
    if (!this.#has(2 * fresh + between)) return constantExtents.coordinate(index, bound, inner, extent);
    const own = inner === 1 ? index : this.#quotient(index, bound, inner);
    if (extent === 0) return own;
    const next = this.#quotient(index, bound, outer);
    return `(${own} - ${next} * ${inner === 1 ? this.#divisor(outer) : this.#between(inner, extent)})`;
  }

  #quotient(index: string, bound: number, divisor: number): string {
    const short = bound <= shortBound && bound / divisor <= shortQuotients;
    const name = short ? 'shortQuotient' : 'longQuotient';
    return `${name}(${index}, ${this.#divisor(divisor)}, params.inverse${this.#divisors.get(divisor)})`;
  }

  #divisor(divisor: number): string {
    const known = this.#divisors.get(divisor);
    if (known !== undefined) return `params.divisor${known}`;
    const number = this.#divisors.size;
    this.#divisors.set(divisor, number);
    this.#fields.push({ name: `divisor${number}`, type: 'u32', value: divisor });
    this.#fields.push({ name: `inverse${number}`, type: 'f32', value: inverseOf(divisor) });
    return `params.divisor${number}`;
  }

  #between(inner: number, extent: number): string {
    const key = `${inner} ${extent}`;
    const text = this.#extents.get(key) ?? this.#field('extent', 'u32', extent);
    this.#extents.set(key, text);
    return text;
  }

  #has(fields: number): boolean {
    return this.#fields.length + fields <= this.#room;
  }

  #field(kind: string, type: Field['type'], value: number): string {
    const name = `${kind}${this.#fields.length}`;
    this.#fields.push({ name, type, value });
    return `params.${name}`;
  }
}
