import { describe, expect, it, vi } from 'vitest';
import {
  type Batches,
  type CheckpointState,
  DataLoader,
  DivergenceError,
  nn,
  optim,
  type TrainMetrics,
  type TrainOptions,
  text,
  train,
  ValueError,
} from '../../src/index.ts';
import { trainBy } from '../../src/train/train.ts';

/** The loop of `train` with steps that are numbers: what it does when. What it computes is tested in training.test.ts. */

const count = (n: number) => Array.from({ length: n }, (_, i) => i);
/** A step's loss is its batch. */
const step = (batch: number) => batch;
type Options = Partial<TrainOptions<number, unknown>>;

/** All metrics of a run, and the error that it ended with, if it did. */
async function run(options: Options, now = () => 0) {
  const metrics: TrainMetrics<unknown>[] = [];
  let error: unknown = null;
  try {
    const all = { step, batches: count(1000), ...options } as TrainOptions<number, unknown>;
    for await (const each of trainBy(now, all)) metrics.push(each);
  } catch (caught) {
    error = caught;
  }
  return { metrics, error, losses: metrics.flatMap(({ losses }) => losses), steps: metrics.map(({ step }) => step) };
}

/** A clock that each step puts forward by `seconds`. */
function steady(seconds: number) {
  let time = 0;
  return {
    now: () => time,
    step: (batch: number) => {
      time += 1000 * seconds;
      return batch;
    },
    wait(more: number) {
      time += 1000 * more;
    },
  };
}

describe('metrics', () => {
  it('come after the first two steps, which compile, then after 50 steps or half a second, and at the end', async () => {
    expect((await run({ steps: 104 })).steps).toEqual([1, 2, 52, 102, 104]);
    const { now, step } = steady(0.2);
    expect((await run({ steps: 10, step }, now)).steps).toEqual([1, 2, 5, 8, 10]);
  });

  it('have all losses in order, and their mean since the metrics before', async () => {
    const { metrics, losses } = await run({ steps: 10 });
    expect(losses).toEqual(count(10));
    expect(metrics.map(({ loss }) => loss)).toEqual([0, 1, 5.5]);
  });

  it('have the means of all else that a step gives', async () => {
    const named = (batch: number) => ({ loss: batch, ...(batch % 2 ? { odd: 2 * batch } : { even: batch }) });
    const { metrics } = await run({ step: named, steps: 6 });
    expect(metrics.map(({ means }) => means)).toEqual([{ even: 0 }, { odd: 2 }, { even: 3, odd: 8 }]);
  });

  it('tell the speed without the steps that compile, evaluations, saves and the body of the loop', async () => {
    const { now, step, wait } = steady(0.25);
    let made = 0;
    const slow = (batch: number) => {
      if (made++ < 2) wait(100);
      return step(batch);
    };
    const seen: [step: number, speed: number | null, left: number | null][] = [];
    const options = {
      ...{ step: slow, batches: count(20), steps: 10, evaluate: () => wait(7), every: 4 },
      checkpoint: { save: () => wait(5), everySteps: 3 },
    };
    for await (const { step, stepsPerSecond, secondsLeft } of trainBy(now, options)) {
      seen.push([step, stepsPerSecond, secondsLeft]);
      wait(11);
    }
    expect(seen.slice(0, 2)).toEqual([
      [1, null, null],
      [2, null, null],
    ]);
    const speeds = seen.slice(2).map(([step]) => [step, 4, (10 - step) / 4]);
    expect(seen.slice(2)).toEqual(speeds);
  });

  it('leave the seconds open where there is no end in sight', async () => {
    const { now, step } = steady(0.6);
    const { metrics } = await run({ step, batches: count(5) }, now);
    expect(metrics.map(({ secondsLeft }) => secondsLeft)).toEqual([null, null, null, null, null]);
    expect(metrics.at(-1)?.stepsPerSecond).toBeCloseTo(1 / 0.6);
  });
});

