import { describe, expect, test } from 'vitest';
import { BackPressure } from '../../src/gpu/backPressure.ts';

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
  test('the third step waits for the first, the fourth for the second', async () => {
    const answers: (() => void)[] = [];
    const queue = { onSubmittedWorkDone: () => new Promise<undefined>((done) => answers.push(() => done(undefined))) };
    const pressure = new BackPressure(queue, false);
    for (let step = 0; step < 2; step++) {
      await pressure.room();
      pressure.submitted();
    }
    const third = pressure.room();
    expect(await settles(third)).toBe(false);
    answers.shift()?.();
    await third;
    pressure.submitted();
    const fourth = pressure.room();
    expect(await settles(fourth)).toBe(false);
    answers.shift()?.();
    await fourth;
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
    const pressure = new BackPressure({ onSubmittedWorkDone: async () => undefined }, true);
    let late = false;
    setTimeout(() => {
      late = true;
    }, 1);
    const end = performance.now() + 1000;
    while (!late && performance.now() < end) {
      await pressure.room();
      pressure.submitted();
    }
    expect(late).toBe(true);
  });
});
