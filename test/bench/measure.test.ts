import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { check, measure, quantile } from '../../bench/measure.ts';
import type { Work } from '../../bench/peers/library.ts';

const work = (results: Record<string, ArrayLike<number>>): Work => ({
  run: () => {},
  results: async () => results,
  dispose: () => {},
});

describe('check', () => {
  it('gives the largest difference as a part of the largest magnitude, over all results', async () => {
    const made = work({ y: [0, 1, 2, 4.5], z: [10] });
    expect(await check(made, [{ output: 'y', indices: [1, 3], values: [1, 4] }])).toBe(0.125);
    const both = [
      { output: 'y', indices: [1, 3], values: [1, 4] },
      { output: 'z', indices: [0], values: [20] },
    ];
    expect(await check(made, both)).toBe(0.5);
  });

  it('takes NaN and what is missing for infinitely wrong', async () => {
    const expected = [{ output: 'y', indices: [0, 1], values: [1, 1] }];
    expect(await check(work({ y: [Number.NaN, 1] }), expected)).toBe(Infinity);
    expect(await check(work({ y: [1] }), expected)).toBe(Infinity);
    await expect(check(work({}), expected)).rejects.toThrow('no result y');
  });
});

it('quantile lies between neighbours in proportion', () => {
  expect(quantile([1, 2, 3, 4, 5], 0.5)).toBe(3);
  expect(quantile([1, 2], 0.1)).toBeCloseTo(1.1);
  expect(quantile([7], 0.9)).toBe(7);
});

describe('measure', () => {
  let clock = 0;
  beforeEach(() => {
    vi.spyOn(performance, 'now').mockImplementation(() => clock);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** A contender whose runs take `ms` of a clock that only they move. */
  const contender = (name: string, ms: number, log: string[]) => {
    const gpu = { queue: { onSubmittedWorkDone: async () => {} } } as unknown as GPUDevice;
    const run = () => {
      clock += ms;
      log.push(name);
    };
    return { name, gpu, work: { ...work({}), run } };
  };

  it('lets contenders take turns, each round beginning with the next', async () => {
    const log: string[] = [];
    const contenders = [contender('a', 2, log), contender('b', 2, log)];
    const timings = await measure(contenders, { rounds: 4, sampleMs: 1, slowMs: 1000 });
    expect(timings.map(({ samples }) => samples.length)).toEqual([4, 4]);
    expect(log.slice(-8).join('')).toBe('abbaabba');
  });

  it('gives all rounds to the fastest and the best of another library, and to the rest what fits, three at least', async () => {
    const log: string[] = [];
    const contenders = [
      contender('b', 40, log),
      contender('a', 1, log),
      contender('a:x', 30, log),
      contender('c', 80, log),
    ];
    const timings = await measure(contenders, { rounds: 12, sampleMs: 1, slowMs: 50 });
    expect(timings.map(({ samples }) => samples.length)).toEqual([12, 12, 3, 3]);
  });

  it('lets a yardstick take its turns in all rounds, and compares nothing with it', async () => {
    const log: string[] = [];
    const contenders = [
      contender('a', 20, log),
      contender('b', 80, log),
      { ...contender('copies', 1, log), yardstick: true },
    ];
    const timings = await measure(contenders, { rounds: 12, sampleMs: 1, slowMs: 50 });
    expect(timings.map(({ samples }) => samples.length)).toEqual([12, 12, 12]);
  });

  it('gives nothing where it is told not to go on', async () => {
    const told: number[] = [];
    const progress = (done: number) => {
      told.push(done);
      return done < 3;
    };
    const contenders = [contender('a', 2, []), contender('b', 2, [])];
    expect(await measure(contenders, { rounds: 4, sampleMs: 1, slowMs: 1000 }, progress)).toEqual([]);
    expect(told).toEqual([1, 2, 3]);
  });

  it('repeats short work until a sample is long enough', async () => {
    const log: string[] = [];
    const [timing] = await measure([contender('a', 1, log)], { rounds: 3, sampleMs: 20, slowMs: 100 });
    expect(timing?.repeats).toBe(20);
    expect(timing?.samples.length).toBe(3);
    // Estimates, 1, 1 and 10; two rounds of warm-up, and three that count.
    expect(log.length).toBe(12 + 5 * 20);
  });
});
