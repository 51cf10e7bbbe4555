import type { DType, HostArray } from './dtype.ts';
import { formatShape, type Shape, sizeOf } from './shape.ts';
import type { NestedArray } from './types.ts';

/** The methods that `console.log` calls: Node's, and Deno's. */
export const nodeInspect: unique symbol = Symbol.for('nodejs.util.inspect.custom');
export const denoInspect: unique symbol = Symbol.for('Deno.customInspect');

/** How many rows and columns of a long dimension are shown at each end. */
const shown = 3;

/** A line with the kind, shape and type of a tensor. */
export function headline(kind: string, shape: Shape, dtype: DType): string {
  return `${kind}(${formatShape(shape)}, ${dtype})`;
}

/** The values of a tensor as text; long dimensions are cut in the middle. */
export function formatValues(data: HostArray, shape: Shape, dtype: DType): string {
  const number = (value: number) =>
    dtype === 'bool'
      ? String(value !== 0)
      : dtype === 'f32' && !Number.isInteger(value)
        ? value.toPrecision(5)
        : String(value);
  const cells = [...data.slice(0, 1000)].map((value) => number(value).length);
  const width = Math.max(1, ...cells);
  const render = (dimension: number, offset: number, indent: string): string => {
    if (dimension === shape.length) return number(data[offset] as number).padStart(width);
    const extent = shape[dimension] as number;
    const stride = sizeOf(shape.slice(dimension + 1));
    const positions =
      extent > 2 * shown + 1 ? [...range(0, shown), null, ...range(extent - shown, extent)] : range(0, extent);
    const last = dimension === shape.length - 1;
    const parts = positions.map((i) => (i === null ? '…' : render(dimension + 1, offset + i * stride, `${indent} `)));
    return `[${parts.join(last ? ', ' : `,\n${indent} `)}]`;
  };
  return render(0, 0, '');
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** The values of a tensor as nested arrays; bool as true and false. */
export function nested(data: HostArray, shape: Shape, dtype: DType, offset = 0): NestedArray {
  if (shape.length === 0) return dtype === 'bool' ? data[offset] !== 0 : (data[offset] as number);
  const [extent, ...rest] = shape as [number, ...number[]];
  const stride = sizeOf(rest);
  return Array.from({ length: extent }, (_, i) => nested(data, rest, dtype, offset + i * stride));
}
