import { describe, expect, it } from 'vitest';
import {
  additiveAttention,
  avgPool1d,
  avgPool2d,
  bernoulli,
  conv1d,
  conv2d,
  convTranspose1d,
  convTranspose2d,
  crossEntropy,
  ctcLoss,
  DTypeError,
  dropout,
  gru,
  interpolate,
  linearCrossEntropy,
  lstm,
  maxPool1d,
  maxPool2d,
  models,
  nn,
  optim,
  parameter,
  reverseSequence,
  rnn,
  ShapeError,
  sequenceMask,
  type Tensor,
  tensor,
  ValueError,
} from '../src/index.ts';
import { draw, drawIds } from './support/draw.ts';
import { read, useGpu } from './support/gpu.ts';

/** What those who work with sequences and pictures get wrong, and what they are told. */

useGpu();

const [T, B, I, H] = [5, 3, 2, 4];
type ErrorClass = typeof DTypeError | typeof ShapeError | typeof ValueError;
const i32 = (...values: number[]) => tensor(Int32Array.from(values));

/** What reads sequences of up to T with lengths, by the name that its messages begin with. */
type Given = Tensor | readonly number[];
const recurrences: Readonly<Record<string, (lengths: Given) => Tensor>> = {
  lstm: (lengths) => lstm(draw([T, B, 4 * H]), draw([B, H]), draw([B, H]), draw([4 * H, H]), { lengths }).output,
  gru: (lengths) => gru(draw([T, B, 3 * H]), draw([B, H]), draw([3 * H, H]), { lengths }).output,
  rnn: (lengths) => rnn(draw([T, B, H]), draw([B, H]), draw([H, H]), { lengths }).output,
  LSTM: (lengths) => new nn.LSTM(I, H).forward(draw([T, B, I]), undefined, { lengths })[0],
  GRU: (lengths) =>
    new nn.GRU(I, H, { layers: 2, bidirectional: true }).forward(draw([T, B, I]), undefined, { lengths })[0],
  RNN: (lengths) => new nn.RNN(I, H, { batchFirst: true }).forward(draw([B, T, I]), undefined, { lengths })[0],
};
const reader = { features: I, hidden: H, classes: 2 };
const readers: Readonly<Record<string, (lengths: Given) => Tensor>> = {
  SequenceClassifier: (lengths) =>
    new models.SequenceClassifier({ ...reader, cell: 'gru' }).forward(draw([B, T, I]), { lengths }),
  SequenceTagger: (lengths) =>
    new models.SequenceTagger({ ...reader, cell: 'rnn' }).forward(draw([B, T, I]), { lengths }),
  TDNN: (lengths) =>
    new models.TDNN({ features: I, channels: H, classes: 2, layers: [{ width: 3 }] }).forward(draw([B, T, I]), {
      lengths,
    }),
};
const attention: Readonly<Record<string, (lengths: Given) => Tensor>> = {
  additiveAttention: (lengths) =>
    additiveAttention(draw([B, 1, H]), draw([B, T, H]), draw([B, T, 2]), draw([H]), { lengths }).context,
};
const taking = Object.entries({ ...recurrences, ...readers, ...attention });

