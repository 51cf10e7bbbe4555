import { beforeAll, describe, expect, it } from 'vitest';
import { configOf } from '../../demo/configs.ts';
import { type Host, JobError, type Progress } from '../../demo/host.ts';
import { type TrainingOptions, trainSteps } from '../../demo/train.ts';
import { Training } from '../../demo/training.ts';
import { currentDevice, init, nn, optim, tensor } from '../../src/index.ts';
import { profile } from '../support/environment.ts';

beforeAll(() => init({ profile, limits: 'default' }));

/** A run whose steps give `lossOf` as their loss, with a host that is interrupted after `interruptAfter` of them. */
function site({ steps = 4, before = 0, interruptAfter = Infinity, lossOf = (_step: number) => 0.5 }) {
  const losses = new Array<number>(before).fill(9);
  let made = before;
  const step = async () => tensor([lossOf(++made)]);
  const config = { model: 'rnn', steps, batch: 2, context: 3 };
  // What would be kept for the loss of a device.
  const model = new nn.Linear(1, 1);
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
  const training = { config, losses, step, loader: [[0, 0]], model, optimizer } as unknown as Training;
  const told: Progress[] = [];
  let isInterrupted = false;
  let onProgress = (_progress: Progress): unknown => null;
  const host = {
    get interrupted() {
      return isInterrupted || made >= interruptAfter;
    },
    progress(progress: Progress) {
      told.push(progress);
      onProgress(progress);
    },
  } as unknown as Host;
  const interrupt = () => {
    isInterrupted = true;
  };
  const saves: number[] = [];
  const save = async () => saves.push(losses.length);
  const run = (options: Partial<TrainingOptions> = {}) =>
    trainSteps(training, { host, stopAfter: null, saveEvery: 3600, save, ...options });
  const listen = (listener: typeof onProgress) => {
    onProgress = listener;
  };
  return { run, losses, told, saves, interrupt, onProgress: listen };
}

it.each([
  { saveEvery: 0, expected: [1, 2, 3] },
  { saveEvery: 3600, expected: [] },
])('a run saves what it has when $saveEvery s are over', async ({ saveEvery, expected }) => {
  const { run, saves } = site({});
  const report = await run({ saveEvery });
  expect(report.finished).toBe(true);
  expect(saves).toEqual(expected);
});

it('saves every 1000 steps', async () => {
  const { run, saves } = site({ steps: 1005, before: 995 });
  await run();
  expect(saves).toEqual([1000]);
});

describe('a run', () => {
  it('ends early where it is to, and after the step in which it is interrupted', async () => {
    const stopped = site({ steps: 9, before: 2 });
    expect(await stopped.run({ stopAfter: 5 })).toMatchObject({ finished: false });
    expect(stopped.losses).toEqual([9, 9, 0.5, 0.5, 0.5]);
    const interrupted = site({ steps: 9, interruptAfter: 4 });
    expect(await interrupted.run()).toMatchObject({ finished: false });
    expect(interrupted.losses.length).toBe(4);
    for (const [name, options] of [
      ['progress', {}],
      ['save', { saveEvery: 0 }],
    ] as const) {
      const told = site({ steps: 9 });
      const stop = () => told.interrupt();
      const save = async () => name === 'save' && told.saves.push(told.losses.length) === 2 && stop();
      if (name === 'progress') told.onProgress(({ step }) => step === 2 && stop());
      await told.run({ ...options, save });
      expect(told.losses.length, name).toBe(2);
    }
    const beforeAll = site({ interruptAfter: 0 });
    expect(await beforeAll.run()).toMatchObject({ finished: false, speed: null });
    expect(beforeAll.losses).toEqual([]);
  });

  it('counts the calls of its seventh step, where it has one', async () => {
    expect((await site({ steps: 6 }).run()).counts).toBeNull();
    const { run, losses } = site({ steps: 8 });
    // Losses that lie on the host take none.
    expect((await run()).counts).toMatchObject({ dispatches: 0, submits: 0, maps: 0 });
    expect(losses.length).toBe(8);
  });

  it('tells its progress towards the last step, wherever it is to stop', async () => {
    const { run, told } = site({ steps: 20, before: 3, lossOf: (step) => step });
    await run({ stopAfter: 10 });
    expect(told.map(({ step, steps }) => [step, steps])).toEqual([
      [4, 20],
      [5, 20],
      [10, 20],
    ]);
    const { loss, secondsLeft, tokensPerSecond } = told.at(-1) as Progress;
    // The last ten: 9, 9, 9 and 4 to 10.
    expect(loss).toBeCloseTo((27 + 49) / 10);
    expect(secondsLeft * tokensPerSecond).toBeCloseTo(10 * 2 * 3);
  });

  it('ends with a JobError where a loss is not finite, and has the losses before it', async () => {
    const { run, losses, saves } = site({ steps: 9, before: 2, lossOf: (step) => (step < 6 ? 1 : Number.NaN) });
    const error = await run({ saveEvery: 0 }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(JobError);
    expect(String(error)).toContain('the loss of step 6 is NaN: training went astray; try another --seed');
    expect(losses).toEqual([9, 9, 1, 1, 1]);
    expect(saves).toEqual([3, 4, 5]);
  });
});

it('goes on from its last shadow when the device is lost, says so, and ends with the same losses', async () => {
  const ids = Int32Array.from({ length: 400 }, (_, i) => (i * i) % 11);
  const config = { ...configOf('default', 'rnn', 40), batch: 2, context: 8 };
  const trained = async (lose: boolean) => {
    const training = new Training(config, 11, ids, 5);
    const printed: string[] = [];
    const lost = new Set<number>();
    const host = {
      interrupted: false,
      print: (text: string) => printed.push(text),
      progress({ step }: Progress) {
        if (!lose || step === 40 || lost.has(step) || lost.size >= 2) return;
        lost.add(step);
        currentDevice().destroy();
      },
    } as unknown as Host;
    const save = async () => undefined;
    const report = await trainSteps(training, { host, stopAfter: null, saveEvery: 3600, save });
    return { losses: training.losses, loader: training.loader.state(), printed, finished: report.finished };
  };
  const [whole, lossy] = [await trained(false), await trained(true)];
  expect(whole.printed).toEqual([]);
  expect({ ...lossy, printed: [] }).toEqual(whole);
  expect(lossy.printed).toHaveLength(2);
  for (const line of lossy.printed) expect(line).toMatch(/^Note {8}device lost at step \d+; went on from step \d+$/);
});
