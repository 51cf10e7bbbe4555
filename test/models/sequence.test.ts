import { describe, expect, it } from 'vitest';
import { concat, grad, type Tensor, tensor } from '../../src/index.ts';
import { SequenceClassifier, SequenceTagger, TDNN } from '../../src/models/index.ts';
import { draw, drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

const ids = { vocabularySize: 11, embedding: 5 };
const sizes = { ...ids, hidden: 6, classes: 3 };
const lengths = [4, 7, 1, 5];
/** Ids [4, 7], of which 10 stands behind the ends alone. */
const padded = () => {
  const own = Array.from({ length: 4 }, (_, b) =>
    Array.from({ length: 7 }, (_, t) => (3 * b + 5 * t + t * t * b) % 10),
  );
  return own.map((row, b) => row.map((id, t) => (t < (lengths[b] as number) ? id : 10)));
};
const idsOf = (rows: number[][]) => tensor(rows, { dtype: 'i32' });

const recurrences = (['lstm', 'gru', 'rnn'] as const).flatMap((cell) =>
  [
    { bidirectional: false, layers: 1 },
    { bidirectional: true, layers: 2 },
  ].map((form) => ({ cell, ...form })),
);

type Reader = { forward(x: Tensor, options?: { lengths: number[] }): Tensor };
/** What a model gives for the rows of a batch, and for each row alone, cut to its length. */
async function togetherAndAlone(model: Reader): Promise<{ together: Float32Array; alone: Float32Array[]; T: number }> {
  const rows = padded();
  const single = rows.map((row, b) => model.forward(idsOf([row.slice(0, lengths[b])])));
  const [together, ...alone] = (await read(model.forward(idsOf(rows), { lengths }), ...single)) as Float32Array[];
  return { together: together as Float32Array, alone, T: 7 };
}

describe('SequenceClassifier', () => {
  it.for(recurrences)(
    'reads each row to its own end: $cell, $layers layers, bidirectional $bidirectional',
    async (form) => {
      const model = new SequenceClassifier({ ...sizes, ...form });
      const { together, alone } = await togetherAndAlone(model);
      expectNear(
        together,
        alone.flatMap((logits) => [...logits]),
        'logits',
      );
    },
  );

  it('has the last layer’s states for its head: at the end of one direction, at the start of the other', async () => {
    const model = new SequenceClassifier({
      features: 4,
      hidden: 6,
      classes: 3,
      cell: 'lstm',
      layers: 2,
      bidirectional: true,
    });
    const x = draw([3, 5, 4]);
    const [output] = (model.lstm as NonNullable<typeof model.lstm>).forward(x.permute([1, 0, 2])); // [T, B, 2H]
    const ends = concat([output.at(4).slice([null, [0, 6]]), output.at(0).slice([null, [6, 12]])], 1);
    const [logits, wanted] = await read(model.forward(x), model.head.forward(ends));
    expectNear(logits as Float32Array, wanted as Float32Array, 'logits');
  });

  it('has the names of its parts, and a long memory to begin with', async () => {
    const model = new SequenceClassifier({ ...sizes, cell: 'lstm' });
    const parts = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map((name) => `lstm.${name}_l0`);
    expect([...model.stateDict().keys()]).toEqual(['embedding.weight', ...parts, 'head.weight', 'head.bias']);
    const [bias] = (await read(model.stateDict().get('lstm.bias_hh_l0') as Tensor)) as [Float32Array];
    expect([...bias.subarray(6, 12)]).toEqual(new Array(6).fill(1));
  });

  it('has a loss near ln C before training, and no gradient of padding', async () => {
    const model = new SequenceClassifier({ ...sizes, cell: 'gru', bidirectional: true });
    const loss = model.loss(idsOf(padded()), drawIds([4], 3), { lengths });
    const [dEmbedding] = grad(loss, [model.embedding?.weight as Tensor]) as [Tensor];
    const [[value], rows] = (await read(loss, dEmbedding)) as [Float32Array, Float32Array];
    expect(Math.abs((value as number) - Math.log(3))).toBeLessThan(0.4);
    expect([...rows.subarray(50)]).toEqual([0, 0, 0, 0, 0]);
    expect(rows.subarray(0, 50).some((each) => each !== 0)).toBe(true);
  });

  it('drops elements in training alone', async () => {
    const model = new SequenceClassifier({ ...sizes, cell: 'rnn', dropout: 0.5 });
    const x = drawIds([2, 5], 11);
    const pair = async () => (await read(model.forward(x), model.forward(x))) as [Float32Array, Float32Array];
    const [first, second] = await pair();
    expect([...first]).not.toEqual([...second]);
    model.eval();
    const [third, fourth] = await pair();
    expect([...third]).toEqual([...fourth]);
  });

  it('says what it wants', () => {
    const config = { ...sizes, cell: 'gru' } as const;
    const make = (changed: object) => () => new SequenceClassifier({ ...config, ...changed });
    expect(make({ features: 3 })).toThrow(
      'got features for sequences of numbers, and vocabularySize for sequences of ids',
    );
    expect(make({ embedding: undefined })).toThrow(
      '[SequenceClassifier] needs vocabularySize and embedding for sequences of ids, or features for sequences of numbers',
    );
    expect(make({ cell: 'mamba' })).toThrow("[SequenceClassifier] cell must be 'lstm', 'gru' or 'rnn', got 'mamba'");
    expect(make({ classes: undefined })).toThrow('[SequenceClassifier] needs the option classes');
    const model = new SequenceClassifier(config);
    const x = drawIds([2, 5], 11);
    expect(() => model.forward(drawIds([5], 11))).toThrow('[SequenceClassifier] ids must be [B, T], got [5]');
    expect(() => model.loss(x, drawIds([3], 3))).toThrow('[SequenceClassifier] targets must be [B] = [2], got [3]');
    for (const wrong of [[0, 5], [1, 6], [5]])
      expect(() => model.forward(x, { lengths: wrong })).toThrow(
        '[SequenceClassifier] lengths must be 2 integers, one for each row of the batch, from 1 to 5',
      );
    expect(() => model.forward(x, { lengths: tensor([1, 2]) })).toThrow('[SequenceClassifier] lengths must be i32');
    const numbers = new SequenceClassifier({ features: 4, hidden: 2, classes: 2, cell: 'gru' });
    expect(() => numbers.forward(draw([2, 5, 3]))).toThrow(
      '[SequenceClassifier] features must be [B, T, 4], got [2, 5, 3]',
    );
  });
});

describe('SequenceTagger', () => {
  it.for(recurrences)(
    'reads each row to its own end: $cell, $layers layers, bidirectional $bidirectional',
    async (form) => {
      const { together, alone, T } = await togetherAndAlone(new SequenceTagger({ ...sizes, ...form }));
      for (const [b, logits] of alone.entries())
        expectNear(together.subarray(3 * T * b, 3 * T * b + logits.length), logits, `logits of row ${b}`);
    },
  );

  it('has the mean loss of the steps within the lengths, and no gradient of padding', async () => {
    const model = new SequenceTagger({ ...sizes, cell: 'lstm', bidirectional: true });
    const x = idsOf(padded());
    const targets = padded().map((row, b) => row.map((id, t) => (t < (lengths[b] as number) ? id % 3 : 77)));
    // One more that counts for nothing.
    (targets[1] as number[])[2] = -100;
    const loss = model.loss(x, idsOf(targets), { lengths });
    const [dEmbedding] = grad(loss, [model.embedding?.weight as Tensor]) as [Tensor];
    const [[value], rows, logits] = (await read(loss, dEmbedding, model.forward(x, { lengths }))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const losses = targets.flatMap((row, b) =>
      row.flatMap((target, t) => {
        if (t >= (lengths[b] as number) || target === -100) return [];
        const scores = [...logits.subarray(3 * (7 * b + t), 3 * (7 * b + t + 1))];
        return [Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0)) - (scores[target] as number)];
      }),
    );
    expect(losses).toHaveLength(16);
    expectNear([value as number], [losses.reduce((a, b) => a + b) / 16], 'loss');
    expect([...rows.subarray(50)]).toEqual([0, 0, 0, 0, 0]);
  });

  it('says what it wants', () => {
    const model = new SequenceTagger({ ...sizes, cell: 'gru' });
    const x = drawIds([2, 5], 11);
    expect(() => model.loss(x, drawIds([2], 3))).toThrow('[SequenceTagger] targets must be [B, T] = [2, 5], got [2]');
    expect(() => model.loss(x, draw([2, 5]))).toThrow('[SequenceTagger] targets must be i32');
    expect(() => model.forward(x, { lengths: [0, 5] })).toThrow('[SequenceTagger] lengths must be 2 integers');
  });
});

