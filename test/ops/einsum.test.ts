import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/compile/program.ts';
import { einsum, ShapeError, type Tensor, tensor, ValueError } from '../../src/index.ts';
import { draw } from '../support/draw.ts';
import { device, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

describe('einsum', async () => {
  const cases = [...(await goldenCases('einsum')), ...(await goldenCases('matmul', /^einsum/))];
  it.for(cases)('agrees with PyTorch: $name', ({ load }) =>
    checkGolden(load(), ({ a, b, c }, { equation }) => ({
      y: einsum(equation as string, ...[a, b, c].filter((x): x is Tensor => x !== undefined)),
    })),
  );

  it('is one kernel where it is one product, whatever the order of dimensions', () => {
    const kernels = (equation: string, ...operands: Tensor[]) =>
      buildProgram({ results: [einsum(equation, ...operands)], updates: [] }, (x) => x.isComputed, device.profile)
        .commands.length;
    const [q, k] = [draw([2, 8, 3, 64]), draw([2, 9, 3, 64])];
    expect(kernels('blhd,bshd->bhls', q, k)).toBe(1);
    expect(kernels('ij,kj->ik', draw([5, 8]), draw([6, 8]))).toBe(1);
    expect(kernels('i,j->ij', draw([5]), draw([8]))).toBe(1);
    expect(kernels('bij->bji', q.reshape([2, 24, 64]))).toBe(1); // a copy
  });

  const x = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape });
  it.for([
    ['ij,jk->ik', [x(2, 3)], "[einsum] 'ij,jk->ik' names 2 operands, 1 are given"],
    ['ij->i', [x(2, 3, 4)], "[einsum] 'ij->i' names 2 dimensions of operand 0, which is [2, 3, 4]"],
    ['...ij->i', [x(2)], "[einsum] '...ij->i' names 2 dimensions of operand 0, which is [2]"],
    ['ij->ik', [x(2, 3)], "[einsum] 'ij->ik' has 'k' in the result and in no operand"],
    ['ij->ii', [x(2, 3)], "[einsum] 'ij->ii' names a dimension of the result twice"],
    ['i1->i', [x(2, 3)], "[einsum] 'i1->i' has 'i1', where only letters and one ... may stand"],
    ['i->j->k', [x(2)], "[einsum] 'i->j->k' has more than one ->"],
  ] as const)('%s is refused with a reason', ([equation, operands, message]) => {
    expect(() => einsum(equation, ...operands)).toThrow(message);
    expect(() => einsum(equation, ...operands)).toThrow(ValueError);
  });

  it.for([
    ['ij,jk->ik', [x(2, 3), x(4, 5)], "[einsum] in 'ij,jk->ik' 'j' has extents 3 and 4"],
    [
      '...i,...i->...',
      [x(2, 3), x(4, 3)],
      "[einsum] in '...i,...i->...' a dimension that ... stands for has extents 2 and 4",
    ],
    ['ii->i', [x(2, 3)], "[einsum] 'i' names dimensions of [2, 3] with extents 2 and 3"],
  ] as const)('%s is refused for the shapes', ([equation, operands, message]) => {
    expect(() => einsum(equation, ...operands)).toThrow(message);
    expect(() => einsum(equation, ...operands)).toThrow(ShapeError);
  });
});
