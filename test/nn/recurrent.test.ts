import { describe, expect, it } from 'vitest';
import { compile, randn, sequenceMask, type Tensor, tensor, where } from '../../src/index.ts';
import { GRU, GRUCell, LSTM, LSTMCell, type Module, type RecurrentOptions, RNN, RNNCell } from '../../src/nn/index.ts';
import {
  expectGolden,
  expectNear,
  type GoldenCase,
  given,
  goldenCases,
  loadGolden,
  optional,
} from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

type Options = RecurrentOptions & { inputSize: number; hiddenSize: number; nonlinearity?: 'tanh' | 'relu' };

/** Makes the module of a case and runs it on the case's inputs. */
const kinds: Readonly<
  Record<
    string,
    (
      golden: GoldenCase,
      options: Options,
    ) => { module: Module; inputs: Record<string, Tensor>; outputs: () => Record<string, Tensor> }
  >
> = {
  lstm(golden, { inputSize, hiddenSize, ...options }) {
    const module = new LSTM(inputSize, hiddenSize, options);
    const [x, h0, c0] = ['x', 'h0', 'c0'].map((name) => given(golden, name)) as [Tensor, Tensor, Tensor];
    const outputs = () => {
      const [output, [h, c]] = module.forward(x, [h0, c0], lengthsOf(golden));
      return { output, h, c };
    };
    return { module, inputs: { x, h0, c0 }, outputs };
  },
  gru: (golden, { inputSize, hiddenSize, ...options }) => sequence(golden, new GRU(inputSize, hiddenSize, options)),
  rnn: (golden, { inputSize, hiddenSize, ...options }) => sequence(golden, new RNN(inputSize, hiddenSize, options)),
  lstmCell(golden, { inputSize, hiddenSize }) {
    const module = new LSTMCell(inputSize, hiddenSize);
    const [x, h0, c0] = ['x', 'h0', 'c0'].map((name) => given(golden, name)) as [Tensor, Tensor, Tensor];
    const outputs = () => {
      const [h, c] = module.forward(x, [h0, c0]);
      return { h, c };
    };
    return { module, inputs: { x, h0, c0 }, outputs };
  },
  gruCell: (golden, { inputSize, hiddenSize }) => step(golden, new GRUCell(inputSize, hiddenSize)),
  rnnCell: (golden, { inputSize, hiddenSize, ...options }) => step(golden, new RNNCell(inputSize, hiddenSize, options)),
};

function lengthsOf(golden: GoldenCase) {
  const lengths = optional(golden, 'lengths');
  return lengths ? { lengths } : {};
}

function sequence(golden: GoldenCase, module: GRU | RNN) {
  const [x, h0] = [given(golden, 'x'), given(golden, 'h0')];
  const outputs = () => {
    const [output, h] = module.forward(x, h0, lengthsOf(golden));
    return { output, h };
  };
  return { module, inputs: { x, h0 }, outputs };
}

function step(golden: GoldenCase, module: GRUCell | RNNCell) {
  const [x, h0] = [given(golden, 'x'), given(golden, 'h0')];
  return { module, inputs: { x, h0 }, outputs: () => ({ h: module.forward(x, h0) }) };
}

describe('recurrent modules agree with PyTorch, all gradients included', async () => {
  const cases = [...(await goldenCases('rnn')), ...(await goldenCases('packed'))];
  it.for(
    cases.map((golden) => ({ ...golden, title: `${golden.name}${golden.tensors.has('lengths') ? ', packed' : ''}` })),
  )('$title', async (golden) => {
    const kind = kinds[golden.name.split('_')[0] as string] as (typeof kinds)[string];
    const { module, inputs, outputs } = kind(golden, golden.options as unknown as Options);
    loadGolden(module, golden);
    await expectGolden(golden, outputs(), inputs, module);
  });
});

