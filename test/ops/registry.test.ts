import { describe, expect, it } from 'vitest';
import { reachable } from '../../src/graph/node.ts';
import { type OpName, ops } from '../../src/ops/registry.ts';
import { isKnown } from '../reference/interpret.ts';
import { check } from '../support/check.ts';
import { useGpu } from '../support/gpu.ts';
import { namesOfRun, samples } from '../support/samples.ts';

useGpu();

const outputsOf = (name: OpName) =>
  samples[name].flatMap((sample) => {
    const outputs = sample.run(...sample.inputs());
    return Array.isArray(outputs) ? outputs : [outputs];
  });

describe('the registry of ops', () => {
  it('has each op under its own name', () => {
    for (const [name, op] of Object.entries(ops)) expect(op.name).toBe(name);
  });

  it('has only ops that the interpreter knows', () => {
    expect(Object.keys(ops).filter((name) => !isKnown(name))).toEqual([]);
  });

  it('has samples that record the op they are for', () => {
    for (const name of Object.keys(samples) as OpName[]) {
      const outputs = outputsOf(name);
      expect(outputs.length, name).toBeGreaterThan(0);
      expect(
        reachable(outputs).some(({ op }) => op.name === name),
        name,
      ).toBe(true);
    }
  });

  it('has samples whose values are those of the interpreter', async () => {
    await check(...namesOfRun.flatMap(outputsOf));
  });
});
