import { explainProgram } from '../compile/explain.ts';
import { buildProgram } from '../compile/program.ts';
import { withForms } from '../compile/schedule.ts';
import { ValueError } from '../core/errors.ts';
import { currentDevice } from '../device/current.ts';
import { expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Compiled } from '../runtime/step.ts';

/**
 * Describes as text how a value is computed: recorded nodes, what fused with what, kernel variants, workgroups, memory.
 * Takes a tensor that has not been computed yet, or a compiled function that has been called or prepared.
 */
export function explain(subject: Tensor | Compiled<never, unknown>): string {
  if (typeof subject === 'function') {
    if (!(subject.plans instanceof Map))
      throw new ValueError(
        '[explain] takes a tensor or a compiled function, got a plain one; compile(fn) makes one of it',
      );
    const plans = [...(subject as Compiled<never, unknown>).plans].flatMap(([signature, list]) =>
      list.map((plan) => `${signature}\n${explainProgram(plan.program)}`),
    );
    return plans.length > 0 ? plans.join('\n\n') : 'not traced yet: call the function, or its prepare(), first';
  }
  expectTensor('explain', 'the subject', subject);
  const tensor = subject.version;
  if (tensor.isComputed) return `${String(tensor)} is already computed; nothing would run`;
  const { profile, pipelines } = currentDevice();
  const program = buildProgram({ results: [tensor], updates: [] }, (each) => each.isComputed, profile);
  const commands = withForms(program.commands, (shaders) => pipelines.choose(shaders, false));
  return explainProgram({ ...program, commands });
}
