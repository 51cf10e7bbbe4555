import { describe, expect, it } from 'vitest';
import { brief, nearest, shown } from '../src/core/options.ts';
import type { Generator } from '../src/core/random.ts';
import type { Tensor } from '../src/index.ts';
import * as weft from '../src/index.ts';
import { useGpu } from './support/gpu.ts';
import { long, longest } from './support/long.ts';

useGpu();

// ── which functions take options, by their types: the compiler asks for a row of each ────────────────────────────────

/** Objects that are no bags of options. */
type NoOptions =
  | Tensor
  | Generator
  | ErrorOptions
  | weft.Node
  | { readonly adapter: string }
  | weft.nn.Module
  | weft.ChoiceStore
  | weft.OpDefinition
  | readonly unknown[]
  | ArrayBufferView
  | ArrayBufferLike
  | ReadonlyMap<string, unknown>
  | Iterable<unknown>
  | ((...args: never[]) => unknown);
/** Whether an argument is a bag of options: an object whose names are known. */
type IsBag<L> = [L] extends [never]
  ? false
  : [NonNullable<L>] extends [NoOptions]
    ? false
    : [NonNullable<L>] extends [object]
      ? string extends keyof NonNullable<L>
        ? false
        : true
      : false;
type HasBag<P extends readonly unknown[]> = true extends { [I in keyof Required<P>]: IsBag<Required<P>[I]> }[number]
  ? true
  : false;
type ParametersOf<F> = F extends abstract new (
  ...args: infer P
) => unknown
  ? P
  : F extends (...args: infer P) => unknown
    ? P
    : [];
/** Errors are the runtime's own business. */
type Takers<Exports> = {
  [Name in keyof Exports]: Name extends `${string}Error`
    ? never
    : HasBag<ParametersOf<Exports[Name]>> extends true
      ? Name
      : never;
}[keyof Exports];

/** Calls a function with these in the place of its options. */
type Row = (options: never) => unknown;
type Rows<Exports, Others extends string = never> = { readonly [Name in Takers<Exports> | Others]: Row };

const { compile, grad, io, models, nn, optim, text, tensor } = weft;
const f32 = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), { shape });
const i32 = (...shape: number[]) => tensor(new Int32Array(shape.reduce((a, b) => a * b, 1)), { shape });
const heads = () => f32(1, 1, 2, 2);
const weights = () => [weft.parameter(f32(2, 2))];
const step = compile((x: Tensor) => x.add(1));
const x = () => f32(2, 2);

