import { describe, expect, it } from 'vitest';
import type { DType, HostArray } from '../../src/core/dtype.ts';
import type { DeviceProfile, Family, KernelCall } from '../../src/kernels/kernel.ts';
import { specialise } from '../../src/kernels/specialise.ts';
import type { Ref } from '../reference/index.ts';
import { isChosenPart, profile } from '../support/environment.ts';
import { expectClose, profiles, type Run, runCall, runProfile, sameBits } from '../support/kernels.ts';
import type { Draw } from './draw.ts';
import { drawFor } from './draw.ts';

/** What an output must hold: each element within its tolerance. */
export interface Expected {
  readonly dtype: DType;
  readonly values: ArrayLike<number>;
  readonly tolerance: number | ArrayLike<number>;
}

export interface Prepared {
  readonly inputs: readonly HostArray[];
  readonly expected: readonly Expected[];
  /** 1 where the kernel must report bad data. */
  readonly status?: number;
  /** Whether the submit has failed before. */
  readonly failed?: boolean;
  /** What the kernel must tell of its steps, by finding; of nothing where left out. */
  readonly findings?: Readonly<Record<number, number>>;
  /** For outputs that are right in more than one way, beside what `expected` says. */
  check?(run: Run): void;
}

/** A problem of a family with inputs and the float64 answer. */
export interface Case<Problem> {
  readonly name: string;
  readonly problem: Problem;
  /** Whether it runs in the general form of its texts too, which has uniforms in place of extents. */
  readonly general?: boolean;
  /** Variants that need not take it, since the case costs them a pipeline and shows what another one shows. */
  readonly spares?: readonly string[];
  prepare(draw: Draw): Prepared;
}

/**
 * Every variant of a family through the same cases: right within the tolerance, nothing written elsewhere, and the same bits
 * with lanes and workgroups in reversed order; on a device with subgroups and without, where a variant makes a difference. A
 * variant is left out of a case by its own `unsupported`.
 *
 * Calls that do not depend on the selection profile run under the profile `gpu` only, and of a chosen part of the tests one
 * case for each variant.
 */
export function conformance<Problem>(family: Family<Problem>, cases: readonly Case<Problem>[]): void {
  describe(family.name, () => {
    const prepared = new Map<Case<Problem>, Prepared>();
    for (const [name, variant] of Object.entries(family.variants)) {
      const reasons = cases.map(({ problem }) => variant.unsupported?.(problem, runProfile) ?? null);

      it(`${name} takes a case, and says why where it takes none`, ({ skip }) => {
        if (reasons.every((reason) => reason === 'the device has no subgroups')) skip();
        expect(reasons).toContain(null);
        for (const reason of reasons) if (reason !== null) expect(reason).toMatch(/\w/);
      });

      const taken = cases.filter((each, i) => !each.spares?.includes(name) && reasons[i] === null);
      const middle = Math.floor(taken.length / 2);
      const due = isChosenPart
        ? taken.slice(middle, middle + 1)
        : taken.filter(({ problem }) => isDue((selection) => variant.call(problem, selection)));
      for (const each of due) {
        it(`${name}: ${each.name}`, async () => {
          const data = prepared.get(each) ?? each.prepare(drawFor(`${family.name} ${each.name}`));
          prepared.set(each, data);
          for (const call of callsOf((device) => variant.call(each.problem, device)))
            await check(call, data, each.general);
        });
      }
    }
  });
}

/** The call that this device gets, and what one that has subgroups where this one has none, or the reverse, would get, if it runs here. */
function callsOf(call: (device: DeviceProfile) => KernelCall): KernelCall[] {
  const own = call(runProfile);
  const other = call({ ...runProfile, subgroups: !runProfile.subgroups });
  const runs =
    runProfile.subgroups || !other.dispatches.some((each) => specialise(each).code.includes('enable subgroups;'));
  return runs && JSON.stringify(own) !== JSON.stringify(other) ? [own, other] : [own];
}

/** Under the profile `software`, whether its call differs from that of `gpu`. */
function isDue(call: (selection: (typeof profiles)[number]) => KernelCall): boolean {
  if (profile === 'gpu') return true;
  const [gpu, software] = profiles.map((each) => {
    try {
      return JSON.stringify(call(each));
    } catch {
      return '';
    }
  });
  return gpu !== software;
}

/** One call, in both orders. */
export async function check(
  call: KernelCall,
  { inputs, expected, failed = false, status = Number(failed), findings = {}, check: also }: Prepared,
  general = false,
): Promise<void> {
  const shapes = expected.map(({ dtype, values }) => ({ dtype, length: values.length }));
  const probes = [{}, { reversed: true }, ...(general ? [{ general: true }] : [])];
  const [run, reversed, other] = (await runCall(call, inputs, shapes, probes, failed)) as [Run, Run, Run?];
  for (const [i, { values, tolerance }] of expected.entries()) {
    expectClose(run.outputs[i] as HostArray, values, tolerance, `output ${i}`);
  }
  expect(run.status, 'status').toBe(status);
  expect(Object.fromEntries([...run.findings.entries()].filter(([, told]) => told !== 0)), 'findings').toEqual(
    findings,
  );
  also?.(run);
  expect(sameBits(run, reversed), 'the same bits in reversed order').toBe(true);
  if (other) expect(sameBits(run, other), 'the same bits in the general form').toBe(true);
}

export const ulp = 2 ** -23;

/** An f32 result within `relative` of its value and `absolute` besides. */
export function near({ data }: Pick<Ref, 'data'>, relative: number, absolute = relative): Expected {
  return { dtype: 'f32', values: data, tolerance: data.map((value) => absolute + relative * Math.abs(value)) };
}

/** A sum of `terms` products, given the sum of their magnitudes: rounding errors grow with √terms, and a bit of slack. */
export function summed({ data }: Ref, magnitude: Ref, terms: number): Expected {
  const factor = ulp * (4 + 2 * Math.sqrt(terms));
  return { dtype: 'f32', values: data, tolerance: magnitude.data.map((value) => 1e-30 + factor * value) };
}

export function exact(dtype: DType, values: ArrayLike<number>): Expected {
  return { dtype, values, tolerance: 0 };
}

/** The magnitudes of a value, for `summed`. */
export const magnitudes = (x: Ref): Ref => ({ shape: x.shape, data: x.data.map(Math.abs) });