describe('batches', () => {
  it('are gone through once, or as often as the steps take', async () => {
    expect((await run({ batches: count(3) })).losses).toEqual([0, 1, 2]);
    expect((await run({ batches: count(3), steps: 7 })).losses).toEqual([0, 1, 2, 0, 1, 2, 0]);
    expect((await run({ batches: new Set([5]), steps: 2 })).losses).toEqual([5, 5]);
    expect((await run({ batches: [4, 5].values() })).losses).toEqual([4, 5]);
    const once = await run({ batches: [4, 5].values(), steps: 3 });
    expect(once.losses).toEqual([4, 5]);
    expect(String(once.error)).toContain('ValueError: [train] batches has nothing more to give');
    expect(String((await run({ batches: [], steps: 3 })).error)).toContain('batches has nothing more to give');
    expect((await run({ batches: [] })).metrics).toEqual([]);
  });

  it('may be a loader, whose next epoch has another order', async () => {
    const loader = () => new DataLoader(count(4), { shuffle: true, collate: ([i]) => i as number });
    const { losses } = await run({ batches: loader(), steps: 8 });
    const [a, b] = [losses.slice(0, 4), losses.slice(4)];
    expect(a).not.toEqual(b);
    expect([...a].sort()).toEqual([...b].sort());
    // A run that follows goes on where the one before has ended.
    const twice = loader();
    const first = await run({ batches: twice, steps: 3 });
    expect([...first.losses, ...(await run({ batches: twice, start: 3, steps: 8 })).losses]).toEqual(losses);
  });

  it('come as arguments where they are arrays', async () => {
    const calls: unknown[][] = [];
    const note = (...batch: unknown[]) => {
      calls.push(batch);
      return 0;
    };
    for await (const _ of train({ step: note, batches: [[1, 'a'] as const, [2, 'b'] as const] }));
    for await (const _ of train({ step: note, batches: [{ x: 1 }] }));
    const windows = text.batches(Int32Array.from(count(9)), { batch: 2, length: 3 });
    for await (const _ of train({ step: note, batches: windows, steps: 1 }));
    expect(calls.slice(0, 3)).toEqual([[1, 'a'], [2, 'b'], [{ x: 1 }]]);
    expect(calls[3]?.map((ids) => (ids as Int32Array).length)).toEqual([6, 6]);
  });

  it('are not taken before they are needed, and closed at the end', async () => {
    const log: string[] = [];
    const batches = function* () {
      try {
        for (const i of count(9)) {
          log.push(`gives ${i}`);
          yield i;
        }
      } finally {
        log.push('closed');
      }
    };
    await run({ batches: batches(), steps: 2 });
    expect(log).toEqual(['gives 0', 'gives 1', 'closed']);
  });
});

describe('steps', () => {
  it('are counted from those of the run before', async () => {
    const { steps, losses } = await run({ start: 7, steps: 10 });
    expect(steps).toEqual([8, 9, 10]);
    expect(losses).toEqual([0, 1, 2]);
    expect((await run({ start: 10, steps: 10 })).metrics).toEqual([]);
  });

  it('are made one after another, whether a step is async or not', async () => {
    let running = 0;
    const slow = async (batch: number) => {
      expect(running++).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      return batch;
    };
    expect((await run({ step: slow, steps: 4 })).losses).toEqual(count(4));
  });
});

describe('evaluate', () => {
  it('is called every so many steps and after the last, once, and its result is in the metrics of that step', async () => {
    const evaluate = vi.fn(async (step: number) => `after ${step}`);
    const told = async (options: Options) =>
      (await run({ evaluate, ...options })).metrics.flatMap(({ step, evaluation }) =>
        evaluation === undefined ? [] : [[step, evaluation]],
      );
    expect(await told({ every: 4, steps: 10 })).toEqual([
      [4, 'after 4'],
      [8, 'after 8'],
      [10, 'after 10'],
    ]);
    expect(await told({ every: 4, steps: 8 })).toEqual([
      [4, 'after 4'],
      [8, 'after 8'],
    ]);
    expect(await told({ steps: 3 })).toEqual([[3, 'after 3']]);
    // Where the last step shows only when there is no batch more, its losses have been told.
    evaluate.mockClear();
    const { metrics } = await run({ evaluate, every: 3, batches: count(3) });
    expect(metrics.map(({ step, losses }) => [step, losses])).toEqual([
      [1, [0]],
      [2, [1]],
      [3, [2]],
    ]);
    expect(evaluate).toHaveBeenCalledTimes(1);
    const late = await run({ evaluate, batches: count(2) });
    expect(late.metrics.map(({ losses, loss, evaluation }) => [losses, loss, evaluation])).toEqual([
      [[0], 0, undefined],
      [[1], 1, undefined],
      [[], 1, 'after 2'],
    ]);
  });
});