const functions: Rows<typeof weft, 'Tensor.elu' | 'DataLoader.restore'> = {
  additiveAttention: (o) => weft.additiveAttention(f32(1, 1, 2), f32(1, 3, 2), f32(1, 3, 2), f32(2), o),
  dotAttention: (o) => weft.dotAttention(f32(1, 1, 2), f32(1, 3, 2), f32(1, 3, 2), o),
  generalAttention: (o) => weft.generalAttention(f32(1, 1, 2), f32(1, 3, 2), f32(1, 3, 2), x(), o),
  all: (o) => weft.all(x().greater(0), 1, o),
  any: (o) => weft.any(x().greater(0), 1, o),
  binaryCrossEntropyWithLogits: (o) => weft.binaryCrossEntropyWithLogits(x(), x(), o),
  cosineSimilarity: (o) => weft.cosineSimilarity(x(), x(), 1, o),
  klDiv: (o) => weft.klDiv(x(), x(), o),
  maxWithIndices: (o) => weft.maxWithIndices(x(), 1, o),
  minWithIndices: (o) => weft.minWithIndices(x(), 1, o),
  nllLoss: (o) => weft.nllLoss(x(), i32(2), o),
  norm: (o) => weft.norm(x(), 1, o),
  reverseSequence: (o) => weft.reverseSequence(x(), i32(2), o),
  std: (o) => weft.std(x(), 1, o),
  variance: (o) => weft.variance(x(), 1, o),
  bucketBatches: (o) => weft.bucketBatches([[1]], o),
  padSequences: (o) => weft.padSequences([[1]], o),
  argMax: (o) => weft.argMax(x(), 1, o),
  argMin: (o) => weft.argMin(x(), 1, o),
  avgPool1d: (o) => weft.avgPool1d(f32(1, 2, 4), 2, o),
  avgPool2d: (o) => weft.avgPool2d(f32(1, 2, 4, 4), 2, o),
  interpolate: (o) => weft.interpolate(f32(1, 2, 4, 4), o),
  maxPool1d: (o) => weft.maxPool1d(f32(1, 2, 4), 2, o),
  maxPool2d: (o) => weft.maxPool2d(f32(1, 2, 4, 4), 2, o),
  conv1d: (o) => weft.conv1d(f32(1, 2, 4), f32(2, 2, 1), null, o),
  conv2d: (o) => weft.conv2d(f32(1, 2, 4, 4), f32(2, 2, 1, 1), null, o),
  convTranspose1d: (o) => weft.convTranspose1d(f32(1, 2, 4), f32(2, 2, 1), null, o),
  convTranspose2d: (o) => weft.convTranspose2d(f32(1, 2, 4, 4), f32(2, 2, 1, 1), null, o),
  compile: (o) => compile(() => x(), o),
  crossEntropy: (o) => weft.crossEntropy(x(), i32(2), o),
  ctcLoss: (o) => weft.ctcLoss(f32(2, 1, 2), tensor([[1]], { dtype: 'i32' }), [2], [1], o),
  cumsum: (o) => weft.cumsum(x(), 0, o),
  elu: (o) => weft.elu(x(), o),
  'Tensor.elu': (o) => x().elu(o),
  DataLoader: (o) => new weft.DataLoader([1, 2], o),
  'DataLoader.restore': (o) => new weft.DataLoader([1, 2]).restore(o),
  gelu: (o) => weft.gelu(x(), o),
  grad: (o) => grad(x().sum(), [x()], o),
  huberLoss: (o) => weft.huberLoss(x(), x(), o),
  init: (o) => weft.init(o),
  l1Loss: (o) => weft.l1Loss(x(), x(), o),
  layerNorm: (o) => weft.layerNorm(x(), null, null, o),
  leakyRelu: (o) => weft.leakyRelu(x(), o),
  linearCrossEntropy: (o) => weft.linearCrossEntropy(x(), x(), i32(2), o),
  logSumExp: (o) => weft.logSumExp(x(), 1, o),
  gru: (o) => weft.gru(f32(2, 1, 3), f32(1, 1), f32(3, 1), o),
  lstm: (o) => weft.lstm(f32(2, 1, 4), f32(1, 1), f32(1, 1), f32(4, 1), o),
  rnn: (o) => weft.rnn(f32(2, 1, 1), f32(1, 1), f32(1, 1), o),
  max: (o) => weft.max(x(), 1, o),
  mean: (o) => weft.mean(x(), 1, o),
  min: (o) => weft.min(x(), 1, o),
  mseLoss: (o) => weft.mseLoss(x(), x(), o),
  profile: (o) => weft.profile(() => x(), o),
  categorical: (o) => weft.categorical(x(), o),
  bernoulli: (o) => weft.bernoulli(0.5, [2], o),
  dropout: (o) => weft.dropout(x(), 0.5, o),
  normal: (o) => weft.normal([2], o),
  rand: (o) => weft.rand([2], o),
  randint: (o) => weft.randint(0, 2, [2], o),
  randperm: (o) => weft.randperm(3, o),
  sort: (o) => weft.sort(x(), 0, o),
  argsort: (o) => weft.argsort(x(), 0, o),
  randn: (o) => weft.randn([2], o),
  uniform: (o) => weft.uniform([2], o),
  recover: (o) => weft.recover(o),
  rmsNorm: (o) => weft.rmsNorm(x(), null, o),
  sample: (o) => weft.sample(x(), o),
  scaledDotProductAttention: (o) => weft.scaledDotProductAttention(heads(), heads(), heads(), o),
  scan: (o) => weft.scan(([h]) => ({ carry: [h as Tensor], y: [] }), [x()], [f32(3)], o),
  sum: (o) => weft.sum(x(), 1, o),
  sumSquares: (o) => weft.sumSquares(x(), 1, o),
  tensor: (o) => tensor([1, 2], o),
  topK: (o) => weft.topK(x(), 1, o),
  train: (o) => weft.train(o),
  tune: (o) => weft.tune(step, [x()], o),
};
const modules: Rows<
  typeof nn,
  'AdditiveAttention.forward' | 'MultiHeadAttention.forward' | 'TransformerBlock.forward' | 'Module.loadStateDict'
