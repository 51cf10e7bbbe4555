import { expect, it } from 'vitest';
import { answered } from '../../src/device/answered.ts';

const queueOf = () => {
  const queue = { submits: 0, submit: () => void queue.submits++ };
  return queue;
};
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setTimeout(resolve));
};

it('submits in each turn of the event loop until all answers are there, in one chain', async () => {
  const queue = queueOf();
  const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const answers = [answered(queue, first.promise, true), answered(queue, second.promise, true)];
  await turns(5);
  // A chain for each of them would have submitted twice as often.
  expect(queue.submits).toBeGreaterThanOrEqual(3);
  expect(queue.submits).toBeLessThanOrEqual(6);

  first.resolve('one');
  expect(await answers[0]).toBe('one');
  const before = queue.submits;
  await turns(3);
  expect(queue.submits).toBeGreaterThan(before);

  second.reject(new Error('lost'));
  await expect(answers[1]).rejects.toThrow('lost');
  await turns(1);
  const after = queue.submits;
  await turns(3);
  expect(queue.submits).toBe(after);
});

it('begins again with the next answer', async () => {
  const queue = queueOf();
  await answered(queue, turns(2), true);
  await turns(2);
  const between = queue.submits;
  await answered(queue, turns(4), true);
  expect(queue.submits).toBeGreaterThan(between);
});

it('does nothing where browsers look by themselves', async () => {
  const queue = queueOf();
  expect(
    await answered(
      queue,
      turns(3).then(() => 1),
      false,
    ),
  ).toBe(1);
  expect(queue.submits).toBe(0);
});
