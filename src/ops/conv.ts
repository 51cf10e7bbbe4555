import { ShapeError, ValueError } from '../core/errors.ts';
import { exactly, nth } from '../core/lists.ts';
import { count, countOrNone, declareOptions, either, type Kind, oneOf, pairOf } from '../core/options.ts';
import { formatShape, type Shape } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectDType, expectRank } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type ConvProblem, conv as family } from '../kernels/conv.ts';
import type { Pair } from '../kernels/convOperands.ts';
import { familyCall } from '../kernels/family.ts';
import { add } from './elementwise.ts';
import { expand, reshape } from './view.ts';

/**
 * x [B, C, H, W], weight and result of a convolution belong together: Σ y·conv(x, w) is linear in each of the three, and each
 * op makes one of them, or its gradient, from the other two. So every gradient of every order is one of these ops again.
 */
type ConvAttributes = Omit<ConvProblem, 'makes' | 'epilogue'>;

const shapes: Readonly<Record<ConvProblem['makes'], (attributes: ConvAttributes) => Shape>> = {
  output: ({ B, groups, filters, result }) => [B, groups * filters, ...result],
  input: ({ B, groups, channels, image }) => [B, groups * channels, ...image],
  weight: ({ groups, filters, channels, kernel }) => [groups * filters, channels, ...kernel],
};

type ConvOp = Op<[first: Tensor, second: Tensor], ConvAttributes>;
const convolution = (name: string, makes: ConvProblem['makes'], gradient: ConvOp['gradient']): ConvOp => ({
  name,
  infer: (_, attributes) => [{ shape: shapes[makes](attributes), dtype: 'f32' }],
  lowering: {
    kind: 'kernel',
    store: true,
    problem: ({ attributes }, _, { store }) =>
      familyCall(family, { ...attributes, makes, ...(store ? { epilogue: store } : {}) }),
  },
  ...(gradient && { gradient }),
});

/** Inputs: x and the weight. */
const convOp: ConvOp = convolution('conv', 'output', ({ inputs: [x, weight], attributes }, [dy]) => [
  applyOne(convInputOp, [dy, weight], attributes),
  applyOne(convWeightOp, [x, dy], attributes),
]);
/** The gradient of x, which is a transposed convolution. Inputs: y and the weight. */
const convInputOp: ConvOp = convolution('convInput', 'input', ({ inputs: [y, weight], attributes }, [dx]) => [
  applyOne(convOp, [dx, weight], attributes),
  applyOne(convWeightOp, [dx, y], attributes),
]);
/** The gradient of the weight. Inputs: x and y. */
const convWeightOp: ConvOp = convolution('convWeight', 'weight', ({ inputs: [x, y], attributes }, [dWeight]) => [
  applyOne(convInputOp, [y, dWeight], attributes),
  applyOne(convOp, [x, dWeight], attributes),
]);

/** A number for both dimensions of a picture, or one for rows and one for columns. */
export type NumberOrPair = number | readonly [rows: number, columns: number];
export const countOrPair: Kind<NumberOrPair> = either(count, pairOf(count));
export const noneOrPair: Kind<NumberOrPair> = either(countOrNone, pairOf(countOrNone));
export const pairOfBoth = (value: NumberOrPair): Pair => (typeof value === 'number' ? [value, value] : value);

