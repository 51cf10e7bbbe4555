import { ShapeError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { count, countOrNone, declareOptions, expectKind, flag, type Kind } from '../core/options.ts';
import { sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { fromHost } from '../graph/leaf.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { apply, applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { familyCall } from '../kernels/family.ts';
import { maxPoolBackward as backwardFamily, maxPool as family } from '../kernels/pool.ts';
import { alongRow, countOrPair, type NumberOrPair, noneOrPair, onRow, pairOfBoth, placesOn } from './conv.ts';
import { gather } from './gather.ts';
import { mean } from './reduce.ts';
import { type Band, type Bands, expectShort, type Pair, resample, same } from './resample.ts';
import { reshape } from './view.ts';

/** Windows along one axis: the first input of each, and how many it has. */
type Span = readonly [start: number, count: number];
type Spans = readonly Span[];

type MaxPoolAttributes = { rows: Spans; columns: Spans; dilation: Pair };

const mostOf = (spans: Spans) => spans.reduce((most, [, length]) => Math.max(most, length), 0);

function tableOf(rows: Spans, columns: Spans): Tensor {
  const values = Float32Array.from([...rows, ...columns].flat());
  return fromHost({ shape: [values.length], dtype: 'f32' }, values);
}

/** Which windows may have met each of `extent` inputs: the first, and how many from there to the last. */
function windowsOf(spans: Spans, extent: number, dilation: number): Spans {
  const found = Array.from({ length: extent }, (): { first: number; last: number } | null => null);
  for (const [window, [start, length]] of spans.entries())
    for (let tap = 0; tap < length; tap++) {
      const at = start + tap * dilation;
      found[at] = { first: found[at]?.first ?? window, last: window };
    }
  return found.map((each): Span => (each ? [each.first, each.last - each.first + 1] : [0, 0]));
}

const problemOf = ([planes, H, W]: readonly number[], { rows, columns }: MaxPoolAttributes, taps: Pair) => ({
  planes: planes as number,
  image: [H as number, W as number] as const,
  result: [rows.length, columns.length] as const,
  taps,
});

/** Inputs: x [planes, H, W], and the windows as a table. Outputs: the greatest of each, and its position in the plane. */
const maxPoolOp: Op<[x: Tensor, table: Tensor], MaxPoolAttributes, [values: Tensor, positions: Tensor]> = {
  name: 'maxPool',
  infer: ([{ shape }], { rows, columns }) => {
    const result = [nth(shape, 0), rows.length, columns.length];
    return [
      { shape: result, dtype: 'f32' },
      { shape: result, dtype: 'i32' },
    ];
  },
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ inputs: [x], attributes }, _, { store }) =>
      familyCall(family, {
        ...problemOf(x.shape, attributes, [mostOf(attributes.rows), mostOf(attributes.columns)]),
        dilation: attributes.dilation,
        ...(store ? { store } : {}),
      }),
  },
  gradient: ({ inputs: [x], outputs: [, positions], attributes }, [dy]) => {
    if (!dy) return [null, null];
    const [rows, columns] = met(x, attributes);
    return [
      applyOne(maxPoolBackwardOp, [dy, positions, tableOf(rows, columns)], { ...attributes, image: x.shape }),
      null,
    ];
  },
};

const met = ({ shape }: TensorType, { rows, columns, dilation }: MaxPoolAttributes): [Spans, Spans] => [
  windowsOf(rows, nth(shape, 1), dilation[0]),
  windowsOf(columns, nth(shape, 2), dilation[1]),
];

/** Inputs: dy and positions [planes, OH, OW], and as a table which windows may have met a pixel. Output: dx. */
const maxPoolBackwardOp: Op<
  [dy: Tensor, positions: Tensor, table: Tensor],
  MaxPoolAttributes & { image: readonly number[] }
> = {
  name: 'maxPoolBackward',
  infer: (_, { image }) => [{ shape: image, dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ types: [dx], attributes }, _, { store }) => {
      const [rows, columns] = met(dx, attributes);
      return familyCall(backwardFamily, {
        ...problemOf(dx.shape, attributes, [mostOf(rows), mostOf(columns)]),
        ...(store ? { store } : {}),
      });
    },
  },
  gradient: ({ inputs: [dy, positions] }, [dx]) => {
    const flat = (tensor: Tensor) => reshape(tensor, [nth(tensor.shape, 0), -1]);
    return [reshape(gather(flat(dx), flat(positions), 1), dy.shape), null, null];
  },
};

