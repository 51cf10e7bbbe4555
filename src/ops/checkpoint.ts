import { ValueError } from '../core/errors.ts';
import { callback, expectKind } from '../core/options.ts';
import { expectSync } from '../core/sync.ts';
import { mapTensors } from '../graph/nested.ts';
import { reachable } from '../graph/node.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, nextNodeId } from '../graph/record.ts';
import { replay } from '../graph/replay.ts';
import { stateOf } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { differentiateAll } from './autograd.ts';

/**
 * Activation recomputation (Chen et al. 2016). Inputs: the results of a function, then everything from outside that it
 * used; outputs: the results. To backward the results stem from what is outside: it records all that lies between again,
 * with the random streams of the first time, and differentiates the copy. So nobody reads the first values in backward.
 */
const checkpointOp: Op<Tensor[], { results: number }, Tensor[]> = {
  name: 'checkpoint',
  infer: (inputs, { results }) => inputs.slice(0, results).map(({ shape, dtype }) => ({ shape, dtype })),
  lowering: { kind: 'view', layout: (layout) => layout, source: (output) => output },
  gradient: ({ inputs, types }, outputGradients, wanted) => {
    const results = inputs.slice(0, types.length);
    const outside = inputs.slice(types.length);
    const later = new Map(outside.map((tensor) => [tensor, applyOne(laterOp, [tensor])]));
    const seeds: [Tensor, Tensor][] = [];
    for (const [i, copy] of replay(results, later).entries()) {
      const seed = outputGradients[i];
      if (seed) seeds.push([copy, seed]);
    }
    const targets = new Set(outside.flatMap((tensor, i) => (wanted[types.length + i] ? [later.get(tensor)] : [])));
    const gradients = differentiateAll(seeds, (tensor) => targets.has(tensor));
    const gradientOf = (tensor: Tensor | undefined) => (tensor && gradients.get(tensor)) ?? null;
    return [...results.map(() => null), ...outside.map((tensor) => gradientOf(later.get(tensor)))];
  },
};

/**
 * Gives the same value, but nothing that reads it is computed together with what made it: otherwise part of the copy would
 * run in forward.
 */
const laterOp: Op<[x: Tensor]> = {
  name: 'later',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: { kind: 'view', layout: (layout) => layout, barrier: true },
  gradient: (_, [dy]) => [dy],
};

/**
 * The same function, of which backward keeps only what comes in and what goes out: values in between are computed again when
 * it needs them, bit for bit the same, dropout included. Costs one more forward pass of `fn` and saves its activations; a
 * model whose blocks are checkpointed holds those of one block at a time. `fn` returns tensors, alone or in arrays,
 * plain objects and Maps, and may use parameters and other tensors from outside, which get their gradients. Checkpoints nest.
 */
export function checkpoint<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
): (...args: Args) => Result {
  expectKind('checkpoint', 'fn', fn, callback);
  return (...args) => {
    const start = nextNodeId();
    const value = fn(...args);
    const results: Tensor[] = [];
    expectSync('checkpoint', 'the function', value);
    mapTensors('checkpoint', 'result', value, (tensor) => results.push(tensor.version));
    if (results.length === 0) throw new ValueError('[checkpoint] the function must return tensors, and returned none');
    const outputs = apply(checkpointOp, [...results, ...usedFromBefore(results, start)], { results: results.length });
    let position = 0;
    return mapTensors('checkpoint', 'result', value, () => outputs[position++]) as Result;
  };
}

/** The tensors from before node `start` that the graph behind `results` uses: values of states that it read, and leaves. */
function usedFromBefore(results: readonly Tensor[], start: number): Tensor[] {
  const isOutside = (tensor: Tensor) =>
    tensor.node.id < start || stateOf(tensor) !== undefined || tensor.node.op.lowering.kind === 'leaf';
  const used = new Set(results.filter(isOutside));
  for (const node of reachable(results, isOutside))
    for (const input of node.inputs) if (isOutside(input)) used.add(input);
  return [...used];
}

/** For the registry. */
export const checkpointOps = { checkpoint: checkpointOp, later: laterOp } satisfies Readonly<Record<string, OpDef>>;