/** How the windows of a convolution lie, and which channels meet. */
interface Steps<Size> {
  /** From one window to the next; default 1. */
  stride?: Size;
  /** From one tap of a window to the next; default 1. */
  dilation?: Size;
  /** Parts of the channels, of which each goes its own way; default 1. */
  groups?: number;
}
/** Options of `conv1d`. */
export interface Conv1dOptions extends Steps<number> {
  /**
   * Zeros at both ends; default 0, which is `'valid'`. `'same'` keeps the length, as far as the stride is 1; `'causal'` does so with zeros
   * at the start alone, so that no output sees a later input.
   */
  padding?: number | 'valid' | 'same' | 'causal';
}
/** Options of `conv2d`; a number stands for both dimensions. */
export interface Conv2dOptions extends Steps<NumberOrPair> {
  /** Zeros at both ends of each dimension; default 0, which is `'valid'`. `'same'` keeps the size; the stride must be 1. */
  padding?: NumberOrPair | 'valid' | 'same';
}
/** How a transposed convolution's result is cut, and made longer. */
interface TransposeSteps<Size> extends Steps<Size> {
  /** What the convolution that this one transposes has: as much less at both ends of each dimension; default 0. */
  padding?: Size;
  /** As much more at the end of each dimension of the result, less than stride or dilation; default 0. */
  outputPadding?: Size;
}
/** Options of `convTranspose1d`. */
export interface ConvTranspose1dOptions extends TransposeSteps<number> {}
/** Options of `convTranspose2d`; a number stands for both dimensions. */
export interface ConvTranspose2dOptions extends TransposeSteps<NumberOrPair> {}
export const conv1dKinds = {
  stride: count,
  dilation: count,
  groups: count,
  padding: either(countOrNone, oneOf('valid', 'same', 'causal')),
};
export const conv2dKinds = {
  stride: countOrPair,
  dilation: countOrPair,
  groups: count,
  padding: either(noneOrPair, oneOf('valid', 'same')),
};
export const convTranspose1dKinds = { ...conv1dKinds, padding: countOrNone, outputPadding: countOrNone };
export const convTranspose2dKinds = { ...conv2dKinds, padding: noneOrPair, outputPadding: noneOrPair };
const conv1dOptions = declareOptions<Conv1dOptions>(conv1dKinds);
const conv2dOptions = declareOptions<Conv2dOptions>(conv2dKinds);
const convTranspose1dOptions = declareOptions<ConvTranspose1dOptions>(convTranspose1dKinds);
const convTranspose2dOptions = declareOptions<ConvTranspose2dOptions>(convTranspose2dKinds);

/** Zeros before and behind a dimension. */
type Padding = readonly [before: number, behind: number];

/** Of a window of `length`, taps apart, on inputs apart. */
function paddingOf(name: string, padding: number | string, length: number, stride: number): Padding {
  if (typeof padding === 'number') return [padding, padding];
  if (padding === 'valid') return [0, 0];
  if (padding === 'causal') return [length - 1, 0];
  if (stride !== 1)
    throw new ValueError(`[${name}] padding 'same' needs a stride of 1, got ${stride}; give the padding as a number`);
  const before = Math.floor((length - 1) / 2);
  return [before, length - 1 - before];
}

/** Windows that fit on a dimension with its zeros; the error says what is too long. */
export function placesOn(
  name: string,
  what: string,
  extent: number,
  kernel: number,
  { stride, dilation, padding: [before, behind] }: { stride: number; dilation: number; padding: Padding },
): number {
  const length = dilation * (kernel - 1) + 1;
  const padded = extent + before + behind;
  if (length > padded) {
    const spans = dilation > 1 ? `${kernel} with a dilation of ${dilation} spans ${length}` : `${kernel}`;
    throw new ShapeError(
      `[${name}] the kernel is longer than the padded input: ${what} has ${extent} + ${before} + ${behind} = ${padded} elements, the kernel ${spans}; use more padding or a shorter kernel`,
    );
  }
  return Math.floor((padded - length) / stride) + 1;
}

function divided(name: string, groups: number, what: string, channels: number): void {
  if (channels % groups !== 0) throw new ShapeError(`[${name}] ${groups} groups do not divide the ${channels} ${what}`);
}

function checkBias(name: string, bias: Tensor | null, filters: number): void {
  if (bias !== null && (bias.rank !== 1 || bias.shape[0] !== filters))
    throw new ShapeError(
      `[${name}] the bias must have shape [${filters}], one number for each channel of the result, got ${formatShape(bias.shape)}`,
    );
}

/** Its gradient is summed up in two steps along rows that lie together. */
function withBias(y: Tensor, bias: Tensor | null): Tensor {
  if (!bias) return y;
  return add(y, expand(reshape(bias, [1, bias.size, 1, 1]), [nth(y.shape, 0), bias.size, 1, 1]));
}

const dimensions = ['the height', 'the width'] as const;

interface Convolution {
  readonly stride: Pair;
  readonly dilation: Pair;
  readonly groups: number;
  readonly padding: Pair | string;
}

