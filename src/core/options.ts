import { ValueError } from './errors.ts';

/**
 * Declares and checks the options of public functions in one way: which there are, and what each takes. Callers from
 * JavaScript have no compiler that tells them of a misspelt name.
 */

/** What an option takes. */
export interface Kind<T> {
  /** The end of the sentence `alpha must be …`. */
  readonly wanted: string;
  accepts(value: unknown): value is T;
}

const kind = <T>(wanted: string, accepts: (value: unknown) => boolean): Kind<T> => ({
  wanted,
  accepts: accepts as Kind<T>['accepts'],
});
const isFiniteNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

export const flag = kind<boolean>('true or false', (value) => typeof value === 'boolean');
/** Any number, infinities and NaN among them. */
export const anyNumber = kind<number>('a number', (value) => typeof value === 'number');
export const finite = kind<number>('a finite number', isFiniteNumber);
export const positive = kind<number>('a positive finite number', (value) => isFiniteNumber(value) && value > 0);
export const notNegative = kind<number>(
  'a finite number of at least 0',
  (value) => isFiniteNumber(value) && value >= 0,
);
export const between = (least: number, most: number) =>
  kind<number>(
    `a number from ${least} to ${most}`,
    (value) => isFiniteNumber(value) && value >= least && value <= most,
  );
