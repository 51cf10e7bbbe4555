import { DTypeError, ShapeError } from '../core/errors.ts';
import { expandLayout } from '../core/layout.ts';
import { nth } from '../core/lists.ts';
import { broadcastShapes, formatShape, type Shape, sameShape } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import type { Operand } from '../kernels/kernel.ts';
import { matmul as family } from '../kernels/matmul.ts';
import { isMatrix } from '../kernels/matmulProblem.ts';
import { expand, isPermuted, permute, reshape, transpose } from './view.ts';

/** C = A·B. The op takes at most two batch dimensions; the function folds more of them. */
const matmulOp: Op<[a: Tensor, b: Tensor]> = {
  name: 'matmul',
  infer: ([a, b]) => {
    const batch = broadcastShapes('matmul', [a.shape.slice(0, -2), b.shape.slice(0, -2)]);
    return [{ shape: [...batch, nth(a.shape, -2), nth(b.shape, -1)], dtype: 'f32' }];
  },
  lowering: {
    kind: 'kernel',
    store: true,
    strided: isMatrix,
    // dW = dCᵀ·X (or Xᵀ·dC) reads the rows of dC in the order in which a bias gradient sums them.
    sums: ({ shape, strides }, index) => {
      const [rows, columns] = index === 0 ? [1, 0] : [0, 1];
      const matrix = { rows: nth(shape, rows), columns: nth(shape, columns) };
      const dense = (strides[columns] === 1 || matrix.columns === 1) && strides[rows] === matrix.columns;
      return shape.length === 2 && dense ? matrix : null;
    },
    problem: ({ types: [{ shape }] }, [a, b], { store, sum }) => {
      const batch = shape.slice(0, -2);
      return familyCall(family, {
        batch,
        M: nth(shape, -2),
        N: nth(shape, -1),
        K: nth(a.shape, -1),
        a: broadcast(a, batch),
        b: broadcast(b, batch),
        ...(store ? { epilogue: store } : {}),
        ...(sum ? { sum: { of: sum.input === 0 ? 'a' : 'b', output: sum.output } } : {}),
      });
    },
  },
  // C = A·B: dA = dC·Bᵀ, dB = Aᵀ·dC; the driver sums over broadcast batches.
  gradient: ({ inputs: [a, b] }, [dy]) => [applyOne(matmulOp, [dy, transpose(b)]), weightGradient(a, b, dy)],
  atOnce: {
    accepts: (marked, [a, b]) => marked.every((each) => each) || sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2)),
    apply: ([a, b], _, [ofA, ofB]) => {
      if (ofA && ofB) return [matmul(...withSameRank(a, b))];
      return [ofA ? shared(a, b) : transpose(shared(transpose(b), transpose(a)))];
    },
  },
};

/** A of all steps [T, ..., M, K] times one B [..., K, N]: the rows of all steps go side by side, as one product's. */
function shared(a: Tensor, b: Tensor): Tensor {
  if (b.rank === 2) return matmul(a, b);
  const [first, rest] = [a.rank - 2, a.shape.slice(1, -2).map((_, i) => i + 1)];
  const [T, M, batch] = [nth(a.shape, 0), nth(a.shape, -2), a.shape.slice(1, -2)];
  const together = reshape(permute(a, [...rest, 0, first, first + 1]), [...batch, T * M, -1]);
  const product = reshape(matmul(together, b), [...batch, T, M, nth(b.shape, -1)]);
  return permute(product, [rest.length, ...batch.map((_, i) => i), first, first + 1]);
}

/** Two stacks whose further batch dimensions broadcast: the steps stay in front. */
function withSameRank(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const rank = Math.max(a.rank, b.rank);
  const padded = ({ shape, rank: own }: Tensor) => [
    nth(shape, 0),
    ...Array.from({ length: rank - own }, () => 1),
    ...shape.slice(1),
  ];
  return [reshape(a, padded(a)), reshape(b, padded(b))];
}

/**
 * Aᵀ·dC; where B is shared by a batch of A, one product over all rows in place of a product for each and a sum. A weight
 * that is used transposed gets its gradient transposed too, so that it comes out in the weight's own order.
 */
function weightGradient(a: Tensor, b: Tensor, dy: Tensor): Tensor {
  const [left, right] = b.rank === 2 && a.rank > 2 ? [rows(a), rows(dy)] : [a, dy];
  if (isPermuted(b)) return transpose(applyOne(matmulOp, [transpose(right), left]));
  return applyOne(matmulOp, [transpose(left), right]);
}

function rows(x: Tensor): Tensor {
  return reshape(x, [-1, nth(x.shape, -1)]);
}

function broadcast(operand: Operand, batch: Shape): Operand {
  return { ...expandLayout(operand, [...batch, ...operand.shape.slice(-2)]), dtype: operand.dtype };
}

/**
 * Matrix product [..., M, K]·[..., K, N] → [..., M, N] with batch dimensions broadcast. A vector on the left is a row, on
 * the right a column, and its dimension goes from the result, as in PyTorch.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  expectTensor('matmul', 'the first operand', a);
  expectTensor('matmul', 'the second operand', b);
  if (a.dtype !== 'f32' || b.dtype !== 'f32')
    throw new DTypeError(`[matmul] both operands must be f32, got ${a.dtype} and ${b.dtype}; use .cast('f32')`);
  if (a.rank === 0 || b.rank === 0)
    throw new ShapeError(
      `[matmul] operands must have rank 1 or more, got ${formatShape(a.shape)} and ${formatShape(b.shape)}; use mul for scalars`,
    );
  const left = a.rank === 1 ? reshape(a, [1, a.size]) : a;
  const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b;
  if (left.shape.at(-1) !== right.shape.at(-2)) {
    throw new ShapeError(
      `[matmul] ${formatShape(a.shape)} · ${formatShape(b.shape)}: the last dimension of the first (${left.shape.at(-1)}) must equal ${b.rank === 1 ? 'the length' : 'the last but one dimension'} of the second (${right.shape.at(-2)})`,
    );
  }
  const batch = broadcastShapes('matmul', [left.shape.slice(0, -2), right.shape.slice(0, -2)]);
  const product =
    batch.length <= 2 || right.rank === 2
      ? multiply(left, right)
      : reshape(multiply(foldBatch(left, batch), foldBatch(right, batch)), [
          ...batch,
          nth(left.shape, -2),
          nth(right.shape, -1),
        ]);
  const shape = product.shape.filter(
    (_, i) => !(a.rank === 1 && i === product.rank - 2) && !(b.rank === 1 && i === product.rank - 1),
  );
  return reshape(product, shape);
}

/** A batch of rows times one matrix is one tall product. */
function multiply(a: Tensor, b: Tensor): Tensor {
  if (b.rank > 2 || a.rank === 2) return applyOne(matmulOp, [a, b]);
  return reshape(applyOne(matmulOp, [rows(a), b]), [...a.shape.slice(0, -1), nth(b.shape, -1)]);
}

function foldBatch(x: Tensor, batch: Shape): Tensor {
  return reshape(expand(x, [...batch, ...x.shape.slice(-2)]), [-1, ...x.shape.slice(-2)]);
}

/** For the registry. */
export const matmulOps = { matmul: matmulOp } satisfies Readonly<Record<string, OpDef>>;