> = {
  AdditiveAttention: (o) => new nn.AdditiveAttention(2, 2, 2, o),
  'AdditiveAttention.forward': (o) => new nn.AdditiveAttention(2, 2, 2).forward(f32(1, 2), f32(1, 3, 2), o),
  BatchNorm1d: (o) => new nn.BatchNorm1d(2, o),
  BatchNorm2d: (o) => new nn.BatchNorm2d(2, o),
  AvgPool1d: (o) => new nn.AvgPool1d(2, o),
  AvgPool2d: (o) => new nn.AvgPool2d(2, o),
  Bilinear: (o) => new nn.Bilinear(2, 2, 2, o),
  Conv1d: (o) => new nn.Conv1d(2, 2, 1, o),
  Conv2d: (o) => new nn.Conv2d(2, 2, 1, o),
  ConvTranspose1d: (o) => new nn.ConvTranspose1d(2, 2, 1, o),
  ConvTranspose2d: (o) => new nn.ConvTranspose2d(2, 2, 1, o),
  MaxPool1d: (o) => new nn.MaxPool1d(2, o),
  MaxPool2d: (o) => new nn.MaxPool2d(2, o),
  Upsample: (o) => new nn.Upsample(o),
  ELU: (o) => new nn.ELU(o),
  GELU: (o) => new nn.GELU(o),
  GroupNorm: (o) => new nn.GroupNorm(1, 2, o),
  GRU: (o) => new nn.GRU(2, 2, o),
  GRUCell: (o) => new nn.GRUCell(2, 2, o),
  LSTM: (o) => new nn.LSTM(2, 2, o),
  LSTMCell: (o) => new nn.LSTMCell(2, 2, o),
  LayerNorm: (o) => new nn.LayerNorm(2, o),
  LeakyReLU: (o) => new nn.LeakyReLU(o),
  Linear: (o) => new nn.Linear(2, 2, o),
  'Module.loadStateDict': (o) => new nn.Linear(2, 2).loadStateDict(new nn.Linear(2, 2).stateDict(), o),
  MultiHeadAttention: (o) => new nn.MultiHeadAttention(2, 1, o),
  'MultiHeadAttention.forward': (o) =>
    new nn.MultiHeadAttention(2, 1).forward(f32(1, 1, 2), f32(1, 1, 2), f32(1, 1, 2), o),
  RMSNorm: (o) => new nn.RMSNorm(2, o),
  RNN: (o) => new nn.RNN(2, 2, o),
  RNNCell: (o) => new nn.RNNCell(2, 2, o),
  TransformerBlock: (o) => new nn.TransformerBlock(2, 1, o),
  'TransformerBlock.forward': (o) => new nn.TransformerBlock(2, 1, { feedForward: 2 }).forward(f32(1, 1, 2), o),
};
const initialisers: Rows<typeof nn.init> = {
  chrono: (o) => nn.init.chrono(2, 5, o),
  kaimingNormal: (o) => nn.init.kaimingNormal([2, 2], o),
  kaimingUniform: (o) => nn.init.kaimingUniform([2, 2], o),
  normal: (o) => nn.init.normal([2, 2], o),
  orthogonal: (o) => nn.init.orthogonal([2, 2], o),
  uniform: (o) => nn.init.uniform([2, 2], o),
  xavierNormal: (o) => nn.init.xavierNormal([2, 2], o),
  xavierUniform: (o) => nn.init.xavierUniform([2, 2], o),
};
const optimizers: Rows<typeof optim> = {
  Adagrad: (o) => new optim.Adagrad(weights(), o),
  Adam: (o) => new optim.Adam(weights(), o),
  Lion: (o) => new optim.Lion(weights(), o),
  Muon: (o) => new optim.Muon(weights(), o),
  RMSprop: (o) => new optim.RMSprop(weights(), o),
  AdamW: (o) => new optim.AdamW(weights(), o),
  // Abstract: its heirs are here.
  Optimizer: (o) => new optim.SGD(weights(), o),
  SGD: (o) => new optim.SGD(weights(), o),
  clipGradNorm: (o) => {
    const [w] = weights() as [weft.Parameter];
    w.grad = w;
    return optim.clipGradNorm([w], 1, o);
  },
  cosine: (o) => optim.cosine(o),
  inverseSquareRoot: (o) => optim.inverseSquareRoot(o),
  linear: (o) => optim.linear(o),
  stepwise: (o) => optim.stepwise(o),
};
const gpt = { vocabularySize: 3, contextLength: 4, layers: 1, heads: 1, width: 2 };
const reader = { cell: 'gru', vocabularySize: 3, embedding: 2, hidden: 2, classes: 2 } as const;
const tdnn = { vocabularySize: 3, embedding: 2, layers: [{ width: 1 }], channels: 2, classes: 2 };
const char2wav = { vocabularySize: 3, embedding: 2, hidden: 2, frame: 2, levels: 4 };
const seq2seq = { sourceVocabulary: 3, targetVocabulary: 3, embedding: 2, hidden: 2 };
const captioner = { channels: 1, vocabulary: 3, embedding: 2, hidden: 2, features: [2] };
const languageModels: Rows<
  typeof models,
  | 'SequenceClassifier.forward'
  | 'SequenceTagger.forward'
  | 'TDNN.forward'
  | 'Seq2Seq.forward'
  | 'Seq2Seq.loss'
  | 'Seq2Seq.translate'
  | 'Captioner.loss'
  | 'Captioner.caption'
  | 'Char2Wav.forward'
  | 'Char2Wav.loss'
  | 'Char2Wav.align'
  | 'Char2Wav.synthesize'
