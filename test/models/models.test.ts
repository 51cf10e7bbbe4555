import { describe, expect, it } from 'vitest';
import { at, concat, manualSeed, type Tensor, tensor } from '../../src/index.ts';
import { CharRNN, type Decoded, GPT } from '../../src/models/index.ts';
import { drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

const small = { vocabularySize: 11, contextLength: 6, layers: 2, heads: 2, width: 8 };

describe('GPT', () => {
  it('has the names of GPT-2, and the token embedding for its output', () => {
    const block = ['ln_1', 'attn.c_attn', 'attn.c_proj', 'ln_2', 'mlp.c_fc', 'mlp.c_proj'];
    const modules = [...[0, 1].flatMap((n) => block.map((name) => `h.${n}.${name}`)), 'ln_f'];
    const names = ['wte.weight', 'wpe.weight', ...modules.flatMap((name) => [`${name}.weight`, `${name}.bias`])];
    expect([...new GPT(small).stateDict().keys()]).toEqual(names);
    expect([...new GPT({ ...small, bias: false }).stateDict().keys()]).toEqual(
      names.filter((name) => !name.endsWith('bias')),
    );
  });

  it('starts as GPT-2 did: N(0, 0.02²), residual projections divided by √(2·layers), biases 0', async () => {
    manualSeed(3);
    const dict = new GPT({ ...small, width: 64, layers: 8 }).stateDict();
    const std = async (name: string) => {
      const [values] = (await read(dict.get(name) as Tensor)) as [Float32Array];
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect((await std('h.0.attn.c_attn.weight')) / 0.02).toBeCloseTo(1, 1);
    expect((await std('h.0.attn.c_proj.weight')) / 0.005).toBeCloseTo(1, 1);
    expect((await std('h.7.mlp.c_proj.weight')) / 0.005).toBeCloseTo(1, 1);
    expect(await std('h.7.mlp.c_fc.bias')).toBe(0);
    expect(await std('ln_f.weight')).toBe(1);
  });

  it('is near ln V before training, and has the same logits for a beginning, whatever follows', async () => {
    const model = new GPT(small);
    const [ids, more] = [drawIds([3, 4], 11), drawIds([3, 2], 11)];
    const longer = model.forward(concat([ids, more], 1)).slice([null, [0, 4]]);
    const [loss, short, long] = (await read(model.loss(ids, ids), model.forward(ids), longer)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect(Math.abs((loss[0] as number) - Math.log(11))).toBeLessThan(0.3);
    expectNear(long, short, 'logits', 1e-5);
  });

  it('says what it wants', () => {
    expect(() => new GPT({ ...small, heads: 3 })).toThrow(
      '[GPT] the width, 8, must be a multiple of the number of heads, 3',
    );
    expect(() => new GPT({ ...small, layers: 0 })).toThrow(
      '[GPT] layers must be a positive integer of at most 1000, got 0',
    );
    expect(() => new GPT(small).forward(drawIds([2, 7], 11))).toThrow(
      '[GPT] 7 positions are more than its context of 6; give at most the last 6 tokens',
    );
    expect(() => new GPT(small).forward(drawIds([2], 11))).toThrow('[GPT] ids must be [B, T], got [2]');
  });

  it('tells of a token id that is none', async () => {
    const model = new GPT(small);
    await expect(read(model.forward(tensor([[11]], { dtype: 'i32' })))).rejects.toThrow(
      '[embedding] a token id lies outside [0, 11)',
    );
  });
});

describe('CharRNN', () => {
  const config = { vocabularySize: 11, embedding: 5, hidden: 6, layers: 2 };
  const lstm = { cell: 'lstm', ...config } as const;

  it.for(['lstm', 'gru', 'rnn'] as const)('%s goes on from the state it gave', async (cell) => {
    const model = new CharRNN({ ...config, cell });
    const ids = drawIds([3, 5], 11);
    const first = model.run(ids.slice([null, [0, 2]]));
    const second = model.run(ids.slice([null, [2, 5]]), first.state);
    const [parts, whole] = await read(concat([first.logits, second.logits], 1), model.forward(ids));
    expectNear(parts as Float32Array, whole as Float32Array, 'logits', 1e-5);
    expect(first.state.map(({ shape }) => shape)).toEqual(
      cell === 'lstm'
        ? [
            [2, 3, 6],
            [2, 3, 6],
          ]
        : [[2, 3, 6]],
    );
    expect(model.namedParameters().map(([name]) => name)).toEqual([
      'embedding.weight',
      ...[0, 1].flatMap((layer) =>
        ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map((name) => `${cell}.${name}_l${layer}`),
      ),
      'head.weight',
      'head.bias',
    ]);
  });

  it('has a loss near ln V before training', async () => {
    const ids = drawIds([4, 9], 11);
    const [[loss]] = (await read(new CharRNN(lstm).loss(ids, ids))) as [Float32Array];
    expect(Math.abs((loss as number) - Math.log(11))).toBeLessThan(0.3);
  });

  it('starts an LSTM with a short memory, or another', async () => {
    for (const forgetBias of [undefined, 0.5]) {
      const model = new CharRNN({ ...lstm, ...(forgetBias !== undefined && { forgetBias }) });
      for (const name of ['lstm.bias_hh_l0', 'lstm.bias_hh_l1']) {
        const [bias] = (await read(model.stateDict().get(name) as Tensor)) as [Float32Array];
        expect([...bias.subarray(6, 12)]).toEqual(new Array(6).fill(forgetBias ?? -1));
        for (const other of [bias.subarray(0, 6), bias.subarray(12)])
          for (const value of other) expect(Math.abs(value)).toBeLessThanOrEqual(1 / Math.sqrt(6));
      }
    }
  });

  it('says what it wants', () => {
    expect(() => new CharRNN({ ...config, cell: 'mamba' as 'gru' })).toThrow(
      "[CharRNN] cell must be 'lstm', 'gru' or 'rnn', got 'mamba'",
    );
    expect(() => new CharRNN(lstm).forward(drawIds([3], 11))).toThrow('[CharRNN] ids must be [B, T], got [3]');
  });
});

const languageModels = {
  gpt: () => new GPT(small),
  lstm: () => new CharRNN({ cell: 'lstm', vocabularySize: 11, embedding: 5, hidden: 6, layers: 2 }),
  gru: () => new CharRNN({ cell: 'gru', vocabularySize: 11, embedding: 5, hidden: 6, layers: 2 }),
  rnn: () => new CharRNN({ cell: 'rnn', vocabularySize: 11, embedding: 5, hidden: 6, layers: 2 }),
};

describe.for(Object.entries(languageModels))('%s, token by token', ([, make]) => {
  it('has the scores of the whole sequence, rows of several lengths', async () => {
    const model = make();
    // Initial weights of a GPT are so small that the tokens before the last hardly count.
    for (const parameter of model.parameters()) if (parameter.rank > 1) parameter.assign(parameter.mul(5));
    const lengths = [2, 4, 1];
    const [ids, next] = [drawIds([3, 4], 11), drawIds([3, 2], 11)];
    const steps = [model.prefill(ids, tensor(lengths, { dtype: 'i32' }))];
    for (const i of [0, 1]) {
      const last = steps[i] as Decoded;
      steps.push(model.decode(at(next, i, 1), last.state));
    }
    for (const [row, length] of lengths.entries()) {
      const own = ids.slice([
        [row, row + 1],
        [0, length],
      ]); // [1, length]
      const whole = model.forward(concat([own, next.slice([[row, row + 1]])], 1));
      const ends = whole.slice([null, [length - 1, length + 2]]); // [1, 3, V]
      const decoded = steps.map(({ logits }) => logits.slice([[row, row + 1]]));
      const [got, want] = await read(concat(decoded, 0), ends);
      expectNear(got as Float32Array, want as Float32Array, `row ${row}`, 1e-5);
    }
  });
});
