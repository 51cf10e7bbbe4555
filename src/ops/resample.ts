import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { count, declareOptions, either, flag, oneOf, pairOf, positive } from '../core/options.ts';
import { formatShape, sizeOf } from '../core/shape.ts';
import { fromHost } from '../graph/leaf.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { resample as family } from '../kernels/resample.ts';
import { alongRow, type NumberOrPair, onRow } from './conv.ts';
import { reshape } from './view.ts';

/** Rows and columns, in this order. */
type Pair = readonly [rows: number, columns: number];

/**
 * A row of a matrix: the first column that is not 0, and the numbers from there on. A matrix of such rows, whose starts do
 * not fall, has a transpose of such rows.
 */
export type Band = readonly [start: number, ...numbers: number[]];
export type Bands = readonly Band[];

/** The transpose of a matrix of bands and `columns` columns. */
export function transposed(bands: Bands, columns: number): Bands {
  const entries = Array.from({ length: columns }, () => new Map<number, number>());
  for (const [row, [start, ...numbers]] of bands.entries())
    for (const [i, number] of numbers.entries()) entries[start + i]?.set(row, number);
  return entries.map((column): Band => {
    const rows = [...column.keys()];
    const [first = 0, last = -1] = [rows[0], rows.at(-1)];
    return [first, ...Array.from({ length: last - first + 1 }, (_, i) => column.get(first + i) ?? 0)];
  });
}

const tapsOf = (bands: Bands) => bands.reduce((most, band) => Math.max(most, band.length - 1), 0);

/** Lines of start, count and numbers, those of rows first: see shaders/resample/elements.wgsl. */
function tableOf(axes: readonly Bands[]): Tensor {
  const lines = axes.flatMap((bands) => {
    const taps = tapsOf(bands);
    return bands.map(([start, ...numbers]) => [
      ...[start, numbers.length, ...numbers],
      ...new Array<number>(taps - numbers.length).fill(0),
    ]);
  });
  const values = Float32Array.from(lines.flat());
  return fromHost({ shape: [values.length], dtype: 'f32' }, values);
}

/** y = R·x·Cᵀ of planes [planes, H, W], for the bands of R [OH, H] and C [OW, W]. Inputs: x, and the bands as a table. */
type ResampleAttributes = { rows: Bands; columns: Bands };
const resampleOp: Op<[x: Tensor, table: Tensor], ResampleAttributes> = {
  name: 'resample',
  infer: ([{ shape }], { rows, columns }) => [{ shape: [nth(shape, 0), rows.length, columns.length], dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [x], attributes: { rows, columns } }, _, { store }) =>
      familyCall(family, {
        planes: nth(x.shape, 0),
        from: [nth(x.shape, 1), nth(x.shape, 2)],
        to: [rows.length, columns.length],
        taps: [tapsOf(rows), tapsOf(columns)],
        ...(store ? { store } : {}),
      }),
  },
  gradient: ({ inputs: [x], attributes: { rows, columns } }, [dy]) => [
    applyResample(dy, transposed(rows, nth(x.shape, 1)), transposed(columns, nth(x.shape, 2))),
    null,
  ],
};

const applyResample = (planes: Tensor, rows: Bands, columns: Bands) =>
  applyOne(resampleOp, [planes, tableOf([rows, columns])], { rows, columns });

/** x [B, C, H, W] with R along its rows and C along its columns → [B, C, OH, OW]. */
export function resample(x: Tensor, rows: Bands, columns: Bands): Tensor {
  const outer = x.shape.slice(0, -2);
  const y = applyResample(reshape(x, [sizeOf(outer), ...x.shape.slice(-2)]), rows, columns);
  return reshape(y, [...outer, rows.length, columns.length]);
}

/** Tables are f32, which is exact so far. */
const longest = 2 ** 24;

/** Throws a ShapeError where an axis is longer than tables can say. */
export function expectShort(name: string, ...extents: readonly number[]): void {
  const found = extents.find((extent) => extent > longest);
  if (found !== undefined)
    throw new ShapeError(`[${name}] a dimension may have up to ${longest} elements before and after, got ${found}`);
}

/** An axis that stays as it is. */
export const same = (extent: number): Bands => Array.from({ length: extent }, (_, i): Band => [i, 1]);