describe('rows of several lengths', () => {
  const [T, B, I, H] = [7, 4, 3, 8];
  const lengths = [3, 7, 1, 5];
  const kinds = { LSTM, GRU, RNN } as const;

  it.for(Object.keys(kinds) as (keyof typeof kinds)[])(
    '%s gives each what it gives it alone, whatever the padding is',
    async (name) => {
      const model = new kinds[name](I, H, { layers: 2, bidirectional: true });
      const [x, other] = [randn([T, B, I]), randn([T, B, I])];
      const run = (x: Tensor, options?: { lengths: readonly number[] }) => {
        const [output, state] = (model as GRU).forward(x, undefined, options);
        return [output, ...[state].flat()] as Tensor[];
      };
      const whole = run(x, { lengths });
      const padded = run(where(sequenceMask(lengths, T).transpose().unsqueeze(-1), x, other), { lengths });
      for (const [b, length] of lengths.entries()) {
        const [output, ...states] = run(
          x.slice([
            [0, length],
            [b, b + 1],
          ]),
        ) as [Tensor, ...Tensor[]];
        const mine = [
          (whole[0] as Tensor).slice([
            [0, length],
            [b, b + 1],
          ]),
          ...whole.slice(1).map((state) => state.slice([null, [b, b + 1]])),
        ];
        const rest = length < T ? [(whole[0] as Tensor).slice([[length], [b, b + 1]])] : [];
        const values = await read(output, ...states, ...mine, ...rest);
        const count = 1 + states.length;
        // Each row's sums are added up in one order, whoever its neighbours are.
        for (let i = 0; i < count; i++)
          expectNear(values[count + i] as Float32Array, values[i] as Float32Array, `row ${b}, ${i}`);
        if (length < T) expect((values.at(-1) as Float32Array).every((value) => value === 0)).toBe(true);
      }
      const values = await read(...whole, ...padded);
      expect(values.slice(whole.length)).toEqual(values.slice(0, whole.length));
    },
  );

  it('are those of a tensor in one plan, whatever it holds', async () => {
    const model = new GRU(I, H);
    const step = compile((x: Tensor, lengths: Tensor) => model.forward(x, undefined, { lengths })[1]);
    const x = randn([T, B, I]);
    for (const each of [lengths, [7, 7, 7, 7], [1, 2, 3, 4]]) {
      const [ours, wanted] = await read(
        await step(x, tensor(Int32Array.from(each))),
        model.forward(x, undefined, { lengths: each })[1],
      );
      expect(ours).toEqual(wanted);
    }
    expect(step.plans).toHaveLength(1);
  });

  it('are looked at in a tensor, too', async () => {
    const model = new LSTM(I, H, { layers: 2, bidirectional: true });
    for (const wrong of [0, 8, -1]) {
      const lengths = tensor(Int32Array.of(3, 7, wrong, 5));
      await expect(read(model.forward(randn([T, B, I]), undefined, { lengths })[0])).rejects.toThrow(
        '[LSTM] a length lies outside [1, 7], the steps of a sequence',
      );
    }
  });

  it('must be lengths', () => {
    const model = new LSTM(I, H);
    const x = randn([T, B, I]);
    const forward = (lengths: unknown) => () => model.forward(x, undefined, { lengths: lengths as number[] });
    expect(forward([3, 7, 0, 5])).toThrow(
      '[LSTM] lengths must be 4 integers, one for each row of the batch, from 1 to 7, got [3, 7, 0, 5]',
    );
    expect(forward([3, 8, 1, 5])).toThrow('[LSTM] lengths must be 4 integers');
    expect(forward([3, 7])).toThrow(
      '[LSTM] lengths must be 4 integers, one for each row of the batch, from 1 to 7, got [3, 7]',
    );
    expect(forward(tensor(Int32Array.of(3, 7)))).toThrow(
      '[LSTM] lengths must be [4], one for each row of the batch, got [2]',
    );
    expect(forward(randn([4]))).toThrow('[LSTM] lengths must be i32 or u32');
    expect(forward('3715')).toThrow('[LSTM] lengths must be');
    expect(forward([1.5, 2, 3, 4])).toThrow('[LSTM] lengths must be');
  });
});

describe('recurrent modules', () => {
  it('have the parameters of PyTorch, under its names', () => {
    const model = new LSTM(3, 5, { layers: 2, bidirectional: true });
    const shapes = Object.fromEntries(model.namedParameters().map(([name, { shape }]) => [name, shape]));
    expect(Object.keys(shapes)).toEqual(
      ['l0', 'l0_reverse', 'l1', 'l1_reverse'].flatMap((suffix) =>
        ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map((name) => `${name}_${suffix}`),
      ),
    );
    expect(shapes.weight_ih_l0).toEqual([20, 3]);
    expect(shapes.weight_ih_l1).toEqual([20, 10]);
    expect(shapes.weight_hh_l1_reverse).toEqual([20, 5]);
  });

  it.for([
    ['LSTM', LSTM],
    ['GRU', GRU],
    ['RNN', RNN],
  ] as const)('%s starts from zeros if no state is given', async ([, Kind]) => {
    const model = new Kind(3, 4);
    const x = randn([2, 5, 3]);
    const zeros = randn([1, 5, 4]).mul(0);
    const [without] = model.forward(x);
    const [given] = model instanceof LSTM ? model.forward(x, [zeros, zeros]) : model.forward(x, zeros);
    announceReads(2);
    expect(await without.data()).toEqual(await given.data());
  });

  it('drop elements between layers in training only', async () => {
    const model = new GRU(3, 4, { layers: 2, dropout: 0.5 });
    const x = randn([3, 2, 3]);
    const run = async () => (await model.forward(x)[0].data()) as Float32Array;
    announceReads(4);
    expect(await run()).not.toEqual(await run());
    model.eval();
    expect(await run()).toEqual(await run());
  });

  it('say which shapes they want', () => {
    const lstm = new LSTM(3, 4, { layers: 2 });
    expect(() => lstm.forward(randn([2, 5, 4]))).toThrow('[LSTM] the input must be [T, B, 3], got [2, 5, 4]');
    const state = randn([1, 5, 4]);
    expect(() => lstm.forward(randn([2, 5, 3]), [state, state])).toThrow(
      '[LSTM] a state must be [layers·directions, B, H] = [2, 5, 4], got [1, 5, 4]',
    );
    expect(() => new GRUCell(3, 4).forward(randn([2, 3]), randn([2, 5]))).toThrow(
      '[GRUCell] the state must be [2, 4], got [2, 5]',
    );
    expect(() => new LSTM(3, 0)).toThrow('[LSTM] hiddenSize must be a positive integer, got 0');
    expect(() => new RNN(3, 4, { nonlinearity: 'gelu' as 'tanh' })).toThrow(
      "[RNN] nonlinearity must be 'tanh' or 'relu', got 'gelu'",
    );
    expect(() => new GRU(3, 4, { dropout: 1.5 })).toThrow('[GRU] dropout must be in [0, 1], got 1.5');
  });
});
