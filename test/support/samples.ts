import { apply } from '../../src/graph/record.ts';
import {
  additiveAttention,
  argMax,
  avgPool2d,
  bernoulli,
  categorical,
  checkpoint,
  concat,
  conv1d,
  conv2d,
  convTranspose2d,
  copy,
  crossEntropy,
  ctcLoss,
  cumsum,
  embedding,
  full,
  gather,
  grad,
  gru,
  interpolate,
  layerNorm,
  linearCrossEntropy,
  logSoftmax,
  logSumExp,
  lstm,
  lstmCell,
  matmul,
  max,
  maxPool1d,
  maxPool2d,
  mean,
  min,
  normal,
  pad,
  type RecurrenceOptions,
  type RnnOptions,
  rand,
  randint,
  rmsNorm,
  rnn,
  sample as sampleToken,
  scaledDotProductAttention,
  scan,
  scatterAdd,
  softmax,
  sort,
  split,
  stack,
  sum,
  sumSquares,
  type Tensor,
  tensor,
  topK,
  uniform,
  where,
} from '../../src/index.ts';
import { pack } from '../../src/ops/packing.ts';
import { type OpName, ops } from '../../src/ops/registry.ts';
import {
  adagradHyper,
  adamHyper,
  adamwUpdate,
  clipNorm,
  clipScale,
  gateSteps,
  leftAlone,
  lionHyper,
  rmspropHyper,
  ruledUpdate,
  sgdHyper,
  sgdUpdate,
} from '../../src/ops/updates.ts';
import { draw, drawAllApart, drawApart, drawBool, drawIds } from './draw.ts';
import { profile } from './environment.ts';

/** One way to call an op: what tests that walk all ops run it on. */
export interface Sample {
  /** The options, or what is special about the inputs. */
  readonly label: string;
  /** Inputs with values on the host, drawn afresh: away from kinks, ties and poles. */
  inputs(): Tensor[];
  /** What the op makes of such inputs, through the function or method that users call. */
  run(...inputs: Tensor[]): Tensor | readonly Tensor[];
}

type Shape = readonly number[];
type Run = (x: Tensor, y: Tensor, z: Tensor, ...more: Tensor[]) => Tensor | readonly Tensor[];

const sample = (label: string, inputs: () => Tensor[], run: Run): Sample => ({
  label,
  inputs,
  run: run as Sample['run'],
});

/** Settings for each rule of `ruled`. */
const rmspropSettings = { lr: 0.1, alpha: 0.9, eps: 1e-3, momentum: 0.5, weightDecay: 0.1 };
const settingsOfRules = {
  rmsprop: rmspropHyper(rmspropSettings),
  rmspropMomentum: rmspropHyper(rmspropSettings),
  rmspropCentered: rmspropHyper(rmspropSettings),
  adagrad: adagradHyper({ lr: 0.1, lrDecay: 0.1, eps: 1e-3, initialAccumulatorValue: 0.2, weightDecay: 0.1 }),
  lion: lionHyper({ lr: 0.1, betas: [0.9, 0.99], weightDecay: 0.1 }),
};

/** Few shapes, so that pipelines are shared: one that fills vectors of four and one that does not. */
const [even, odd]: [Shape, Shape] = [
  [4, 8],
  [3, 5],
];

const apart = () => [drawApart(odd)];
const positive = () => [draw(odd, 0.3, 2)];
const pair = () => drawAllApart(odd, odd);
const ids = (shape: Shape, bound: number) => drawIds(shape, bound);

const unary = (run: (x: Tensor) => Tensor, inputs = apart) => [sample('f32', inputs, run)];
const comparison = (run: (a: Tensor, b: Tensor) => Tensor) => [
  sample('f32', pair, run),
  sample('i32', () => [ids(odd, 4), ids(odd, 4)], run),
];
const arithmetic = (run: (a: Tensor, b: Tensor) => Tensor) => [
  sample('f32', pair, run),
  sample('broadcast', () => drawAllApart([3, 1], [5]), run),
  sample('i32', () => [ids(odd, 9), ids(odd, 9).add(1)], run),
];
/** What backward makes of a loss: the op's gradient as a function of its inputs and of that of its output. */
const backward =
  (run: (...inputs: Tensor[]) => Tensor): Run =>
  (...given) => {
    const inputs = given.slice(0, -1);
    const y = run(...inputs);
    return grad(
      y.mul(given.at(-1) as Tensor).sum(),
      inputs.filter(({ dtype }) => dtype === 'f32'),
    );
  };

