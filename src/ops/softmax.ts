import { normaliseAxis, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { softmaxBackward as backwardFamily, softmax as family, type SoftmaxProblem } from '../kernels/softmax.ts';
import { div, exp, log, mul, sub } from './elementwise.ts';
import { max, sum } from './reduce.ts';

const sameType: OpDef['infer'] = ([x]) => [{ shape: (x as TensorType).shape, dtype: 'f32' }];

/** softmax, or its logarithm, along one axis of the tensor seen as [outer, n, inner]. */
const softmaxOp: OpDef = {
  name: 'softmax',
  infer: sameType,
  lowering: { kind: 'kernel', problem: (node) => familyCall(family, node.attributes as unknown as SoftmaxProblem) },
  gradient: (node, [dy]) => [dy ? applyOne(softmaxBackwardOp, [node.outputs[0] as Tensor, dy], node.attributes) : null],
  decompose: ([x], attributes) => {
    const { log: isLog, axis } = attributes as unknown as SoftmaxProblem & { axis: number };
    const shifted = sub(x as Tensor, max(x as Tensor, axis, { keepDims: true }));
    const total = sum(exp(shifted), axis, { keepDims: true });
    return [isLog ? sub(shifted, log(total)) : div(exp(shifted), total)];
  },
};

// y = softmax: dx = y·(dy − Σ y·dy); y = log softmax: dx = dy − eʸ·Σ dy.
const softmaxBackwardOp: OpDef = {
  name: 'softmaxBackward',
  infer: sameType,
  lowering: {
    kind: 'kernel',
    problem: (node) => familyCall(backwardFamily, node.attributes as unknown as SoftmaxProblem),
  },
  decompose: ([y, dy], attributes) => {
    const { log, axis } = attributes as unknown as SoftmaxProblem & { axis: number };
    const [a, b] = [y as Tensor, dy as Tensor];
    return [
      log
        ? sub(b, mul(exp(a), sum(b, axis, { keepDims: true })))
        : mul(a, sub(b, sum(mul(a, b), axis, { keepDims: true }))),
    ];
  },
};

function apply(name: string, log: boolean, x: Tensor, axis: number): Tensor {
  expectDType(name, 'the input', x, ['f32']);
  expectRank(name, 'the input', x, 1, Infinity);
  const dimension = normaliseAxis(name, axis, x.rank);
  const attributes = {
    log,
    axis: dimension,
    outer: sizeOf(x.shape.slice(0, dimension)),
    n: x.shape[dimension] as number,
    inner: sizeOf(x.shape.slice(dimension + 1)),
  };
  return applyOne(softmaxOp, [x], attributes);
}

/** eˣ / Σ eˣ along an axis; overflow-safe. */
export const softmax = (x: Tensor, axis = -1): Tensor => apply('softmax', false, x, axis);
/** x − log Σ eˣ along an axis. */
export const logSoftmax = (x: Tensor, axis = -1): Tensor => apply('logSoftmax', true, x, axis);

/** For the registry. */
export const softmaxOps = { softmax: softmaxOp, softmaxBackward: softmaxBackwardOp } satisfies Readonly<
  Record<string, OpDef>
>;