> = {
  Captioner: (o) => new models.Captioner(o),
  'Captioner.loss': (o) => new models.Captioner(captioner).loss(f32(1, 1, 2, 2), i32(1, 2), i32(1, 2), o),
  'Captioner.caption': (o) => new models.Captioner(captioner).caption(f32(1, 1, 2, 2), o),
  Seq2Seq: (o) => new models.Seq2Seq(o),
  'Seq2Seq.forward': (o) => new models.Seq2Seq(seq2seq).forward(i32(1, 2), i32(1, 2), o),
  'Seq2Seq.loss': (o) => new models.Seq2Seq(seq2seq).loss(i32(1, 2), i32(1, 2), i32(1, 2), o),
  'Seq2Seq.translate': (o) => new models.Seq2Seq(seq2seq).translate(i32(1, 2), o),
  Char2Wav: (o) => new models.Char2Wav(o),
  'Char2Wav.forward': (o) => new models.Char2Wav(char2wav).forward(i32(1, 2), i32(1, 4), o),
  'Char2Wav.loss': (o) => new models.Char2Wav(char2wav).loss(i32(1, 2), i32(1, 4), o),
  'Char2Wav.align': (o) => new models.Char2Wav(char2wav).align(i32(1, 2), 2, o),
  'Char2Wav.synthesize': (o) => new models.Char2Wav(char2wav).synthesize(i32(1, 2), o),
  CharRNN: (o) => new models.CharRNN(o),
  SequenceClassifier: (o) => new models.SequenceClassifier(o),
  'SequenceClassifier.forward': (o) => new models.SequenceClassifier(reader).forward(i32(1, 2), o),
  SequenceTagger: (o) => new models.SequenceTagger(o),
  'SequenceTagger.forward': (o) => new models.SequenceTagger(reader).forward(i32(1, 2), o),
  GridLSTM: (o) => new models.GridLSTM(o),
  TreeRNN: (o) => new models.TreeRNN(o),
  packTrees: (o) => models.packTrees([[{ token: 1 }]], o),
  TDNN: (o) => new models.TDNN(o),
  'TDNN.forward': (o) => new models.TDNN(tdnn).forward(i32(1, 2), o),
  GPT: (o) => new models.GPT(o),
  beamSearch: (o) => models.beamSearch(() => ({ logits: x(), state: [] }), [], o),
  generate: (o) => models.generate(new models.GPT(gpt), o),
};
const bytes = () => io.writeSafetensors({ a: { dtype: 'f32', shape: [1], data: Float32Array.of(1) } });
const files: Rows<typeof io> = {
  load: (o) => io.load(bytes(), o),
  readSafetensors: (o) => io.readSafetensors(bytes(), o),
  save: (o) => io.save({ a: x() }, undefined, o),
};
const ids = Int32Array.from({ length: 20 }, (_, i) => i);
const texts: Rows<typeof text> = {
  BatchIterator: (o) => new text.BatchIterator(ids, o),
  batches: (o) => text.batches(ids, o),
  windows: (o) => text.windows(ids, o),
};

