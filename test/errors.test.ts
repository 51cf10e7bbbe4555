import { describe, expect, it, vi } from 'vitest';
import {
  add,
  arange,
  argMax,
  categorical,
  clamp,
  compile,
  concat,
  crossEntropy,
  currentDevice,
  type Device,
  DeviceLostError,
  DTypeError,
  dropout,
  embedding,
  expand,
  flip,
  full,
  gather,
  grad,
  init,
  layerNorm,
  leakyRelu,
  linearCrossEntropy,
  lstm,
  lstmCell,
  manualSeed,
  matmul,
  noGrad,
  oneHot,
  pad,
  parameter,
  permute,
  reshape,
  rmsNorm,
  ShapeError,
  sample,
  scaledDotProductAttention,
  scan,
  scatterAdd,
  slice,
  softmax,
  split,
  squeeze,
  stack,
  sum,
  type Tensor,
  tensor,
  topK,
  tril,
  UnsupportedError,
  ValueError,
  WeftError,
  where,
  zeros,
} from '../src/index.ts';
import { profile } from './support/environment.ts';
import { announceReads, device, read, useGpu } from './support/gpu.ts';

useGpu();

const f32 = (...shape: number[]) => zeros(shape);
const i32 = (...shape: number[]) => zeros(shape, 'i32');
const flags = () => zeros([2], 'bool');

/** Each line: what is wrong, the call, and what its message has to say. Every message begins with the op in brackets. */
type Mistake = readonly [what: string, call: () => unknown, message: RegExp];

