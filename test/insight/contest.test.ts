import { describe, expect, test } from 'vitest';
import { type Contender, contest } from '../../src/insight/contest.ts';

/** Contenders whose times are given, the last of them again and again; `order` tells who was asked when. */
function contenders(times: Readonly<Record<string, readonly number[]>>) {
  const order: string[] = [];
  const list = Object.entries(times).map(([name, ms]): Contender => {
    let next = 0;
    return {
      name,
      async sample() {
        order.push(name);
        return ms[Math.min(next++, ms.length - 1)] as number;
      },
    };
  });
  return { list, order };
}

describe('a contest', () => {
  test('is won by the least median, whatever single samples say', async () => {
    const { list } = contenders({
      a: [10, 10, 10, 10, 10, 10, 10],
      b: [8, 8, 30, 8, 8, 30, 8],
      c: [9, 1, 12, 12, 12, 12, 12],
    });
    const { winner, times } = await contest(list, 'a', { rounds: 7 });
    expect(winner).toBe('b');
    expect(times).toEqual({ a: 10, b: 8, c: 12 });
  });

  test('lets everyone have a turn in each round, forwards and backwards', async () => {
    const { list, order } = contenders({ a: [1], b: [1.1], c: [1.2] });
    await contest(list, 'a', { rounds: 3 });
    expect(order.join('')).toBe('abccbaabc');
  });

  test('goes on without those who are far behind', async () => {
    const { list, order } = contenders({ a: [1], slow: [5], b: [1.2] });
    expect((await contest(list, 'a', { rounds: 4 })).times).toEqual({ a: 1, slow: 5, b: 1.2 });
    expect(order.filter((name) => name === 'slow')).toHaveLength(2);
    expect(order.filter((name) => name === 'b')).toHaveLength(4);
  });

  test('is kept by the favourite unless another is clearly faster', async () => {
    expect((await contest(contenders({ a: [0.97], b: [1] }).list, 'b', { rounds: 3 })).winner).toBe('b');
    expect((await contest(contenders({ a: [0.9], b: [1] }).list, 'b', { rounds: 3 })).winner).toBe('a');
    expect((await contest(contenders({ a: [0.97], b: [1] }).list, 'x', { rounds: 3 })).winner).toBe('a');
  });

  test('is not decided by what slowed the favourite for a while', async () => {
    const { list } = contenders({ a: [2, 30, 30, 30, 30], b: [10] });
    const { winner, times } = await contest(list, 'a', { rounds: 5 });
    expect(times).toEqual({ a: 30, b: 10 });
    expect(winner).toBe('a');
    expect((await contest(contenders({ a: [30, 30, 2], b: [1] }).list, 'a', { rounds: 3 })).times.a).toBe(30);
  });

  test('with one contender needs no sample', async () => {
    const { list, order } = contenders({ a: [1] });
    expect(await contest(list, 'a', { rounds: 7 })).toEqual({ winner: 'a', times: {} });
    expect(order).toEqual([]);
  });

  test('ends at once when it is told to', async () => {
    const stop = new AbortController();
    const { list, order } = contenders({ a: [1], b: [1] });
    list.push({
      name: 'c',
      sample: async () => {
        stop.abort(new Error('enough'));
        return 1;
      },
    });
    await expect(contest(list, 'a', { rounds: 7, signal: stop.signal })).rejects.toThrow('enough');
    expect(order).toEqual(['a', 'b']);
  });
});
