import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { defaultGenerator } from '../../src/core/random.ts';
import { at, compile, full, init, manualSeed, type Parameter, type Tensor, tensor } from '../../src/index.ts';
import { CharRNN, type GenerateOptions, GPT, generate, type LanguageModel } from '../../src/models/index.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const V = 13;
/** With weights so large that each token depends on all before it: small ones repeat the last. */
const gpt = () => {
  const model = new GPT({ vocabularySize: V, contextLength: 80, layers: 2, heads: 2, width: 8 });
  for (const parameter of model.parameters()) if (parameter.rank > 1) parameter.assign(parameter.mul(30));
  return model;
};
const recurrent = (cell: 'lstm' | 'gru' | 'rnn') =>
  new CharRNN({ cell, vocabularySize: V, embedding: 6, hidden: 8, layers: 2, dropout: 0.5 });
const models = { gpt, lstm: () => recurrent('lstm'), gru: () => recurrent('gru'), rnn: () => recurrent('rnn') };

/** All ids of a text, and how many came in each chunk. Announces as many reads as there may be. */
async function written(model: LanguageModel, options: GenerateOptions<ArrayLike<number>>) {
  announceReads(Math.ceil(options.maxTokens / (options.chunk ?? 16)));
  const chunks: number[][] = [];
  for await (const ids of generate(model, options)) chunks.push(ids);
  return { ids: chunks.flat(), lengths: chunks.map(({ length }) => length) };
}

/** All ids of each text of a batch. */
async function writtenRows(model: LanguageModel, options: GenerateOptions<number[][]>) {
  announceReads(Math.ceil(options.maxTokens / (options.chunk ?? 16)));
  const rows: number[][] = options.prompt.map(() => []);
  for await (const chunk of generate(model, options)) for (const [row, ids] of chunk.entries()) rows[row]?.push(...ids);
  return rows;
}

describe.for(Object.entries(models))('generate, %s', ([, make]) => {
  it('takes the likeliest token at temperature 0, as the whole model does', async () => {
    const model = make();
    const prompt = [3, 1];
    const { ids } = await written(model, { prompt, maxTokens: 8, temperature: 0, chunk: 3 });
    expect(ids.length).toBe(8);
    expect(model.training).toBe(true);
    model.eval();
    const [logits] = (await read(model.forward(tensor([[...prompt, ...ids]], { dtype: 'i32' })))) as [Float32Array];
    for (const [i, id] of ids.entries()) {
      const last = logits.subarray((prompt.length + i - 1) * V, (prompt.length + i) * V);
      expect(last[id]).toBeCloseTo(Math.max(...last), 5);
    }
  });

  it.for([{ temperature: 0 }, { temperature: 1.5, topK: 9, topP: 0.95, seed: 7 }])(
    'makes the same tokens in chunks of any size, %o',
    async (settings) => {
      const model = make();
      const options = { prompt: [3, 1, 4], maxTokens: 50, ...settings };
      const all = await written(model, options);
      expect(all.lengths).toEqual([16, 16, 16, 2]);
      for (const [chunk, lengths] of [
        [1, new Array(50).fill(1)],
        [3, [...new Array(16).fill(3), 2]],
        [64, [50]],
      ] as const)
        expect(await written(model, { ...options, chunk })).toEqual({ ids: all.ids, lengths });
    },
  );

  it('continues each prompt of a batch as it continues it alone', async () => {
    const model = make();
    const prompts = [[3], [1, 4, 1, 5, 9, 2, 6, 5, 3, 5], [8, 9, 7]];
    const options = { maxTokens: 20, temperature: 0 };
    const rows = await writtenRows(model, { prompt: prompts, ...options });
    for (const [row, prompt] of prompts.entries())
      expect(rows[row]).toEqual((await written(model, { prompt, ...options })).ids);
  });

  it('repeats with its seed, and leaves the default generator alone', async () => {
    const model = make();
    const before = defaultGenerator.state();
    const options = { prompt: [3], maxTokens: 6, topK: 9, topP: 0.95, temperature: 1.5 };
    const first = await written(model, { ...options, seed: 7 });
    expect(await written(model, { ...options, seed: 7 })).toEqual(first);
    expect(defaultGenerator.state()).toEqual(before);
    expect(await written(model, { ...options, seed: 8 })).not.toEqual(first);
  });
});