const shapeErrors: readonly Mistake[] = [
  [
    'shapes that do not broadcast',
    () => add(f32(3, 4), f32(5)),
    /^\[add\] shapes \[3, 4\] and \[5\] do not broadcast: dimension -1 has extents 4 and 5/,
  ],
  [
    'inner dimensions of a product',
    () => matmul(f32(2, 3), f32(4, 5)),
    /^\[matmul\] \[2, 3\] · \[4, 5\]: the last dimension of the first \(3\) must equal the last but one dimension of the second \(4\)/,
  ],
  [
    'a product with a vector',
    () => matmul(f32(2, 3), f32(4)),
    /^\[matmul\].*must equal the length of the second \(4\)/,
  ],
  ['a product of scalars', () => matmul(f32(), f32(2)), /^\[matmul\] operands must have rank 1 or more.*use mul/],
  [
    'batches of a product',
    () => matmul(f32(2, 3, 4), f32(3, 4, 5)),
    /^\[matmul\] shapes \[2\] and \[3\] do not broadcast/,
  ],
  [
    'a reshape to another size',
    () => reshape(f32(2, 3), [4]),
    /^\[reshape\] \[2, 3\] has 6 elements and can't become \[4\]/,
  ],
  ['a reshape with two unknowns', () => reshape(f32(2, 3), [-1, -1]), /^\[reshape\] at most one extent may be -1/],
  [
    'an incomplete permutation',
    () => permute(f32(2, 3), [0, 0]),
    /^\[permute\] the order must name each of the 2 dimensions/,
  ],
  [
    'an axis out of range',
    () => softmax(f32(2, 3), 2),
    /^\[softmax\] axis 2 is out of range for a tensor of rank 2; it must be in \[-2, 1\]/,
  ],
  ['an axis that is no integer', () => sum(f32(2, 3), 0.5), /^\[sum\] axis 0.5 is out of range/],
  ['an axis named twice', () => sum(f32(2, 3), [0, -2]), /^\[sum\] an axis is named twice/],
  ['an axis of argMax', () => argMax(f32(2), 1), /^\[argMax\] axis 1 is out of range/],
  ['an axis of flip', () => flip(f32(2), -2), /^\[flip\] axis -2 is out of range/],
  ['a slice of nothing', () => slice(f32(4), [[2, 2]]), /^\[slice\] \[2, 2\) selects nothing of dimension 0 of \[4\]/],
  ['a slice beyond the end', () => slice(f32(4), [[0, 5]]), /^\[slice\] \[0, 5\).*reaches outside/],
  [
    'a slice backwards',
    () => slice(f32(4), [[0, 4, -1]]),
    /^\[slice\] the step of dimension 0 must be a positive integer, got -1; use flip/,
  ],
  ['too many slices', () => slice(f32(4), [null, null]), /^\[slice\] 2 ranges for a tensor of rank 1/],
  ['a position out of range', () => f32(3).at(3), /^\[at\] index 3 is out of range for dimension 0 of \[3\]/],
  [
    'an expansion of an extent',
    () => expand(f32(2), [3]),
    /^\[expand\] \[2\] does not broadcast to \[3\]: only dimensions of extent 1/,
  ],
  ['squeezing an extent', () => squeeze(f32(2), 0), /^\[squeeze\] dimension 0 of \[2\] has extent 2/],
  ['negative padding', () => pad(f32(2), [[-1, 0]]), /^\[pad\] widths must be integers of at least 0, got \[-1, 0\]/],
  ['padding of another rank', () => pad(f32(2), []), /^\[pad\] 0 pairs of widths for a tensor of rank 1/],
  ['a concatenation of nothing', () => concat([]), /^\[concat\] no tensors were given/],
  [
    'a concatenation of other widths',
    () => concat([f32(2, 3), f32(2, 4)]),
    /^\[concat\] shapes \[2, 3\] and \[2, 4\] must agree except in dimension 0/,
  ],
  ['a stack of other shapes', () => stack([f32(2), f32(3)]), /^\[concat\] shapes \[1, 2\] and \[1, 3\]/],
  [
    'a split that does not add up',
    () => split(f32(5), [2, 2]),
    /^\[split\] extents \[2, 2\] must be positive and add up to 5/,
  ],
  ['a triangle of a vector', () => tril(f32(3)), /^\[tril\] the input must have rank at least 2, got \[3\] of rank 1/],
  [
    'an index of another shape',
    () => gather(f32(2, 3), i32(4, 3), 1),
    /^\[gather\] the index must have the shape of the tensor except in dimension 1, got \[4, 3\] for \[2, 3\]/,
  ],
  [
    'a source of another shape',
    () => scatterAdd(f32(2, 3), i32(2, 2), f32(2, 3), 1),
    /^\[scatterAdd\] index \[2, 2\] and source \[2, 3\] must have one shape/,
  ],
  [
    'a table of another rank',
    () => embedding(i32(2), f32(3)),
    /^\[embedding\] weight must have rank 2, got \[3\] of rank 1/,
  ],
  [
    'a weight of another width',
    () => layerNorm(f32(2, 3), f32(4)),
    /^\[layerNorm\] the weight must have shape \[3\], the last dimension of \[2, 3\], got \[4\]/,
  ],
  ['a bias without a weight', () => layerNorm(f32(2, 3), null, f32(3)), /^\[layerNorm\] a bias needs a weight/],
  [
    'targets of another shape',
    () => crossEntropy(f32(2, 3), i32(3)),
    /^\[crossEntropy\] targets must have the shape of the logits without the classes, \[2\], got \[3\]/,
  ],
  [
    'hidden values and a weight of another width',
    () => linearCrossEntropy(f32(2, 3), f32(5, 4), i32(2)),
    /^\[linearCrossEntropy\] the last dimension of hidden \[2, 3\] must be that of the weight \[5, 4\], 4/,
  ],
  [
    'a weight that is no matrix',
    () => linearCrossEntropy(f32(2, 3), f32(3), i32(2)),
    /^\[linearCrossEntropy\] weight must have rank 2, got \[3\] of rank 1/,
  ],
  [
    'targets that are not one for each hidden vector',
    () => linearCrossEntropy(f32(2, 4, 3), f32(5, 3), i32(8)),
    /^\[linearCrossEntropy\] targets must have the shape of hidden without its last dimension, \[2, 4\], got \[8\]/,
  ],
  [
    'a bias that is not one number for each class',
    () => linearCrossEntropy(f32(2, 3), f32(5, 3), i32(2), { bias: f32(3) }),
    /^\[linearCrossEntropy\] the bias must be \[5\], one for each class, got \[3\]/,
  ],
  [
    'attention of matrices',
    () => scaledDotProductAttention(f32(2, 3), f32(2, 3), f32(2, 3)),
    /^\[scaledDotProductAttention\] q must have rank 4, got \[2, 3\]/,
  ],
  [
    'keys of another size',
    () => scaledDotProductAttention(f32(1, 2, 3, 4), f32(1, 2, 3, 5), f32(1, 2, 3, 5)),
    /^\[scaledDotProductAttention\] for q \[1, 2, 3, 4\] both k and v must be \[1, 2, S, 4\]/,
  ],
  [
    'a mask of another shape',
    () => scaledDotProductAttention(f32(1, 2, 3, 4), f32(1, 2, 3, 4), f32(1, 2, 3, 4), { mask: f32(5, 3) }),
    /^\[scaledDotProductAttention\].*\[5, 3\]/,
  ],
  [
    'gates that are no four',
    () => lstm(f32(2, 3, 6), f32(3, 2), f32(3, 2), f32(8, 2)),
    /^\[lstm\] for gatesX \[2, 3, 6\] = \[T, B, 4H\]/,
  ],
  [
    'gates of another cell',
    () => lstmCell(f32(3, 9), f32(3, 2)),
    /^\[lstmCell\] for c \[3, 2\] the gates must be \[3, 8\], got \[3, 9\]/,
  ],
  [
    'a scan without a length',
    () => scan((carry) => ({ carry, y: [] }), [f32(2)], []),
    /^\[scan\] the number of steps follows from xs/,
  ],
  [
    'scanned inputs of other lengths',
    () => scan((carry) => ({ carry, y: [] }), [f32(2)], [f32(3, 2), f32(4, 2)]),
    /^\[scan\] all xs must have 3 slices along dimension 0, got \[4, 2\]/,
  ],
  [
    'a carry that changes its shape',
    () => scan(() => ({ carry: [f32(3)], y: [] }), [f32(2)], [f32(3, 2)]),
    /^\[scan\] carry 0 starts as f32 \[2\] and the body makes it f32 \[3\]/,
  ],
  [
    'a gradient of many losses',
    () => grad(f32(2).add(1), [f32(2)]),
    /^\[grad\] needs a loss of one element, got \[2\]; reduce it first/,
  ],
  [
    'values that do not fill the shape',
    () => tensor([1, 2, 3], { shape: [2, 2] }),
    /^\[tensor\] 3 values do not fill shape \[2, 2\], which has 4 elements/,
  ],
  ['ragged arrays', () => tensor([[1, 2], [3]]), /^\[tensor\] ragged arrays: one row has shape \[2\], another \[1\]/],
  [
    'a state of another shape',
    () => parameter(f32(2)).assign(f32(3)),
    /^\[assign\] parameter has shape \[2\], the value \[3\]/,
  ],
  [
    'an empty tensor',
    () => tensor([]),
    /^\[tensor\] every extent must be a positive integer, got \[0\]; weft has no empty tensors/,
  ],
  ['an extent of 0', () => full([2, 0], 1), /^\[full\] every extent must be a positive integer/],
  [
    'an extent that is no integer',
    () => full([2.5], 1),
    /^\[full\] every extent must be a positive integer, got \[2.5\]/,
  ],
];

