import { expect, test } from 'vitest';
import { BackPressure } from '../../src/gpu/backPressure.ts';

/** A queue that is done when it is told so, and a clock that stands still between steps. */
function queue() {
  const waiting: (() => void)[] = [];
  let time = 0;
  const pressure = new BackPressure(
    { onSubmittedWorkDone: () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined))) },
    () => time,
  );
  return {
    pressure,
    asked: () => waiting.length,
    /** The oldest group is done, `ms` after the one before it. */
    done(ms: number) {
      time += ms;
      waiting.shift()?.();
    },
    /** Submits steps until one has to wait, and gives their number. */
    async fill(): Promise<{ steps: number; room: Promise<void> }> {
      for (let steps = 0; ; steps++) {
        let free = false;
        const room = pressure.room().then(() => {
          free = true;
        });
        // Microtasks that are due have run by then.
        await new Promise((resolve) => setTimeout(resolve, 0));
        if (!free) return { steps, room };
        pressure.submitted();
      }
    },
  };
}

test('two steps may be under way at first; the third waits for the first', async () => {
  const { pressure, fill, done, asked } = queue();
  const { steps, room } = await fill();
  expect(steps).toBe(2);
  expect(asked()).toBe(2);
  done(100);
  await room;
  pressure.submitted();
  expect((await fill()).steps).toBe(0);
});

test('steps of 2 ms are queued five at a time, and the queue is asked once for all of them', async () => {
  const { pressure, fill, done, asked } = queue();
  const { room } = await fill();
  done(2);
  await room;
  pressure.submitted();
  // One step is under way and one is submitted: four more close its group.
  expect((await fill()).steps).toBe(4);
  expect(asked()).toBe(2);
});

test('steps that take long are two again', async () => {
  const { pressure, fill, done } = queue();
  const first = await fill();
  done(2);
  await first.room;
  pressure.submitted();
  const second = await fill();
  done(50);
  await second.room;
  pressure.submitted();
  const third = await fill();
  expect(third.steps).toBe(0);
});

test('a group has at most 16 steps, however short they are', async () => {
  const { pressure, fill, done } = queue();
  const { room } = await fill();
  done(0.01);
  await room;
  pressure.submitted();
  expect((await fill()).steps).toBe(15);
});