describe('TDNN', () => {
  const layers = [{ width: 3 }, { width: 2, dilation: 3 }];

  it.for(['max', 'mean'] as const)('is what the plain loops are, %s', async (pool) => {
    const model = new TDNN({ features: 2, channels: 4, classes: 3, layers, pool });
    const x = draw([2, 6, 2]);
    const [given, logits, ...weights] = (await read(x, model.forward(x), ...model.parameters())) as [
      Float32Array,
      Float32Array,
      ...Float32Array[],
    ];
    const names = model.namedParameters().map(([name]) => name);
    expect(names).toEqual([
      'layers.0.weight',
      'layers.0.bias',
      'layers.1.weight',
      'layers.1.bias',
      'head.weight',
      'head.bias',
    ]);
    const of = (name: string) => weights[names.indexOf(name)] as Float32Array;
    const wanted = [0, 1].flatMap((b) => {
      let steps = Array.from({ length: 6 }, (_, t) => [...given.subarray(2 * (6 * b + t), 2 * (6 * b + t + 1))]);
      for (const [i, { width, dilation = 1 }] of layers.entries()) {
        const before = Math.floor(((width - 1) * dilation) / 2);
        const size = (steps[0] as number[]).length;
        steps = steps.map((_, t) =>
          Array.from({ length: 4 }, (_, unit) => {
            let sum = of(`layers.${i}.bias`)[unit] as number;
            for (let c = 0; c < size; c++)
              for (let k = 0; k < width; k++)
                sum +=
                  (of(`layers.${i}.weight`)[(unit * size + c) * width + k] as number) *
                  (steps[t - before + k * dilation]?.[c] ?? 0);
            return Math.max(sum, 0);
          }),
        );
      }
      const pooled = [0, 1, 2, 3].map((unit) => {
        const values = steps.map((step) => step[unit] as number);
        return pool === 'max' ? Math.max(...values) : values.reduce((a, b) => a + b) / 6;
      });
      return [0, 1, 2].map((k) =>
        pooled.reduce(
          (sum, value, c) => sum + value * (of('head.weight')[4 * k + c] as number),
          of('head.bias')[k] as number,
        ),
      );
    });
    expectNear(logits, wanted, 'logits');
    expect(model.span).toBe(6);
  });

  it.for(['max', 'mean'] as const)('reads each row to its own end, %s', async (pool) => {
    const { together, alone } = await togetherAndAlone(new TDNN({ ...ids, channels: 4, classes: 3, layers, pool }));
    expectNear(
      together,
      alone.flatMap((logits) => [...logits]),
      'logits',
    );
  });

  it('says what it wants', () => {
    const config = { ...ids, channels: 4, classes: 3, layers };
    expect(() => new TDNN({ ...config, layers: [] })).toThrow('[TDNN] layers must be an array of one or more layers');
    expect(() => new TDNN({ ...config, layers: [{ width: 3 }, { width: 0 }] })).toThrow(
      '[TDNN, layer 1] width must be a positive integer, got 0',
    );
    expect(() => new TDNN({ ...config, layers: [3] as never })).toThrow(
      '[TDNN] layer 0 must be an object like { width: 3 }, got 3',
    );
    expect(() => new TDNN(config).forward(drawIds([5], 11))).toThrow('[TDNN] ids must be [B, T], got [5]');
    expect(() => new TDNN(config).loss(drawIds([2, 5], 11), drawIds([2, 5], 3))).toThrow(
      '[TDNN] targets must be [B] = [2], got [2, 5]',
    );
  });
});