const dtypeErrors: readonly Mistake[] = [
  [
    'a fraction for whole numbers',
    () => i32(2).mul(0.5),
    /^\[mul\] 0.5 is not a whole number, so i32 can't hold it; use .cast\('f32'\) first/,
  ],
  [
    'operands of two types',
    () => add(f32(2), i32(2)),
    /^\[add\] the inputs are f32 and i32; weft never promotes, so cast one: \.cast\('f32'\)/,
  ],
  [
    'arithmetic with conditions',
    () => add(flags(), flags()),
    /^\[add\] input 0 must be f32 or i32 or u32, got bool; use \.cast\('f32'\)/,
  ],
  ['an integer where only floats do', () => i32(2).exp(), /^\[exp\] input 0 must be f32, got i32/],
  ['a condition that is none', () => where(f32(2), f32(2), f32(2)), /^\[where\] input 0 must be bool, got f32/],
  ['numbers only', () => add(1, 2), /^\[add\] one operand must be a tensor/],
  [
    'a product of integers',
    () => matmul(i32(2, 2), f32(2, 2)),
    /^\[matmul\] both operands must be f32, got i32 and f32; use \.cast/,
  ],
  ['a mean of integers', () => i32(2).mean(), /^\[mean\] the input must be f32, got i32/],
  ['softmax of integers', () => softmax(i32(2)), /^\[softmax\] the input must be f32, got i32/],
  [
    'float ids',
    () => embedding(f32(2), f32(3, 2)),
    /^\[embedding\] ids must be i32 or u32, got f32; use \.cast\('i32'\)/,
  ],
  [
    'integer hidden values',
    () => linearCrossEntropy(i32(2, 3), f32(5, 3), i32(2)),
    /^\[linearCrossEntropy\] hidden must be f32, got i32/,
  ],
  [
    'an integer weight',
    () => linearCrossEntropy(f32(2, 3), i32(5, 3), i32(2)),
    /^\[linearCrossEntropy\] weight must be f32, got i32/,
  ],
  [
    'an integer bias',
    () => linearCrossEntropy(f32(2, 3), f32(5, 3), i32(2), { bias: i32(5) }),
    /^\[linearCrossEntropy\] bias must be f32, got i32/,
  ],
  [
    'float targets of a linear layer',
    () => linearCrossEntropy(f32(2, 3), f32(5, 3), f32(2)),
    /^\[linearCrossEntropy\] targets must be i32 or u32, got f32/,
  ],
  ['float targets', () => crossEntropy(f32(2, 3), f32(2)), /^\[crossEntropy\] targets must be i32 or u32, got f32/],
  ['a float index', () => gather(f32(2), f32(2), 0), /^\[gather\] the index must be i32 or u32, got f32/],
  ['classes of floats', () => oneHot(f32(2), 3), /^\[oneHot\] ids must be i32 or u32, got f32/],
  [
    'a source of another type',
    () => scatterAdd(f32(2), i32(2), i32(2), 0),
    /^\[scatterAdd\] the source must be f32, got i32/,
  ],
  ['topK of integers', () => topK(i32(3), 1), /^\[topK\] the input must be f32, got i32/],
  ['joining two types', () => concat([f32(2), i32(2)]), /^\[concat\] the inputs are f32 and i32; cast one/],
  ['sampling from integers', () => categorical(i32(3)), /^\[categorical\] logits must be f32, got i32/],
  [
    'attention over integers',
    () => scaledDotProductAttention(i32(1, 1, 2, 2), f32(1, 1, 2, 2), f32(1, 1, 2, 2)),
    /^\[scaledDotProductAttention\] q must be f32, got i32/,
  ],
  [
    'an LSTM of integers',
    () => lstm(i32(1, 1, 4), f32(1, 1), f32(1, 1), f32(4, 1)),
    /^\[lstm\] gatesX must be f32, got i32/,
  ],
  ['a parameter of integers', () => parameter(i32(2)), /^\[parameter\] must be f32, got i32/],
  [
    'a state of another type',
    () => parameter(f32(2)).assign(i32(2)),
    /^\[assign\] parameter is f32, the value i32; cast it first/,
  ],
  [
    'a type that does not exist',
    () => tensor([1], { dtype: 'f64' as 'f32' }),
    /^\[tensor\] there is no dtype 'f64'; there are f32, i32, u32, bool/,
  ],
];

