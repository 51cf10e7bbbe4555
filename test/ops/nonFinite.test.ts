import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../src/core/shape.ts';
import {
  concat,
  crossEntropy,
  full,
  grad,
  type HostArray,
  layerNorm,
  logSoftmax,
  rmsNorm,
  softmax,
  sum,
  type Tensor,
  tensor,
  UnsupportedError,
} from '../../src/index.ts';
import type { OpName } from '../../src/ops/registry.ts';
import { ops } from '../../src/ops/registry.ts';
import { type Approximation, interpret } from '../reference/interpret.ts';
import { expectClose } from '../support/compare.ts';
import { draw } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { namesOfRun, type Sample, samples } from '../support/samples.ts';

useGpu();

/** The quiet NaN of either sign, one that signals, one with a payload: functions that look at signs or bits may tell them apart. */
const patterns = [0x7fc00000, 0xffc00000, 0x7f800001, 0x7fc12345];
const infinities = [0x7f800000, 0xff800000];

/** The tensor with other bits at one place. */
function withBits(x: Tensor, place: number, bits: number): Tensor {
  const changed = tensor(x.host as Float32Array<ArrayBuffer>, { shape: x.shape });
  const words = new Uint32Array((changed.host as HostArray).buffer);
  words[place] = bits;
  return changed;
}

interface Case {
  readonly what: string;
  readonly roots: readonly Tensor[];
}

/** The results of a sample, and their gradients where asked for, with special bits at one place of one of its inputs. */
function caseOf(sample: Sample, which: number, place: number, bits: number, gradients: boolean): Case {
  const inputs = sample.inputs();
  inputs[which] = withBits(inputs[which] as Tensor, place, bits);
  const given = sample.run(...inputs);
  const outputs: readonly Tensor[] = Array.isArray(given) ? given : [given];
  return {
    what: `${sample.label}, input ${which}[${place}] = 0x${bits.toString(16)}`,
    roots: [...outputs, ...(gradients ? slopes(outputs, inputs) : [])],
  };
}

/** The gradients of all f32 inputs; none where an op on the way has none. */
function slopes(outputs: readonly Tensor[], inputs: readonly Tensor[]): Tensor[] {
  const isFloat = ({ dtype }: Tensor) => dtype === 'f32';
  const terms = outputs.filter(isFloat).map((y) => sum(y.mul(draw(y.shape, 0.5, 1))));
  try {
    return terms.length === 0
      ? []
      : grad(
          terms.reduce((a, b) => a.add(b)),
          inputs.filter(isFloat),
        );
  } catch (error) {
    if (error instanceof UnsupportedError) return [];
    throw error;
  }
}

/** The cases of an op: each f32 input in turn holds some of the bits, somewhere. */
function casesOf(name: OpName, bits: readonly number[], each: number, gradients: boolean): Case[] {
  let turn = 0;
  return samples[name].flatMap((sample) =>
    sample.inputs().flatMap((input, which) =>
      Array.from({ length: input.dtype === 'f32' ? each : 0 }, () => {
        const place = (7 * turn + 1) % sizeOf(input.shape);
        return caseOf(sample, which, place, bits[turn++ % bits.length] as number, gradients);
      }),
    ),
  );
}

/** What is wrong with a value, or null. */
function difference(got: number, want: number, what: string): string | null {
  const near = Math.abs(got - want) <= 1e-3 * (1 + Math.abs(want));
  // Where an infinity is the exact result, sums in another order may meet ∞ − ∞.
  const infinite = Math.abs(want) === Infinity && (got === want || Number.isNaN(got));
  return near || infinite || Object.is(got, want) ? null : `${what} is ${got}, not ${want}`;
}

/** What is wrong in the cases of each op: all are run in one plan, whose pipelines are made side by side. */
async function differences(cases: ReadonlyMap<OpName, readonly Case[]>): Promise<Map<OpName, string[]>> {
  const roots = [...cases.values()].flatMap((some) => some.flatMap((each) => each.roots));
  // The interpreter comes first: once on the device, values leave the host.
  const expected = interpret(roots)[Symbol.iterator]();
  const actual = (await read(...roots))[Symbol.iterator]();
  const compared = (what: string, n: number) => {
    const want = (expected.next().value as Approximation).value.data;
    return [...(actual.next().value as HostArray)].flatMap(
      (value, i) => difference(value, want[i] as number, `${what}: result ${n}[${i}]`) ?? [],
    );
  };
  return new Map(
    [...cases].map(([name, some]) => [
      name,
      some.flatMap(({ what, roots }) => roots.flatMap((_, n) => compared(what, n))),
    ]),
  );
}

/** Sampling refuses logits that are not finite; what clipScale is given are sums of squares, never −∞. */
const names = namesOfRun.filter(
  (name) => name !== 'clipScale' && !Object.hasOwn({ categorical: ops.categorical, sample: ops.sample }, name),
);
function sweep(bits: readonly number[], each: number, gradients: boolean): void {
  let all: Promise<Map<OpName, string[]>> | undefined;
  it.for(names)('%s', async (name) => {
    all ??= differences(new Map(names.map((op) => [op, casesOf(op, bits, each, gradients)])));
    const wrong = (await all).get(name) as string[];
    if (wrong.length > 0) expect.fail(`${wrong.length} differences:\n${wrong.slice(0, 6).join('\n')}`);
  });
}

describe('NaN in one element of an input reaches what depends on it, and nothing else', () => {
  sweep(patterns, 1, true);
});

describe('an infinity gives what IEEE 754 says', () => {
  sweep(infinities, 2, false);
});

describe('a row of nothing but −∞', () => {
  it.for([1, 5, 1300])('of %i has no softmax', async (n) => {
    const x = full([2, n], Number.NEGATIVE_INFINITY);
    const target = tensor(new Int32Array(2));
    const loss = crossEntropy(x, target, { reduction: 'none' });
    for (const values of await read(softmax(x), logSoftmax(x), softmax(x.transpose(0, 1), 0), loss))
      expect(new Set(values)).toEqual(new Set([Number.NaN]));
  });
});

describe('norms of numbers whose squares overflow', () => {
  it.for([5, 8, 1200])('rows of %i', async (E) => {
    const rows = [1, 1e18, 1e19, 1e25, 1e30, 1e36].map((size) => draw([2, E]).mul(size));
    const x = tensor(Float32Array.from((await read(concat(rows))).flatMap((values) => [...values])), {
      shape: [12, E],
    });
    const constant = full([1, E], 2 ** 120);
    const roots = [layerNorm(x), rmsNorm(x), layerNorm(constant), rmsNorm(constant)];
    const expected = interpret(roots);
    const actual = await read(...roots);
    for (const [i, { value }] of expected.entries()) {
      const bound = value.data.map((y) => 1e-5 * (1 + Math.abs(y)));
      expectClose(actual[i] as HostArray, value.data, bound, `norm ${i}`);
    }
  });
});
