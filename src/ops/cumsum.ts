import { dtypeAmong } from '../core/dtype.ts';
import { declareOptions, flag } from '../core/options.ts';
import { around, normaliseAxis } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cumsum as cumsumFamily } from '../kernels/cumsum.ts';
import { familyCall } from '../kernels/family.ts';

const cumsumOp: Op<[x: Tensor], { axis: number; reverse: boolean }> = {
  name: 'cumsum',
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  lowering: {
    kind: 'kernel',
    problem: ({ inputs: [{ shape, dtype }], attributes: { axis, reverse } }) =>
      familyCall(cumsumFamily, { ...around(shape, axis), reverse, dtype: dtypeAmong(dtype, ['f32', 'i32', 'u32']) }),
  },
  gradient: ({ attributes: { axis, reverse } }, [dy]) => [cumsum(dy, axis, { reverse: !reverse })],
};
interface CumsumOptions {
  /** From the end to the start; default false. */
  reverse?: boolean;
}
const cumsumOptions = declareOptions<CumsumOptions>({ reverse: flag });
/** Running sum of f32, i32 or u32 numbers along an axis, from the start or from the end; the shape stays. */
export function cumsum(x: Tensor, axis: number, options?: CumsumOptions): Tensor {
  const { reverse = false } = cumsumOptions('cumsum', options);
  expectDType('cumsum', 'the input', x, ['f32', 'i32', 'u32']);
  return applyOne(cumsumOp, [x], { axis: normaliseAxis('cumsum', axis, x.rank), reverse });
}

/** For the registry. */
export const cumsumOps = { cumsum: cumsumOp } satisfies Readonly<Record<string, OpDef>>;
