import type { Layout } from '../core/layout.ts';
import { sizeOf } from '../core/shape.ts';
import { coordinateOf, extentText, uniformText } from './numbers.ts';

/** Layouts of operands as WGSL expressions: from the linear index `i` of an invocation to an index into a buffer. */

export interface Dimension {
  readonly extent: number;
  readonly stride: number;
}

/** The layout with neighbouring dimensions merged where one index walks both. */
export function collapse(layout: Layout): Dimension[] {
  const merged: Dimension[] = [];
  for (const [i, extent] of layout.shape.entries()) {
    if (extent === 1) continue;
    const stride = layout.strides[i] as number;
    const last = merged.at(-1);
    if (last && last.stride === stride * extent) merged[merged.length - 1] = { extent: last.extent * extent, stride };
    else merged.push({ extent, stride });
  }
  return merged;
}

/** Whether four neighbours of the index space are four of the buffer, which holds vectors, or all the same number. */
export function vectorises(layout: Layout): boolean {
  const dimensions = collapse(layout);
  const innermost = dimensions.at(-1);
  if (!innermost) return true;
  if (innermost.extent % 4 !== 0 || layout.offset % 4 !== 0) return false;
  if (innermost.stride === 0) return dimensions.every(({ stride }) => stride >= 0);
  return innermost.stride === 1 && dimensions.slice(0, -1).every(({ stride }) => stride % 4 === 0 && stride >= 0);
}

/** Whether a vector of the buffer is read as it is; else each of its numbers stands for four in a row. */
export const readsVectors = (layout: Layout): boolean => collapse(layout).at(-1)?.stride === 1;

/** The dimensions of a layout that vectorises, in vectors; strides count numbers where those are read one by one. */
function inVectors(dimensions: readonly Dimension[]): Dimension[] {
  const last = dimensions.length - 1;
  const width = dimensions[last]?.stride === 1 ? 4 : 1;
  return dimensions.map(({ extent, stride }, d) =>
    d === last ? { extent: extent / 4, stride } : { extent, stride: stride / width },
  );
}

/** An operand that holds the same row for each of many: the row's length. */
export function rowOf(layout: Layout): number | undefined {
  const [outer, row, ...others] = collapse(layout);
  return outer?.stride === 0 && row?.stride === 1 && others.length === 0 ? row.extent : undefined;
}

/**
 * Index into the buffer for `i`, which counts vectors where `vector` is set. Neither the outermost extent nor the offset
 * appears in the text, so that a longer batch and another slice share the pipeline. Inner extents and strides do, or in its
 * general form are uniforms.
 */
export function indexExpression(layout: Layout, vector: boolean): string {
  const collapsed = collapse(layout);
  const dimensions = vector ? inVectors(collapsed) : collapsed;
  const signed = layout.offset !== 0 || dimensions.some(({ stride }) => stride < 0);
  const bound = dimensions.reduce((product, { extent }) => product * extent, 1);
  const terms: string[] = [];
  let inner = 1;
  for (let d = dimensions.length - 1; d >= 0; d--) {
    const { extent, stride } = dimensions[d] as Dimension;
    const coordinate = coordinateOf('i', bound, inner, d > 0 ? extent : undefined);
    if (stride !== 0) {
      if (signed) terms.unshift(`i32(${coordinate}) * ${Math.abs(stride) === 1 ? stride : extentText(stride, 'i32')}`);
      else terms.unshift(stride === 1 ? coordinate : `${coordinate} * ${extentText(stride)}`);
    }
    inner *= extent;
  }
  if (layout.offset !== 0) terms.push(uniformText(offsetOf(layout, vector), 'i32'));
  const sum = terms.length === 0 ? '0' : terms.join(' + ');
  return signed ? `u32(${sum})` : terms.length === 0 ? '0u' : sum;
}

/** The offset of a layout as `indexExpression` counts it. */
const offsetOf = (layout: Layout, vector: boolean): number =>
  vector && readsVectors(layout) ? layout.offset / 4 : layout.offset;

/** The coordinate of element `index`, a variable, of a dense tensor along one of its axes. */
export function coordinateText(index: string, shape: readonly number[], axis: number): string {
  const inner = sizeOf(shape.slice(axis + 1));
  const outermost = shape.slice(0, axis).every((extent) => extent === 1);
  return coordinateOf(index, sizeOf(shape), inner, outermost ? undefined : (shape[axis] as number));
}