/** The greatest of each window of x [B, C, H, W] → [B, C, OH, OW]. */
function greatest(x: Tensor, rows: Spans, columns: Spans, dilation: Pair): Tensor {
  const outer = x.shape.slice(0, -2);
  const planes = reshape(x, [sizeOf(outer), ...x.shape.slice(-2)]);
  const [values] = apply(maxPoolOp, [planes, tableOf(rows, columns)], { rows, columns, dilation });
  return reshape(values, [...outer, rows.length, columns.length]);
}

/** How the windows of a pool lie. */
interface PoolOptions<Size> {
  /** From one window to the next; as long as a window where left out. */
  stride?: Size;
  /** What lies around the input, at both ends: nothing for a maximum, zeros for an average; half a window at most. Default 0. */
  padding?: Size;
  /** Whether a last window that reaches beyond the padding counts, as far as it begins on the input or before it; default false. */
  ceilMode?: boolean;
}
/** Options of `maxPool1d`. */
export interface MaxPool1dOptions extends PoolOptions<number> {
  /** From one input of a window to the next; default 1. */
  dilation?: number;
}
/** Options of `maxPool2d`; a number stands for both dimensions. */
export interface MaxPool2dOptions extends PoolOptions<NumberOrPair> {
  /** From one input of a window to the next; default 1. */
  dilation?: NumberOrPair;
}
/** Options of `avgPool1d`. */
export interface AvgPool1dOptions extends PoolOptions<number> {
  /** Whether zeros around the input count as its elements; default true. */
  countIncludePad?: boolean;
}
/** Options of `avgPool2d`; a number stands for both dimensions. */
export interface AvgPool2dOptions extends PoolOptions<NumberOrPair> {
  /** Whether zeros around the input count as its elements; default true. */
  countIncludePad?: boolean;
}
export const maxPool1dOptions = declareOptions<MaxPool1dOptions>({
  stride: count,
  padding: countOrNone,
  ceilMode: flag,
  dilation: count,
});
export const maxPool2dOptions = declareOptions<MaxPool2dOptions>({
  stride: countOrPair,
  padding: noneOrPair,
  ceilMode: flag,
  dilation: countOrPair,
});
export const avgPool1dOptions = declareOptions<AvgPool1dOptions>({
  stride: count,
  padding: countOrNone,
  ceilMode: flag,
  countIncludePad: flag,
});
export const avgPool2dOptions = declareOptions<AvgPool2dOptions>({
  stride: countOrPair,
  padding: noneOrPair,
  ceilMode: flag,
  countIncludePad: flag,
});

interface Windows {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  readonly ceilMode: boolean;
}

/** The windows along an axis, where they begin, padding and all. */
function startsOf(
  name: string,
  what: string,
  extent: number,
  { kernel, stride, padding, dilation, ceilMode }: Windows,
): number[] {
  expectShort(name, extent);
  if (2 * padding > kernel)
    throw new ShapeError(`[${name}] the padding must be at most half of the kernel, ${kernel}, got ${padding}`);
  const behind = padding + (ceilMode ? stride - 1 : 0);
  const places = placesOn(name, what, extent, kernel, { stride, dilation, padding: [padding, behind] });
  // Only a window beyond the padding can begin behind the input.
  return Array.from({ length: places }, (_, i) => i * stride - padding).filter((start) => start < extent);
}

/** What of each window lies on the input. */
function spansOf(name: string, what: string, extent: number, windows: Windows): Spans {
  const { kernel, dilation } = windows;
  return startsOf(name, what, extent, windows).map((start): Span => {
    const before = Math.max(0, Math.ceil(-start / dilation));
    const first = start + before * dilation;
    const length = Math.min(kernel - before, Math.ceil((extent - first) / dilation));
    if (length < 1)
      throw new ShapeError(
        `[${name}] a window has nothing in it: ${what} has ${extent} elements, the window reaches from ${start} to ${start + (kernel - 1) * dilation} in steps of ${dilation}`,
      );
    return [first, length];
  });
}

