import type { OutcomeListener } from '../core/outcome.ts';
import type { Parameter } from '../graph/parameter.ts';
import { leftOut } from '../ops/updates.ts';

/**
 * The first attempt that met a value which is not finite; its step as it was counted then, and how many had been taken
 * back by then.
 */
interface Found {
  readonly attempt: number;
  readonly step: number;
  readonly takenBack: number;
  readonly finding: number;
}

/** Where an optimizer met a value that is not finite. */
export interface Divergence {
  /** The step, counted from 1: what `steps` was after it. */
  readonly step: number;
  /** The first parameter whose gradient was not finite; where all gradients were, the first that has become so. */
  readonly parameter: Parameter;
}

/** The position of an optimizer, beside its states. */
export interface OptimizerPosition {
  readonly steps: number;
  readonly skipped: number;
  /** Whether all parameters have made the same steps. */
  readonly together: boolean;
}

/** Hears of a step when it is submitted, or recorded and not yet computed. */
export type StepListener = (how: 'submitted' | 'recorded') => void;

/**
 * Counts an optimizer's steps on the host. Each is counted when it begins, and taken back where it turns out to have
 * failed or to have been left out: the host never waits for the device, which counts for itself.
 */
export class Ledger {
  #steps = 0;
  #skipped = 0;
  /** Steps that were begun, whatever became of them. */
  #attempts = 0;
  /** Attempts that have failed or were left out. */
  readonly #takenBack: number[] = [];
  /** How often the count was set: attempts from before are then not taken back. */
  #settings = 0;
  /** Attempts that began before the last `forget`: nobody wants to hear of them. */
  #forgotten = 0;
  #found: Found | null = null;

  /** Steps made. */
  get steps(): number {
    return this.#steps;
  }

  /** Steps left out. */
  get skipped(): number {
    return this.#skipped;
  }

  /** The first step that met what is not finite, counted from 1, and what its kernel has told; null where none is known of. */
  get found(): { readonly step: number; readonly finding: number } | null {
    const found = this.#found;
    if (!found) return null;
    const missed = this.#takenBack.slice(found.takenBack).filter((attempt) => attempt < found.attempt);
    return { step: found.step - missed.length, finding: found.finding };
  }

  /** Forgets what was found and left out. */
  forget(skipped = 0): void {
    this.#skipped = skipped;
    this.#forgotten = this.#attempts;
    this.#found = null;
  }

  /** Goes on from another count; steps still under way change nothing of it. */
  setSteps(steps: number): void {
    this.#steps = steps;
    this.#settings++;
  }

  /** Counts a step. The listener for its outcome holds only numbers, since the engine may keep it for long. */
  count(): OutcomeListener {
    const settings = this.#settings;
    const attempt = this.#attempts++;
    const own = { attempt, step: ++this.#steps, takenBack: this.#takenBack.length };
    let open = true;
    const failed = () => {
      if (open) this.#takenBack.push(attempt);
      if (open && settings === this.#settings) this.#steps--;
      open = false;
    };
    const found = (finding: number) => {
      if (!open) return;
      const wanted = attempt >= this.#forgotten;
      if (finding === leftOut) {
        if (wanted) this.#skipped++;
        failed();
      } else if (wanted && isEarlier({ ...own, finding }, this.#found)) this.#found = { ...own, finding };
    };
    return { failed, found };
  }
}

/** Whether a finding precedes the known one: it is of an earlier attempt, or of the same one in another submit. */
const isEarlier = (found: Found, known: Found | null): boolean =>
  !known || found.attempt < known.attempt || (found.attempt === known.attempt && found.finding > known.finding);
