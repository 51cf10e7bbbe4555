import type { Shape } from './shape.ts';

/** Layouts: how the elements of a logical shape lie in memory. */

/** How elements of a logical shape lie in a buffer: strides and offset count elements. */
export interface Layout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** Strides of a dense, row-major tensor, in elements. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i] as number;
  }
  return strides;
}

/** Row-major, without gaps, from the start of the buffer. */
export function denseLayout(shape: Shape): Layout {
  return { shape, strides: rowMajorStrides(shape), offset: 0 };
}

/** True where walking the layout in row-major order walks memory in order. Strides of extents of 1 do not matter. */
export function isDense(layout: Layout): boolean {
  const dense = rowMajorStrides(layout.shape);
  return layout.shape.every((extent, i) => extent === 1 || layout.strides[i] === dense[i]);
}

/** Dense memory in which the dimensions lie in `order`, outermost first. */
export function denseInOrder(shape: Shape, order: readonly number[]): Layout {
  const strides = rowMajorStrides(order.map((dimension) => shape[dimension] as number));
  return { shape, strides: shape.map((_, dimension) => strides[order.indexOf(dimension)] as number), offset: 0 };
}

/** Whether parts of one shape fill a stretch of memory together, each element once. */
export function fillTogether(parts: readonly Layout[]): boolean {
  const [first, second] = parts.toSorted((a, b) => a.offset - b.offset) as [Layout, Layout];
  const apart = second.offset - first.offset;
  const same = ({ shape, strides }: Layout) =>
    shape.every((extent, i) => extent === first.shape[i] && (extent === 1 || strides[i] === first.strides[i]));
  const starts = new Set(parts.map(({ offset }) => (offset - first.offset) / apart));
  if (!parts.every(same) || parts.some((_, i) => !starts.has(i))) return false;
  const dimensions = first.shape
    .map((extent, i) => ({ extent, stride: first.strides[i] as number }))
    .filter(({ extent }) => extent > 1)
    .concat({ extent: parts.length, stride: apart })
    .sort((a, b) => a.stride - b.stride);
  let size = 1;
  return dimensions.every(({ extent, stride }) => {
    const dense = stride === size;
    size *= extent;
    return dense;
  });
}

/** The layout seen as another shape of the same size, or null where strides do not allow it. */
export function reshapeLayout(layout: Layout, shape: Shape): Layout | null {
  // Walk both shapes from the front, matching runs of dimensions with equal products; a run of several source
  // dimensions can be split only if it is contiguous in itself.
  const source = layout.shape
    .map((extent, i) => ({ extent, stride: layout.strides[i] as number }))
    .filter((d) => d.extent !== 1);
  const target = shape.map((extent, position) => ({ extent, position })).filter((d) => d.extent !== 1);
  const strides = new Array<number>(shape.length).fill(0);
  let s = 0;
  let t = 0;
  while (s < source.length && t < target.length) {
    let from = (source[s] as { extent: number }).extent;
    let to = (target[t] as { extent: number }).extent;
    const firstSource = s++;
    const firstTarget = t++;
    while (from !== to) {
      if (from < to) from *= (source[s++] as { extent: number }).extent;
      else to *= (target[t++] as { extent: number }).extent;
    }
    for (let i = firstSource; i + 1 < s; i++) {
      const outer = source[i] as { stride: number };
      const inner = source[i + 1] as { extent: number; stride: number };
      if (outer.stride !== inner.stride * inner.extent) return null;
    }
    let stride = (source[s - 1] as { stride: number }).stride;
    for (let i = t - 1; i >= firstTarget; i--) {
      const dimension = target[i] as { extent: number; position: number };
      strides[dimension.position] = stride;
      stride *= dimension.extent;
    }
  }
  return { shape, strides, offset: layout.offset };
}

/** The layout stretched to a larger shape by strides of 0. */
export function expandLayout(layout: Layout, shape: Shape): Layout {
  const missing = shape.length - layout.shape.length;
  const strides = shape.map((extent, i) =>
    i < missing || (layout.shape[i - missing] === 1 && extent !== 1) ? 0 : (layout.strides[i - missing] as number),
  );
  return { shape, strides, offset: layout.offset };
}

/** Elements between the places where sub-ranges of a buffer may start: WebGPU's 256 bytes. */
export const alignment = 64;

/** So many elements, rounded up to where the next sub-range may start. */
export const aligned = (elements: number): number => Math.ceil(elements / alignment) * alignment;