describe('generate', () => {
  it('takes as many numbers from the default generator as there are tokens, whatever the chunks', async () => {
    const model = recurrent('gru');
    const drawn = [];
    for (const chunk of [1, 16]) {
      manualSeed(5);
      drawn.push([
        (await written(model, { prompt: [1], maxTokens: 9, chunk })).ids,
        (await written(model, { prompt: [1], maxTokens: 9, chunk })).ids,
      ]);
      expect(defaultGenerator.position).toBe(18);
    }
    expect(drawn[0]).toEqual(drawn[1]);
    expect(drawn[0]?.[0]).not.toEqual(drawn[0]?.[1]);
  });

  it('draws each row of a batch by itself', async () => {
    const rows = await writtenRows(recurrent('gru'), { prompt: [[3], [3]], maxTokens: 20, temperature: 2, seed: 1 });
    expect(rows[0]).not.toEqual(rows[1]);
  });

  it('goes on from a state', async () => {
    const model = recurrent('lstm').eval();
    const state = [full([2, 1, 8], -1), full([2, 1, 8], -1e4)];
    const options = { prompt: [1, 5], maxTokens: 8, temperature: 0 };
    const { ids } = await written(model, { ...options, state });
    const { logits } = model.run(tensor([[1, 5, ...ids]], { dtype: 'i32' }), state);
    const [best] = await read(logits.argMax(-1));
    expect([...(best as Int32Array).slice(1, -1)]).toEqual(ids);
    // The state is the caller's still.
    expect((await written(model, { ...options, state })).ids).toEqual(ids);
    expect((await written(model, options)).ids).not.toEqual(ids);
    const [h, c] = state as [Tensor, Tensor];
    await expect(written(model, { prompt: [1], state: [h], maxTokens: 8 })).rejects.toThrow(
      '[CharRNN] the state is [h, c], each [layers, B, H], got 1 parts',
    );
    await expect(written(model, { prompt: [1], state: [h, at(c, 0)], maxTokens: 8 })).rejects.toThrow(
      '[LSTM] a state must be [layers·directions, B, H] = [2, 1, 8], got [1, 8]',
    );
    await expect(written(gpt(), { prompt: [1], state, maxTokens: 8 })).rejects.toThrow(
      '[GPT] takes no state to go on from; give all tokens so far as the prompt',
    );
  });

  it('ends a text with the first of its stop ids, each row for itself', async () => {
    const model = recurrent('lstm');
    const options = { maxTokens: 40, temperature: 3, seed: 4 };
    const prompt = [[3], [5]];
    const whole = await writtenRows(model, { prompt, ...options });
    for (const stop of [[2, 7], 5])
      for (const chunk of [1, 3, 16, 64]) {
        const rows = await writtenRows(model, { prompt, ...options, stop, chunk });
        for (const [row, ids] of rows.entries()) {
          const end = (whole[row] as number[]).findIndex((id) => [stop].flat().includes(id));
          expect(end).toBeGreaterThanOrEqual(0);
          expect(ids).toEqual(whole[row]?.slice(0, end + 1));
        }
      }
  });

  it('costs a submit for the prompt, and a submit and a read for each chunk, however many rows', async () => {
    const model = recurrent('lstm');
    for (const rows of [1, 9]) {
      const prompt = Array.from({ length: rows }, (_, i) => [i, 1]);
      const options = { prompt, maxTokens: 40, temperature: 0, chunk: 8 };
      await writtenRows(model, options);
      const { counts } = await countCalls(() => writtenRows(model, options));
      expect(counts).toMatchObject({ submits: 1 + 5, maps: 5, bindGroups: 0, pipelines: 0 });
    }
  });

  it('submits a chunk before it reads the one before, and no more', async () => {
    const model = gpt();
    const options = { prompt: [1, 2], maxTokens: 40, chunk: 8, temperature: 0 };
    await written(model, options);
    announceReads(2);
    const chunks = generate(model, options);
    const first = await countCalls(() => chunks.next());
    expect(first.counts).toMatchObject({ submits: 1 + 2, maps: 1 });
    const second = await countCalls(() => chunks.next());
    expect(second.counts).toMatchObject({ submits: 1, maps: 1 });
    const end = await countCalls(() => chunks.return());
    expect(end.counts).toMatchObject({ submits: 0, maps: 0 });

    // A text that ends with its first token: the second chunk is under way, and nobody reads it.
    const [[id]] = [(first.result.value ?? []) as number[]];
    const { counts } = await countCalls(() => written(model, { ...options, stop: id as number }));
    expect(counts).toMatchObject({ submits: 1 + 2, maps: 1 });
  });

  it('shares its plans among lengths, temperatures, top-k and top-p', async () => {
    for (const model of [gpt(), recurrent('gru')]) {
      await written(model, { prompt: [1], maxTokens: 2 });
      const { counts } = await countCalls(async () => {
        for (let i = 0; i < 4; i++)
          await written(model, { prompt: [1, 2, 3, 4, 5, 6, 7].slice(i), maxTokens: 2 + i, temperature: i / 2 });
        await written(model, { prompt: [1], maxTokens: 2, topK: 5 });
        await written(model, { prompt: [1], maxTokens: 2, topK: 4, topP: 0.7, seed: 3 });
      });
      expect(counts).toMatchObject({ submits: 12, bindGroups: 0, pipelines: 0 });
    }
  });

  it('fills the context of a GPT to its last place', async () => {
    const model = gpt();
    const prompt = Array.from({ length: 70 }, (_, i) => i % V);
    const { ids } = await written(model, { prompt, maxTokens: 10, temperature: 0, chunk: 4 });
    model.eval();
    const [logits] = (await read(model.forward(tensor([[...prompt, ...ids]], { dtype: 'i32' })))) as [Float32Array];
    for (const [i, id] of ids.entries()) {
      const last = logits.subarray((69 + i) * V, (70 + i) * V);
      expect(last[id]).toBeCloseTo(Math.max(...last), 5);
    }
    expect(() => generate(model, { prompt, maxTokens: 11 })).toThrow(
      "[generate] a prompt of 70 and 11 tokens more are beyond the model's context of 80; shorten the prompt to its last ids, or ask for fewer tokens",
    );
  });

  it('may be called twice at once, and while the model trains', async () => {
    const model = recurrent('lstm');
    const options = (seed: number) => ({ prompt: [2 + seed], maxTokens: 20, chunk: 4, temperature: 1.5, seed });
    const alone = [await written(model, options(1)), await written(model, options(2))];
    expect(alone[0]?.ids).not.toEqual(alone[1]?.ids);
    expect(await Promise.all([1, 2].map((seed) => written(model, options(seed))))).toEqual(alone);
    expect(model.training).toBe(true);

    // Dropout is on in the steps of training between two chunks, and off in those of sampling.
    const forward = compile((ids: Tensor) => model.forward(ids));
    const ids = tensor([[1, 2, 3]], { dtype: 'i32' });
    announceReads(7);
    const chunks: number[][] = [];
    const steps: unknown[] = [];
    for await (const chunk of generate(model, options(1))) {
      chunks.push(chunk);
      if (steps.length < 2) steps.push(await (await forward(ids)).data());
    }
    expect(steps[0]).not.toEqual(steps[1]);
    expect(chunks.flat()).toEqual(alone[0]?.ids);
    model.eval();
    expect(await written(model, options(1))).toEqual(alone[0]);
    expect(model.training).toBe(false);
  });

  it('fails where the model gives no numbers, and goes on after it', async () => {
    const model = gpt();
    announceReads(6);
    const [weight] = model.parameters() as [Parameter];
    const good = weight.version;
    weight.assign(tensor(new Float32Array(weight.size).fill(Number.NaN), { shape: weight.shape }));
    await expect(written(model, { prompt: [1], maxTokens: 2 })).rejects.toThrow('[sample] a row of logits holds NaN');
    weight.assign(good);
    expect((await written(model, { prompt: [1], maxTokens: 2 })).ids.length).toBe(2);
  });

  it('ends when told to, and keeps nothing on the device', async () => {
    const model = gpt();
    const device = await init();
    const controller = new AbortController();
    const seen: number[] = [];
    announceReads(2);
    await written(model, { prompt: [1], maxTokens: 2, chunk: 4 });
    const before = device.memory().tensors;
    for await (const ids of generate(model, { prompt: [1], maxTokens: 50, chunk: 4, signal: controller.signal })) {
      seen.push(...ids);
      if (seen.length === 8) controller.abort();
    }
    expect(seen.length).toBe(8);
    // The ids of three chunks are left to the garbage collector; scores and states are not.
    expect(device.memory().tensors - before).toBeLessThanOrEqual(3);
    const stopped = generate(model, { prompt: [1], maxTokens: 50, signal: controller.signal });
    expect(await stopped.next()).toEqual({ done: true, value: undefined });
  });

  it('says what it wants', () => {
    const model = gpt();
    const wrong = (options: object) => () =>
      generate(model, { prompt: [1], maxTokens: 1, ...options } as GenerateOptions<number[]>);
    expect(wrong({ prompt: [] })).toThrow('[generate] the prompt is empty; give at least one token to start from');
    expect(wrong({ prompt: [[1], []] })).toThrow('[generate] the prompt is empty');
    expect(wrong({ prompt: [1, 13] })).toThrow('[generate] the prompt holds 13, which is no id of a vocabulary of 13');
    expect(wrong({ prompt: [[1], [0.5]] })).toThrow(
      '[generate] the prompt holds 0.5, which is no id of a vocabulary of 13',
    );
    expect(wrong({ prompt: Int32Array.of(-1) })).toThrow('[generate] the prompt holds -1');
    expect(wrong({ prompt: 'To be' })).toThrow(
      "[generate] the prompt must be ids, or arrays of ids, got 'To be'; encode a text first",
    );
    expect(wrong({ prompt: ['To be'] })).toThrow("[generate] the prompt holds 'To be'");
    expect(wrong({ prompt: undefined })).toThrow('[generate] needs the option prompt');
    expect(wrong({ maxTokens: 0 })).toThrow(
      '[generate] maxTokens must be a positive integer of at most 16777216, got 0',
    );
    expect(wrong({ chunk: 0 })).toThrow('[generate] chunk must be a positive integer of at most 1024, got 0');
    expect(wrong({ stop: [1, 13] })).toThrow('[generate] stop holds 13, which is no id of a vocabulary of 13');
    expect(wrong({ stop: -1 })).toThrow('[generate] stop must be an integer of at least 0, or an array');
    expect(wrong({ topK: 0 })).toThrow('[generate] topK must be a positive integer, got 0');
    expect(wrong({ temperature: -1 })).toThrow('[generate] temperature must be a finite number of at least 0, got -1');
    expect(wrong({ topP: 0 })).toThrow('[generate] topP must be in (0, 1], got 0');
    expect(wrong({ seed: -1 })).toThrow('[manualSeed] a seed lies between 0 and 2^64 - 1, not at -1');
  });
});
