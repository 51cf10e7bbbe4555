import { describe, expect, it } from 'vitest';
import { brief, shown } from '../src/core/options.ts';
import * as weft from '../src/index.ts';
import { io, models, nn, optim, type Tensor, tensor, text, WeftError } from '../src/index.ts';
import { useGpu } from './support/gpu.ts';
import { long, longest } from './support/long.ts';
import { samples } from './support/samples.ts';

useGpu();

const odd = [...long, undefined, null, '2', 'f16', Number.NaN, 0.5, -1, [1, 2], {}, () => 1, true];

/** Fails unless a call comes out well, or throws an error of weft's that speaks of the mistake. */
function expectClear(call: () => unknown, what: string): void {
  try {
    call();
  } catch (error) {
    // A method of what has none: the caller's own line.
    if (
      error instanceof TypeError &&
      /samples\.ts/.test(error.stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? '')
    )
      return;
    expect(error, `${what} gives ${brief(String(error), 300)}`).toBeInstanceOf(WeftError);
    expect((error as Error).message, what).toMatch(/^\[/);
    expect((error as Error).message.length, brief(`${what}: ${error}`, 300)).toBeLessThan(longest);
  }
}

/** Ops that no user calls. */
const internal = new Set([
  'pack',
  'segment',
  'place',
  'alias',
  'later',
  'adamw',
  'sgd',
  'ruled',
  'clipNorm',
  'gate',
  'clipScale',
]);

describe('what is no tensor, in the place of one', () => {
  it.for(Object.entries(samples).filter(([name]) => !internal.has(name)))('of %s', ([name, list]) => {
    for (const { label, inputs, run } of list) {
      for (const i of inputs().keys()) {
        for (const value of odd)
          expectClear(
            () => run(...inputs().with(i, value as Tensor)),
            `${name}, ${label}, input ${i}: ${shown(value)}`,
          );
      }
    }
  });
});

const i32 = (...shape: number[]) => tensor(new Int32Array(shape.reduce((a, b) => a * b, 1)), { shape });
const f32 = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), { shape });
const x = () => f32(2, 3);
const linear = () => new nn.Linear(3, 2);
const model = () => new models.GPT({ vocabularySize: 3, contextLength: 4, layers: 1, heads: 1, width: 2 });
const char2wav = () => new models.Char2Wav({ vocabularySize: 3, embedding: 2, hidden: 2, frame: 2, levels: 4 });
const seq2seq = () => new models.Seq2Seq({ sourceVocabulary: 3, targetVocabulary: 3, embedding: 2, hidden: 2 });
const captioner = (features: readonly number[] = [2]) =>
  new models.Captioner({ channels: 1, vocabulary: 3, embedding: 2, hidden: 2, features });
const reader = <Model>(Class: new (config: models.RecurrentReaderConfig) => Model) =>
  new Class({ cell: 'gru', features: 3, hidden: 2, classes: 2 });
const trained = () => {
  const parameter = weft.parameter(f32(2));
  parameter.square().sum().backward();
  return [parameter];
};

