import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BackPressure } from '../../src/runtime/backPressure.ts';

/** True once all microtasks that were due have run, if the promise has settled by then. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(() => {
    settled = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 0));
  return settled;
}

describe('where the queue answers when it is done', () => {
  let clock = 0;
  beforeEach(() => {
    vi.spyOn(performance, 'now').mockImplementation(() => clock);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Submits steps as long as there is room; each wait then ends after `ms`. Gives how many were under way at each wait. */
  async function underWay(
    pressure: BackPressure,
    answers: (() => void)[],
    waits: readonly number[],
  ): Promise<number[]> {
    const counts: number[] = [];
    for (const ms of waits) {
      let room = pressure.room();
      while (await settles(room)) {
        pressure.submitted();
        room = pressure.room();
      }
      counts.push(answers.length);
      // Where fewer are allowed from now on, the next ones must end, too.
      do {
        clock += ms;
        answers.shift()?.();
      } while (!(await settles(room)));
      pressure.submitted();
    }
    return counts;
  }

  const make = () => {
    const answers: (() => void)[] = [];
    const onSubmittedWorkDone = () => new Promise<undefined>((done) => answers.push(() => done(undefined)));
    const queue = { onSubmittedWorkDone, submit: () => undefined };
    return { answers, pressure: new BackPressure(queue, false) };
  };

  test('the third long step waits for the first, the fourth for the second', async () => {
    const { answers, pressure } = make();
    expect(await underWay(pressure, answers, [50, 500, 10])).toEqual([2, 2, 2]);
  });

  test('short ones let more in, up to eight, and a long one only two again', async () => {
    const { answers, pressure } = make();
    const waits = [1, 1, 1, 1, 1, 1, 1, 1, 300, 300, 1, 1];
    expect(await underWay(pressure, answers, waits)).toEqual([2, 3, 4, 5, 6, 7, 8, 8, 8, 2, 2, 3]);
  });
});

describe('where the queue is empty as soon as it has been asked', () => {
  test('it is asked once for two steps, and its answer is not waited for', async () => {
    let asked = 0;
    const queue = {
      onSubmittedWorkDone() {
        asked++;
        return new Promise<undefined>(() => {});
      },
      submit: () => undefined,
    };
    const pressure = new BackPressure(queue, true);
    const askedBefore: number[] = [];
    for (let step = 0; step < 6; step++) {
      await pressure.room();
      askedBefore.push(asked);
      pressure.submitted();
    }
    expect(askedBefore).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test('timers get their turn in a loop of steps', async () => {
    const pressure = new BackPressure({ onSubmittedWorkDone: async () => undefined, submit: () => undefined }, true);
    let late = false;
    setTimeout(() => {
      late = true;
    }, 1);
    for (let step = 0; step < 100_000 && !late; step++) {
      await pressure.room();
      pressure.submitted();
    }
    expect(late).toBe(true);
  });
});
