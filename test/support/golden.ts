import { expect } from 'vitest';
import { grad, type Tensor, tensor } from '../../src/index.ts';
import type { Module } from '../../src/nn/index.ts';
import { type FixtureCase, type FixtureTensor, loadFixture } from '../fixtures/load.ts';
import { read } from './gpu.ts';

/** Golden values of PyTorch for whole modules; computed there in float64, so that the errors are weft's alone. */

export interface GoldenCase extends FixtureCase {
  readonly name: string;
}

/** The cases of a family, for `it.for`. */
export async function goldenCases(family: string): Promise<GoldenCase[]> {
  return [...(await loadFixture(family))].map(([name, fixture]) => ({ name, ...fixture }));
}

export function stored({ tensors, name: owner }: GoldenCase, name: string): FixtureTensor {
  const found = tensors.get(name);
  if (!found) throw new Error(`${owner} has no tensor ${name}, only ${[...tensors.keys()].join(', ')}`);
  return found;
}

/** A stored tensor as an input; undefined where the case has none of that name. */
export function optional({ tensors }: GoldenCase, name: string): Tensor | undefined {
  const found = tensors.get(name);
  return found && tensor(found.data, { shape: found.shape });
}

export function given(golden: GoldenCase, name: string): Tensor {
  const { data, shape } = stored(golden, name);
  return tensor(data, { shape });
}

/** Gives a module the parameters that the case stores under `prefix` and the module's names. */
export function loadGolden(module: Module, golden: GoldenCase, prefix = ''): void {
  module.loadStateDict(new Map(module.namedParameters().map(([name]) => [name, given(golden, prefix + name)])));
}

/** Compares outputs, and the gradients of inputs and parameters of the sum over outputs of ⟨y, dy⟩. */
export async function expectGolden(
  golden: GoldenCase,
  outputs: Readonly<Record<string, Tensor>>,
  inputs: Readonly<Record<string, Tensor>>,
  module: Module,
): Promise<void> {
  const objective = Object.entries(outputs)
    .map(([name, y]) => y.mul(given(golden, `d${name}`)).sum())
    .reduce((a, b) => a.add(b));
  const leaves = new Map([...Object.entries(inputs), ...module.namedParameters()]);
  const gradients = grad(objective, [...leaves.values()]);
  const found = new Map([
    ...Object.entries(outputs),
    ...[...leaves.keys()].map((name, i): [string, Tensor] => [`d${name}`, gradients[i] as Tensor]),
  ]);
  const values = await read(...found.values());
  for (const [i, [name, { shape }]] of [...found].entries()) {
    const want = stored(golden, name);
    expect(shape, name).toEqual(want.shape);
    expectNear(values[i] as ArrayLike<number>, want.data, `${golden.name}/${name}`);
  }
}

/** Errors relative to each number, and to the largest of all, since the small ones are sums of large ones. */
export function expectNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  what: string,
  relative = 1e-5,
): void {
  expect(actual.length, what).toBe(expected.length);
  const largest = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++) {
    const [got, want] = [actual[i] as number, expected[i] as number];
    if (!(Math.abs(got - want) <= relative * (Math.abs(want) + largest)))
      expect.fail(`${what}[${i}] is ${got}, PyTorch has ${want}`);
  }
}
