import { describe, expect, it } from 'vitest';
import type { KernelCall } from '../../src/kernels/kernel.ts';
import { input, output } from '../../src/kernels/kernel.ts';
import { inverseOf } from '../../src/kernels/numbers.ts';
import { runCall } from '../support/kernels.ts';
import { drawFor } from './draw.ts';

/** Quotients of indices and extents that are uniforms, against those of JavaScript. */

const largest = 2 ** 32 - 1;
type Limits = readonly [numerator: number, quotient: number];
const short: Limits = [2 ** 31 - 1, 2 ** 20];
const long: Limits = [largest, 2 ** 32];

/** Small ones, powers of two and their neighbours, and some of each length. */
const divisors = [
  ...Array.from({ length: 66 }, (_, i) => i + 2),
  ...Array.from({ length: 32 }, (_, e) => [2 ** e - 1, 2 ** e, 2 ** e + 1]).flat(),
  ...Array.from({ length: 32 }, (_, e) => drawFor(`divisors ${e}`).i32(8, 0, 1000)).flatMap((part, e) =>
    Array.from(part, (x) => Math.floor(2 ** e * (1 + x / 1000))),
  ),
  largest,
].filter((d) => d >= 2 && d <= largest);

/** Multiples of a divisor and what is next to them, up to a numerator and a quotient. */
function numerators(d: number, [largest, most]: Limits): number[] {
  const last = Math.min(most, Math.floor(largest / d));
  const some = Array.from(drawFor(`quotients ${d}`).i32(16, 0, 2 ** 20), (x) => Math.round((x / 2 ** 20) * last));
  const quotients = [0, 1, 2, 3, last - 2, last - 1, last, ...some].filter((q) => q >= 0 && q <= last);
  const near = quotients.flatMap((q) => [q * d - 1, q * d, q * d + 1, q * d + (d >> 1), q * d + d - 1]);
  return [...near, ...(last < most ? [largest] : [])].filter((n) => n >= 0 && n <= Math.min(largest, most * d));
}

const kernel = (name: string): string => `// uses: order, quotient
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> n: array<u32>;
@group(0) @binding(2) var<storage, read> d: array<u32>;
@group(0) @binding(3) var<storage, read> inverse: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let i = groupOrder(workgroup_id, num_workgroups).x * 64u + laneOrder(local_index, 64u);
  if (i < params.count) { output[i] = ${name}(n[i], d[i], inverse[i]); }
}
`;

const names = [
  ['shortQuotient', short],
  ['longQuotient', long],
] as const;

describe('the quotient of an index and a uniform', () => {
  it.each(names)('is exact on the device: %s', async (name, limits) => {
    const pairs = divisors.flatMap((d) => numerators(d, limits).map((n) => [n, d] as const));
    const count = pairs.length;
    const call: KernelCall = {
      dispatches: [
        {
          kernel: name,
          source: kernel(name),
          bindings: [input(0), input(1), input(2), output(0)],
          uniforms: { count },
          workgroups: [Math.ceil(count / 64), 1, 1],
        },
      ],
    };
    const inputs = [
      Uint32Array.from(pairs, ([n]) => n),
      Uint32Array.from(pairs, ([, d]) => d),
      Float32Array.from(pairs, ([, d]) => inverseOf(d)),
    ];
    const [run] = await runCall(call, inputs, [{ dtype: 'u32', length: count }]);
    const wrong = pairs.filter(([n, d], i) => run?.outputs[0]?.[i] !== Math.floor(n / d));
    expect(count).toBeGreaterThan(10000);
    expect(wrong).toEqual([]);
  });

  it('is exact however a device rounds', () => {
    for (const round of roundings) {
      for (const roundProduct of roundings) {
        const estimate = (n: number, d: number) => Math.floor(roundProduct(round(n) * inverseOf(d)));
        const last = (n: number, d: number, q: number) => q + Number(n - q * d >= d);
        const again = (n: number, d: number, q: number) => q + estimate(n - q * d, d);
        for (const d of divisors) {
          for (const n of numerators(d, short)) {
            if (last(n, d, estimate(n, d)) !== Math.floor(n / d)) expect([n, d]).toBe('short');
          }
          for (const n of numerators(d, long)) {
            if (last(n, d, again(n, d, estimate(n, d))) !== Math.floor(n / d)) expect([n, d]).toBe('long');
          }
        }
      }
    }
  });
});

/** The neighbours of a number among those of f32, which are the number where it is one. */
const roundings = [-1, 1].map((direction) => (x: number) => {
  const nearest = Math.fround(x);
  if (nearest === x || nearest < x === direction < 0) return nearest;
  const bits = new Uint32Array(Float32Array.of(nearest).buffer);
  bits[0] = (bits[0] as number) + direction;
  return new Float32Array(bits.buffer)[0] as number;
});