/** The convolution of pictures [B, C, H, W], whose sizes messages call as `names` say. */
function convolve(
  name: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  { stride, dilation, groups, padding }: Convolution,
  names: readonly string[],
): Tensor {
  const [B, channels, H, W] = exactly(4, x.shape);
  const [filters, perGroup, KH, KW] = exactly(4, weight.shape);
  divided(name, groups, 'channels of the input', channels);
  divided(name, groups, 'filters of the weight', filters);
  if (perGroup * groups !== channels)
    throw new ShapeError(
      `[${name}] the input has ${channels} channels${groups > 1 ? ` in ${groups} groups` : ''}, so the weight must have ${channels / groups} in dimension 1, got ${perGroup}`,
    );
  checkBias(name, bias, filters);
  const [image, kernel]: [Pair, Pair] = [
    [H, W],
    [KH, KW],
  ];
  const paddings = kernel.map((taps, i) =>
    paddingOf(
      name,
      typeof padding === 'string' ? padding : nth(padding, i),
      nth(dilation, i) * (taps - 1) + 1,
      nth(stride, i),
    ),
  );
  const [rows, columns] = image.map((extent, i) =>
    placesOn(name, nth(names, i), extent, nth(kernel, i), {
      stride: nth(stride, i),
      dilation: nth(dilation, i),
      padding: nth(paddings, i),
    }),
  ) as [number, number];
  const before: Pair = [nth(nth(paddings, 0), 0), nth(nth(paddings, 1), 0)];
  const attributes = {
    ...{ B, groups, channels: perGroup, filters: filters / groups },
    ...{ image, result: [rows, columns] as const, kernel, stride, dilation, before },
  };
  return withBias(applyOne(convOp, [x, weight], attributes), bias);
}

/**
 * y[b, o, i, j] = bias[o] + Σ_{c, p, q} weight[o, c, p, q]·x[b, c, i·stride + p·dilation − padding, …] for x [B, C, H, W],
 * weight [filters, C / groups, KH, KW], bias [filters] → [B, filters, OH, OW], as `torch.nn.functional.conv2d`. Throws a
 * ShapeError where ranks or channels don't fit, groups don't divide the channels, or the kernel is longer than the padded input.
 */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options?: Conv2dOptions): Tensor {
  const { stride = 1, dilation = 1, groups = 1, padding = 0 } = conv2dOptions('conv2d', options);
  checkPictures('conv2d', x, weight, bias, 4);
  const steps = {
    stride: pairOfBoth(stride),
    dilation: pairOfBoth(dilation),
    groups,
    padding: typeof padding === 'string' ? padding : pairOfBoth(padding),
  };
  return convolve('conv2d', x, weight, bias, steps, dimensions);
}

/**
 * `conv2d` along one dimension: x [B, C, T], weight [filters, C / groups, K], bias [filters] → [B, filters, OT], as
 * `torch.nn.functional.conv1d`; `padding: 'causal'` is that of temporal convolutions (van den Oord et al. 2016). Throws a
 * ShapeError as `conv2d` does.
 */
export function conv1d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options?: Conv1dOptions): Tensor {
  const { stride = 1, dilation = 1, groups = 1, padding = 0 } = conv1dOptions('conv1d', options);
  checkPictures('conv1d', x, weight, bias, 3);
  const steps: Convolution = {
    stride: [1, stride],
    dilation: [1, dilation],
    groups,
    padding: typeof padding === 'string' ? padding : [0, padding],
  };
  return alongRow(convolve('conv1d', onRow(x), onRow(weight), bias, steps, ['a row', 'the input']));
}

/** [B, C, T] as pictures of one row, and back. */
export const onRow = (x: Tensor): Tensor => reshape(x, [...x.shape.slice(0, -1), 1, nth(x.shape, -1)]);
export const alongRow = (x: Tensor): Tensor => reshape(x, [...x.shape.slice(0, -2), nth(x.shape, -1)]);

function checkPictures(name: string, x: Tensor, weight: Tensor, bias: Tensor | null, rank: number): void {
  for (const [what, given] of [
    ['the input', x],
    ['the weight', weight],
  ] as const) {
    expectDType(name, what, given, ['f32']);
    expectRank(name, what, given, rank);
  }
  if (bias !== null) expectDType(name, 'the bias', bias, ['f32']);
}