/** The mean of each window, as rows of a matrix. */
function meansOf(name: string, what: string, extent: number, windows: Windows, countsPadding: boolean): Bands {
  return startsOf(name, what, extent, windows).map((start): Band => {
    const end = Math.min(start + windows.kernel, extent + windows.padding);
    const [first, last] = [Math.max(0, start), Math.min(extent, end)];
    const size = countsPadding ? end - start : last - first;
    return [first, ...new Array<number>(last - first).fill(1 / size)];
  });
}

const pictures = ['the height', 'the width'] as const;

/** Each axis of pictures [B, C, H, W] by its own numbers. */
function eachAxis<Result>(
  x: Tensor,
  { ceilMode, ...settings }: { readonly [Name in keyof Windows]: Name extends 'ceilMode' ? boolean : NumberOrPair },
  make: (what: string, extent: number, windows: Windows) => Result,
): [Result, Result] {
  const [, , ...extents] = exactly(4, x.shape);
  const [kernel, stride, padding, dilation] = [
    settings.kernel,
    settings.stride,
    settings.padding,
    settings.dilation,
  ].map(pairOfBoth) as [Pair, Pair, Pair, Pair];
  const axis = (i: 0 | 1) =>
    make(pictures[i], nth(extents, i), {
      kernel: kernel[i],
      stride: stride[i],
      padding: padding[i],
      dilation: dilation[i],
      ceilMode,
    });
  return [axis(0), axis(1)];
}

function expectPool<Size>(name: string, x: Tensor, rank: number, what: string, size: Size, kind: Kind<Size>): void {
  expectDType(name, 'the input', x, ['f32']);
  expectRank(name, 'the input', x, rank);
  expectKind(name, what, size, kind);
}

/**
 * The greatest of each window of x [B, C, H, W] → [B, C, OH, OW], as `torch.nn.functional.max_pool2d`; the first of equals gets
 * the gradient. Throws a ShapeError where the windows are longer than the padded input, or have nothing in them.
 */
export function maxPool2d(x: Tensor, kernelSize: NumberOrPair, options?: MaxPool2dOptions): Tensor {
  const { stride = kernelSize, padding = 0, dilation = 1, ceilMode = false } = maxPool2dOptions('maxPool2d', options);
  expectPool('maxPool2d', x, 4, 'kernelSize', kernelSize, countOrPair);
  const [rows, columns] = eachAxis(
    x,
    { kernel: kernelSize, stride, padding, dilation, ceilMode },
    (what, extent, windows) => spansOf('maxPool2d', what, extent, windows),
  );
  return greatest(x, rows, columns, pairOfBoth(dilation));
}

/** `maxPool2d` along one dimension: x [B, C, T] → [B, C, OT], as `torch.nn.functional.max_pool1d`. Throws a ShapeError as it does. */
export function maxPool1d(x: Tensor, kernelSize: number, options?: MaxPool1dOptions): Tensor {
  const { stride = kernelSize, padding = 0, dilation = 1, ceilMode = false } = maxPool1dOptions('maxPool1d', options);
  expectPool('maxPool1d', x, 3, 'kernelSize', kernelSize, count);
  const spans = spansOf('maxPool1d', 'the input', nth(x.shape, 2), {
    kernel: kernelSize,
    stride,
    padding,
    dilation,
    ceilMode,
  });
  return alongRow(greatest(onRow(x), [[0, 1]], spans, [1, dilation]));
}

/**
 * The mean of each window of x [B, C, H, W] → [B, C, OH, OW], as `torch.nn.functional.avg_pool2d`. Throws a ShapeError where
 * the windows are longer than the padded input.
 */
export function avgPool2d(x: Tensor, kernelSize: NumberOrPair, options?: AvgPool2dOptions): Tensor {
  const {
    stride = kernelSize,
    padding = 0,
    ceilMode = false,
    countIncludePad = true,
  } = avgPool2dOptions('avgPool2d', options);
  expectPool('avgPool2d', x, 4, 'kernelSize', kernelSize, countOrPair);
  const [rows, columns] = eachAxis(
    x,
    { kernel: kernelSize, stride, padding, dilation: 1, ceilMode },
    (what, extent, windows) => meansOf('avgPool2d', what, extent, windows, countIncludePad),
  );
  return resample(x, rows, columns);
}

