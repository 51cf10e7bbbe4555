import { expect } from 'vitest';
import type { Attributes } from '../../src/core/types.ts';
import { type FixtureCase, loadFixture } from '../fixtures/load.ts';
import { type Ref, ref } from './ref.ts';

/** The tensors of a case by name. */
export type Values = Readonly<Record<string, Ref | undefined>>;

export interface Golden {
  readonly name: string;
  readonly options: Attributes;
  readonly x: Values;
}

/** The cases of a family of fixtures, in float64. */
export async function golden(family: string): Promise<Golden[]> {
  const values = ({ tensors }: FixtureCase) =>
    Object.fromEntries([...tensors].map(([name, { shape, data }]) => [name, ref(shape, data)]));
  return [...(await loadFixture(family))].map(([name, fixture]) => ({
    name,
    options: fixture.options as Attributes,
    x: values(fixture),
  }));
}

/** Those of the named tensors that the case has, in the order of the names. */
export function pick(x: Values, ...names: readonly string[]): Ref[] {
  return names.flatMap((name) => x[name] ?? []);
}

export function need(x: Values, name: string): Ref {
  const value = x[name];
  if (!value) throw new Error(`there is no tensor '${name}' among ${Object.keys(x)}`);
  return value;
}

/** Both are float64 inside, so that only the rounding of the stored number to float32 separates them. */
export function expectClose(got: Ref, want: Ref, what: string, relative = 1e-7, absolute = 1e-9): void {
  expect(got.shape, what).toEqual(want.shape);
  for (const [i, value] of got.data.entries()) {
    const expected = want.data[i] as number;
    if (!(Math.abs(value - expected) <= relative * Math.abs(expected) + absolute)) {
      expect.fail(`${what}[${i}]: ${value}, PyTorch has ${expected}`);
    }
  }
}