const valueErrors: readonly Mistake[] = [
  ['a probability above 1', () => dropout(f32(2), 1.5), /^\[dropout\] the probability must be in \[0, 1\], got 1.5/],
  [
    'a probability that is NaN',
    () => dropout(f32(2), Number.NaN),
    /^\[dropout\] the probability must be in \[0, 1\], got NaN/,
  ],
  [
    'a negative probability in attention',
    () => scaledDotProductAttention(f32(1, 1, 2, 2), f32(1, 1, 2, 2), f32(1, 1, 2, 2), { dropout: -0.1 }),
    /^\[scaledDotProductAttention\] dropout must be in \[0, 1\], got -0.1/,
  ],
  [
    'a scale that is NaN',
    () => scaledDotProductAttention(f32(1, 1, 2, 2), f32(1, 1, 2, 2), f32(1, 1, 2, 2), { scale: Number.NaN }),
    /^\[scaledDotProductAttention\] scale must be a finite number, got NaN/,
  ],
  [
    'a negative eps',
    () => layerNorm(f32(2), null, null, { eps: -1 }),
    /^\[layerNorm\] eps must be a positive finite number, got -1/,
  ],
  [
    'an eps that is NaN',
    () => rmsNorm(f32(2), null, { eps: Number.NaN }),
    /^\[rmsNorm\] eps must be a positive finite number, got NaN/,
  ],
  [
    'label smoothing beyond 1',
    () => crossEntropy(f32(2, 3), i32(2), { labelSmoothing: 1.5 }),
    /^\[crossEntropy\] labelSmoothing must be in \[0, 1\], got 1.5/,
  ],
  [
    'an ignoreIndex that is no integer',
    () => crossEntropy(f32(2, 3), i32(2), { ignoreIndex: 0.5 }),
    /^\[crossEntropy\] ignoreIndex must be an integer, got 0.5/,
  ],
  [
    'chunks that do not begin at aligned addresses',
    () => linearCrossEntropy(f32(2, 3), f32(5, 3), i32(2), { chunk: 100 }),
    /^\[linearCrossEntropy\] chunk must be a positive multiple of 64, got 100/,
  ],
  ['bounds the wrong way round', () => clamp(f32(2), 1, 0), /^\[clamp\] min must not exceed max, got 1 and 0/],
  ['a bound that is NaN', () => clamp(f32(2), Number.NaN, 0), /^\[clamp\].*NaN/],
  [
    'a slope that is NaN',
    () => leakyRelu(f32(2), { slope: Number.NaN }),
    /^\[leakyRelu\] slope must be a finite number, got NaN/,
  ],
  ['a constant that i32 lacks', () => full([2], 2 ** 31, 'i32'), /^\[full\] 2147483648 is out of range for i32/],
  ['padding with what u32 lacks', () => pad(zeros([2], 'u32'), [[1, 0]], -1), /^\[pad\] -1 is out of range for u32/],
  ['a number that i32 lacks', () => i32(2).add(-(2 ** 31) - 1), /^\[add\] -2147483649 is out of range for i32/],
  ['more of the best than there are', () => topK(f32(3), 4), /^\[topK\] k must be an integer in \[1, 3\], got 4/],
  ['no classes', () => oneHot(i32(2), 0), /^\[oneHot\] the number of classes must be a positive integer, got 0/],
  [
    'a negative temperature',
    () => sample(f32(3), { temperature: -1 }),
    /^\[sample\] temperature must be a finite number of at least 0, got -1/,
  ],
  ['a temperature that is NaN', () => sample(f32(3), { temperature: Number.NaN }), /^\[sample\] temperature.*got NaN/],
  ['a nucleus of nothing', () => sample(f32(3), { topP: 0 }), /^\[sample\] topP must be in \(0, 1\], got 0/],
  ['a range without numbers', () => arange(5, 2), /^\[arange\] from 5 to 2 in steps of 1 there are no numbers/],
  ['a seed that is no integer', () => manualSeed(0.5), /^\[manualSeed\] a seed is an integer, not 0.5/],
  ['a gradient of nothing', () => f32().backward(), /^\[backward\] the loss depends on no parameter/],
  [
    'a gradient through noGrad',
    () => noGrad(() => parameter(f32(2)).sum()).backward(),
    /^\[backward\] the loss depends on no parameter; was it computed.*outside of noGrad/,
  ],
  ['a gradient of integers', () => grad(i32(1).sum(), []), /^\[grad\] the loss is i32; only f32 has gradients/],
];