/**
 * The transpose of a convolution, by which pictures grow: each x[b, c, i, j] adds weight[c, …]·x to a window of the result.
 * x [B, C, H, W], weight [C, filters / groups, KH, KW], bias [filters] → [B, filters, (H − 1)·stride − 2·padding +
 * dilation·(KH − 1) + outputPadding + 1, …], as `torch.nn.functional.conv_transpose2d`. Throws a ShapeError where ranks or channels
 * don't fit, groups don't divide the channels, or nothing would be left of the result; a ValueError where outputPadding is not
 * less than stride or dilation.
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options?: ConvTranspose2dOptions,
): Tensor {
  const { groups = 1, ...given } = convTranspose2dOptions('convTranspose2d', options);
  checkPictures('convTranspose2d', x, weight, bias, 4);
  const { stride = 1, dilation = 1, padding = 0, outputPadding = 0 } = given;
  const steps = {
    stride: pairOfBoth(stride),
    dilation: pairOfBoth(dilation),
    padding: pairOfBoth(padding),
    outputPadding: pairOfBoth(outputPadding),
    groups,
  };
  return transposed('convTranspose2d', x, weight, bias, steps, dimensions);
}

/**
 * `convTranspose2d` along one dimension: x [B, C, T], weight [C, filters / groups, K], bias [filters] → [B, filters,
 * (T − 1)·stride − 2·padding + dilation·(K − 1) + outputPadding + 1], as `torch.nn.functional.conv_transpose1d`. Throws as
 * `convTranspose2d` does.
 */
export function convTranspose1d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options?: ConvTranspose1dOptions,
): Tensor {
  const { groups = 1, ...given } = convTranspose1dOptions('convTranspose1d', options);
  checkPictures('convTranspose1d', x, weight, bias, 3);
  const { stride = 1, dilation = 1, padding = 0, outputPadding = 0 } = given;
  const steps: Transposition = {
    stride: [1, stride],
    dilation: [1, dilation],
    padding: [0, padding],
    outputPadding: [0, outputPadding],
    groups,
  };
  return alongRow(transposed('convTranspose1d', onRow(x), onRow(weight), bias, steps, ['a row', 'the length']));
}

interface Transposition {
  readonly stride: Pair;
  readonly dilation: Pair;
  readonly padding: Pair;
  readonly outputPadding: Pair;
  readonly groups: number;
}

/** The transposed convolution of pictures [B, C, H, W], whose sizes messages call as `names` say. */
function transposed(
  name: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  { stride, dilation, padding, outputPadding, groups }: Transposition,
  names: readonly string[],
): Tensor {
  const [B, channels, H, W] = exactly(4, x.shape);
  const [first, filters, KH, KW] = exactly(4, weight.shape);
  divided(name, groups, 'channels of the input', channels);
  if (first !== channels)
    throw new ShapeError(
      `[${name}] the input has ${channels} channels, so the weight must have ${channels} in dimension 0, got ${first}`,
    );
  checkBias(name, bias, filters * groups);
  const [result, kernel]: [Pair, Pair] = [
    [H, W],
    [KH, KW],
  ];
  const [rows, columns] = result.map((extent, i) => {
    const [step, apart, cut, more] = [stride, dilation, padding, outputPadding].map((pair) => nth(pair, i)) as [
      number,
      number,
      number,
      number,
    ];
    if (more >= Math.max(step, apart))
      throw new ValueError(
        `[${name}] outputPadding must be less than stride or dilation, got ${more} with a stride of ${step} and a dilation of ${apart}`,
      );
    const size = (extent - 1) * step - 2 * cut + apart * (nth(kernel, i) - 1) + more + 1;
    if (size < 1)
      throw new ShapeError(
        `[${name}] a padding of ${cut} leaves nothing of ${names[i]} of the result, ${size + 2 * cut}`,
      );
    return size;
  }) as [number, number];
  const attributes = {
    ...{ B, groups, channels: filters, filters: channels / groups },
    ...{ image: [rows, columns] as const, result, kernel, stride, dilation, before: padding },
  };
  return withBias(applyOne(convInputOp, [x, weight], attributes), bias);
}

/** For the registry. */
export const convOps = { conv: convOp, convInput: convInputOp, convWeight: convWeightOp } satisfies Readonly<
  Record<string, OpDef>
>;
