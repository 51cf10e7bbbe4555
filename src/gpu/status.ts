import { ValueError } from '../errors.ts';
import type { BufferPool } from './buffers.ts';
import type { Range } from './executable.ts';

/** Words of a status: the first code of one submit, and the first since a code of its line of submits was last thrown. */
export const statusBytes = 8;
/** Submits whose status is kept on the device. */
const kept = 4096;

/** Submits that follow one another share one, until an error of theirs has been thrown. */
interface Report {
  done: boolean;
}

/**
 * What the kernels of one submit have said of its data. It is known once it has been read along with a value that the
 * submit made: whoever reads such a value gets the error, every time. An error that nobody has read shows once, at the next
 * read of a value of a later submit in the same line: of the same compiled function, or of the same states.
 */
export class Verdict {
  /** Where the words lie, as long as they are kept there. */
  readonly #place: () => Range | null;
  readonly #labels: readonly string[];
  /** Of submits that made what this one reads, and that its own words don't tell of: what is made of bad values is bad. */
  readonly #given: readonly Verdict[];
  readonly report: Report;
  /** Calls that take back what the host has counted for the submit, should it have failed. */
  #undos: readonly (() => void)[];
  #known: { readonly own: number; readonly since: number } | null = null;
  #undo: (() => void) | null = null;

  constructor(
    place: () => Range | null,
    labels: readonly string[],
    given: readonly Verdict[],
    report: Report,
    undos: readonly (() => void)[] = [],
  ) {
    this.#undos = undos;
    this.#place = place;
    this.#labels = labels;
    this.#given = given;
    this.report = report;
  }

  /** Those among `verdicts`, and among what they stand on, that may still have something to tell of. */
  static open(verdicts: Iterable<Verdict | null>): Verdict[] {
    const found = new Set<Verdict>();
    for (const each of verdicts) for (const one of each ? [each, ...each.#given] : []) if (one.#isOpen) found.add(one);
    return [...found];
  }

  /** The verdict on what is made of values with these, where no kernel of its own can have anything to add. */
  static over(given: readonly Verdict[]): Verdict | null {
    if (given.length < 2) return given[0] ?? null;
    return new Verdict(() => null, [], given, { done: false });
  }

  get #isOpen(): boolean {
    return this.#known ? this.#known.own !== 0 : this.place !== null;
  }

  /** True unless it is known that no earlier submit has something to tell. */
  get mayPassOn(): boolean {
    return !this.report.done && (this.#known === null || this.#known.own + this.#known.since !== 0);
  }

  get place(): Range | null {
    return this.#place();
  }

  /** Verdicts to read before this one can be judged. */
  get unknown(): Verdict[] {
    return [this, ...this.#given].filter((each) => each.#known === null && each.place !== null);
  }

  /** Takes what was read at `place`. */
  learn([own = 0, since = 0]: Uint32Array): void {
    this.#known = { own, since };
    if (own !== 0) for (const undo of [this.#undo, ...this.#undos]) undo?.();
    this.#undo = null;
    this.#undos = [];
  }

  /** Calls `undo` once it is known that something was wrong: the host follows what the device has left as it was. */
  whenBad(undo: () => void): void {
    this.#undo = undo;
  }

  /** Whether a failure of an earlier submit was the first that anybody has heard of it. */
  get tellsOfEarlier(): boolean {
    return this.#known !== null && this.#known.since !== 0 && !this.report.done;
  }

  /** Throws what is wrong with values of the submit. */
  check(): void {
    for (const each of this.#given) each.check();
    const { own, since } = this.#known ?? { own: 0, since: 0 };
    if (own !== 0) {
      this.report.done = true;
      throw new ValueError(this.#sentence(own));
    }
    if (since !== 0 && !this.report.done) {
      this.report.done = true;
      throw new ValueError(
        `${this.#sentence(since)} (in an earlier step, whose results nobody has read; that step changed no state)`,
      );
    }
  }

  #sentence(code: number): string {
    return this.#labels[code - 1] ?? `[status] kernel reported code ${code}`;
  }
}

/**
 * The word that kernels set when they meet bad data. It belongs to the submit: cleared at its start, and kept at its end
 * for whoever reads what the submit has made.
 */
export class Status {
  readonly word: GPUBuffer;
  /** What the codes mean: code − 1 is the position here. */
  readonly #labels: string[] = [];
  /** The status of the last submits, in turn. */
  readonly #ended: GPUBuffer;
  #count = 0;
  /** The last verdict of each line of submits. */
  readonly #last = new WeakMap<object, Verdict>();
  /** What takes back what the host has counted, once, for the submits in `#ended`. */
  readonly #counted: (readonly (() => void)[])[] = [];

  constructor(buffers: BufferPool) {
    this.word = buffers.create(statusBytes, 'weft status');
    this.#ended = buffers.create(kept * statusBytes, 'weft status of submits');
  }

  /** Code under which a kernel reports bad data for `label`. */
  codeOf(label: string): number {
    const known = this.#labels.indexOf(label);
    return known >= 0 ? known + 1 : this.#labels.push(label);
  }

  /**
   * Clears the word for what `encoder` is going to run, the next submit of `line`. What reads values that may be bad, by
   * the verdicts in `given`, starts with their status. `end` is to be called once all is encoded.
   */
  begin(
    encoder: GPUCommandEncoder,
    line: object | null,
    given: readonly Verdict[],
    undos: readonly (() => void)[] = [],
  ): Verdict {
    const last = line ? this.#last.get(line) : undefined;
    const before = last?.mayPassOn ? last.place : null;
    const heir = given.find((each) => each.place);
    const bad = heir?.place;
    if (before) encoder.copyBufferToBuffer(before.buffer, before.offset + 4, this.word, 4, 4);
    if (bad) encoder.copyBufferToBuffer(bad.buffer, bad.offset, this.word, 0, 4);
    if (!(before && bad)) encoder.clearBuffer(this.word, bad ? 4 : 0, bad || before ? 4 : statusBytes);
    const turn = this.#count++;
    const range = { buffer: this.#ended, offset: (turn % kept) * statusBytes };
    const place = () => (this.#count - turn <= kept ? range : null);
    const others = given.filter((each) => each !== heir);
    const verdict = new Verdict(place, this.#labels, others, before && last ? last.report : { done: false }, undos);
    this.#counted[turn % kept] = undos;
    if (line) this.#last.set(line, verdict);
    return verdict;
  }

  /** Keeps the word that `verdict` is to learn. */
  end(encoder: GPUCommandEncoder, { place }: Verdict): void {
    if (place) encoder.copyBufferToBuffer(this.word, 0, place.buffer, place.offset, statusBytes);
  }

  /** Where the words of all submits lie that are kept now, and who is to learn them. */
  snapshot(): { readonly range: Range; readonly bytes: number; learn(words: Uint32Array): void } {
    const counted = this.#counted.splice(0);
    return {
      range: { buffer: this.#ended, offset: 0 },
      bytes: kept * statusBytes,
      learn: (words) => {
        for (const [turn, undos] of counted.entries())
          if (words[2 * turn] !== 0) for (const undo of undos ?? []) undo();
      },
    };
  }
}
