import { wordSize } from '../core/dtype.ts';
import { ValueError } from '../core/errors.ts';
import type { OutcomeListener } from '../core/outcome.ts';
import { firstFinding, foundEarlierWord, foundWord, mostFindings, statusWords } from '../kernels/findings.ts';
import type { BufferPool, BufferRange } from './buffers.ts';

/**
 * Bytes of a status. Its words are: the first code of the submit; the first code since one of its line of submits was last
 * thrown; whether steps of this submit, or of unread ones before it in the line, have findings; and its own findings.
 */
export const statusBytes = wordSize * statusWords;
/** Submits whose status is kept on the device. */
const kept = 1024;

/**
 * A group of successive submits that share one report, until an error of theirs has been thrown or all of them are known.
 */
interface Report {
  done: boolean;
  submits: number;
  /** How many submits from the first on are known, without a gap. */
  known: number;
}
const newReport = (): Report => ({ done: false, submits: 0, known: 0 });

/**
 * What the kernels of one submit have said of its data. It is known once it has been read along with a value that the
 * submit made: whoever reads such a value gets the error, every time. An error that nobody has read shows once, at the next
 * read of a value of a later submit in the same line: of the same compiled function, or of the same states.
 */
export class Verdict {
  /** Where the words lie, as long as they are kept there. */
  readonly #place: () => BufferRange | null;
  readonly #labels: readonly string[];
  /**
   * Verdicts on the submits that made what this one reads, and that its own words don't cover: what is made of bad values
   * is bad.
   */
  readonly #given: readonly Verdict[];
  readonly report: Report;
  /** The submit's place among those of the report. */
  readonly #position: number;
  /** Listeners for the steps of the submit, in the order of their findings. */
  #listeners: readonly OutcomeListener[];
  #known: { readonly own: number; readonly since: number; readonly foundEarlier: number } | null = null;
  #undo: (() => void) | null = null;

  constructor(
    place: () => BufferRange | null,
    labels: readonly string[],
    given: readonly Verdict[],
    report = newReport(),
    listeners: readonly OutcomeListener[] = [],
  ) {
    this.#listeners = listeners;
    this.#place = place;
    this.#labels = labels;
    this.#given = given;
    this.report = report;
    this.#position = report.submits++;
  }

