import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { defaultGenerator } from '../../src/core/random.ts';
import { compile, type Parameter, type Tensor, tensor } from '../../src/index.ts';
import { CharRNN, GPT, generate } from '../../src/models/index.ts';
import { mostInFlight } from '../../src/runtime/backPressure.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const gpt = () => new GPT({ vocabularySize: 13, contextLength: 5, layers: 1, heads: 2, width: 8 });
const recurrent = (cell: 'lstm' | 'gru' | 'rnn') =>
  new CharRNN({ cell, vocabularySize: 13, embedding: 6, hidden: 8, layers: 2, dropout: 0.5 });
const models = { gpt, lstm: () => recurrent('lstm'), gru: () => recurrent('gru'), rnn: () => recurrent('rnn') };

describe.for(Object.entries(models))('generate, %s', ([name, make]) => {
  it('takes the likeliest token at temperature 0, as the whole model does', async () => {
    const model = make();
    announceReads(8);
    const ids = [3, 1];
    const made = await generate(model, ids, { tokens: 8, temperature: 0 });
    expect(model.training).toBe(true);
    model.eval();
    for (const id of made) {
      const seen = name === 'gpt' ? ids.slice(-5) : ids;
      const [logits] = (await read(model.forward(tensor([seen], { dtype: 'i32' })))) as [Float32Array];
      const last = logits.subarray(-13);
      expect(last[id]).toBeCloseTo(Math.max(...last), 5);
      ids.push(id);
    }
  });

  it('repeats with its seed, and leaves the default generator alone', async () => {
    const model = make();
    announceReads(18);
    const before = defaultGenerator.state();
    const options = { tokens: 6, topK: 9, topP: 0.95, temperature: 1.5 };
    const first = await generate(model, [3], { ...options, seed: 7 });
    expect(await generate(model, [3], { ...options, seed: 7 })).toEqual(first);
    expect(defaultGenerator.state()).toEqual(before);
    expect(await generate(model, [3], { ...options, seed: 8 })).not.toEqual(first);
  });
});

describe('generate', () => {
  it('compiles one plan, whatever the lengths, and none for the same options again', async () => {
    const model = gpt();
    announceReads(16);
    await generate(model, [1, 2], { tokens: 4, topK: 3 });
    const { counts: calls } = await countCalls(async () => {
      await generate(model, [3, 4, 5], { tokens: 12, topK: 3 });
    });
    expect(calls).toMatchObject({ submits: 12, maps: 12, bindGroups: 0, pipelines: 0 });
  });

  it('compiles one plan for ten temperatures, with and without top-k and top-p', async () => {
    const model = gpt();
    announceReads(40);
    await generate(model, [1], { tokens: 2 });
    const { counts } = await countCalls(async () => {
      for (let i = 0; i < 10; i++) await generate(model, [1], { tokens: 2, temperature: i / 5 });
      await generate(model, [1], { tokens: 2, topK: 5 });
      await generate(model, [1], { tokens: 2, topK: 4, topP: 0.7, seed: 3 });
    });
    expect(counts).toMatchObject({ submits: 24, bindGroups: 0, pipelines: 0 });
  });

  it('may be called twice at once, and while the model trains', async () => {
    const model = recurrent('lstm');
    const options = (seed: number) => ({ tokens: 6, temperature: 1.5, seed });
    announceReads(60);
    const alone = [await generate(model, [3], options(1)), await generate(model, [4], options(2))];
    expect(alone[0]).not.toEqual(alone[1]);
    const modes: boolean[] = [];
    const onToken = () => modes.push(model.training);
    const both = [1, 2].map((seed) => generate(model, [2 + seed], { ...options(seed), onToken }));
    expect(await Promise.all(both)).toEqual(alone);
    expect(new Set(modes)).toEqual(new Set([true]));

    // Dropout is on in the steps of training between two tokens, and off in those of sampling.
    const forward = compile((ids: Tensor) => model.forward(ids));
    const ids = tensor([[1, 2, 3]], { dtype: 'i32' });
    const written = generate(model, [3], options(1));
    const steps = [await (await forward(ids)).data(), await (await forward(ids)).data()];
    expect(steps[0]).not.toEqual(steps[1]);
    expect(await written).toEqual(alone[0]);
    model.eval();
    expect(await generate(model, [3], options(1))).toEqual(alone[0]);
    expect(model.training).toBe(false);
  });

  it('fails where the model gives no numbers, and goes on after it', async () => {
    const model = gpt();
    announceReads(6);
    const [weight] = model.parameters() as [Parameter];
    const good = weight.version;
    weight.assign(tensor(new Float32Array(weight.size).fill(Number.NaN), { shape: weight.shape }));
    await expect(generate(model, [1], { tokens: 2 })).rejects.toThrow('[sample] a row of logits holds NaN');
    weight.assign(good);
    expect((await generate(model, [1], { tokens: 2 })).length).toBe(2);
  });

  it('hands over each token as it comes, and stops when told to', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    // Those that are under way meanwhile are read, too.
    announceReads(3 + mostInFlight);
    const onToken = (id: number) => {
      if (seen.push(id) === 3) controller.abort();
    };
    expect(await generate(gpt(), [1], { tokens: 50, signal: controller.signal, onToken })).toEqual(seen);
    expect(seen.length).toBe(3);
  });

  it('says what it wants', async () => {
    await expect(generate(gpt(), [], { tokens: 1 })).rejects.toThrow(
      '[generate] the prompt is empty; give at least one token to start from',
    );
    await expect(generate(gpt(), [13], { tokens: 1 })).rejects.toThrow(
      '[generate] the prompt holds 13, which is no id of a vocabulary of 13',
    );
    await expect(generate(gpt(), [1], { tokens: 0 })).rejects.toThrow(
      '[generate] tokens must be a positive integer of at most 16777216, got 0',
    );
    await expect(generate(gpt(), [1], { tokens: 1, topK: 0 })).rejects.toThrow(
      '[generate] topK must be a positive integer, got 0',
    );
    await expect(generate(gpt(), [1], { tokens: 1, temperature: -1 })).rejects.toThrow(
      '[generate] temperature must be a finite number of at least 0, got -1',
    );
    await expect(generate(gpt(), [1], { tokens: 1, topP: 0 })).rejects.toThrow(
      '[generate] topP must be in (0, 1], got 0',
    );
  });
});
