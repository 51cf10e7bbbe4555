import { expect, it } from 'vitest';
import type { Host } from '../../demo/host.ts';
import { trainSteps } from '../../demo/train.ts';
import type { Training } from '../../demo/training.ts';
import { tensor } from '../../src/index.ts';

it.each([
  { saveEvery: 0, saves: [1, 2, 3] },
  { saveEvery: 3600, saves: [] },
])('a run saves what it has when $saveEvery s are over', async ({ saveEvery, saves }) => {
  const losses: number[] = [];
  const step = async () => tensor([0.5]);
  const training = { config: { model: 'rnn', steps: 4, batch: 1, context: 1 }, losses, step } as unknown as Training;
  const host = { interrupted: false, progress() {} } as unknown as Host;
  const found: number[] = [];
  const save = async () => found.push(losses.length);
  const report = await trainSteps(training, { host, stopAfter: null, saveEvery, save });
  expect(report.finished).toBe(true);
  expect(found).toEqual(saves);
});
