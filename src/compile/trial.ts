import { denseLayout } from '../core/layout.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { rootOf, type Value } from './ir.ts';
import { lifetimes } from './memory.ts';
import type { Program } from './program.ts';
import { emit, type KernelUse } from './schedule.ts';

/** The part of a program that an executable is made of, without the graph that it came from. */
export type Runnable = Pick<Program, 'commands' | 'results' | 'updates' | 'memory'> & {
  readonly leaves: readonly { readonly value: Value }[];
};

/**
 * Finds the kernels of a program that have several variants: one for each choice, the first of its kind, and how many
 * there are.
 */
export function usesOf({ commands }: Pick<Program, 'commands'>): { use: KernelUse; count: number }[] {
  const uses = new Set(commands.flatMap((command) => (command.kind === 'dispatch' ? (command.use ?? []) : [])));
  const byChoice = new Map<string, { use: KernelUse; count: number }>();
  for (const use of uses) {
    const { choice, variants } = use.problem;
    const known = byChoice.get(choice);
    if (known) known.count++;
    else if (variants.length > 1) byChoice.set(choice, { use, count: 1 });
  }
  return [...byChoice.values()];
}

/**
 * Makes a program of one kernel. Its inputs and outputs are leaves, so that trials of several variants share them; scratch
 * memory is its own. Throws UnsupportedError where the variant can't do it.
 */
export function trial({ problem, inputs, outputs }: KernelUse, variant: string, profile: DeviceProfile): Runnable {
  const values = [...inputs, ...outputs].map(
    (type): Value => ({ type, layout: denseLayout(type.shape), label: `trial of ${variant}`, leaf: true }),
  );
  const call = problem.call(profile, variant);
  const shape = outputs[0]?.shape ?? [];
  const commands = emit(call, values.slice(0, inputs.length), values.slice(inputs.length), [], shape);
  const dedicated = [...lifetimes(commands, []).keys()].filter((value) => !rootOf(value).leaf);
  return {
    commands,
    results: [],
    updates: [],
    leaves: values.map((value) => ({ value })),
    memory: { places: new Map(), slabs: [], dedicated, peak: 0, lowerBound: 0 },
  };
}
