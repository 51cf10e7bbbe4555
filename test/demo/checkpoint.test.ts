import { describe, expect, it } from 'vitest';
import {
  lossesOf,
  type RunInfo,
  randomNote,
  readCheckpoint,
  restoreTraining,
  writeCheckpoint,
} from '../../demo/checkpoint.ts';
import { type Config, configOf } from '../../demo/configs.ts';
import { JobError } from '../../demo/host.ts';
import { Training } from '../../demo/training.ts';
import { type Parameter, randomVersion, readAll, tensor } from '../../src/index.ts';
import { readSafetensors, writeSafetensors } from '../../src/io/index.ts';
import { CharVocabulary } from '../../src/text/index.ts';
import { profile } from '../support/environment.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

const text = 'fn main() { let weft = loom + shuttle; }\n'.repeat(20);
const vocabulary = new CharVocabulary(text);
const ids = vocabulary.encode(text);
const gpt: Config = {
  ...configOf('default', 'gpt', 20),
  sizes: { layers: 1, heads: 2, width: 16 },
  context: 8,
  batch: 4,
};
const lstm: Config = {
  ...configOf('default', 'lstm', 20),
  sizes: { layers: 2, embedding: 8, hidden: 12 },
  context: 8,
  batch: 4,
};

useGpu();

const fileWith = (metadata: Record<string, string>) =>
  writeSafetensors({ a: { dtype: 'f32', shape: [1], data: Float32Array.of(1) } }, metadata);

describe('a checkpoint', () => {
  it.each([gpt, lstm])(
    'goes on to the bit: 20 steps of $model are 10, saved and loaded, and 10 more',
    async (config) => {
      // Three runs read their losses, and three files are written.
      announceReads(6);
      const choices = { softmax: 'rows' };
      const info: RunInfo = { config, profile, choices, seed: 7, text: 'abc', textName: 'a.txt', vocabulary };
      const whole = new Training(config, vocabulary.size, ids, info.seed);
      await train(whole, 20);

      const first = new Training(config, vocabulary.size, ids, info.seed);
      await train(first, 10);
      const checkpoint = readCheckpoint(await writeCheckpoint(first, info), 'a');
      expect(checkpoint.info).toMatchObject({ config, profile, choices, seed: 7, text: 'abc', textName: 'a.txt' });
      expect(checkpoint.info.vocabulary.characters).toEqual(vocabulary.characters);

      // Another seed: all that counts must come from the checkpoint.
      const second = new Training(checkpoint.info.config, vocabulary.size, ids, 8);
      restoreTraining(second, checkpoint);
      await train(second, 10);
      expect(second.losses).toEqual(whole.losses);
      expect(await writeCheckpoint(second, info)).toEqual(await writeCheckpoint(whole, info));
    },
  );

  it('is not written where a number is not finite: the one before stays', async () => {
    for (const value of [Number.NaN, -Infinity]) {
      const training = new Training(lstm, vocabulary.size, ids, 7);
      const [weight] = training.model.parameters() as [Parameter];
      weight.assign(tensor(new Float32Array(weight.size).fill(value, 3), { shape: weight.shape }));
      const info: RunInfo = { config: lstm, profile, choices: {}, seed: 7, text: 'abc', textName: 'a.txt', vocabulary };
      announceReads(1);
      const written = writeCheckpoint(training, info);
      await expect(written).rejects.toThrow(JobError);
      await expect(written).rejects.toThrow(`after step 0, embedding.weight holds ${value}: training went astray`);
    }
  });

  it('holds a million losses', async () => {
    const training = new Training(lstm, vocabulary.size, ids, 7);
    training.losses = Array.from({ length: 1e6 }, (_, i) => 1 + 1 / (i + 1));
    training.optimizer.loadStateDict(
      new Map([...training.optimizer.stateDict()]).set('step', tensor(Int32Array.of(1e6), { shape: [] })),
    );
    const info: RunInfo = { config: lstm, profile, choices: {}, seed: 7, text: 'abc', textName: 'a.txt', vocabulary };
    announceReads(1);
    const checkpoint = readCheckpoint(await writeCheckpoint(training, info), 'a');
    expect(lossesOf(checkpoint)).toEqual(Array.from(Float32Array.from(training.losses)));
    const next = new Training(lstm, vocabulary.size, ids, 8);
    restoreTraining(next, checkpoint);
    expect(next.losses.length).toBe(1e6);
  });

  it('says where an older version of the random generator made it, and is read all the same', async () => {
    const training = new Training(lstm, vocabulary.size, ids, 7);
    const info: RunInfo = { config: lstm, profile, choices: {}, seed: 7, text: 'abc', textName: 'a.txt', vocabulary };
    announceReads(1);
    const { tensors, metadata } = readSafetensors(await writeCheckpoint(training, info));
    const { randomVersion: own, ...old } = JSON.parse(metadata.weft as string);
    expect(own).toBe(randomVersion);
    const read = (extra: object) =>
      readCheckpoint(writeSafetensors(tensors, { weft: JSON.stringify({ ...old, ...extra }) }), 'run.safetensors');
    expect(randomNote(read({}), 'run.safetensors')).toBe(
      "run.safetensors was made with an older random generator: it goes on, but its run can't be repeated bit for bit",
    );
    expect(randomNote(read({ randomVersion: 99 }), 'a')).toContain('a newer random generator');
    expect(randomNote(read({ randomVersion }), 'a')).toBeNull();
  });

  it.each([
    ['no safetensors file', new Uint8Array(3), "run.safetensors can't be used: [readSafetensors] the file has 3 bytes"],
    [
      "another program's file",
      fileWith({ format: 'pt' }),
      'it is a safetensors file, but not one that `npm start` wrote',
    ],
    ['a later version', fileWith({ weft: '{"version":2}' }), 'it is of version 2, and this program reads version 1'],
    [
      'an unknown model',
      fileWith({ weft: '{"version":1,"config":{"model":"x"}}' }),
      "weft.config.model must be 'gpt', 'lstm', 'gru' or 'rnn', got 'x'",
    ],
  ])('is refused where it is %s', (_, bytes, message) => {
    expect(() => readCheckpoint(bytes, 'run.safetensors')).toThrow(JobError);
    expect(() => readCheckpoint(bytes, 'run.safetensors')).toThrow(message);
  });
});

async function train(training: Training, steps: number): Promise<void> {
  const losses = [];
  for (let i = 0; i < steps; i++) losses.push(await training.step());
  for (const values of await readAll(losses)) training.losses.push(values[0] as number);
}
