import padText from '../../shaders/matmul/pad.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { type BindingSource, type Dispatch, grid, input, scratch } from './kernel.ts';
import { loop } from './loopLimit.ts';
import type { Product } from './matmulProblem.ts';

/** A product of operands that can be read in whole vec4s, after copies of those that could not. */
export interface Padded {
  readonly product: Product;
  readonly operands: readonly [BindingSource, BindingSource];
  readonly copies: readonly Dispatch[];
  /** Bytes of each copy. */
  readonly scratch: readonly number[];
}

/** Copies of operands that can't be read in vec4s, each line padded to whole ones. */
export function padOperands(product: Product): Padded {
  const a = padded(product, 'a', 0);
  const b = padded(product, 'b', a.bytes ? 1 : 0);
  const [outer, inner] = product.batch;
  return {
    product: {
      ...product,
      a: a.matrix,
      b: b.matrix,
      batch: [
        { ...outer, a: a.strides[0], b: b.strides[0] },
        { ...inner, a: a.strides[1], b: b.strides[1] },
      ],
    },
    operands: [a.source, b.source],
    copies: [a, b].flatMap(({ copy }) => copy ?? []),
    scratch: [a, b].flatMap(({ bytes }) => bytes || []),
  };
}

function padded({ M, N, K, batch, ...product }: Product, name: 'a' | 'b', place: number) {
  const matrix = product[name];
  const [outer, inner] = batch;
  const own = input(name === 'a' ? 0 : 1);
  if (matrix.vec4) return { matrix, strides: [outer[name], inner[name]] as const, source: own, bytes: 0 };
  const [rows, columns] = name === 'a' ? [M, K] : [K, N];
  const [lines, width] = matrix.transposed ? [columns, rows] : [rows, columns];
  const quads = Math.ceil(width / 4);
  // A matrix that serves a whole dimension of the batch is copied once.
  const [extent0, extent1] = [outer, inner].map((each) => (each[name] === 0 ? 1 : each.extent)) as [number, number];
  const size = lines * quads * 4;
  const copy: Dispatch = {
    kernel: 'matmul/pad',
    source: padText,
    bindings: [own, scratch(place)],
    uniforms: {
      lines,
      quads,
      batches: extent0 * extent1,
      batch1: extent1,
      offset: matrix.offset,
      lead: matrix.lead,
      batchStride0: outer[name],
      batchStride1: inner[name],
    },
    workgroups: grid(lines * extent0 * extent1),
    turns: loop(Math.ceil(quads / 64)),
  };
  return {
    matrix: { ...matrix, lead: quads * 4, offset: 0, vec4: true },
    strides: [extent0 > 1 ? extent1 * size : 0, extent1 > 1 ? size : 0] as const,
    source: scratch(place),
    copy,
    bytes: wordSize * size * extent0 * extent1,
  };
}