  /** Those among `verdicts`, and among what they stand on, that may still have something to tell of. */
  static open(verdicts: Iterable<Verdict | null>): Verdict[] {
    const found = new Set<Verdict>();
    for (const each of verdicts) for (const one of each ? [each, ...each.#given] : []) if (one.#isOpen) found.add(one);
    return [...found];
  }

  /** The verdict on values that are made of others with these verdicts, where no kernel can add anything. */
  static over(given: readonly Verdict[]): Verdict | null {
    if (given.length < 2) return given[0] ?? null;
    return new Verdict(() => null, [], given);
  }

  get #isOpen(): boolean {
    return this.#known ? this.#known.own !== 0 : this.place !== null;
  }

  /** False once it is known that no earlier submit has anything to tell. */
  get mayPassOn(): boolean {
    return !this.report.done && (this.#known === null || this.#known.own + this.#known.since !== 0);
  }

  get place(): BufferRange | null {
    return this.#place();
  }

  /** Verdicts to read before this one can be judged. */
  get unknown(): Verdict[] {
    return [this, ...this.#given].filter((each) => each.#known === null && each.place !== null);
  }

  /** Takes the words that were read at `place`. */
  learn(words: Uint32Array): void {
    const [own = 0, since = 0] = words;
    this.#known = { own, since, foundEarlier: words[foundEarlierWord] ?? 0 };
    if (own !== 0) this.#undo?.();
    tell(this.#listeners, words);
    this.#undo = null;
    this.#listeners = [];
    if (this.report.known === this.#position) this.report.known++;
  }

  /**
   * Calls `undo` once it is known that something was wrong, so that the host follows the device, which has left things as
   * they were.
   */
  whenBad(undo: () => void): void {
    this.#undo = undo;
  }

  get isKnown(): boolean {
    return this.#known !== null;
  }

  /** Whether there is something to learn of earlier submits: of a failure, or of findings, that nobody has read of. */
  get tellsOfEarlier(): boolean {
    return this.hasEarlierFindings || (this.#known !== null && this.#known.since !== 0 && !this.report.done);
  }
  get hasEarlierFindings(): boolean {
    return this.#known !== null && this.#known.foundEarlier !== 0 && this.report.known <= this.#position;
  }

  /** Notes that the submits before this one are known. */
  knowsEarlier(): void {
    this.report.known = Math.max(this.report.known, this.#position + 1);
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
 * The words that kernels set when they meet bad data, or have something to tell of a step. They belong to the submit: cleared
 * at its start, and kept at its end for whoever reads what the submit has made.
 */
export class Status {
  readonly words: GPUBuffer;
  /** What the codes mean: code − 1 is the position here. */
  readonly #labels: string[] = [];
  /** The status of the last submits, in turn. */
  readonly #ended: GPUBuffer;
  #count = 0;
  /** The last verdict of each line of submits. */
  readonly #last = new WeakMap<object, Verdict>();
  /** Listeners for the steps of the submits in `#ended`, which hear of them even if nobody reads their results. */
  readonly #listeners: (readonly OutcomeListener[])[] = [];
  /** The last verdict of each line whose steps have listeners. */
  readonly #awaited = new Set<Verdict>();

  constructor(buffers: BufferPool) {
    this.words = buffers.create(statusBytes, 'weft status');
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
    listeners: readonly OutcomeListener[] = [],
  ): Verdict {
    const last = line ? this.#last.get(line) : undefined;
    const before = last?.mayPassOn ? last.place : null;
    const heir = given.find((each) => each.place);
    const bad = heir?.place;
    encoder.clearBuffer(this.words);
    if (before) {
      const { buffer, offset } = before;
      encoder.copyBufferToBuffer(buffer, offset + wordSize, this.words, wordSize, wordSize * foundWord);
      encoder.copyBufferToBuffer(
        buffer,
        offset + wordSize * foundWord,
        this.words,
        wordSize * foundEarlierWord,
        wordSize,
      );
    }
    if (bad) encoder.copyBufferToBuffer(bad.buffer, bad.offset, this.words, 0, wordSize);
    const turn = this.#count++;
    const range = { buffer: this.#ended, offset: (turn % kept) * statusBytes };
    const place = () => (this.#count - turn <= kept ? range : null);
    const others = given.filter((each) => each !== heir);
    const report = before && last ? last.report : newReport();
    const verdict = new Verdict(place, this.#labels, others, report, listeners);
    this.#listeners[turn % kept] = listeners;
    // What an earlier one has found goes on to this one.
    const inherits = last !== undefined && this.#awaited.delete(last) && before !== null;
    if (inherits || listeners.length > 0) this.#awaited.add(verdict);
    if (line) this.#last.set(line, verdict);
    return verdict;
  }

  /** Takes the verdicts that have listeners, whatever is read: eager steps may have no result but their states. */
  takeAwaited(): Verdict[] {
    const awaited = [...this.#awaited].filter(({ isKnown, place }) => !isKnown && place !== null);
    this.#awaited.clear();
    return awaited;
  }

  /** Keeps the word that `verdict` is to learn. */
  end(encoder: GPUCommandEncoder, { place }: Verdict): void {
    if (place) encoder.copyBufferToBuffer(this.words, 0, place.buffer, place.offset, statusBytes);
  }

  /** Where the words of all submits lie that are kept now, and who is to learn them. */
  snapshot(): { readonly range: BufferRange; readonly bytes: number; learn(words: Uint32Array): void } {
    const told = this.#listeners.splice(0);
    return {
      range: { buffer: this.#ended, offset: 0 },
      bytes: kept * statusBytes,
      learn: (words) => {
        for (const [turn, listeners] of told.entries())
          if (listeners) tell(listeners, words.subarray(statusWords * turn, statusWords * (turn + 1)));
      },
    };
  }
}

/** Tells of the steps of a submit, by its status. */
function tell(listeners: readonly OutcomeListener[], words: Uint32Array): void {
  for (const [i, listener] of listeners.entries()) {
    const finding = i < mostFindings ? (words[firstFinding + i] as number) : 0;
    if (words[0] !== 0) listener.failed();
    else if (finding !== 0) listener.found(finding);
  }
}
