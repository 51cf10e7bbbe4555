import { type HostArray, HostValues, hostArray } from '../core/dtype.ts';
import { sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Op } from './op.ts';
import { applyOne, withTrace } from './record.ts';
import type { Source } from './source.ts';
import type { Tensor } from './tensor.ts';

/** An op without inputs whose value comes from outside the graph. */
function leafOp(name: string): Op<[], Pick<TensorType, 'shape' | 'dtype'>> {
  return { name, infer: (_, { shape, dtype }) => [{ shape, dtype }], lowering: { kind: 'leaf' } };
}

const ops = {
  /** Host data, or a value that has been computed. */
  constant: leafOp('constant'),
  /** A version of a state as a plan reads it. */
  state: leafOp('state'),
  /** An argument of a compiled function. */
  input: leafOp('input'),
  /** Numbers evaluated at each replay. */
  dynamic: leafOp('dynamic'),
};

/** Records a leaf of the given kind and type. */
export function leaf(kind: keyof typeof ops, { shape, dtype }: TensorType): Tensor {
  return applyOne(ops[kind], [], { shape, dtype });
}

/** The value of a state after an assignment: the same memory, but a leaf to autograd. */
export const versionOp: Op<[value: Tensor]> = {
  name: 'version',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: { kind: 'view', layout: (layout) => layout },
  gradient: () => [null],
  atOnce: { apply: ([value]) => [applyOne(versionOp, [value])] },
};

/** The same value as a tensor of its own, so that a definition can tell apart two inputs that are one tensor. */
export const aliasOp: Op<[value: Tensor]> = {
  name: 'alias',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: { kind: 'view', layout: (layout) => layout },
  gradient: (_, [dy]) => [dy],
  atOnce: { apply: ([value]) => [applyOne(aliasOp, [value])] },
};

/** A tensor whose values come from the host, or another source. */
export function fromHost({ shape, dtype }: TensorType, values: HostArray | Source): Tensor {
  const tensor = computedLeaf({ shape, dtype });
  tensor.source = ArrayBuffer.isView(values) ? new HostValues(values) : values;
  return tensor;
}

/** A tensor whose value the runtime provides: no graph computes it. */
export const computedLeaf = (type: TensorType): Tensor => withTrace(null, () => leaf('constant', type));

/** Zeros of a type, which are made when they are first needed. */
export const zeroLeaf = ({ shape, dtype }: TensorType): Tensor =>
  fromHost({ shape, dtype }, new HostValues(() => hostArray(dtype, sizeOf(shape))));
