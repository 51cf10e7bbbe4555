import { describe, expect, it } from 'vitest';
import { reachable } from '../../src/graph/node.ts';
import { grad, type Tensor } from '../../src/index.ts';
import { type OpName, ops } from '../../src/ops/registry.ts';
import { interpret } from '../reference/interpret.ts';
import { checkSlope, compare, objective } from '../support/check.ts';
import { read, useGpu } from '../support/gpu.ts';
import { type Sample, samples } from '../support/samples.ts';

useGpu();

/** A function of f32 tensors, among them what is differentiated. */
interface Case {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

const floats = (tensors: readonly Tensor[]) => tensors.filter(({ dtype }) => dtype === 'f32');

/** ⟨gradients, something drawn⟩ of ⟨outputs, something drawn⟩: its gradients are second derivatives. */
function slopeOf({ inputs, outputs }: Case): Tensor {
  return objective(grad(objective(floats(outputs)), floats(inputs)));
}

/** Checks second derivatives in float64 against differences of first ones. */
function checkSecond(given: Case): void {
  const slope = slopeOf(given);
  const targets = floats(given.inputs);
  checkSlope(
    slope,
    targets,
    interpret(grad(slope, targets)).map(({ value }) => value),
  );
}

// ── every op ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const all = (Object.keys(samples) as OpName[]).flatMap((name) =>
  samples[name].map((sample) => ({ name, label: sample.label, sample })),
);
/** Whether gradients pass through the op. One that makes numbers of nothing has nothing to pass them to. */
const passes = (name: OpName, { outputs }: Case) =>
  name === 'scan' ||
  'gradient' in ops[name] ||
  'decompose' in ops[name] ||
  !reachable(outputs).some(({ op, inputs }) => op === ops[name] && floats(inputs).length > 0);

function caseOf({ inputs, run }: Sample): Case {
  const given = inputs();
  return { inputs: given, outputs: [run(...given)].flat() };
}
/** Integers and booleans have no gradient. */
const hasGradient = ({ inputs, outputs }: Case) => floats(inputs).length > 0 && floats(outputs).length > 0;

describe('second derivatives are what differences of first ones show', () => {
  it.for(all)('$name, $label', ({ name, sample }) => {
    const given = caseOf(sample);
    if (!hasGradient(given)) return;
    if (passes(name, given)) checkSecond(given);
    else expect(() => slopeOf(given)).toThrow(`[backward] ${name} has no gradient`);
  });

  it('on the GPU, too', async () => {
    const roots = all.flatMap(({ name, sample }) => {
      const given = caseOf(sample);
      return hasGradient(given) && passes(name, given) ? grad(slopeOf(given), floats(given.inputs)) : [];
    });
    compare(roots, await read(...roots), interpret(roots, { errors: true }));
  });
});
