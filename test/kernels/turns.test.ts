import { describe, expect, it } from 'vitest';
import type { HostArray } from '../../src/core/dtype.ts';
import { UnsupportedError } from '../../src/core/errors.ts';
import { families } from '../../src/kernels/family.ts';
import { type KernelCall, output } from '../../src/kernels/kernel.ts';
import { leastLoopLimit } from '../../src/kernels/loopLimit.ts';
import { profile, runtime } from '../support/environment.ts';
import { expectClose, runCall, runProfile } from '../support/kernels.ts';
import { counting } from '../support/turns.ts';
import { ulp } from './conformance.ts';
import { drawFor } from './draw.ts';
import { type Data, type Growth, growths } from './lengths.ts';

/**
 * Every variant of every family at the length at which its loops pass the lowest limit that can be set: below it nothing
 * changes; beyond it the work is split or goes to another variant, with the result that it has without a limit; and no
 * invocation takes more turns than the dispatch states.
 */
const unlimited = { ...runProfile, loopLimit: Number.POSITIVE_INFINITY };
const limited = { ...runProfile, loopLimit: leastLoopLimit };

const turnsOf = ({ dispatches }: KernelCall) => dispatches.reduce((most, { turns = 0 }) => Math.max(most, turns), 0);

/** What `call` gives, or nothing where the problem can't be done so. */
function attempt<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

/** The greatest length at which a variant keeps to the limit by itself, or the least where it never does; null where it always does, or can't do more. */
function lengthOf({ call, most }: Growth, variant: string): number | null {
  const fits = (n: number) => {
    const whole = attempt(() => call(n, unlimited, variant));
    return whole && turnsOf(whole) <= leastLoopLimit;
  };
  let low = 1;
  while (fits(low) === undefined && low < most) low *= 2;
  if (fits(low) === false) return low;
  let high = 2 * low;
  for (; fits(high); high *= 2) {
    if (high >= most) return null;
    low = high;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return fits(high) === undefined ? null : low;
}

/** Runs a call, and checks that no invocation took more turns than its dispatch states. */
async function run(call: KernelCall, data: Data): Promise<readonly HostArray[]> {
  const counters = counting(call, data.inputs, data.outputs);
  const inputs = [...data.inputs, ...counters.inputs];
  const [result] = await runCall(counters.call, inputs, [...data.outputs, ...counters.outputs]);
  const outputs = result?.outputs ?? [];
  for (const [d, { kernel, turns = 0 }] of call.dispatches.entries()) {
    const [taken] = outputs[data.outputs.length + d] as HostArray;
    expect(taken, `turns of ${kernel}`).toBeLessThanOrEqual(turns);
  }
  return outputs.slice(0, data.outputs.length);
}

describe('a limit of turns', () => {
  it('is tried with all families', () => {
    expect([...new Set(growths.map(({ family }) => family))].sort()).toEqual([...families.keys()].sort());
  });

  it('is where this driver ends loops', async () => {
    const source = `// uses: order
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> turns: array<u32>;
@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i < params.n; i++) { turns[0] = i + 1u; }
}`;
    const dispatch = { kernel: 'turns', source, bindings: [output(0)], uniforms: { n: 200_000 } };
    const call = { dispatches: [{ ...dispatch, workgroups: [1, 1, 1] as const }] };
    const [run] = await runCall(call, [], [{ dtype: 'u32', length: 1 }]);
    expect(run?.outputs[0]?.[0]).toBe(Math.min(200_000, runProfile.loopLimit));
  });

  // The limit is that of a driver which only Deno has here, and Chromium's compiler takes long for so many kernels.
  if (runtime === 'chromium') return;

  for (const growth of growths) {
    for (const variant of growth.variants) {
      const length = lengthOf(growth, variant);
      const name = `${growth.family} ${variant} along ${growth.along}`;
      if (length === null) {
        const few = attempt(() => growth.call(65, unlimited, variant));
        if (few && isDue(growth, 65, variant))
          it(`${name} takes the turns that it states`, () => run(few, growth.data(65, drawFor(name))));
        continue;
      }

      it(`${name}: at ${length} as without, and right beyond`, async () => {
        const below = growth.call(length, unlimited, variant);
        if (turnsOf(below) <= leastLoopLimit) expect(growth.call(length, limited, variant)).toEqual(below);

        const beyond = length + 1;
        const calls = callsOf(growth, beyond, variant);
        for (const call of calls) expect(turnsOf(call)).toBeLessThanOrEqual(leastLoopLimit);
        if (calls.length === 0) {
          expect(growth.refused, 'refused').toBe(true);
          expect(() => growth.call(beyond, limited)).toThrow(/takes \d+ turns of its loops, and this device ends them/);
        }
        if (!isDue(growth, beyond, variant)) return;

        // A length that is refused is long: what is stated is as true of a part of it.
        const tried = calls.length > 0 ? beyond : Math.min(beyond, 2 ** 12);
        const data = growth.data(tried, drawFor(name));
        const expected = await run(growth.call(tried, unlimited, variant), data);
        for (const call of calls) {
          const outputs = await run(call, data);
          for (const [i, result] of outputs.entries()) {
            const values = expected[i] as HostArray;
            // Both add up the same terms: rounding errors of either grow with the square root of their number.
            const scale = Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
            const tolerance = growth.exact ? 0 : 4 * ulp * Math.sqrt(beyond) * scale;
            expectClose(result, values, tolerance, `output ${i} of ${call.variant}`);
          }
        }
      });
    }
  }
});

/** Under the profile `software`, whether the variant's call differs from that of `gpu`, which is run under `gpu`. */
function isDue(growth: Growth, n: number, variant: string): boolean {
  if (profile === 'gpu') return true;
  const [gpu, software] = (['gpu', 'software'] as const).map((selection) =>
    JSON.stringify(attempt(() => growth.call(n, { ...unlimited, selection }, variant))),
  );
  return gpu !== software;
}

/** What the variant itself makes of the limit, where it can keep to it, and what is selected. */
function callsOf(growth: Growth, n: number, variant: string) {
  const own = attempt(() => growth.call(n, limited, variant));
  const selected = attempt(() => growth.call(n, limited));
  const calls = [own, selected].filter((call) => call !== undefined);
  return calls.filter((call, i) => calls.findIndex((other) => other.variant === call.variant) === i);
}