const attention: Shape = [1, 2, 4, 8];
const heads = (count: number) => Array.from({ length: count }, () => draw(attention));
const attend =
  (options: { causal?: boolean; dropout?: number } = {}) =>
  (q: Tensor, k: Tensor, v: Tensor) =>
    scaledDotProductAttention(q, k, v, options);
const masked = (q: Tensor, k: Tensor, v: Tensor, mask: Tensor) => scaledDotProductAttention(q, k, v, { mask });

/** Queries, keys, values and v of additive attention. */
const source = () => [draw([2, 2, 4]), draw([2, 3, 4]), draw([2, 3, 5]), draw([4])];

/** Log probabilities [5, 2, 4], targets with a repeated label, and the lengths of both. */
const speech = () => [
  draw([5, 2, 4], -2, -1),
  tensor(Int32Array.of(1, 1, 3, 2), { shape: [2, 2] }),
  tensor(Int32Array.of(5, 3)),
  tensor(Int32Array.of(2, 1)),
];

const gates = () => [draw([3, 2, 12]), draw([2, 3]), draw([2, 3]), draw([12, 3])];
const sequence = (options: RecurrenceOptions) => (x: Tensor, h: Tensor, c: Tensor, weight: Tensor) =>
  Object.values(lstm(x, h, c, weight, options));
const units = () => [draw([3, 2, 9]), draw([2, 3]), draw([9, 3]), draw([9])];
const gatedUnits = (options: RecurrenceOptions) => (x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) =>
  Object.values(gru(x, h, weight, { ...options, bias }));
const plain = () => [draw([3, 2, 3]), draw([2, 3]), draw([3, 3])];
const plainRecurrence = (options: RnnOptions) => (x: Tensor, h: Tensor, weight: Tensor) =>
  Object.values(rnn(x, h, weight, options));
const cell = (x: Tensor, c: Tensor) => Object.values(lstmCell(x, c));
const total = (parts: readonly Tensor[]) => parts.map((part) => part.sum()).reduce((a, b) => a.add(b));

const recurrence: Run = (h0, xs, weight) => {
  const { carry, ys } = scan(
    ([h], [x]) => {
      const next = (h as Tensor)
        .matmul(weight)
        .add(x as Tensor)
        .tanh();
      return { carry: [next], y: [next.mul(x as Tensor)] };
    },
    [h0],
    [xs],
  );
  return [...carry, ...ys];
};

const hyper = tensorOf(adamHyper({ lr: 0.01, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1, decoupled: true }));
const sgdSettings = tensorOf(sgdHyper({ lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01 }));
const counts = () => tensor(Int32Array.of(2, 2));
/** The step of two parameters of 64 elements each, the second of which is left alone. */
const turnOfOne = () => ({
  gate: tensor(Float32Array.of(3, 0.5, 0, 1, 2, 1, 0, 0), { shape: [2, 4] }),
  table: tensor(Uint32Array.of(0, 1)),
});
function tensorOf(values: readonly number[]): () => Tensor {
  return () => tensor(Float32Array.from(values));
}

type SixTensors = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