const unsupportedErrors: readonly Mistake[] = [
  [
    'heads that no kernel takes',
    () => scaledDotProductAttention(f32(1, 1, 2, 129), f32(1, 1, 2, 129), f32(1, 1, 2, 129)),
    /^\[scaledDotProductAttention\] heads of 129 elements: at most 128/,
  ],
  [
    'more sequences than a grid has places',
    () => scaledDotProductAttention(f32(65536, 1, 1, 1), f32(65536, 1, 1, 1), f32(65536, 1, 1, 1)),
    /^\[scaledDotProductAttention\] 65536 sequences of 1 heads: at most 65535 of each/,
  ],
];

describe.for([
  { name: 'UnsupportedError', type: UnsupportedError, mistakes: unsupportedErrors },
  { name: 'ShapeError', type: ShapeError, mistakes: shapeErrors },
  { name: 'DTypeError', type: DTypeError, mistakes: dtypeErrors },
  { name: 'ValueError', type: ValueError, mistakes: valueErrors },
] as const)('$name, thrown at the call', ({ name, type, mistakes }) => {
  it.for(mistakes)('%s', ([, call, message]) => {
    const error = thrown(call);
    expect(error).toBeInstanceOf(type);
    expect((error as Error).name).toBe(name);
    expect((error as Error).message).toMatch(message);
  });
});

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return expect.fail('nothing was thrown');
}

