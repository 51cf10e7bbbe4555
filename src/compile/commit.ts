import { nth } from '../core/lists.ts';
import { sizeOf } from '../core/shape.ts';
import { versionOp } from '../graph/leaf.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { Op } from '../graph/op.ts';
import { applyOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { commit } from '../kernels/commit.ts';
import { familyCall } from '../kernels/family.ts';

/** Takes the present version of a state, if there is one, and the next. */
const commitOp: Op<[...present: Tensor[], next: Tensor]> = {
  name: 'commit',
  infer: (inputs) => {
    const { shape, dtype } = nth(inputs, -1);
    return [{ shape, dtype }];
  },
  lowering: {
    kind: 'kernel',
    keeps: true,
    problem: ({ inputs, types: [{ shape, dtype }] }) =>
      familyCall(commit, { size: sizeOf(shape), dtype, fresh: inputs.length === 1 }),
  },
};

/**
 * The value of a state after a submit that may find bad data: `next`, or, where it has failed, the value before (zeros
 * where there was none).
 */
export function committed(before: Tensor | null, next: Tensor): Tensor {
  return keepsItself(next) ? next : applyOne(commitOp, before ? [before, next] : [next]);
}

/** Whether a kernel among these may find bad data. */
export function mayFail(nodes: readonly Node[]): boolean {
  return nodes.some((node) => {
    const { lowering } = node.op;
    if (lowering.kind === 'scan') return mayFail(reachable(lowering.body.outputs));
    return lowering.kind === 'kernel' && (lowering.badData?.(node) ?? null) !== null;
  });
}

/** Whether the kernel that makes the value keeps the old one itself where the submit has failed: those of optimizers do. */
function keepsItself(value: Tensor): boolean {
  let { node } = value;
  while (node.op === versionOp && node.inputs[0] && !node.inputs[0].isComputed) node = node.inputs[0].node;
  return node.op.lowering.kind === 'kernel' && node.op.lowering.keeps === true;
}