describe('lengths', () => {
  const wrong: readonly (readonly [what: string, lengths: unknown, type: ErrorClass, message: string])[] = [
    [
      'of 0',
      [5, 0, 1],
      ValueError,
      `lengths must be ${B} integers, one for each row of the batch, from 1 to ${T}, got [5, 0, 1]`,
    ],
    [
      'above T',
      [5, 6, 1],
      ValueError,
      `lengths must be ${B} integers, one for each row of the batch, from 1 to ${T}, got [5, 6, 1]`,
    ],
    ['below 0', [5, -1, 1], ValueError, `from 1 to ${T}, got [5, -1, 1]`],
    [
      'too few',
      [5, 1],
      ValueError,
      `lengths must be ${B} integers, one for each row of the batch, from 1 to ${T}, got [5, 1]`,
    ],
    ['too many', [5, 1, 1, 1], ValueError, `got [5, 1, 1, 1]`],
    ['none', [], ValueError, `lengths must be ${B} integers`],
    ['that are no integers', [5, 1.5, 1], ValueError, 'lengths must be a tensor, or an array, each of it an integer'],
    ['that are no numbers', ['5', 1, 1], ValueError, 'lengths must be a tensor, or an array, each of it an integer'],
    ['that are one number', 5, ValueError, 'lengths must be a tensor, or an array, each of it an integer, got 5'],
    ['as a tensor of too few', i32(5, 1), ShapeError, `lengths must be [${B}], one for each row of the batch, got [2]`],
    [
      'as a tensor of another rank',
      i32(5, 1, 1).reshape([B, 1]),
      ShapeError,
      `lengths must be [${B}], one for each row of the batch, got [3, 1]`,
    ],
    ['as a tensor of f32', tensor([5, 1, 1]), DTypeError, 'lengths must be i32 or u32, got f32'],
  ];
  it.for(taking.flatMap(([name, call]) => wrong.map((row) => [name, call, ...row] as const)))(
    'of %s: %3$s',
    ([name, call, , lengths, type, message]) => {
      expect(() => call(lengths as number[])).toThrow(type);
      expect(() => call(lengths as number[])).toThrow(new RegExp(`^\\[${name}\\] `));
      expect(() => call(lengths as number[])).toThrow(message);
    },
  );

  // Only the device knows what a tensor holds.
  it.for(taking.flatMap(([name, call]) => [0, T + 1, -1].map((length) => [name, length, call] as const)))(
    'of %s in a tensor: %i',
    async ([name, length, call]) => {
      await expect(read(call(i32(T, length, 1)))).rejects.toThrow(`[${name}] a length lies outside [1, ${T}]`);
      await expect(read(call(i32(T, length, 1)))).rejects.toBeInstanceOf(ValueError);
    },
  );

  it.for(taking)('of %s that are right', async ([, call]) => {
    for (const lengths of [[T, 1, 2], i32(T, 1, 2)]) {
      const [values] = await read(call(lengths));
      expect(values?.every((value) => Number.isFinite(value))).toBe(true);
    }
  });

  it('of a sequence turned round', async () => {
    const turned = reverseSequence(draw([T, B]), i32(T, T + 1, 1));
    await expect(read(turned)).rejects.toThrow(`[reverseSequence] a length lies above ${T}, the steps of a sequence`);
  });
});

/** Each line: what is wrong, the call, and what its message has to say, from its beginning on. */
type Mistake = readonly [what: string, call: () => unknown, type: ErrorClass, message: string];

const state = (...shape: number[]) => draw(shape);
const picture = () => draw([2, 4, 5, 6]);
const sequence = () => draw([2, 4, 5]);
const tree = (...children: number[][]) => children.map((each) => ({ token: 0, children: each }));
const logits = () => draw([2, 3]);
const ids = () => drawIds([2], 3);