// ── interpolation ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Options of `interpolate`: `size` or `scale`, and how. */
export interface InterpolateOptions {
  /** Extents of the result: a number for each dimension alike, or rows and columns. */
  size?: NumberOrPair;
  /** How many times as large the result is, rounded down: for each dimension alike, or rows and columns. */
  scale?: number | readonly [rows: number, columns: number];
  /** `'nearest'`, the default, takes the nearest pixel; `'linear'`, of [B, C, T], and `'bilinear'` weigh the two nearest of a dimension. */
  mode?: 'nearest' | 'linear' | 'bilinear';
  /** Whether the middles of the pixels at the ends stay where they are, and not the ends themselves; default false. */
  alignCorners?: boolean;
}
export const interpolateOptions = declareOptions<InterpolateOptions>({
  size: either(count, pairOf(count)),
  scale: either(positive, pairOf(positive)),
  mode: oneOf('nearest', 'linear', 'bilinear'),
  alignCorners: flag,
});

/** The pixel of `extent` that is nearest to each of `to`, by PyTorch's arithmetic: scales are f32, and so are products with them. */
function nearest(extent: number, to: number, scale: number): Bands {
  const by = Math.fround(scale);
  return Array.from({ length: to }, (_, i): Band => [Math.min(Math.floor(Math.fround(i * by)), extent - 1), 1]);
}

/** The two pixels of `extent` between which each of `to` lies, with the share of each. */
function linear(extent: number, to: number, scale: number, alignCorners: boolean): Bands {
  const by = alignCorners ? (to > 1 ? (extent - 1) / (to - 1) : 0) : scale;
  return Array.from({ length: to }, (_, i): Band => {
    const at = alignCorners ? i * by : Math.max(0, (i + 0.5) * by - 0.5);
    const start = Math.min(Math.floor(at), extent - 1);
    const share = at - start;
    return start + 1 < extent && share > 0 ? [start, 1 - share, share] : [start, 1];
  });
}

/**
 * Pictures [B, C, H, W] or sequences [B, C, T] made larger or smaller, as `torch.nn.functional.interpolate`. Throws a ShapeError for
 * another rank or where nothing is left, a ValueError where not one of size and scale is given, or the mode is for another rank.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const name = 'interpolate';
  const { size, scale, mode = 'nearest', alignCorners = false } = interpolateOptions(name, options);
  expectDType(name, 'the input', x, ['f32']);
  expectRank(name, 'the input', x, 3, 4);
  if ((size === undefined) === (scale === undefined))
    throw new ValueError(`[${name}] needs either the option size or the option scale`);
  const wanted = x.rank === 3 ? 'linear' : 'bilinear';
  if (mode !== 'nearest' && mode !== wanted)
    throw new ValueError(
      `[${name}] the mode of an input of rank ${x.rank} must be 'nearest' or '${wanted}', got '${mode}'`,
    );
  if (alignCorners && mode === 'nearest')
    throw new ValueError(`[${name}] alignCorners is for the modes 'linear' and 'bilinear'`);
  const given = size ?? scale;
  if (x.rank === 3 && typeof given !== 'number')
    throw new ValueError(
      `[${name}] an input of rank 3 takes one number as its ${size === undefined ? 'scale' : 'size'}`,
    );
  const axes = x.shape.slice(2).map((extent, i): Bands => {
    const own = typeof given === 'number' ? given : nth(given ?? [], i);
    const to = size === undefined ? Math.floor(extent * own) : own;
    if (to < 1)
      throw new ShapeError(
        `[${name}] a scale of ${own} leaves nothing of dimension ${i + 2} of ${formatShape(x.shape)}; it must be at least 1/${extent}`,
      );
    expectShort(name, extent, to);
    const by = size === undefined ? 1 / own : extent / to;
    return mode === 'nearest' ? nearest(extent, to, by) : linear(extent, to, by, alignCorners);
  });
  if (x.rank === 4) return resample(x, nth(axes, 0), nth(axes, 1));
  return alongRow(resample(onRow(x), same(1), nth(axes, 0)));
}

export type { Pair };

/** For the registry. */
export const resampleOps = { resample: resampleOp } satisfies Readonly<Record<string, OpDef>>;