export const integer = kind<number>('an integer', Number.isInteger);
/** An integer from `least` to `greatest`, at most the last that a number holds exactly. */
export const integerFrom = (least: number, greatest = Number.MAX_SAFE_INTEGER) =>
  kind<number>(
    greatest === Number.MAX_SAFE_INTEGER
      ? `an integer of at least ${least}`
      : `an integer from ${least} to ${greatest}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= greatest,
  );
/** How many of something: 1 or more. */
export const count = kind<number>('a positive integer', (value) => Number.isInteger(value) && (value as number) > 0);
/** How many of something: 0 or more. */
export const countOrNone = kind<number>(
  'an integer of at least 0',
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
);
/** How many of something, with an upper limit: nobody means a million layers. */
export const countUpTo = (most: number) =>
  kind<number>(`a positive integer of at most ${most}`, (value) => count.accepts(value) && value <= most);
export const probability = kind<number>('in [0, 1]', (value) => isFiniteNumber(value) && value >= 0 && value <= 1);
/** A share of a whole: above 0, at most 1. */
export const share = kind<number>('in (0, 1]', (value) => probability.accepts(value) && value > 0);
export const text = kind<string>('a string', (value) => typeof value === 'string');
// Parameters of any kind: what the function takes is its own declaration's business.
// biome-ignore lint/complexity/noBannedTypes: the kind of every function type
export const callback = kind<Function>('a function', (value) => typeof value === 'function');
/** A tensor, recognised by the fields that every tensor has: core does not know the class. */
export const tensorLike = kind<object>('a tensor', (value) => {
  const given = value as { node?: unknown; dtype?: unknown } | null;
  return typeof given === 'object' && given !== null && 'node' in given && 'dtype' in given;
});
/**
 * A random generator, recognised by its method `take`: random.ts imports this file, so that this one does not know the
 * class.
 */
export const generatorLike = kind<object>(
  'a Generator',
  (value) => typeof (value as { take?: unknown } | null)?.take === 'function',
);
export const abortSignal = kind<AbortSignal>(
  'an AbortSignal',
  (value) => typeof (value as AbortSignal | null)?.throwIfAborted === 'function',
);
/** Axes of a tensor: one, several, or all of them. */
export const axesLike = kind<number | readonly number[] | null | undefined>('an axis, or an array of axes', (value) =>
  [value ?? []].flat().every((axis) => typeof axis === 'number'),
);
export const array = kind<readonly unknown[]>('an array', Array.isArray);
export const iterable = kind<Iterable<unknown>>(
  'an array, or something else to go through',
  (value) => typeof value === 'object' && value !== null && Symbol.iterator in value,
);
/** An object or a class's instance, whose own parts the function checks. */
export const object = kind<object>('an object', (value) => typeof value === 'object' && value !== null);
/** Anything: the function itself checks the value, with a message of its own. */
export const anything = kind<unknown>('anything', () => true);

export const oneOf = <const Names extends readonly (string | number)[]>(...names: Names): Kind<Names[number]> =>
  kind(listed(names.map(quoted), 'or'), (value) => names.includes(value as Names[number]));
export const either = <A, B>(a: Kind<A>, b: Kind<B>): Kind<A | B> =>
  kind(`${a.wanted}, or ${b.wanted}`, (value) => a.accepts(value) || b.accepts(value));
export const nullable = <T>(of: Kind<T>): Kind<T | null> =>
  kind(`${of.wanted}, or null`, (value) => value === null || of.accepts(value));
export const listOf = <T>(of: Kind<T>): Kind<readonly T[]> =>
  kind(`an array, each of it ${of.wanted}`, (value) => Array.isArray(value) && value.every((each) => of.accepts(each)));

export const pairOf = <T>(of: Kind<T>): Kind<readonly [T, T]> =>
  kind(`a pair, each of it ${of.wanted}`, (value) => listOf(of).accepts(value) && (value as unknown[]).length === 2);

/** The kind of each option of a function; the compiler asks for those that are missing. */
export type Kinds<Options> = { readonly [Name in keyof Required<Options>]: Kind<unknown> };

/**
 * Declares the options of a function, and returns the check of a call, which hands the options on. The check throws a
 * ValueError that names an option that does not exist and the nearest that does, one that is `required` and left out, or
 * what a value must be. An option that is undefined counts as left out.
 */
export function declareOptions<Options extends object>(
  kinds: Kinds<Options>,
  required: readonly (keyof Options & string)[] = [],
): <Given extends Partial<Options>>(op: string, given: Given | undefined) => Given {
  const known = Object.entries<Kind<unknown>>(kinds);
  return (op, given) => {
    if (given === undefined && required.length === 0) return {} as NonNullable<typeof given>;
    if (typeof given !== 'object' || given === null || Array.isArray(given) || tensorLike.accepts(given))
      throw new ValueError(`[${op}] options must be an object like { ${known[0]?.[0]}: … }, got ${shown(given)}`);
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(kinds, name)) throw new ValueError(unknown(op, name, Object.keys(kinds)));
    }
    const missing = required.find((name) => given[name] === undefined);
    if (missing) throw new ValueError(`[${op}] needs the option ${missing}: ${kinds[missing].wanted}`);
    for (const [name, { wanted, accepts }] of known) {
      const value = (given as Readonly<Record<string, unknown>>)[name];
      if (value !== undefined && !accepts(value))
        throw new ValueError(`[${op}] ${name} must be ${wanted}, got ${shown(value)}`);
    }
    return given;
  };
}

/** Throws a ValueError unless `value` is of the kind: for arguments that are no options. */
export function expectKind<T>(op: string, name: string, value: unknown, { wanted, accepts }: Kind<T>): void {
  if (!accepts(value)) throw new ValueError(`[${op}] ${name} must be ${wanted}, got ${shown(value)}`);
}

/** A value as it stands in messages. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (tensorLike.accepts(value)) return brief(String(value));
  if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value).slice(0, 3);
    const said = listed(
      names.map((name) => brief(name, 40)),
      'and',
    );
    return `an object with ${said || 'nothing in it'}`;
  }
  return brief(String(value));
}

/** A list as it stands in messages where it may hold anything, and much of it: `[2, 3]`. */
export function shownList(list: readonly unknown[]): string {
  const items = list.slice(0, 16).map((each) => brief(shown(each), 24));
  return brief(`[${items.join(', ')}${list.length > items.length ? `, … ${list.length} in all` : ''}]`, 120);
}

/**
 * A text that somebody else chose, such as a name in a file, as it stands in messages: without its middle where it has more
 * than `most` characters. A message stays readable, whatever it speaks of.
 */
export function brief(text: string, most = 80): string {
  if (text.length <= most) return text;
  const end = most >> 2;
  return `${text.slice(0, most - end - 1)}…${text.slice(text.length - end)}`.toWellFormed();
}

/** `brief` of a text in double quotes, with escapes for what can't be seen. */
export const briefly = (text: string, most?: number) => brief(JSON.stringify(text), most);

/** As many of the parts as `room` characters hold, at least one of them, and how many there are beyond. */
export function firstOf(parts: readonly string[], separator: string, room = 100): string {
  const shown = [brief(parts[0] ?? '', room)];
  let length = shown[0]?.length ?? 0;
  for (const part of parts.slice(1)) {
    length += separator.length + part.length;
    if (length > room) break;
    shown.push(part);
  }
  const rest = parts.length - shown.length;
  return shown.join(separator) + (rest > 0 ? `${separator}and ${rest} more` : '');
}

function unknown(op: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return `[${op}] there is no option ${quoted(name)}${near ? `; is ${quoted(near)} meant?` : ';'} Known: ${known.join(', ')}`;
}

const quoted = (value: unknown) => (typeof value === 'string' ? `'${brief(value)}'` : String(value));

function listed(names: readonly string[], word: 'and' | 'or'): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} ${word} ${names.at(-1)}`;
}

/** The known name that looks most like `name`: `batch_first` like batchFirst, `numLayers` like layers; none, if none does. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  // Nobody has misspelt a name of such a length, and to compare it takes long.
  if (name.length > 64) return undefined;
  const plain = (text: string) => text.replaceAll('_', '').toLowerCase();
  const wanted = plain(name);
  const scored = known.map((each) => {
    const own = plain(each);
    const inside = own.length > 2 && wanted.length > 2 && (wanted.includes(own) || own.includes(wanted));
    return {
      each,
      distance: Math.min(distance(wanted, own), inside ? 1 : Infinity),
      limit: Math.max(2, own.length / 2),
    };
  });
  const best = scored.sort((a, b) => a.distance - b.distance)[0];
  return best && best.distance <= best.limit ? best.each : undefined;
}

/** Insertions, deletions, replacements and swaps of neighbours between two texts (Damerau 1964, without repeats). */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      (rows[i] as number[])[j] = Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + Number(!same),
        swapped,
      );
    }
  }
  return at(a.length, b.length);
}