describe('a checkpoint', () => {
  const saved = async (checkpoint: Options['checkpoint'] & object, options: Options = {}, now = () => 0) => {
    const log: string[] = [];
    const save = (state: CheckpointState) => {
      log.push(`saves ${JSON.stringify(state)}`);
      return checkpoint.save(state);
    };
    const all = { step, batches: count(1000), ...options, checkpoint: { ...checkpoint, save } };
    for await (const { step } of trainBy(now, all as TrainOptions<number>)) log.push(`tells ${step}`);
    return log;
  };
  const state = (step: number, isLast = false, batches: unknown = null) =>
    `saves ${JSON.stringify({ step, batches, isLast })}`;

  it('is saved every so many steps and at the end, when all losses up to then are told', async () => {
    expect(await saved({ save() {}, everySteps: 3 }, { steps: 7 })).toEqual([
      'tells 1',
      'tells 2',
      'tells 3',
      state(3),
      'tells 6',
      state(6),
      'tells 7',
      state(7, true),
    ]);
    expect(await saved({ save() {}, everySteps: 3 }, { start: 5, steps: 6 })).toEqual(['tells 6', state(6, true)]);
    expect(await saved({ save() {} }, { start: 6, steps: 6 })).toEqual([]);
  });

  it('is saved every 30 seconds, or so many, from the end of the save before', async () => {
    const { now, step, wait } = steady(4);
    const steps = (log: string[]) => log.flatMap((line) => /"step":(\d+)/.exec(line)?.[1] ?? []).map(Number);
    const save = () => wait(100);
    expect(steps(await saved({ save }, { step, steps: 20 }, now))).toEqual([8, 16, 20]);
    expect(steps(await saved({ save, everySeconds: 9 }, { step, steps: 7 }, now))).toEqual([3, 6, 7]);
    expect(steps(await saved({ save, everySeconds: 0 }, { step, steps: 3 }, now))).toEqual([1, 2, 3]);
  });

  it('has the place of batches that know it: the next batch', async () => {
    const collate = ([i]: readonly number[]) => i as number;
    const loader = () => new DataLoader(count(5), { shuffle: true, collate, prefetch: 2 });
    const { losses } = await run({ batches: loader(), steps: 12 });
    for (const cut of [1, 4, 5, 7, 10]) {
      let last: CheckpointState | null = null;
      const save = (state: CheckpointState) => {
        last = JSON.parse(JSON.stringify(state));
      };
      const first = await run({ batches: loader(), steps: cut, checkpoint: { save } });
      const { step: start, batches } = last as unknown as CheckpointState;
      const rest = await run({ batches: loader().restore(batches as never), start, steps: 12 });
      expect([...first.losses, ...rest.losses], `cut at ${cut}`).toEqual(losses);
    }
  });
});

describe('the signal', () => {
  it('ends the run after the step that is being made, with its losses and a checkpoint', async () => {
    const stop = new AbortController();
    const stopping = (batch: number) => {
      if (batch === 9) stop.abort();
      return batch;
    };
    const saved: unknown[] = [];
    const evaluate = vi.fn();
    const { losses, error } = await run({
      ...{ step: stopping, steps: 100, signal: stop.signal, evaluate },
      checkpoint: { save: (state) => saved.push(state) },
    });
    expect(error).toBeNull();
    expect(losses).toEqual(count(10));
    expect(saved).toEqual([{ step: 10, batches: null, isLast: true }]);
    expect(evaluate).not.toHaveBeenCalled();
  });

  it('may come from the body of the loop, and makes no step more', async () => {
    const stop = new AbortController();
    const saved: number[] = [];
    const made: number[] = [];
    const note = (batch: number) => made.push(batch) - 1;
    const checkpoint = { save: ({ step }: CheckpointState) => saved.push(step) };
    for await (const { step } of train({ step: note, batches: count(9), signal: stop.signal, checkpoint }))
      if (step === 2) stop.abort();
    expect(made).toEqual([0, 1]);
    expect(saved).toEqual([2]);
  });

  it('lets nothing begin where it came before', async () => {
    const save = vi.fn();
    const { metrics, error } = await run({ signal: AbortSignal.abort(), steps: 3, checkpoint: { save } });
    expect([metrics, error, save.mock.calls]).toEqual([[], null, []]);
  });
});

