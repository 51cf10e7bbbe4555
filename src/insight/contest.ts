import { median } from '../core/median.ts';

/** One of several ways to do the same work. */
export interface Contender {
  readonly name: string;
  /** Milliseconds of a run. */
  sample(): Promise<number>;
}

export interface ContestResult {
  readonly winner: string;
  /** Median milliseconds of a run. */
  readonly times: Readonly<Record<string, number>>;
}

/** A contender drops out whose fastest run takes this many times as long as the slowest run of the fastest contender. */
const hopeless = 1.5;
/** Rounds that every contender takes part in. */
const fewestRounds = 2;
/** The favourite loses only to a time below this share of its own: choices should not change by chance. */
const clearly = 0.95;

/**
 * Contenders take turns, in every second round from the last to the first, so that what slows the device for a while slows
 * all of them. The least median wins, if it is clearly less than the favourite's, and the least sample too: another
 * program's work shows in medians first.
 */
export async function contest(
  contenders: readonly Contender[],
  favourite: string,
  { rounds, signal }: { rounds: number; signal?: AbortSignal | undefined },
): Promise<ContestResult> {
  const samples = new Map<Contender, number[]>(contenders.map((each) => [each, []]));
  const of = (each: Contender) => samples.get(each) as number[];
  const leader = (among: readonly Contender[]) => among.reduce((a, b) => (median(of(b)) < median(of(a)) ? b : a));
  const expected = contenders.find(({ name }) => name === favourite);
  let running = [...contenders];
  for (let round = 1; round <= rounds && running.length > 1; round++) {
    for (const each of running) {
      signal?.throwIfAborted();
      of(each).push(await each.sample());
    }
    running.reverse();
    if (round < fewestRounds) continue;
    const limit = hopeless * Math.max(...of(leader(running)));
    running = running.filter((each) => each === expected || Math.min(...of(each)) <= limit);
  }
  const beats = (a: Contender, b: Contender) =>
    median(of(a)) < clearly * median(of(b)) && Math.min(...of(a)) < clearly * Math.min(...of(b));
  const better = expected ? running.filter((each) => beats(each, expected)) : running;
  const winner = better.length > 0 || !expected ? leader(better) : expected;
  const measured = contenders.filter((each) => of(each).length > 0);
  return { winner: winner.name, times: Object.fromEntries(measured.map((each) => [each.name, median(of(each))])) };
}