// ── the sweeps ───────────────────────────────────────────────────────────────────────────────────────────────────────

const all: readonly (readonly [name: string, call: (options: unknown) => unknown])[] = [
  ...[functions, modules, initialisers, optimizers, languageModels, files, texts].flatMap((rows) =>
    Object.entries<Row>(rows).map(([name, call]) => [name, call as (options: unknown) => unknown] as const),
  ),
];

/** What a call throws, or rejects with; null where it does not. */
async function fault(call: (options: unknown) => unknown, options: unknown): Promise<unknown> {
  try {
    await call(options);
    return null;
  } catch (error) {
    return error;
  }
}

const message = (error: unknown) => (error as Error | null)?.message ?? 'no error';

/** The options that a function says it knows. */
async function known(call: (options: unknown) => unknown): Promise<string[]> {
  const names = /Known: (.*)/.exec(message(await fault(call, { noSuchThing: 1 })))?.[1];
  return names?.split(', ') ?? [];
}

describe('every function that takes options', () => {
  it.for(all)('%s: names the option that it does not know, and the nearest', async ([, call]) => {
    const error = await fault(call, { noSuchThing: 1 });
    expect(error).toBeInstanceOf(weft.ValueError);
    expect(message(error)).toMatch(/^\[[\w.]+\] there is no option 'noSuchThing'/);
    const names = await known(call);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      const misspelt = `${name.slice(0, -1)}_${name.at(-1)}`;
      expect(message(await fault(call, { [misspelt]: 1 }))).toContain(`no option '${misspelt}'; is '${name}' meant?`);
    }
  });

  it.for(all)('%s: refuses what is no object', async ([, call]) => {
    for (const odd of [0.1, 'fast', true, [1], null, () => 1, 'x'.repeat(20_000), new Array(20_000).fill(1)]) {
      const said = message(await fault(call, odd));
      expect(said, shown(odd)).toMatch(/^\[[\w.]+\] options must be an object like \{ /);
      expect(said.length).toBeLessThan(longest);
    }
    const misspelt = message(await fault(call, { ['x'.repeat(20_000)]: 1 }));
    expect(misspelt).toMatch(/^\[[\w.]+\] there is no option 'xxx/);
    expect(misspelt.length).toBeLessThan(longest);
  });

  const oddValues = [
    ...long,
    Number.NaN,
    -1,
    0.5,
    Infinity,
    1e30,
    2 ** 32,
    '2',
    '',
    true,
    {},
    [],
    [0],
    null,
    () => 1,
    10n,
    Symbol('s'),
  ];
  it.for(all)('%s: takes a value or says what it must be, whatever it is', async ([, call]) => {
    for (const name of await known(call)) {
      for (const odd of oddValues) {
        const error = await fault(call, { [name]: odd });
        if (error === null) continue;
        expect(error, `${name}: ${shown(odd)} gives ${brief(String(error), 300)}`).toBeInstanceOf(weft.WeftError);
        expect(message(error).length, brief(message(error), 300)).toBeLessThan(longest);
        expect(message(error)).not.toMatch(/Cannot read|undefined is|is not a function/);
      }
    }
  });
});

describe('a group of parameters', () => {
  it('names the setting that it does not know, and needs its parameters', () => {
    const group = (settings: object) => () => new optim.SGD([{ params: weights(), ...settings }]);
    expect(group({ momentun: 0.9 })).toThrow("[SGD] there is no option 'momentun'; is 'momentum' meant?");
    expect(group({ lr: 'fast' })).toThrow('[SGD] lr must be');
    expect(group({ params: undefined })).toThrow('[SGD] needs the option params');
  });
});

describe('the nearest option', () => {
  it.for([
    ['numLayers', 'layers'],
    ['batch_first', 'batchFirst'],
    ['weight_decay', 'weightDecay'],
    ['keepDim', 'keepDims'],
    ['dropuot', 'dropout'],
    ['learningRate', undefined],
  ] as const)('of %s is %s', ([given, expected]) => {
    const names = ['layers', 'bias', 'batchFirst', 'dropout', 'bidirectional', 'weightDecay', 'keepDims'];
    expect(nearest(given, names)).toBe(expected);
  });
});