const mistakes: Readonly<Record<string, readonly Mistake[]>> = {
  'a state that does not fit': [
    [
      'LSTM, another width',
      () => new nn.LSTM(I, H).forward(draw([T, B, I]), [state(1, B, 3), state(1, B, H)]),
      ShapeError,
      '[LSTM] a state must be [layers·directions, B, H] = [1, 3, 4], got [1, 3, 3]',
    ],
    [
      'LSTM, another cell',
      () => new nn.LSTM(I, H).forward(draw([T, B, I]), [state(1, B, H), state(1, 2, H)]),
      ShapeError,
      '[LSTM] a state must be [layers·directions, B, H] = [1, 3, 4], got [1, 2, 4]',
    ],
    [
      'LSTM, no pair',
      () => new nn.LSTM(I, H).forward(draw([T, B, I]), state(1, B, H) as never),
      ValueError,
      '[LSTM] the state must be a pair of tensors, [h, c], got',
    ],
    [
      'LSTM, a pair of one',
      () => new nn.LSTM(I, H).forward(draw([T, B, I]), [state(1, B, H)] as never),
      ValueError,
      '[LSTM] the state must be a pair of tensors, [h, c], got an array of 1',
    ],
    [
      'GRU, layers and directions',
      () => new nn.GRU(I, H, { layers: 2, bidirectional: true }).forward(draw([T, B, I]), state(2, B, H)),
      ShapeError,
      '[GRU] a state must be [layers·directions, B, H] = [4, 3, 4], got [2, 3, 4]',
    ],
    [
      'GRU, a pair',
      () => new nn.GRU(I, H).forward(draw([T, B, I]), [state(1, B, H), state(1, B, H)] as never),
      DTypeError,
      '[GRU] the state must be a tensor',
    ],
    [
      'RNN, batch first',
      () => new nn.RNN(I, H, { batchFirst: true }).forward(draw([B, T, I]), state(B, 1, H)),
      ShapeError,
      '[RNN] a state must be [layers·directions, B, H] = [1, 3, 4], got [3, 1, 4]',
    ],
    [
      'RNN, integers',
      () => new nn.RNN(I, H).forward(draw([T, B, I]), drawIds([1, B, H], 2)),
      DTypeError,
      '[rnn] h0 must be f32, got i32',
    ],
    [
      'RNNCell',
      () => new nn.RNNCell(I, H).forward(draw([B, I]), state(1, B, H)),
      ShapeError,
      '[RNNCell] the state must be [3, 4], got [1, 3, 4]',
    ],
    [
      'GRUCell',
      () => new nn.GRUCell(I, H).forward(draw([B, I]), state(B, 3)),
      ShapeError,
      '[GRUCell] the state must be [3, 4], got [3, 3]',
    ],
    [
      'LSTMCell',
      () => new nn.LSTMCell(I, H).forward(draw([B, I]), [state(B, H), state(2, H)]),
      ShapeError,
      '[LSTMCell] the state must be [3, 4], got [2, 4]',
    ],
    [
      'lstm',
      () => lstm(draw([T, B, 4 * H]), state(B, H), state(1, B, H), draw([4 * H, H])),
      ShapeError,
      '[lstm] for gatesX [5, 3, 16] = [T, B, 4H], h0 and c0 must be [B, H]',
    ],
    [
      'gru',
      () => gru(draw([T, B, 3 * H]), state(2, H), draw([3 * H, H])),
      ShapeError,
      '[gru] for gatesX [5, 3, 12] = [T, B, 3H], h0 must be [B, H]',
    ],
    [
      'rnn',
      () => rnn(draw([T, B, H]), state(B, 2), draw([H, H])),
      ShapeError,
      '[rnn] for gatesX [5, 3, 4] = [T, B, H], h0 must be [B, H]',
    ],
    [
      'CharRNN',
      () =>
        new models.CharRNN({ cell: 'gru', vocabularySize: 3, embedding: 2, hidden: H }).run(drawIds([B, T], 3), [
          state(1, 2, H),
        ]),
      ShapeError,
      '[GRU] a state must be [layers·directions, B, H] = [1, 3, 4], got [1, 2, 4]',
    ],
    [
      'CharRNN, parts',
      () =>
        new models.CharRNN({ cell: 'lstm', vocabularySize: 3, embedding: 2, hidden: H }).run(drawIds([B, T], 3), [
          state(1, B, H),
        ]),
      ShapeError,
      '[CharRNN] the state is [h, c], each [layers, B, H], got 1 parts',
    ],
  ],
  'a kernel longer than the padded input': [
    [
      'conv1d',
      () => conv1d(sequence(), draw([3, 4, 6])),
      ShapeError,
      '[conv1d] the kernel is longer than the padded input: the input has 5 + 0 + 0 = 5 elements, the kernel 6; use more padding or a shorter kernel',
    ],
    [
      'conv1d, dilated',
      () => conv1d(sequence(), draw([3, 4, 3]), null, { padding: 1, dilation: 4 }),
      ShapeError,
      '[conv1d] the kernel is longer than the padded input: the input has 5 + 1 + 1 = 7 elements, the kernel 3 with a dilation of 4 spans 9',
    ],
    [
      'conv2d',
      () => conv2d(picture(), draw([3, 4, 3, 9]), null, { padding: 1 }),
      ShapeError,
      '[conv2d] the kernel is longer than the padded input: the width has 6 + 1 + 1 = 8 elements, the kernel 9',
    ],
    [
      'maxPool1d',
      () => maxPool1d(sequence(), 6),
      ShapeError,
      '[maxPool1d] the kernel is longer than the padded input: the input has 5',
    ],
    [
      'maxPool2d',
      () => maxPool2d(picture(), [2, 7]),
      ShapeError,
      '[maxPool2d] the kernel is longer than the padded input: the width has 6',
    ],
    [
      'avgPool1d',
      () => avgPool1d(sequence(), 8, { padding: 1 }),
      ShapeError,
      '[avgPool1d] the kernel is longer than the padded input: the input has 5 + 1 + 1 = 7',
    ],
    [
      'avgPool2d',
      () => avgPool2d(picture(), 6),
      ShapeError,
      '[avgPool2d] the kernel is longer than the padded input: the height has 5',
    ],
    [
      'Conv1d',
      () => new nn.Conv1d(4, 3, 6).forward(sequence()),
      ShapeError,
      '[conv1d] the kernel is longer than the padded input',
    ],
    [
      'Conv2d',
      () => new nn.Conv2d(4, 3, 7).forward(picture()),
      ShapeError,
      '[conv2d] the kernel is longer than the padded input',
    ],
    [
      'MaxPool1d',
      () => new nn.MaxPool1d(6).forward(sequence()),
      ShapeError,
      '[maxPool1d] the kernel is longer than the padded input',
    ],
    [
      'AvgPool2d',
      () => new nn.AvgPool2d(6).forward(picture()),
      ShapeError,
      '[avgPool2d] the kernel is longer than the padded input',
    ],
  ],
  'groups that do not divide': [
    [
      'conv1d',
      () => conv1d(sequence(), draw([6, 2, 3]), null, { groups: 3 }),
      ShapeError,
      '[conv1d] 3 groups do not divide the 4 channels of the input',
    ],
    [
      'conv2d, filters',
      () => conv2d(picture(), draw([5, 2, 3, 3]), null, { groups: 2 }),
      ShapeError,
      '[conv2d] 2 groups do not divide the 5 filters of the weight',
    ],
    [
      'convTranspose2d',
      () => convTranspose2d(picture(), draw([4, 2, 3, 3]), null, { groups: 3 }),
      ShapeError,
      '[convTranspose2d] 3 groups do not divide the 4 channels of the input',
    ],
    [
      'none at all',
      () => conv2d(picture(), draw([5, 4, 3, 3]), null, { groups: 0 }),
      ValueError,
      '[conv2d] groups must be a positive integer, got 0',
    ],
    [
      'Conv1d',
      () => new nn.Conv1d(4, 6, 3, { groups: 3 }),
      ValueError,
      '[Conv1d] 3 groups do not divide inChannels, 4',
    ],
    [
      'Conv2d',
      () => new nn.Conv2d(4, 6, 3, { groups: 4 }),
      ValueError,
      '[Conv2d] 4 groups do not divide outChannels, 6',
    ],
    [
      'ConvTranspose2d',
      () => new nn.ConvTranspose2d(4, 6, 3, { groups: 3 }),
      ValueError,
      '[ConvTranspose2d] 3 groups do not divide inChannels, 4',
    ],
    [
      'convTranspose1d',
      () => convTranspose1d(sequence(), draw([4, 2, 3]), null, { groups: 3 }),
      ShapeError,
      '[convTranspose1d] 3 groups do not divide the 4 channels of the input',
    ],
    ['GroupNorm', () => new nn.GroupNorm(3, 4), ValueError, '[GroupNorm] 3 groups do not divide 4 channels'],
  ],
  'pooling to nothing': [
    [
      'windows between the inputs',
      () => maxPool1d(draw([1, 1, 2]), 2, { padding: 1, dilation: 3 }),
      ShapeError,
      '[maxPool1d] a window has nothing in it: the input has 2 elements, the window reaches from -1 to 2 in steps of 3',
    ],
    [
      'padding beyond half a window',
      () => avgPool2d(picture(), 2, { padding: 2 }),
      ShapeError,
      '[avgPool2d] the padding must be at most half of the kernel, 2, got 2',
    ],
    [
      'windows of nothing',
      () => maxPool2d(picture(), 0),
      ValueError,
      '[maxPool2d] kernelSize must be a positive integer, or a pair',
    ],
    [
      'no windows, adaptive',
      () => new nn.AdaptiveAvgPool1d(0),
      ValueError,
      '[AdaptiveAvgPool1d] outputSize must be a positive integer, got 0',
    ],
    [
      'no windows in a row',
      () => new nn.AdaptiveMaxPool2d([2, 0]),
      ValueError,
      '[AdaptiveMaxPool2d] outputSize must be a positive integer, or a pair',
    ],
    [
      'interpolate',
      () => interpolate(picture(), { scale: 0.1 }),
      ShapeError,
      '[interpolate] a scale of 0.1 leaves nothing of dimension 2 of [2, 4, 5, 6]; it must be at least 1/5',
    ],
    [
      'convTranspose2d',
      () => convTranspose2d(draw([1, 1, 1, 1]), draw([1, 1, 2, 2]), null, { padding: 1 }),
      ShapeError,
      '[convTranspose2d] a padding of 1 leaves nothing of the height of the result, 2',
    ],
  ],
  'a transposed convolution that makes no sense': [
    [
      'a padding that leaves nothing',
      () => convTranspose1d(draw([1, 1, 1]), draw([1, 1, 2]), null, { padding: 1 }),
      ShapeError,
      '[convTranspose1d] a padding of 1 leaves nothing of the length of the result, 2',
    ],
    [
      'an outputPadding as long as the stride',
      () => convTranspose1d(sequence(), draw([4, 2, 3]), null, { outputPadding: 1 }),
      ValueError,
      '[convTranspose1d] outputPadding must be less than stride or dilation, got 1 with a stride of 1 and a dilation of 1',
    ],
  ],
  'a cycle in a tree': [
    ['of one node', () => models.packTrees([tree([0])]), ValueError, '[packTrees] tree 0 has a cycle: node 0 → node 0'],
    [
      'beside a tree',
      () => models.packTrees([tree([]), tree([], [2], [1])]),
      ValueError,
      '[packTrees] tree 1 has a cycle: node',
    ],
    ['of all nodes', () => models.packTrees([tree([1], [2], [0])]), ValueError, '[packTrees] tree 0 has a cycle: node'],
    ['treeSizes', () => models.treeSizes([tree([1], [0])], 1), ValueError, '[treeSizes] tree 0 has a cycle: node'],
  ],
  'ε and shares outside [0, 1]': [
    [
      'crossEntropy',
      () => crossEntropy(logits(), ids(), { labelSmoothing: 1.1 }),
      ValueError,
      '[crossEntropy] labelSmoothing must be in [0, 1], got 1.1',
    ],
    [
      'crossEntropy, below',
      () => crossEntropy(logits(), ids(), { labelSmoothing: -0.1 }),
      ValueError,
      '[crossEntropy] labelSmoothing must be in [0, 1], got -0.1',
    ],
    [
      'linearCrossEntropy',
      () => linearCrossEntropy(draw([2, 4]), draw([3, 4]), ids(), { labelSmoothing: Number.NaN }),
      ValueError,
      '[linearCrossEntropy] labelSmoothing must be in [0, 1], got NaN',
    ],
    [
      'bernoulli, which scheduled sampling tosses',
      () => bernoulli(1.1, [B]),
      ValueError,
      '[bernoulli] the probability must be in [0, 1], got 1.1',
    ],
    [
      'bernoulli, below',
      () => bernoulli(-0.1, [B]),
      ValueError,
      '[bernoulli] the probability must be in [0, 1], got -0.1',
    ],
    ['dropout', () => dropout(logits(), 1.1), ValueError, '[dropout] the probability must be in [0, 1], got 1.1'],
    ['Dropout', () => new nn.Dropout(-1), ValueError, '[Dropout] the probability must be in [0, 1], got -1'],
    ['LSTM', () => new nn.LSTM(I, H, { dropout: 2 }), ValueError, '[LSTM] dropout must be in [0, 1], got 2'],
    [
      'SequenceTagger',
      () => new models.SequenceTagger({ ...reader, cell: 'lstm', dropout: 2 }),
      ValueError,
      '[SequenceTagger] dropout must be in [0, 1], got 2',
    ],
    [
      'BatchNorm1d',
      () => new nn.BatchNorm1d(3, { momentum: 1.1 }),
      ValueError,
      '[BatchNorm1d] momentum must be in (0, 1], got 1.1',
    ],
    [
      'RMSprop',
      () => new optim.RMSprop([parameter(draw([2]))], { alpha: 1.1 }),
      ValueError,
      '[RMSprop] alpha must be in [0, 1], got 1.1',
    ],
  ],
  'what else lengths are asked of': [
    [
      'sequenceMask, above T',
      () => sequenceMask([2, 4], 3),
      ValueError,
      '[sequenceMask] lengths must be one or more integers of at least 0 and at most 3, got [2, 4]',
    ],
    [
      'sequenceMask, none',
      () => sequenceMask([], 3),
      ValueError,
      '[sequenceMask] lengths must be one or more integers',
    ],
    [
      'reverseSequence',
      () => reverseSequence(draw([T, B]), i32(1, 2)),
      ShapeError,
      '[reverseSequence] lengths must be [3], dimension 1 of [5, 3], got [2]',
    ],
    [
      'ctcLoss',
      () => ctcLoss(draw([T, B, 3]), drawIds([B, 2], 2).add(1), [5, 0, 5], [1, 1, 1]),
      ValueError,
      '[ctcLoss] inputLengths must be 3 integers, one for each row of the batch, from 1 to 5, got [5, 0, 5]',
    ],
    [
      'ctcLoss, targets',
      () => ctcLoss(draw([T, B, 3]), drawIds([B, 2], 2).add(1), [5, 5, 5], [1, 3, 1]),
      ValueError,
      '[ctcLoss] targetLengths must be 3 integers, one for each row of the batch, from 0 to 2, got [1, 3, 1]',
    ],
  ],
};

describe.for(Object.entries(mistakes))('%s', ([, list]) => {
  it.for(list)('%s', ([, call, type, message]) => {
    let error: unknown;
    try {
      call();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(type);
    expect((error as Error).message.slice(0, message.length)).toBe(message);
  });
});
