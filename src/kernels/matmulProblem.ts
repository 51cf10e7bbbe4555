import { UnsupportedError } from '../core/errors.ts';
import type { BindingSource, Dispatch, Operand, StoreHook } from './kernel.ts';

/** Σₖ of one operand, a further output: [M] of `a`, [N] of `b`. The operand is contiguous across K, and there is no batch. */
export interface OperandSum {
  readonly of: 'a' | 'b';
  readonly output: number;
}

/** C = A·B over broadcast batches. output(0) is dense `[...batch, M, N]`, input(0) is `a`, input(1) is `b`. */
export interface MatmulProblem {
  /** Broadcast batch extents, two at most (`[B, H]`); `[]` for a plain product. */
  readonly batch: readonly number[];
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** `[...batch, M, K]`, f32: any offset, batch strides may be 0, one of the last two strides is 1 (or its extent). */
  readonly a: Operand;
  /** `[...batch, K, N]`, likewise. */
  readonly b: Operand;
  /** Elementwise tail in place of `store`; its bindings follow a, b and output. */
  readonly epilogue?: StoreHook;
  /** A sum that rides along; its binding follows the output. */
  readonly sum?: OperandSum;
}

/** An operand as the kernels take it: lines `lead` apart, contiguous along its last dimension or, transposed, the one before. */
export interface Matrix {
  readonly transposed: boolean;
  readonly lead: number;
  readonly offset: number;
  /** Whether whole vec4s can be read: all of offset, strides and the contiguous extent are divisible by 4. */
  readonly vec4: boolean;
}

/** One batch dimension: its extent and its stride in each operand. */
interface Batch {
  readonly extent: number;
  readonly a: number;
  readonly b: number;
}

/** The problem with as few batch dimensions and as many rows as it can be read with. */
export interface Product {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly a: Matrix;
  readonly b: Matrix;
  readonly batch: readonly [Batch, Batch];
  readonly batches: number;
  readonly epilogue?: StoreHook;
  readonly sum?: OperandSum;
  /** Where a and b come from; inputs 0 and 1 where left out. */
  readonly operands?: readonly [a: BindingSource, b: BindingSource];
  /** For operands that are no matrices in memory: how a kernel finds their elements. */
  readonly computed?: ComputedOperands;
}

/** Texts in place of those by which kernels with tiles in workgroup memory, and those with blocks in registers, read operands. */
export interface ComputedOperands {
  readonly tiles: Pick<Dispatch, 'constants' | 'functions' | 'declarations'>;
  readonly blocks: Pick<Dispatch, 'constants' | 'functions' | 'declarations'>;
}

/** Whether the family can read `operand` as it lies (`[..., rows, columns]`); else the caller makes a dense copy first. */
export function isMatrix(operand: Operand): boolean {
  return lines(operand) !== null;
}

/** Direction and distance of an operand's lines, or null where neither of its last two dimensions is contiguous. */
function lines({ shape, strides }: Operand): { transposed: boolean; lead: number } | null {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const [row, column] = strides.slice(-2) as [number, number];
  if (column === 1) return { transposed: false, lead: row };
  if (row === 1) return { transposed: true, lead: column };
  if (columns === 1) return { transposed: false, lead: row };
  if (rows === 1) return { transposed: true, lead: column };
  return null;
}

function matrix(operand: Operand, batchStrides: readonly number[]): Matrix {
  const found = lines(operand);
  if (!found) {
    throw new UnsupportedError(
      `[matmul] one of the last two strides must be 1: shape [${operand.shape}], strides [${operand.strides}]`,
    );
  }
  const { transposed } = found;
  const [contiguous, count] = (transposed ? operand.shape.slice(-2) : operand.shape.slice(-2).reverse()) as [
    number,
    number,
  ];
  // The distance of a single line from the next means nothing, and must not cost the vec4 loads.
  const lead = count === 1 ? 0 : found.lead;
  const vec4 = [contiguous, lead, operand.offset, ...batchStrides].every((x) => x % 4 === 0);
  return { transposed, lead, offset: operand.offset, vec4 };
}

/** Drops batch dimensions of extent 1, joins those that lie as one, and makes rows of a batch that b does not see. */
export function simplify({ batch, M, N, K, a, b, epilogue, sum }: MatmulProblem): Product {
  let rows = M;
  let left = a;
  let dims: Batch[] = batch.map((extent, i) => ({ extent, a: a.strides[i] as number, b: b.strides[i] as number }));
  dims = dims.filter(({ extent }) => extent > 1);
  const [outer, inner] = dims;
  if (outer && inner && outer.a === inner.extent * inner.a && outer.b === inner.extent * inner.b) {
    dims = [{ extent: outer.extent * inner.extent, a: inner.a, b: inner.b }];
  }
  const last = dims.at(-1);
  const [row, column] = a.strides.slice(-2) as [number, number];
  if (last && last.b === 0 && (column === 1 || K === 1) && (M === 1 || last.a === M * row)) {
    rows = last.extent * M;
    left = { ...a, shape: [rows, K], strides: [M === 1 ? last.a : row, column] };
    dims = dims.slice(0, -1);
  }
  const [second, first] = [dims.pop(), dims.pop()];
  const one: Batch = { extent: 1, a: 0, b: 0 };
  const pair = [first ?? one, second ?? one] as const;
  return {
    M: rows,
    N,
    K,
    a: matrix(
      left,
      pair.map((x) => x.a),
    ),
    b: matrix(
      b,
      pair.map((x) => x.b),
    ),
    batch: pair,
    batches: pair[0].extent * pair[1].extent,
    epilogue,
    sum,
  };
}
