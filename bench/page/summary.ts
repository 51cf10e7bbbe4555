import { type Row, tables } from '../rows.ts';

/** How weft does against the fastest of the others on one case. */
export interface Standing {
  readonly name: string;
  readonly shape: string;
  readonly peer: string;
  /** Time of the peer over time of weft: above 1, weft is ahead. */
  readonly ratio: number;
}

const isPeer = ({ contender }: Row) => contender !== 'weft' && !contender.startsWith('weft:') && contender !== 'device';

/** One standing for each case that both weft and a peer have done. */
export function standings(rows: readonly Row[]): Standing[] {
  return tables(rows).flatMap((group) => {
    const weft = group.find(({ contender }) => contender === 'weft');
    const [peer] = group.filter((row) => isPeer(row) && row.medianMs !== null).sort((a, b) => time(a) - time(b));
    if (!weft?.medianMs || !peer) return [];
    return [{ name: weft.name, shape: weft.shape, peer: peer.contender, ratio: time(peer) / weft.medianMs }];
  });
}

const time = ({ medianMs }: Row) => medianMs ?? Infinity;

/** The mean of ratios. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