describe('bad data, thrown at the next read', () => {
  const ids = () => tensor(Int32Array.of(0, 7));

  it.for<readonly [string, () => Tensor, RegExp]>([
    [
      'a token id beyond the table',
      () => embedding(ids(), f32(7, 2).add(1)),
      /^\[embedding\] a token id lies outside \[0, 7\), the rows of the table/,
    ],
    [
      'a negative token id',
      () => embedding(tensor(Int32Array.of(-1)), f32(7, 2).add(1)),
      /^\[embedding\] a token id lies outside/,
    ],
    [
      'a target beyond the classes',
      () => crossEntropy(f32(2, 7).add(1), ids()),
      /^\[crossEntropy\] a target lies outside \[0, 7\), the classes of the logits, and is not ignoreIndex \(-100\)/,
    ],
    [
      'an index beyond the axis',
      () => gather(f32(7).add(1), ids(), 0),
      /^\[gather\] an index lies outside \[0, 7\), the extent of the axis/,
    ],
    [
      'a position beyond the axis',
      () => scatterAdd(f32(7).add(1), ids(), f32(2).add(1), 0),
      /^\[scatterAdd\] an index lies outside \[0, 7\)/,
    ],
  ])('%s', async ([, call, message]) => {
    await expect(read(call())).rejects.toThrow(message);
    await expect(read(call())).rejects.toBeInstanceOf(ValueError);
    // It is said once: what follows is not to blame.
    await expect(read(f32(2).add(1))).resolves.toHaveLength(1);
  });

  it('comes from a compiled step as well', async () => {
    const table = parameter(f32(7, 2).add(1));
    const step = compile((tokens: Tensor) => embedding(tokens, table).sum());
    announceReads(3);
    await expect((await step(ids())).item()).rejects.toThrow(/^\[embedding\] a token id lies outside \[0, 7\)/);
    expect(await (await step(tensor(Int32Array.of(0, 6)))).item()).toBe(4);
  });
});