describe('what goes wrong', () => {
  const broken = new Error('something is broken');
  const save = vi.fn();
  const thrower = (at: number) => (given: number) => {
    if (given === at) throw broken;
    return given;
  };

  it.for<[string, Options, last: number]>([
    ['in a step', { step: thrower(7) }, 6],
    ['in a step that is async', { step: async (batch) => thrower(7)(batch) }, 6],
    [
      'in the batches',
      {
        batches: (function* () {
          yield* count(7);
          throw broken;
        })(),
      },
      6,
    ],
    ['in an evaluation', { evaluate: thrower(7), every: 7 }, 6],
    ['in a save', { checkpoint: { save: ({ step }) => thrower(7)(step), everySteps: 7 } }, 6],
  ])('%s ends the run, after the losses before it', async ([, options, last]) => {
    save.mockClear();
    const closed = vi.fn();
    const batches = function* () {
      try {
        yield* count(100);
      } finally {
        closed();
      }
    };
    const evaluate = vi.fn();
    const usual = { steps: 50, batches: batches(), checkpoint: { save }, evaluate };
    const { losses, error } = await run({ ...usual, ...options });
    expect(error).toBe(broken);
    expect(losses).toEqual(count(last + 1));
    if (!options.batches) expect(closed).toHaveBeenCalledTimes(1);
    expect(save).not.toHaveBeenCalled();
    expect(evaluate).not.toHaveBeenCalled();
  });

  it.each([Number.NaN, Infinity, -Infinity])('a loss of %d: the run ends, and saves nothing more', async (bad) => {
    const saved: number[] = [];
    const checkpoint = { save: ({ step }: CheckpointState) => saved.push(step), everySteps: 10 };
    const diverging = (batch: number) => (batch < 14 ? batch : bad);
    const { losses, error } = await run({ step: diverging, checkpoint, steps: 100 });
    expect(losses).toEqual(count(14));
    expect(saved).toEqual([10]);
    expect(error).toBeInstanceOf(DivergenceError);
    expect((error as DivergenceError).step).toBe(15);
    expect(String(error)).toContain(`[train] the loss of step 15 is ${bad}: training has gone astray`);
    expect(((await run({ step: () => bad, start: 20, steps: 100 })).error as DivergenceError).step).toBe(21);
  });

  it.for<[unknown, string]>([
    [undefined, '[train] step must give the loss, a tensor of one element, alone or as { loss, … }; got undefined'],
    [{ los: 1 }, 'got an object with los'],
    [{ loss: 1, accuracy: 'high' }, "[train] step must give tensors of one element, or numbers; accuracy is 'high'"],
  ])('%o is no loss', async ([given, message]) => {
    const { error } = await run({ step: (() => given) as never, steps: 3 });
    expect(error).toBeInstanceOf(ValueError);
    expect(String(error)).toContain(message);
  });

  it('is said at the call, where options do not fit each other', () => {
    const optimizer = new optim.SGD(new nn.Linear(1, 1).parameters(), { schedule: optim.constant() });
    const loss = () => 0;
    const batches: Batches<number> = [1];
    const cases: [object, string][] = [
      [{ step, batches, schedule: optim.constant() }, '[train] schedule needs a step of the form { loss, optimizer }'],
      [{ step, batches, accumulate: 2 }, '[train] accumulate needs a step of the form { loss, optimizer }'],
      [{ step, batches, every: 2 }, '[train] every is the number of steps between evaluations: it needs evaluate'],
      [{ step: { loss, optimizer }, batches, schedule: optim.constant() }, 'the optimizer has a schedule of its own'],
      [{ step: { loss, optimizer, clipp: 1 }, batches }, "[train.step] there is no option 'clipp'; is 'clip' meant?"],
      [{ step: { loss }, batches }, '[train.step] needs the option optimizer'],
      [{ step: { loss, optimizer: {} }, batches }, '[train.step] optimizer must be an optimizer, like new optim.AdamW'],
      [{ step, batches: 5 }, '[train] batches must be an iterable or async iterable of batches'],
      [{ step, batches, checkpoint: {} }, '[train.checkpoint] needs the option save'],
      [{ step }, '[train] needs the option batches'],
    ];
    for (const [options, message] of cases) {
      expect(() => train(options as never)).toThrow(ValueError);
      expect(() => train(options as never)).toThrow(message);
    }
  });
});

describe('a loop that is left early', () => {
  it('ends the run as it is: the batches are closed, and nothing is saved', async () => {
    const [closed, save] = [vi.fn(), vi.fn()];
    const batches = function* () {
      try {
        yield* count(9);
      } finally {
        closed();
      }
    };
    for await (const metrics of train({ step, batches: batches(), checkpoint: { save, everySteps: 2 } }))
      if (metrics.step === 2) break;
    expect(closed).toHaveBeenCalledTimes(1);
    expect(save).not.toHaveBeenCalled();
  });
});
