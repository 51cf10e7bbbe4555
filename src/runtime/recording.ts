import { committed, mayFail } from '../compile/commit.ts';
import { buildProgram, type Program, type ProgramOptions } from '../compile/program.ts';
import { expectSync } from '../core/sync.ts';
import { leaf } from '../graph/leaf.ts';
import { mapTensors } from '../graph/nested.ts';
import { reachable } from '../graph/node.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { StepTrace } from '../graph/trace.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';

/** What a function has recorded for one signature: the program, and what goes into and comes out of a step of it. */
export interface Recording {
  /** What was recorded: nodes, and the states that they read and write. */
  readonly trace: StepTrace;
  /** They stand for the tensors among the arguments. */
  readonly placeholders: readonly Tensor[];
  /** Whether a parameter has a gradient when the step ends. */
  readonly gradients: ReadonlyMap<State, boolean>;
  /** What the function returned: traced tensors stand where the results of a step go. */
  readonly outputs: unknown;
  /** The tensors among the outputs, in their order. */
  readonly results: readonly Tensor[];
  /** Tensors from outside that the function used or returned. */
  readonly captured: readonly Tensor[];
  /** The state that each leaf of the trace stands for. */
  readonly states: ReadonlyMap<Tensor, State>;
  /** The commands of a step. */
  readonly program: Program;
  /** Identifies the line of submits that the steps belong to: a state that they write, or nothing but these steps. */
  readonly line: object;
}

/** Runs `fn` once, at once, on placeholders, and builds the program of what it recorded. */
export function record(
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
  profile: DeviceProfile,
  options: ProgramOptions,
): Recording {
  const trace = new StepTrace();
  const placeholders: Tensor[] = [];
  const returned = trace.run(() => {
    const given = mapTensors('compile', 'args', args, (tensor) => {
      const placeholder = leaf('input', tensor);
      placeholders.push(placeholder);
      return placeholder;
    });
    return (fn as (...args: readonly unknown[]) => unknown)(...(given as unknown[]));
  });
  expectSync('compile', 'the function', returned);
  const outputs = mapTensors('compile', 'result', returned, (tensor) => tensor);
  const gradients = trace.settleGradients();
  const results = resultsIn(outputs);
  const captured = outside(results, trace);
  const isLeaf = (tensor: Tensor) => tensor.node.op.lowering.kind === 'leaf' || tensor.node.trace === null;
  const guarded = options.checkFinite || mayFail(reachable([...results, ...trace.writes.values()], isLeaf));
  const updates = [...trace.writes].map(([state, written]) => {
    const leaf = trace.reads.get(state) as Tensor;
    const value = guarded ? trace.run(() => committed(state.isVoid ? null : leaf, written)) : written;
    return { leaf, value, state };
  });
  return {
    trace,
    placeholders,
    gradients,
    outputs,
    results,
    captured,
    program: buildProgram({ results, updates }, isLeaf, profile, options),
    states: new Map([...trace.reads].map(([state, leaf]) => [leaf, state])),
    line: updates[0]?.state ?? {},
  };
}

/** The tensors among what a function returned, in their order. */
function resultsIn(outputs: unknown): Tensor[] {
  const results: Tensor[] = [];
  mapTensors('compile', 'result', outputs, (tensor) => results.push(tensor.version));
  return results;
}

/** Tensors from outside among the results of a trace, and among what it used. */
function outside(results: readonly Tensor[], trace: StepTrace): Tensor[] {
  const roots = [...trace.writes.values(), ...results];
  const found = new Set<Tensor>();
  for (const root of roots) if (root.node.trace === null) found.add(root);
  for (const node of reachable(roots, (tensor) => tensor.node.trace === null)) {
    for (const input of node.inputs) if (input.node.trace === null) found.add(input);
  }
  return [...found];
}
