import type { HostArray } from '../core/dtype.ts';
import { ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';

/** What a beam search has found. */
export interface Hypothesis {
  /** The tokens, `eos` among them where it has ended. */
  readonly ids: number[];
  /** The sum of the logarithms of their probabilities, in nats. */
  readonly logProbability: number;
  /** `logProbability / ids.length ** lengthPenalty`, by which hypotheses are ranked. */
  readonly score: number;
  /** Whether it has come to `eos`, rather than to `maxLength`. */
  readonly ended: boolean;
  /** For each token what the step attended to when it chose it, [S], where the step tells. */
  readonly alignment?: Float32Array[];
}

/** Stands for a logarithm of 0: masked tokens, and beams that are not there yet, are at or below it. */
export const impossible = -1e8;

/** A token of a hypothesis, with what is before it. */
interface Link {
  readonly before: Link | null;
  readonly id: number;
  /** The beam that it was chosen from. */
  readonly beam: number;
  readonly length: number;
  readonly logProbability: number;
}

/** The search for one source, as the host follows it. */
export class Search {
  readonly #beams: number;
  readonly #eos: number;
  readonly #lengthPenalty: number;
  /** The beams, in the order in which they lie on the device. */
  #live: (Link | null)[] = [null];
  /** The best that have ended, best first: at most as many as there are beams. */
  #ended: Link[] = [];

  constructor(beams: number, eos: number, lengthPenalty: number) {
    this.#beams = beams;
    this.#eos = eos;
    this.#lengthPenalty = lengthPenalty;
  }

  /** Hypotheses that end early are many, and unlikely ones: a likelier one that goes on is waited for. */
  get isDone(): boolean {
    const [first] = this.#live;
    if (!first) return this.#live.length === 0;
    const last = this.#ended[this.#beams - 1];
    return last !== undefined && this.#score(last) >= this.#score(first);
  }

  #score({ logProbability, length }: Link): number {
    return logProbability / length ** this.#lengthPenalty;
  }

  /** Takes the best continuations of a step, best first: their log-probabilities, and beam · V + id of each. */
  take(values: HostArray, places: HostArray, V: number): void {
    if (this.isDone) return;
    const next: Link[] = [];
    const ended = [...this.#ended];
    for (const [rank, logProbability] of values.entries()) {
      if (Number.isNaN(logProbability)) throw new ValueError('[beamSearch] the step gives scores that are NaN');
      if (logProbability <= impossible) break;
      const place = places[rank] as number;
      const beam = Math.floor(place / V);
      const before = nth(this.#live, beam);
      const link = { before, id: place % V, beam, length: (before?.length ?? 0) + 1, logProbability };
      // Beyond the K best an end does not count: it would be an end that a single beam would not have come to.
      if (link.id !== this.#eos) next.push(link);
      else if (rank < this.#beams) ended.push(link);
    }
    this.#live = next.slice(0, this.#beams);
    this.#ended = ended.sort((a, b) => this.#score(b) - this.#score(a)).slice(0, this.#beams);
  }

  /** All hypotheses, best first, and the beam that each token was chosen from. */
  best(): (Omit<Hypothesis, 'alignment'> & { readonly path: number[] })[] {
    const cut = this.isDone ? [] : this.#live.filter((link) => link !== null);
    const found = [...this.#ended, ...cut].map((last) => {
      const { id, logProbability } = last;
      const links: Link[] = [];
      for (let link: Link | null = last; link; link = link.before) links.unshift(link);
      return {
        ids: links.map((link) => link.id),
        logProbability,
        score: this.#score(last),
        ended: id === this.#eos,
        path: links.map(({ beam }) => beam),
      };
    });
    return found.sort((a, b) => b.score - a.score);
  }
}