/** Samples of every op; the compiler asks for those of a new one. */
export const samples: Readonly<Record<OpName, readonly Sample[]>> = {
  // ── elementwise ───────────────────────────────────────────────────────────────────────────────────────────────────
  neg: unary((x) => x.neg()),
  abs: unary((x) => x.abs()),
  sign: unary((x) => x.sign()),
  floor: unary(
    (x) => x.floor(),
    () => [
      tensor(
        Array.from(drawApart([15]).host as ArrayLike<number>, (x) => x + 0.003),
        { shape: odd },
      ),
    ],
  ),
  exp: unary((x) => x.exp()),
  log: unary((x) => x.log(), positive),
  sqrt: unary((x) => x.sqrt(), positive),
  rsqrt: unary((x) => x.rsqrt(), positive),
  reciprocal: unary((x) => x.reciprocal(), positive),
  square: unary((x) => x.square()),
  sin: unary((x) => x.sin()),
  cos: unary((x) => x.cos()),
  tanh: unary((x) => x.tanh()),
  sigmoid: unary((x) => x.sigmoid()),
  erf: unary((x) => x.erf()),
  relu: unary((x) => x.relu()),
  leakyRelu: unary((x) => x.leakyRelu({ slope: 0.2 })),
  elu: unary((x) => x.elu({ alpha: 0.7 })),
  geluErf: unary((x) => x.gelu()),
  geluTanh: unary((x) => x.gelu({ approximate: 'tanh' })),
  geluErfGradient: [
    sample(
      'gradient',
      pair,
      backward((x) => (x as Tensor).gelu()),
    ),
  ],
  geluTanhGradient: [
    sample(
      'gradient',
      pair,
      backward((x) => (x as Tensor).gelu({ approximate: 'tanh' })),
    ),
  ],
  silu: unary((x) => x.silu()),
  softplus: unary((x) => x.softplus()),
  not: [
    sample(
      'bool',
      () => [drawBool(odd)],
      (x) => x.not(),
    ),
  ],
  clamp: [
    sample('f32', apart, (x) => x.clamp(-0.71, 0.53)),
    sample(
      'i32',
      () => [ids(odd, 9)],
      (x) => x.clamp(2, 5),
    ),
  ],
  cast: [
    sample('f32 to i32', apart, (x) => x.cast('i32')),
    sample(
      'i32 to f32',
      () => [ids(odd, 9)],
      (x) => x.cast('f32'),
    ),
    sample('f32 to bool', apart, (x) => x.cast('bool')),
  ],
  copy: unary((x) => copy(x)),
  isNaN: unary((x) => x.isNaN()),
  isInf: unary((x) => x.isInf()),
  isFinite: unary((x) => x.isFinite()),
  add: arithmetic((a, b) => a.add(b)),
  sub: arithmetic((a, b) => a.sub(b)),
  mul: arithmetic((a, b) => a.mul(b)),
  div: arithmetic((a, b) => a.div(b)),
  pow: [
    sample(
      'f32',
      () => [draw(odd, 0.3, 2), draw(odd)],
      (a, b) => a.pow(b),
    ),
  ],
  maximum: arithmetic((a, b) => a.maximum(b)),
  minimum: arithmetic((a, b) => a.minimum(b)),
  equal: comparison((a, b) => a.equal(b)),
  notEqual: comparison((a, b) => a.notEqual(b)),
  less: comparison((a, b) => a.less(b)),
  lessEqual: comparison((a, b) => a.lessEqual(b)),
  greater: comparison((a, b) => a.greater(b)),
  greaterEqual: comparison((a, b) => a.greaterEqual(b)),
  and: [
    sample(
      'bool',
      () => [drawBool(odd), drawBool(odd)],
      (a, b) => a.and(b),
    ),
  ],
  or: [
    sample(
      'bool',
      () => [drawBool(odd), drawBool(odd)],
      (a, b) => a.or(b),
    ),
  ],
  where: [
    sample(
      'f32',
      () => [drawBool(odd), ...pair()],
      (condition, a, b) => where(condition, a, b),
    ),
  ],
  full: [sample('a constant', apart, (x) => x.add(full([5], 0.7)))],
  iota: [
    sample(
      'coordinates',
      () => [draw([5, 5])],
      (x) => x.tril(),
    ),
  ],
  uniform: [sample('random', apart, (x) => uniform([3, 5]).mul(x))],
  uniformIn: [sample('random', apart, (x) => rand([3, 5], { low: -1, high: 3 }).mul(x))],
  normal: [sample('random', apart, (x) => normal([3, 5], { mean: 1, std: 2 }).mul(x))],
  bernoulli: [
    sample(
      'random',
      () => [draw(odd, 0, 1)],
      (p) => bernoulli(p),
    ),
  ],
  randint: [sample('random', apart, (x) => randint(-3, 9, [3, 5]).cast('f32').mul(x))],
  turnKeys: [
    sample(
      'a scan that draws',
      () => [draw([3, 5])],
      (x) => scan(([c]) => ({ carry: [(c as Tensor).add(uniform([5]))], y: [] }), [x.at(0)], [x]).carry,
    ),
  ],

  // ── views and joins ───────────────────────────────────────────────────────────────────────────────────────────────
  reshape: unary((x) => x.reshape([5, 3])),
  permute: unary((x) => x.transpose()),
  slice: [
    sample('a range', apart, (x) => x.slice([[1, 3]])),
    sample('steps', apart, (x) => x.slice([null, [0, 5, 2]])),
  ],
  expand: [
    sample(
      'rows',
      () => [drawApart([1, 5])],
      (x) => x.expand([3, 5]),
    ),
  ],
  flip: unary((x) => x.flip(1)),
  pad: [
    sample('zeros', apart, (x) =>
      pad(x, [
        [1, 0],
        [2, 1],
      ]),
    ),
  ],
  concat: [sample('rows', pair, (a, b) => concat([a, b])), sample('a stack', pair, (a, b) => stack([a, b], 1))],
  split: [sample('columns', apart, (x) => split(x, [2, 3], 1))],
  pack: [sample('flat', pair, (a, b) => pack([a, b]))],
  segment: [
    sample(
      'a part',
      () => [draw([192])],
      (x) => apply(ops.segment, [x], { offset: 64, shape: [3, 5], dtype: 'f32' }),
    ),
  ],
  place: [
    sample(
      'a part',
      () => [draw([192]), draw(odd)],
      (x, y) => apply(ops.place, [x, y], { offset: 64 }),
    ),
  ],
  alias: [sample('the same', apart, (x) => apply(ops.alias, [x]))],
  version: [sample('detached', apart, (x) => x.detach())],
  checkpoint: [sample('a block', pair, (a, b) => checkpoint((x: Tensor, y: Tensor) => x.mul(y).tanh())(a, b))],
  later: [
    sample(
      'a block',
      pair,
      backward((x) => checkpoint((y: Tensor) => y.mul(y).tanh())(x as Tensor)),
    ),
  ],

  // ── reductions and rows ───────────────────────────────────────────────────────────────────────────────────────────
  reduce: [
    sample('sum', apart, (x) => sum(x, 1)),
    sample('sum of columns', apart, (x) => sum(x, 0, { keepDims: true })),
    sample('mean', apart, (x) => mean(x, 1)),
    sample('sum of squares', apart, (x) => sumSquares(x)),
    sample('max', apart, (x) => max(x, 1)),
    sample('min', apart, (x) => min(x, 0)),
    sample('logSumExp', apart, (x) => logSumExp(x, 1)),
    sample('argMax', apart, (x) => argMax(x, 1)),
  ],
  cumsum: [
    sample('forward', apart, (x) => cumsum(x, 1)),
    sample('reverse', apart, (x) => cumsum(x, 0, { reverse: true })),
  ],
  softmax: [
    sample('last axis', apart, (x) => softmax(x)),
    sample('first axis, logarithm', apart, (x) => logSoftmax(x, 0)),
  ],
  softmaxBackward: [
    sample(
      'last axis',
      pair,
      backward((x) => softmax(x as Tensor)),
    ),
    sample(
      'first axis, logarithm',
      pair,
      backward((x) => logSoftmax(x as Tensor, 0)),
    ),
  ],
  norm: [
    sample(
      'layer, weight and bias',
      () => [draw(even), draw([8]), draw([8])],
      (x, w, b) => layerNorm(x, w, b, { eps: 0.1 }),
    ),
    sample(
      'layer, plain',
      () => [draw(odd)],
      (x) => layerNorm(x, null, null, { eps: 0.1 }),
    ),
    sample(
      'rms, weight',
      () => [draw(odd), draw([5])],
      (x, w) => rmsNorm(x, w, { eps: 0.1 }),
    ),
  ],
  normBackward: [
    sample(
      'layer, weight and bias',
      () => [draw(odd), draw([5]), draw([5]), draw(odd)],
      backward((x, w, b) => layerNorm(x as Tensor, w as Tensor, b as Tensor, { eps: 0.1 })),
    ),
    sample(
      'rms, weight',
      () => [draw(odd), draw([5]), draw(odd)],
      backward((x, w) => rmsNorm(x as Tensor, w as Tensor, { eps: 0.1 })),
    ),
  ],

  // ── products, attention, recurrences ──────────────────────────────────────────────────────────────────────────────
  matmul: [
    sample(
      'matrices',
      () => [draw([3, 4]), draw([4, 5])],
      (a, b) => matmul(a, b),
    ),
    sample(
      'a batch',
      () => [draw([2, 3, 4]), draw([2, 4, 2])],
      (a, b) => matmul(a, b),
    ),
    sample(
      'transposed',
      () => [draw([3, 4]), draw([5, 4])],
      (a, b) => matmul(a, b.transpose()),
    ),
    sample(
      'a vector',
      () => [draw([4]), draw([4, 5])],
      (a, b) => matmul(a, b),
    ),
  ],
  conv: [
    sample(
      'padding, dilation, groups and a bias',
      () => [draw([2, 4, 5, 4]), draw([6, 2, 3, 2]), draw([6])],
      (x, weight, bias) => conv2d(x, weight, bias, { padding: [1, 2], dilation: [1, 2], groups: 2 }),
    ),
    sample(
      'one dimension, a stride',
      () => [draw([2, 3, 9]), draw([4, 3, 3])],
      (x, weight) => conv1d(x, weight, null, { stride: 2 }),
    ),
  ],
  convInput: [
    sample(
      'transposed, a stride',
      () => [draw([2, 4, 3, 2]), draw([4, 3, 3, 2]), draw([6])],
      (x, weight, bias) =>
        convTranspose2d(x, weight, bias, { stride: 2, padding: 1, outputPadding: [1, 0], groups: 2 }),
    ),
  ],
  convWeight: [
    sample(
      'a stride',
      () => [draw([2, 3, 5, 4]), draw([4, 3, 2, 3]), draw([2, 4, 2, 2])],
      backward((x, weight) => conv2d(x as Tensor, weight as Tensor, null, { stride: [2, 1] })),
    ),
  ],
  maxPool: [
    sample(
      'windows that overlap',
      () => [drawApart([2, 3, 5, 6])],
      (x) => maxPool2d(x, 3, { stride: 2, padding: 1 }),
    ),
    sample(
      'one dimension, inputs apart',
      () => [drawApart([2, 3, 9])],
      (x) => maxPool1d(x, 3, { stride: 1, dilation: 2 }),
    ),
  ],
  maxPoolBackward: [
    sample(
      'windows that overlap',
      () => [drawApart([2, 3, 5, 6]), draw([2, 3, 3, 3])],
      backward((x) => maxPool2d(x as Tensor, 3, { stride: 2, padding: 1 })),
    ),
  ],
  resample: [
    sample(
      'average pool',
      () => [draw([2, 3, 5, 6])],
      (x) => avgPool2d(x, [2, 3], { stride: [2, 1], padding: 1 }),
    ),
    sample(
      'bilinear',
      () => [draw([2, 3, 5, 6])],
      (x) => interpolate(x, { size: [8, 3], mode: 'bilinear' }),
    ),
  ],
  attention: [
    sample('plain', () => heads(3), attend()),
    sample('causal', () => heads(3), attend({ causal: true })),
    sample('mask', () => [...heads(3), drawBool([4, 4])], masked as Run),
    sample('dropout', () => heads(3), attend({ causal: true, dropout: 0.4 })),
  ],
  attentionBackward: [
    sample('causal', () => heads(4), backward(attend({ causal: true }) as Sample['run'] as (...x: Tensor[]) => Tensor)),
    sample(
      'dropout',
      () => heads(4),
      backward(attend({ dropout: 0.4 }) as Sample['run'] as (...x: Tensor[]) => Tensor),
    ),
  ],
  additiveAttention: [
    sample('plain', source, (q, k, x, v) => Object.values(additiveAttention(q, k, x, v as Tensor))),
    sample(
      'lengths',
      () => [...source(), tensor(Int32Array.of(3, 1))],
      (q, k, x, v, lengths) => Object.values(additiveAttention(q, k, x, v as Tensor, { lengths: lengths as Tensor })),
    ),
  ],
  additiveAttentionBackward: [
    sample(
      'of the context',
      () => [...source(), draw([2, 2, 5])],
      backward((q, k, x, v) => additiveAttention(q as Tensor, k as Tensor, x as Tensor, v as Tensor).context),
    ),
    sample(
      'of the weights too, with lengths',
      () => [...source(), tensor(Uint32Array.of(3, 1)), tensor(1)],
      backward((q, k, x, v, lengths) => {
        const { context, weights } = additiveAttention(q as Tensor, k as Tensor, x as Tensor, v as Tensor, {
          lengths: lengths as Tensor,
        });
        return context.square().sum().add(weights.square().sum());
      }),
    ),
  ],
  lstm: [
    sample('forward', gates, sequence({}) as Run),
    sample('reverse', gates, sequence({ reverse: true }) as Run),
    sample('lengths', gates, sequence({ reverse: true, lengths: [1, 3] }) as Run),
  ],
  lstmBackward: [
    sample(
      'forward',
      () => [...gates(), tensor(1)],
      backward((...inputs) => total(sequence({})(...(inputs as [Tensor, Tensor, Tensor, Tensor])))),
    ),
    sample(
      'lengths',
      () => [...gates(), tensor(1)],
      backward((...inputs) => total(sequence({ lengths: [2, 3] })(...(inputs as [Tensor, Tensor, Tensor, Tensor])))),
    ),
  ],
  gru: [
    sample('forward', units, gatedUnits({}) as Run),
    sample('lengths', units, gatedUnits({ reverse: true, lengths: [1, 3] }) as Run),
  ],
  gruBackward: [
    sample(
      'lengths',
      () => [...units(), tensor(1)],
      backward((...inputs) => total(gatedUnits({ lengths: [2, 3] })(...(inputs as [Tensor, Tensor, Tensor, Tensor])))),
    ),
  ],
  rnn: [
    sample('tanh', plain, plainRecurrence({}) as Run),
    sample('lengths', plain, plainRecurrence({ reverse: true, lengths: [1, 3] }) as Run),
  ],
  rnnBackward: [
    sample(
      'relu',
      () => [...plain(), tensor(1)],
      backward((...inputs) =>
        total(plainRecurrence({ nonlinearity: 'relu' })(...(inputs as [Tensor, Tensor, Tensor]))),
      ),
    ),
    sample(
      'lengths',
      () => [...plain(), tensor(1)],
      backward((...inputs) => total(plainRecurrence({ lengths: [2, 3] })(...(inputs as [Tensor, Tensor, Tensor])))),
    ),
  ],
  lstmCell: [sample('a step', () => [draw([3, 8]), draw([3, 2])], cell)],
  lstmCellBackward: [
    sample(
      'a step',
      () => [draw([3, 8]), draw([3, 2]), tensor(1)],
      backward((x, c) => total(cell(x as Tensor, c as Tensor))),
    ),
  ],
  scan: [sample('a recurrence', () => [draw([2, 3]), draw([4, 2, 3]), draw([3, 3])], recurrence)],

  // ── ids and losses ────────────────────────────────────────────────────────────────────────────────────────────────
  embedding: [
    sample(
      'rows',
      () => [ids([4], 3), draw(odd)],
      (index, weight) => embedding(index, weight),
    ),
  ],
  embeddingBackward: [
    sample(
      'rows',
      () => [ids([4], 3), draw(odd), draw([4, 5])],
      backward((index, weight) => embedding(index as Tensor, weight as Tensor)),
    ),
  ],
  gather: [
    sample(
      'along rows',
      () => [draw(odd), ids([3, 2], 5)],
      (x, index) => gather(x, index, 1),
    ),
  ],
  scatterAdd: [
    sample(
      'along rows',
      () => [draw(odd), ids([3, 2], 5), draw([3, 2])],
      (x, index, y) => scatterAdd(x, index, y, 1),
    ),
  ],
  sort: [
    sample('rows', apart, (x) => Object.values(sort(x))),
    sample('columns, descending', apart, (x) => Object.values(sort(x, 0, { descending: true }))),
  ],
  topK: [sample('two of five', apart, (x) => Object.values(topK(x, 2)))],
  categorical: [sample('a class', apart, (x) => categorical(x))],
  sample: [sample('a nucleus of the best', apart, (x) => sampleToken(x, { temperature: 0.7, topK: 4, topP: 0.8 }))],
  crossEntropy: [
    sample(
      'mean',
      () => [draw(odd), ids([3], 5)],
      (x, t) => crossEntropy(x, t),
    ),
    sample(
      'smoothed, one ignored',
      () => [draw(odd), tensor(Int32Array.of(1, -100, 4))],
      (x, t) => crossEntropy(x, t, { labelSmoothing: 0.1, reduction: 'sum' }),
    ),
  ],
  crossEntropyBackward: [
    sample(
      'none',
      () => [draw(odd), ids([3], 5), draw([3])],
      backward((x, t) => crossEntropy(x as Tensor, t as Tensor, { reduction: 'none' })),
    ),
  ],
  ctcLoss: [
    sample('mean', speech, (x, targets, inputs, labels) => ctcLoss(logSoftmax(x), targets, inputs, labels as Tensor)),
    sample(
      'as they stand, blank 2',
      () => [draw([4, 2, 3], -2, -1), ids([2, 2], 2), tensor(Uint32Array.of(4, 3)), tensor(Uint32Array.of(1, 2))],
      (x, targets, inputs, labels) => ctcLoss(x, targets, inputs, labels as Tensor, { blank: 2, reduction: 'none' }),
    ),
  ],
  ctcLossBackward: [
    sample(
      'none',
      () => [...speech(), draw([2])],
      backward((x, targets, inputs, labels) =>
        ctcLoss(x as Tensor, targets as Tensor, inputs as Tensor, labels as Tensor, { reduction: 'none' }),
      ),
    ),
  ],
  linearCrossEntropy: [
    sample(
      'chunks',
      () => [draw([65, 3]), draw([5, 3]), ids([65], 5)],
      (hidden, weight, t) => linearCrossEntropy(hidden, weight, t, { chunk: 64 }),
    ),
  ],

  // ── updates ───────────────────────────────────────────────────────────────────────────────────────────────────────
  adamw: [
    sample(
      'one step for all',
      () => [draw([64]), draw([64]), draw([64]), draw([64], 0, 1), hyper(), counts()],
      (...given) => {
        const [parameters, gradients, mean, square, settings, counts] = given as SixTensors;
        const turn = { counts, scale: null };
        const next = adamwUpdate({ parameters, gradients, mean, square, hyper: settings, turn });
        return Object.values(next) as Tensor[];
      },
    ),
    sample(
      'a step of each',
      () => [draw([128]), draw([128]), draw([128]), draw([128], 0, 1), hyper()],
      (...given) => {
        const [parameters, gradients, mean, square, settings] = given as SixTensors;
        const next = adamwUpdate({ parameters, gradients, mean, square, hyper: settings, turn: turnOfOne() });
        return [next.parameters, next.mean, next.square];
      },
    ),
  ],
  sgd: [
    sample(
      'momentum',
      () => [draw([64]), draw([64]), draw([64]), sgdSettings(), counts()],
      (...given) => {
        const [parameters, gradients, buffer, settings, counts] = given as SixTensors;
        const turn = { counts, scale: null };
        return Object.values(sgdUpdate({ parameters, gradients, hyper: settings, buffer, turn })) as Tensor[];
      },
    ),
  ],
  ruled: (['rmsprop', 'rmspropMomentum', 'rmspropCentered', 'adagrad', 'lion'] as const).map((rule) =>
    sample(
      rule,
      () => [
        ...[draw([64]), draw([64]), tensor(settingsOfRules[rule]), counts(), draw([64], 0.1, 1)],
        ...(['rmspropMomentum', 'rmspropCentered'].includes(rule) ? [draw([64], -0.2, 0.2)] : []),
      ],
      (parameters, gradients, hyper, steps, ...states) => {
        const turn = { counts: steps as Tensor, scale: null };
        const next = ruledUpdate({ rule, parameters, gradients, hyper, states, turn } as Parameters<
          typeof ruledUpdate
        >[0]);
        return [next.parameters, ...next.states, next.counts as Tensor];
      },
    ),
  ),
  gate: [
    sample(
      'clipped',
      () => [counts(), tensor(Uint32Array.of(1, leftAlone)), tensor([0.5])],
      (counts, groups, scale) => Object.values(gateSteps(counts as Tensor, groups as Tensor, scale as Tensor)),
    ),
  ],
  clipNorm: [
    sample(
      'clipped',
      () => [draw([64])],
      (gradients) => Object.values(clipNorm(gradients, { maxNorm: 0.5, strict: false })),
    ),
  ],
  clipScale: [
    sample(
      'clipped',
      () => [draw([5], 0, 1)],
      (squares) => Object.values(clipScale(squares, { maxNorm: 0.5, strict: false })),
    ),
  ],
};

/**
 * The ops whose samples a run computes. One generator writes the kernels of elementwise ops for all devices, so that those
 * stand for themselves in one of the two profiles; the gpu profile has those that have kernels of their own.
 */
export const namesOfRun = (Object.keys(samples) as OpName[]).filter(
  (name) => profile === 'software' || name === 'scan' || ops[name].lowering.kind !== 'elementwise',
);