/** `avgPool2d` along one dimension: x [B, C, T] → [B, C, OT], as `torch.nn.functional.avg_pool1d`. Throws a ShapeError as it does. */
export function avgPool1d(x: Tensor, kernelSize: number, options?: AvgPool1dOptions): Tensor {
  const {
    stride = kernelSize,
    padding = 0,
    ceilMode = false,
    countIncludePad = true,
  } = avgPool1dOptions('avgPool1d', options);
  expectPool('avgPool1d', x, 3, 'kernelSize', kernelSize, count);
  const windows = { kernel: kernelSize, stride, padding, dilation: 1, ceilMode };
  const means = meansOf('avgPool1d', 'the input', nth(x.shape, 2), windows, countIncludePad);
  return alongRow(resample(onRow(x), same(1), means));
}

// ── windows that cover the input evenly ──────────────────────────────────────────────────────────────────────────────

/** `to` windows from ⌊i·extent/to⌋ to ⌈(i + 1)·extent/to⌉. */
function even(name: string, extent: number, to: number): Spans {
  expectShort(name, extent, to);
  return Array.from({ length: to }, (_, i): Span => {
    const start = Math.floor((i * extent) / to);
    return [start, Math.ceil(((i + 1) * extent) / to) - start];
  });
}
const evenMeans = (name: string, extent: number, to: number): Bands =>
  even(name, extent, to).map(([start, length]): Band => [start, ...new Array<number>(length).fill(1 / length)]);

/** The mean of each of OH·OW windows that cover x [B, C, H, W] evenly → [B, C, OH, OW], as `torch.nn.functional.adaptive_avg_pool2d`. */
export function adaptiveAvgPool2d(x: Tensor, outputSize: NumberOrPair): Tensor {
  expectPool('adaptiveAvgPool2d', x, 4, 'outputSize', outputSize, countOrPair);
  const [, , H, W] = exactly(4, x.shape);
  const [rows, columns] = pairOfBoth(outputSize);
  if (rows === 1 && columns === 1) return mean(x, [2, 3], { keepDims: true });
  return resample(x, evenMeans('adaptiveAvgPool2d', H, rows), evenMeans('adaptiveAvgPool2d', W, columns));
}

/** The mean of each of OT windows that cover x [B, C, T] evenly → [B, C, OT], as `torch.nn.functional.adaptive_avg_pool1d`. */
export function adaptiveAvgPool1d(x: Tensor, outputSize: number): Tensor {
  expectPool('adaptiveAvgPool1d', x, 3, 'outputSize', outputSize, count);
  if (outputSize === 1) return mean(x, 2, { keepDims: true });
  return alongRow(resample(onRow(x), same(1), evenMeans('adaptiveAvgPool1d', nth(x.shape, 2), outputSize)));
}

/** The greatest of each of OH·OW windows that cover x [B, C, H, W] evenly → [B, C, OH, OW], as `torch.nn.functional.adaptive_max_pool2d`. */
export function adaptiveMaxPool2d(x: Tensor, outputSize: NumberOrPair): Tensor {
  expectPool('adaptiveMaxPool2d', x, 4, 'outputSize', outputSize, countOrPair);
  const [, , H, W] = exactly(4, x.shape);
  const [rows, columns] = pairOfBoth(outputSize);
  return greatest(x, even('adaptiveMaxPool2d', H, rows), even('adaptiveMaxPool2d', W, columns), [1, 1]);
}

/** The greatest of each of OT windows that cover x [B, C, T] evenly → [B, C, OT], as `torch.nn.functional.adaptive_max_pool1d`. */
export function adaptiveMaxPool1d(x: Tensor, outputSize: number): Tensor {
  expectPool('adaptiveMaxPool1d', x, 3, 'outputSize', outputSize, count);
  return alongRow(greatest(onRow(x), [[0, 1]], even('adaptiveMaxPool1d', nth(x.shape, 2), outputSize), [1, 1]));
}

/** For the registry. */
export const poolOps = { maxPool: maxPoolOp, maxPoolBackward: maxPoolBackwardOp } satisfies Readonly<
  Record<string, OpDef>
>;
