/** A sample of public names for docs.test.ts: those whose names begin with `bare` have no docstring. */

/** Options. */
export interface Options {
  /** Documented. */
  told?: number;
  bareOption?: number;
}

export interface BareInterface {
  /** Documented. */
  told: number;
}

interface Hidden {
  bareHidden?: boolean;
}

/** Above the class. */
class Above {
  /** Documented here, and so in each heir. */
  inherited(): void {}
}

/** A class. */
export class Sample extends Above {
  readonly bareField: number = 1;
  #privateField = 1;
  protected kept = 1;

  override inherited(): void {}

  bareMethod(): number {
    return this.#privateField;
  }

  [Symbol.dispose](): void {}

  static bareStatic(): void {}
}

/** A function. */
export function told(_options: Hidden, _more: { bareInline: number }): { result: number } {
  return { result: 1 };
}

export const bareConstant = 1;
// No docstring.
export const bareFunction = () => 1;
/** @param x a number, of which nothing else is said */
export function bareTags(x: number): number {
  return x;
}

/** Holds itself. */
export type Nested = number | Nested[];

export * as bareSpace from './docs.inner.ts';