/** Calls with one argument that is no tensor; what types don't allow comes from JavaScript. */
const calls: Record<string, (value: never) => unknown> = {
  'tensor of': (v) => tensor(v),
  arange: (v) => weft.arange(v),
  'arange, step': (v) => weft.arange(0, 3, v),
  parameter: (v) => weft.parameter(v),
  full: (v) => weft.full([2], v),
  'full, shape': (v) => weft.full(v, 1),
  'zeros, dtype': (v) => weft.zeros([2], v),
  cast: (v) => x().cast(v),
  clamp: (v) => x().clamp(v, 1),
  'clamp, max': (v) => x().clamp(0, v),
  mul: (v) => x().mul(v),
  equal: (v) => x().equal(v),
  reshape: (v) => x().reshape(v),
  permute: (v) => x().permute(v),
  transpose: (v) => x().transpose(v),
  slice: (v) => x().slice(v),
  'slice, a range': (v) => x().slice([v]),
  at: (v) => x().at(v),
  'at, axis': (v) => x().at(0, v),
  expand: (v) => x().expand(v),
  flip: (v) => x().flip(v),
  squeeze: (v) => x().squeeze(v),
  unsqueeze: (v) => x().unsqueeze(v),
  pad: (v) => x().pad(v),
  'pad, a pair': (v) => x().pad([v, [0, 0]]),
  'pad, value': (v) =>
    x().pad(
      [
        [1, 0],
        [0, 0],
      ],
      v,
    ),
  split: (v) => x().split(v),
  'split, axis': (v) => x().split(1, v),
  concat: (v) => weft.concat(v),
  'concat, axis': (v) => weft.concat([x(), x()], v),
  stack: (v) => weft.stack(v),
  einsum: (v) => weft.einsum(v, x()),
  sum: (v) => x().sum(v),
  argMax: (v) => x().argMax(v),
  softmax: (v) => x().softmax(v),
  cumsum: (v) => x().cumsum(v),
  sort: (v) => x().sort(v),
  argsort: (v) => weft.argsort(v),
  randperm: (v) => weft.randperm(v),
  topK: (v) => x().topK(v),
  oneHot: (v) => tensor([1, 2], { dtype: 'i32' }).oneHot(v),
  tril: (v) => x().tril(v),
  gather: (v) => x().gather(tensor([[0], [1]], { dtype: 'i32' }), v),
  'additiveAttention, lengths': (v) =>
    weft.additiveAttention(f32(1, 1, 2), f32(1, 3, 2), f32(1, 3, 2), f32(2), { lengths: v }),
  dotAttention: (v) => weft.dotAttention(v, f32(1, 3, 2), f32(1, 3, 2)),
  'dotAttention, values': (v) => weft.dotAttention(f32(1, 1, 2), f32(1, 3, 2), v),
  'generalAttention, weight': (v) => weft.generalAttention(f32(1, 1, 2), f32(1, 3, 2), f32(1, 3, 2), v),
  roll: (v) => x().roll(v),
  'roll, axes': (v) => x().roll(1, v),
  repeat: (v) => x().repeat(v),
  chunk: (v) => x().chunk(v),
  unbind: (v) => x().unbind(v),
  'indexSelect, axis': (v) => weft.indexSelect(x(), tensor([0], { dtype: 'i32' }), v),
  maskedFill: (v) => x().maskedFill(v, 0),
  'maskedFill, value': (v) => x().maskedFill(x().greater(0), v),
  sequenceMask: (v) => weft.sequenceMask(v),
  'sequenceMask, T': (v) => weft.sequenceMask([1], v),
  reverseSequence: (v) => weft.reverseSequence(x(), v),
  linspace: (v) => weft.linspace(v, 1, 2),
  'linspace, steps': (v) => weft.linspace(0, 1, v),
  zerosLike: (v) => weft.zerosLike(v),
  onesLike: (v) => weft.onesLike(v),
  variance: (v) => x().variance(v),
  norm: (v) => weft.norm(v),
  cosineSimilarity: (v) => weft.cosineSimilarity(v, x()),
  any: (v) => weft.any(v),
  all: (v) => x().greater(0).all(v),
  maxWithIndices: (v) => weft.maxWithIndices(x(), v),
  binaryCrossEntropyWithLogits: (v) => weft.binaryCrossEntropyWithLogits(v, x()),
  'binaryCrossEntropyWithLogits, weight': (v) => weft.binaryCrossEntropyWithLogits(x(), x(), { weight: v }),
  klDiv: (v) => weft.klDiv(x(), v),
  'ctcLoss, targets': (v) => weft.ctcLoss(f32(2, 1, 2), v, [2], [1]),
  'ctcLoss, lengths': (v) => weft.ctcLoss(f32(2, 1, 2), tensor([[1]], { dtype: 'i32' }), v, v),
  nllLoss: (v) => weft.nllLoss(x(), v),
  'crossEntropy, weight': (v) => weft.crossEntropy(x(), tensor([0, 1], { dtype: 'i32' }), { weight: v }),
  maxPool1d: (v) => weft.maxPool1d(f32(1, 2, 4), v),
  'maxPool2d, the input': (v) => weft.maxPool2d(v, 2),
  maxPool2d: (v) => weft.maxPool2d(f32(1, 2, 4, 4), v),
  avgPool1d: (v) => weft.avgPool1d(f32(1, 2, 4), v),
  'avgPool2d, padding': (v) => weft.avgPool2d(f32(1, 2, 4, 4), 2, { padding: v }),
  adaptiveAvgPool1d: (v) => weft.adaptiveAvgPool1d(f32(1, 2, 4), v),
  adaptiveAvgPool2d: (v) => weft.adaptiveAvgPool2d(f32(1, 2, 4, 4), v),
  adaptiveMaxPool1d: (v) => weft.adaptiveMaxPool1d(f32(1, 2, 4), v),
  adaptiveMaxPool2d: (v) => weft.adaptiveMaxPool2d(f32(1, 2, 4, 4), v),
  'interpolate, size': (v) => weft.interpolate(f32(1, 2, 4, 4), { size: v }),
  interpolate: (v) => weft.interpolate(v, { size: 2 }),
  conv1d: (v) => weft.conv1d(f32(1, 2, 4), v),
  'conv2d, bias': (v) => weft.conv2d(f32(1, 2, 4, 4), f32(2, 2, 1, 1), v),
  'conv2d, padding': (v) => weft.conv2d(f32(1, 2, 4, 4), f32(2, 2, 1, 1), null, { padding: v }),
  convTranspose1d: (v) => weft.convTranspose1d(f32(1, 2, 4), v),
  convTranspose2d: (v) => weft.convTranspose2d(v, f32(2, 2, 1, 1)),
  mseLoss: (v) => weft.mseLoss(v, x()),
  'huberLoss, target': (v) => weft.huberLoss(x(), v),
  dropout: (v) => x().dropout(v),
  uniform: (v) => weft.uniform(v),
  backward: (v) => trained()[0]?.sum().backward(v),
  grad: (v) => weft.grad(x().sum(), v),
  valueAndGrad: (v) => weft.valueAndGrad(v, [])(),
  checkpoint: (v) => weft.checkpoint(v)(x()),
  scan: (v) => weft.scan(v, [x()], [x()]),
  'scan, the body gives': (v) => weft.scan(() => v, [f32(3)], [x()]),
  'scan, carry': (v) => weft.scan(() => ({ carry: [], y: [] }), v, [x()]),
  dynamic: (v) => weft.dynamic(v),
  manualSeed: (v) => weft.manualSeed(v),
  compile: (v) => weft.compile(v),
  noGrad: (v) => weft.noGrad(v),
  explain: (v) => weft.explain(v),
  defineOp: (v) => weft.defineOp(v),
  Linear: (v) => new nn.Linear(v, 2),
  'Linear.forward': (v) => linear().forward(v),
  'LSTM.forward': (v) => new nn.LSTM(3, 2).forward(v),
  'LSTM.forward, state': (v) => new nn.LSTM(3, 2).forward(f32(1, 1, 3), v),
  'GRU.forward, state': (v) => new nn.GRU(3, 2).forward(f32(1, 1, 3), v),
  'LSTMCell.forward, state': (v) => new nn.LSTMCell(3, 2).forward(f32(1, 3), v),
  AdditiveAttention: (v) => new nn.AdditiveAttention(v, 2, 2),
  'AdditiveAttention.forward': (v) => new nn.AdditiveAttention(2, 2, 2).forward(v, f32(1, 3, 2)),
  'AdditiveAttention.forward, source': (v) => new nn.AdditiveAttention(2, 2, 2).forward(f32(1, 2), v),
  'AdditiveAttention.project': (v) => new nn.AdditiveAttention(2, 2, 2).project(v),
  'MultiHeadAttention.forward': (v) => new nn.MultiHeadAttention(2, 1).forward(v),
  Sequential: (v) => new nn.Sequential(v),
  Dropout: (v) => new nn.Dropout(v),
  ModuleList: (v) => new nn.ModuleList(v),
  'ModuleList.at': (v) => new nn.ModuleList([linear()]).at(v),
  'ModuleList.push': (v) => new nn.ModuleList([]).push(v),
  ModuleDict: (v) => new nn.ModuleDict(v),
  'ModuleDict, a module': (v) => new nn.ModuleDict({ a: v }),
  'ModuleDict.get': (v) => new nn.ModuleDict({ a: linear() }).get(v),
  Flatten: (v) => new nn.Flatten(v),
  'Flatten.forward': (v) => new nn.Flatten().forward(v),
  Softmax: (v) => new nn.Softmax(v),
  'ReLU.forward': (v) => new nn.ReLU().forward(v),
  Bilinear: (v) => new nn.Bilinear(v, 2, 2),
  'Bilinear.forward': (v) => new nn.Bilinear(3, 3, 2).forward(x(), v),
  Conv1d: (v) => new nn.Conv1d(v, 2, 1),
  Conv2d: (v) => new nn.Conv2d(2, 2, v),
  'Conv2d, outChannels': (v) => new nn.Conv2d(2, v, 1),
  'Conv2d.forward': (v) => new nn.Conv2d(2, 2, 1).forward(v),
  ConvTranspose1d: (v) => new nn.ConvTranspose1d(2, 2, v),
  ConvTranspose2d: (v) => new nn.ConvTranspose2d(2, 2, v),
  MaxPool1d: (v) => new nn.MaxPool1d(v),
  MaxPool2d: (v) => new nn.MaxPool2d(v),
  AvgPool1d: (v) => new nn.AvgPool1d(v),
  AvgPool2d: (v) => new nn.AvgPool2d(v),
  AdaptiveAvgPool1d: (v) => new nn.AdaptiveAvgPool1d(v),
  AdaptiveAvgPool2d: (v) => new nn.AdaptiveAvgPool2d(v),
  AdaptiveMaxPool1d: (v) => new nn.AdaptiveMaxPool1d(v),
  AdaptiveMaxPool2d: (v) => new nn.AdaptiveMaxPool2d(v),
  'AvgPool2d.forward': (v) => new nn.AvgPool2d(2).forward(v),
  Upsample: (v) => new nn.Upsample({ size: v }),
  'Upsample.forward': (v) => new nn.Upsample({ size: 2 }).forward(v),
  GroupNorm: (v) => new nn.GroupNorm(v, 4),
  'GroupNorm.forward': (v) => new nn.GroupNorm(1, 3).forward(v),
  BatchNorm1d: (v) => new nn.BatchNorm1d(v),
  'BatchNorm1d.forward': (v) => new nn.BatchNorm1d(3).forward(v),
  'init.chrono': (v) => nn.init.chrono(v, 5),
  'init.chrono, longest': (v) => nn.init.chrono(2, v),
  Embedding: (v) => new nn.Embedding(v, 2),
  'Embedding.forward': (v) => new nn.Embedding(3, 2).forward(v),
  'GPT.forward': (v) => model().forward(v),
  'SequenceClassifier.forward': (v) => reader(models.SequenceClassifier).forward(v),
  'SequenceClassifier.loss, targets': (v) => reader(models.SequenceClassifier).loss(f32(1, 2, 3), v),
  'SequenceTagger.forward, lengths': (v) => reader(models.SequenceTagger).forward(f32(1, 2, 3), { lengths: v }),
  'SequenceTagger.loss, targets': (v) => reader(models.SequenceTagger).loss(f32(1, 2, 3), v),
  'Char2Wav.forward, the text': (v) => char2wav().forward(v, i32(1, 4)),
  'Char2Wav.forward, the levels': (v) => char2wav().forward(i32(1, 2), v),
  'Char2Wav.loss, sampleLengths': (v) => char2wav().loss(i32(1, 2), i32(1, 4), { sampleLengths: v }),
  'Char2Wav.align': (v) => char2wav().align(v, 2),
  'Char2Wav.align, frames': (v) => char2wav().align(i32(1, 2), v),
  'Char2Wav.synthesize': (v) => char2wav().synthesize(v, { frames: 2 }),
  muLawEncoding: (v) => models.muLawEncoding(v),
  'muLawEncoding, levels': (v) => models.muLawEncoding([0], v),
  muLawDecoding: (v) => models.muLawDecoding(v),
  'muLawDecoding, levels': (v) => models.muLawDecoding([0], v),
  'Seq2Seq.forward, the source': (v) => seq2seq().forward(v, i32(1, 2)),
  'Seq2Seq.forward, the inputs': (v) => seq2seq().forward(i32(1, 2), v),
  'Seq2Seq.loss, targets': (v) => seq2seq().loss(i32(1, 2), i32(1, 2), v),
  'Seq2Seq.start': (v) => seq2seq().start(v),
  'Captioner, features': (v) => captioner(v),
  'Captioner.encode': (v) => captioner().encode(v),
  'Captioner.forward, the images': (v) => captioner().forward(v, i32(1, 2)),
  'Captioner.forward, the inputs': (v) => captioner().forward(f32(1, 1, 2, 2), v),
  'Captioner.loss, targets': (v) => captioner().loss(f32(1, 1, 2, 2), i32(1, 2), v),
  'Captioner.start': (v) => captioner().start(v),
  'GridLSTM.forward': (v) => new models.GridLSTM({ features: 2, hidden: 2, classes: 2 }).forward(v),
  'GridLSTM.loss, targets': (v) => new models.GridLSTM({ features: 2, hidden: 2, classes: 2 }).loss(f32(1, 2, 2, 2), v),
  packTrees: (v) => models.packTrees(v),
  'packTrees, a tree': (v) => models.packTrees([v]),
  'packTrees, a node': (v) => models.packTrees([[v]]),
  'packTrees, a child': (v) => models.packTrees([[{ children: [v] }]]),
  'treeSizes, B': (v) => models.treeSizes([[{ token: 0 }]], v),
  'TreeRNN.forward': (v) =>
    new models.TreeRNN({ cell: 'rnn', vocabularySize: 3, embedding: 2, hidden: 2, classes: 2 }).forward(v),
  'TDNN, a layer': (v) => new models.TDNN({ features: 3, channels: 2, classes: 2, layers: [v] }),
  loadStateDict: (v) => linear().loadStateDict(v),
  'Parameter.assign': (v) => linear().weight.assign(v),
  'Parameter.grad': (v) => {
    linear().weight.grad = v;
  },
  'init.normal': (v) => nn.init.normal(v),
  'init.constant': (v) => nn.init.constant([2], v),
  SGD: (v) => new optim.SGD(v),
  'SGD, of parameters': (v) => new optim.SGD([v]),
  clipGradNorm: (v) => optim.clipGradNorm(v, 1),
  'clipGradNorm, limit': (v) => optim.clipGradNorm(trained(), v),
  clipGradValue: (v) => optim.clipGradValue(trained(), v),
  warmup: (v) => optim.warmup(v, 3),
  'warmup, steps': (v) => optim.warmup(optim.constant(), v),
  readSafetensors: (v) => io.readSafetensors(v),
  writeSafetensors: (v) => io.writeSafetensors(v),
  batches: (v) => text.batches(v, { batch: 1, length: 2 }),
  padSequences: (v) => weft.padSequences(v),
  'padSequences, a sequence': (v) => weft.padSequences([v]),
  bucketBatches: (v) => weft.bucketBatches(v, { batchSize: 1 }),
  'bucketBatches, a sample': (v) => weft.bucketBatches([v], { batchSize: 1 }),
  collate: (v) => weft.collate(v),
  'collate, a sample': (v) => weft.collate([v]),
  'collate, another sample': (v) => weft.collate([x(), v]),
  DataLoader: (v) => new weft.DataLoader(v),
  CharVocabulary: (v) => new text.CharVocabulary(v),
  'CharVocabulary.fromJSON': (v) => text.CharVocabulary.fromJSON(v),
  'CharVocabulary.fromJSON, characters': (v) => text.CharVocabulary.fromJSON({ characters: v }),
  'CharVocabulary.encode': (v) => new text.CharVocabulary('ab').encode(v),
  'CharVocabulary.decode': (v) => new text.CharVocabulary('ab').decode(v),
  'CharVocabulary.decode, an id': (v) => new text.CharVocabulary('ab').decode([v]),
  'batches, restore': (v) => text.batches(new Int32Array(9), { batch: 1, length: 2 }).restore(v),
  'loadStateDict, an entry': (v) => linear().loadStateDict({ weight: v, bias: v }),
  'writeSafetensors, a tensor': (v) => io.writeSafetensors({ a: v }),
  'writeSafetensors, dtype': (v) => io.writeSafetensors({ a: { dtype: v, shape: [1], data: Float32Array.of(1) } }),
  'writeSafetensors, shape': (v) => io.writeSafetensors({ a: { dtype: 'f32', shape: v, data: Float32Array.of(1) } }),
  'writeSafetensors, data': (v) => io.writeSafetensors({ a: { dtype: 'f32', shape: [1], data: v } }),
  'writeSafetensors, metadata': (v) =>
    io.writeSafetensors({ a: { dtype: 'f32', shape: [1], data: Float32Array.of(1) } }, v),
  'writeSafetensors, a text': (v) =>
    io.writeSafetensors({ a: { dtype: 'f32', shape: [1], data: Float32Array.of(1) } }, { note: v }),
};

describe('an odd argument', () => {
  it.for(Object.entries(calls))('of %s', ([name, call]) => {
    for (const value of odd) expectClear(() => call(value as never), `${name}: ${shown(value)}`);
  });
});
