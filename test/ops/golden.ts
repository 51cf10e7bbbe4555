import { expect } from 'vitest';
import type { Attributes } from '../../src/core/types.ts';
import { grad, type HostArray, sum, type Tensor, tensor } from '../../src/index.ts';
import { loadFixture } from '../fixtures/load.ts';
import { type Approximation, interpret } from '../reference/interpret.ts';
import { expectClose, unit } from '../support/compare.ts';
import { read } from '../support/gpu.ts';

/** Golden values of PyTorch for ops: results, and gradients of their inputs. */

export interface GoldenCase {
  readonly name: string;
  readonly options: Attributes;
  /** Inputs, outputs and gradients by name. */
  readonly x: Readonly<Record<string, Tensor>>;
}

/** The cases that make.py wrote for a family of ops, and a way to load each as tensors: anew, so that none stays behind. */
export async function goldenCases(
  family: string,
  matching: RegExp = /./,
): Promise<{ name: string; load: () => GoldenCase }[]> {
  const cases = [...(await loadFixture(family))].filter(([name]) => matching.test(name));
  return cases.map(([name, { options, tensors }]) => ({
    name,
    load: () => ({
      name,
      options: options as Attributes,
      x: Object.fromEntries([...tensors].map(([key, { shape, data }]) => [key, tensor(data, { shape })])),
    }),
  }));
}

/**
 * Checks a case of a fixture: the outputs that `compute` makes of the inputs, and the gradient of each input that has one,
 * against PyTorch's. The interpreter must agree with PyTorch too.
 */
export async function checkGolden(
  { name, options, x }: GoldenCase,
  compute: (
    x: Record<string, Tensor>,
    options: Attributes,
    name: string,
  ) => Readonly<Record<string, Tensor | undefined>>,
): Promise<void> {
  const outputs = compute({ ...x }, options, name) as Record<string, Tensor>;
  const wanted: Record<string, Tensor> = { ...outputs };
  const terms = Object.entries(outputs).flatMap(([key, y]) =>
    x[`d${key}`] ? [sum(y.mul(x[`d${key}`] as Tensor))] : [],
  );
  const inputs = Object.keys(x).filter((key) => !(key in outputs) && x[`d${key}`]);
  if (terms.length > 0) {
    const gradients = grad(
      terms.reduce((a, b) => a.add(b)),
      inputs.map((key) => x[key] as Tensor),
    );
    for (const [i, key] of inputs.entries()) wanted[`d${key}`] = gradients[i] as Tensor;
  }
  const tensors = Object.values(wanted);
  const actual = await read(...tensors);
  const exact = interpret(tensors, { errors: true });
  for (const [i, key] of Object.keys(wanted).entries()) {
    const { value, error } = exact[i] as Approximation;
    const golden = (x[key] as Tensor).host as HostArray;
    expect(tensors[i]?.shape, key).toEqual(x[key]?.shape);
    const size = Math.max(...Array.from(golden, Math.abs));
    const rounding = Array.from(golden, (g) => 2 * unit * Math.abs(g) + 1e-7 * size + 1e-13);
    expectClose(value.data, golden, rounding, `${key}, interpreted, against PyTorch`);
    expectClose(
      actual[i] as HostArray,
      golden,
      rounding.map((r, j) => r + (error?.data[j] ?? 0)),
      `${key} against PyTorch`,
    );
  }
}
