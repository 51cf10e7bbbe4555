import { type Kind, shown } from '../src/core/options.ts';

/**
 * What JSON from outside, a file or a link, must look like: an object whose fields are of a kind each, as options of
 * weft's functions are, or objects again.
 */
export interface Schema {
  readonly [name: string]: Kind<unknown> | Schema;
}

/** What a value of the schema is. */
export type Content<S extends Schema> = {
  readonly [Name in keyof S]: S[Name] extends Kind<infer T> ? T : S[Name] extends Schema ? Content<S[Name]> : never;
};

/** The value does not look like its schema; the message names the field, what is wanted and what is there. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
}

/**
 * A copy of the value with the fields of the schema and no others, in their order: what a later version has added is no
 * business of this one. Throws SchemaError; `path` is the name of the value in its message.
 */
export function conform<S extends Schema>(schema: S, value: unknown, path: string): Content<S> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SchemaError(`${path} must be an object, got ${shown(value)}`);
  const given = new Map<string, unknown>(Object.entries(value));
  const checked = new Map(
    Object.entries(schema).map(([name, wanted]) => [name, conformField(wanted, given.get(name), `${path}.${name}`)]),
  );
  const kept = [...given.keys()].filter((name) => checked.has(name));
  return Object.fromEntries(kept.map((name) => [name, checked.get(name)])) as Content<S>;
}

function conformField(wanted: Kind<unknown> | Schema, given: unknown, path: string): unknown {
  if (!isKind(wanted)) return conform(wanted, given, path);
  if (wanted.accepts(given)) return given;
  throw new SchemaError(`${path} must be ${wanted.wanted}, got ${given === undefined ? 'nothing' : shown(given)}`);
}

/** A field that may be left out, as older versions have. */
export const optional = <T>(of: Kind<T>): Kind<T | undefined> => ({
  wanted: of.wanted,
  accepts: (value): value is T | undefined => value === undefined || of.accepts(value),
});

/** An object with a text for each name. */
export const texts: Kind<Readonly<Record<string, string>>> = {
  wanted: 'an object of strings',
  accepts: (value): value is Readonly<Record<string, string>> =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === 'string'),
};

const isKind = (wanted: Kind<unknown> | Schema): wanted is Kind<unknown> => typeof wanted.accepts === 'function';
