import { around, normaliseAxis } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { softmaxBackward as backwardFamily, softmax as family, type SoftmaxProblem } from '../kernels/softmax.ts';
import { div, exp, log, mul, sub } from './elementwise.ts';
import { max, sum } from './reduce.ts';

type SoftmaxAttributes = Pick<SoftmaxProblem, 'log' | 'outer' | 'n' | 'inner'> & { axis: number };

/** softmax, or its logarithm, along one axis of the tensor seen as [outer, n, inner]. */
const softmaxOp: Op<[x: Tensor], SoftmaxAttributes> = {
  name: 'softmax',
  infer: ([{ shape }]) => [{ shape, dtype: 'f32' }],
  lowering: { kind: 'kernel', problem: ({ attributes }) => familyCall(family, attributes) },
  gradient: ({ outputs: [y], attributes }, [dy]) => [applyOne(softmaxBackwardOp, [y, dy], attributes)],
  decompose: ([x], { log: isLog, axis }) => {
    const shifted = sub(x, max(x, axis, { keepDims: true }));
    const total = sum(exp(shifted), axis, { keepDims: true });
    return [isLog ? sub(shifted, log(total)) : div(exp(shifted), total)];
  },
};

// y = softmax: dx = y·(dy − Σ y·dy); y = log softmax: dx = dy − eʸ·Σ dy.
const softmaxBackwardOp: Op<[y: Tensor, dy: Tensor], SoftmaxAttributes> = {
  name: 'softmaxBackward',
  infer: ([{ shape }]) => [{ shape, dtype: 'f32' }],
  lowering: { kind: 'kernel', problem: ({ attributes }) => familyCall(backwardFamily, attributes) },
  decompose: ([y, dy], { log, axis }) => [
    log
      ? sub(dy, mul(exp(y), sum(dy, axis, { keepDims: true })))
      : mul(y, sub(dy, sum(mul(y, dy), axis, { keepDims: true }))),
  ],
};

function apply(name: string, log: boolean, x: Tensor, axis: number): Tensor {
  expectDType(name, 'the input', x, ['f32']);
  expectRank(name, 'the input', x, 1, Infinity);
  const dimension = normaliseAxis(name, axis, x.rank);
  const attributes = {
    log,
    axis: dimension,
    ...around(x.shape, dimension),
  };
  return applyOne(softmaxOp, [x], attributes);
}

/** eˣ / Σ eˣ along an axis, the last by default, without overflow; the shape stays. */
export const softmax = (x: Tensor, axis = -1): Tensor => apply('softmax', false, x, axis);
/** x − ln Σ eˣ along an axis, the last by default; the shape stays. */
export const logSoftmax = (x: Tensor, axis = -1): Tensor => apply('logSoftmax', true, x, axis);

/** For the registry. */
export const softmaxOps = { softmax: softmaxOp, softmaxBackward: softmaxBackwardOp } satisfies Readonly<
  Record<string, OpDef>
>;
