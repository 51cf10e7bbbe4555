import { describe, expect, test } from 'vitest';
import { workloads } from '../../bench/workloads.ts';
import { countCalls } from '../../demo/counts.ts';
import { init } from '../../src/index.ts';
import { profile } from '../support/environment.ts';

/** Dispatches of one call with the kernels that a GPU gets: more is a fusion lost, fewer is worth a new number here. */
const onGpu = {
  gptStep: 53,
  gptForward: 17,
  lstmStep: 12,
  lstmForward: 3,
  attentionForward: 1,
  attentionStep: 3,
};
/** A software adapter's own kernels, the fastest there, keep to the same budgets: few dispatches are not bought with time. */
const dispatches = profile === 'gpu' ? onGpu : { ...onGpu, gptStep: 54 };

describe('a warm workload makes one submit, creates nothing, and dispatches', () => {
  for (const [name, count] of Object.entries(dispatches)) {
    test(`${count} kernels: ${name}`, async () => {
      const device = await init({ profile });
      const work = await (workloads[name] as NonNullable<(typeof workloads)[string]>)();
      for (let i = 0; i < 6; i++) await work();
      const { counts } = await countCalls(work);
      device.destroy();
      expect(counts).toMatchObject({ dispatches: count, submits: 1, buffers: 0, bindGroups: 0, pipelines: 0 });
    });
  }

  test('all of them', () => {
    expect(Object.keys(dispatches)).toEqual(Object.keys(workloads));
  });
});