describe('values in the wrong place', () => {
  it('reading inside a compiled function', async () => {
    const w = parameter(f32(2));
    const step = compile((x: Tensor) => {
      void x.data();
      return x.add(w);
    });
    await expect(step(f32(2).add(1))).rejects.toThrow(
      /^\[read\] a value is read inside a compiled function; return it and read it outside/,
    );
  });

  it('an async function to compile', async () => {
    const step = compile(async (x: Tensor) => x.add(1));
    await expect(step(tensor([1]))).rejects.toThrow(/^\[compile\] the function is async/);
  });

  it('a compiled function within another', async () => {
    const inner = compile((x: Tensor) => x.add(1));
    const outer = compile((x: Tensor) => inner(x));
    await expect(outer(tensor([1]))).rejects.toThrow(
      '[compile] a compiled function is called inside a compiled function; call the plain function there',
    );
  });

  it('a tensor that leaked out of a compiled function', async () => {
    let leaked: Tensor | undefined;
    const step = compile((x: Tensor) => {
      leaked = x.add(1);
      return leaked.mul(2);
    });
    await step(tensor([1]));
    expect(() => leaked?.add(1)).toThrow(
      /^\[add\] an input was made inside a traced function and has leaked out of it; return it from the function instead/,
    );
    await expect(leaked?.data()).rejects.toBeInstanceOf(WeftError);
  });

  it('an argument that is no tensor', async () => {
    const step = compile((_: unknown) => f32(1).add(1));
    await expect(step(new Set())).rejects.toThrow(/^\[compile\] argument 0 is a Set; here may stand tensors/);
  });

  it('item of many elements', async () => {
    await expect(f32(2).item()).rejects.toThrow(
      /^\[item\] needs a tensor of one element, got \[2\]; use data\(\) or array\(\)/,
    );
  });

  it('a tensor that was disposed of', async () => {
    const x = tensor([1, 2]);
    x.dispose();
    expect(() => x.add(1)).toThrow(/^\[tensor\] this \[2\] tensor was disposed/);
  });

  it('an update in the body of a scan', () => {
    const w = parameter(f32(2));
    const body = (carry: Tensor[]) => {
      w.assign(f32(2).add(1));
      return { carry, y: [] };
    };
    expect(() => scan(body, [f32(2)], [f32(3, 2)])).toThrow(
      /^\[scan\] the body assigns parameter; return the value as a carry instead/,
    );
  });
});

// From here on other devices come and go; the next file opens one of its own.
describe('devices', () => {
  let other: Device;

  it('a tensor of another device', async () => {
    const here = tensor([1, 2]).exp();
    await read(here);
    other = await init({ profile, limits: 'default' });
    expect(currentDevice()).toBe(other);
    expect(other).not.toBe(device);
    const there = tensor([1, 2]).exp();
    announceReads(1);
    await there.data();
    announceReads(1);
    await expect(here.add(there).data()).rejects.toThrow(
      /^\[device\] the tensors of one computation lie on two devices; read the values of one/,
    );
    const step = compile((x: Tensor) => x.add(1));
    await expect(step(here)).rejects.toThrow(/^\[device\] a tensor of another device is used; read its values/);
  });

  it('a device that was lost', async () => {
    const x = tensor([1, 2]).exp();
    announceReads(2);
    await x.data();
    const step = compile((y: Tensor) => y.mul(2));
    await step(tensor([1]));
    const pending = x.add(1).data();
    other.destroy();
    await pending.catch((error: unknown) => expect(error).toBeInstanceOf(DeviceLostError));
    await other.lost.catch(() => {});
    announceReads(3);
    await expect(x.add(2).data()).rejects.toThrow(DeviceLostError);
    await expect(x.add(2).data()).rejects.toThrow(
      /^\[device\] the GPU device was lost \(destroyed\).*call init\(\) again and load your last checkpoint/,
    );
    await expect(step(tensor([1]))).rejects.toThrow(DeviceLostError);
  });

  it('a runtime without WebGPU, and one without an adapter', async () => {
    const advice =
      'Deno' in globalThis
        ? /Deno needs a Vulkan, Metal or Direct3D 12 driver/
        : /in Chrome, chrome:\/\/gpu tells what is blocked/;
    const gpu = vi.spyOn(navigator, 'gpu', 'get');
    try {
      gpu.mockReturnValue(undefined as unknown as GPU);
      await expect(init()).rejects.toThrow(UnsupportedError);
      await expect(init()).rejects.toThrow(/^\[init\] this runtime has no WebGPU: /);
      gpu.mockReturnValue({ requestAdapter: async () => null } as unknown as GPU);
      await expect(init()).rejects.toThrow(/^\[init\] WebGPU is there, but no adapter: /);
      await expect(init()).rejects.toThrow(advice);
    } finally {
      gpu.mockRestore();
    }
  });
});
