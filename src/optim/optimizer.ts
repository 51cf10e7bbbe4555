import { ValueError, WeftError } from '../core/errors.ts';
import { shown } from '../core/options.ts';
import type { OutcomeListener } from '../core/outcome.ts';
import type { TensorType } from '../core/types.ts';
import { fromHost } from '../graph/leaf.ts';
import { onOutcome, onSubmitted } from '../graph/outcome.ts';
import { packedSize } from '../graph/packing.ts';
import type { Parameter } from '../graph/parameter.ts';
import { currentTrace, noGrad, noteChange, type Trace } from '../graph/record.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type LoadOptions, type LoadReport, matchState, type StateDict } from '../nn/stateDict.ts';
import { dynamic } from '../ops/dynamic.ts';
import { stack } from '../ops/join.ts';
import { packValues } from '../ops/packing.ts';
import { at } from '../ops/slice.ts';
import { blockFound, mostFindings, packedBlock, type Skip } from '../ops/updates.ts';
import { flush } from '../runtime/eager.ts';
import type { CommonSettings, GroupCheck, StepOptions, Trained, Trainees } from './groups.ts';
import { asGroups, checkParameters } from './groups.ts';
import type { Divergence, OptimizerPosition, StepListener } from './ledger.ts';
import { Ledger } from './ledger.ts';
import type { Update } from './pack.ts';
import { gradientFor, largestPack, type ParameterPack, packGroups, turnOf, worstOf } from './pack.ts';

/**
 * Updates parameters from their gradients. They lie one after another in flat packs, so that a step is one dispatch, and
 * so do the optimizer's own states. Learning rates are read anew at each step, compiled or not. Steps are counted on the
 * device, for each parameter by itself, as PyTorch does: one without a gradient is left alone, and a submit that fails
 * changes and counts nothing. The kernels tell where a gradient or a parameter is not finite: see `diverged`.
 */
export abstract class Optimizer<Settings extends CommonSettings> {
  /** The groups; their settings may be changed at any time. */
  readonly groups: readonly (Settings & Trainees<readonly Parameter[]>)[];
  readonly #packs: readonly ParameterPack[];
  /** For each pack its states by PyTorch's names. */
  readonly #states: readonly ReadonlyMap<string, State>[];
  readonly #ledger = new Ledger();
  readonly #skips: boolean;
  /** False once a parameter has missed a step: then each has a count and a gate of its own. */
  #together = true;
  readonly #listeners = new Set<StepListener>();

  /** `checkGroup` knows the settings that a group may have. */
  constructor(
    trained: Trained<Settings>,
    { nonFinite = 'update', ...options }: Settings & Partial<StepOptions>,
    checkGroup: GroupCheck,
  ) {
    const { name } = this.constructor;
    const settings = options as object as Settings;
    this.#skips = nonFinite === 'skip';
    this.groups = asGroups(name, trained, checkGroup).map((group) => ({
      ...settings,
      ...group,
      params: [...group.params],
    }));
    checkParameters(
      name,
      this.groups.flatMap(({ params }) => params),
    );
    for (const group of this.groups) {
      if (typeof group.lr !== 'function') this.expect('lr', group.lr, group.lr >= 0, 'a finite number of at least 0');
      this.expect('weightDecay', group.weightDecay, group.weightDecay >= 0, 'a finite number of at least 0');
      this.check(group);
    }
    this.#packs = packGroups(this.groups, this.packElements);
    this.#states = this.#packs.map((pack) => new Map(this.stateNames().map((name) => [name, pack.zeros(name)])));
  }

  /**
   * Steps made so far; one that has failed, or was left out, is taken back when that is known: at the latest by the read of
   * what was made with it.
   */
  get steps(): number {
    return this.#ledger.steps;
  }

  /** True under `nonFinite: 'skip'`: a step whose gradients are not finite is left out. */
  get skipsNonFinite(): boolean {
    return this.#skips;
  }

  /** Steps left out, under `nonFinite: 'skip'`, since the optimizer was made or loaded; known when `steps` is. */
  get skipped(): number {
    return this.#ledger.skipped;
  }

  /**
   * The first step, since the optimizer was made or loaded, in which a gradient that it follows, a parameter or, of Adam, a
   * mean square was not finite; null as long as none is known of. The news comes with the next value that is read of the
   * step, or of a later one of the same compiled function: its loss, most often. A parameter or an eager value brings it, too.
   * Under `nonFinite: 'skip'`, steps that were left out do not count.
   *
   * Where the gradients' norm is NaN, `clipGradNorm` makes all of them so; the parameter named is the first whose own
   * gradient was not finite before. Where that is none of this optimizer's, it is the first of all.
   */
  get diverged(): Divergence | null {
    const { found } = this.#ledger;
    return found && { step: found.step, parameter: this.#parameterAt(blockFound(found.finding)) };
  }

  /** Elements that lie together at most, and are updated by one dispatch. */
  protected get packElements(): number {
    return largestPack;
  }
  /** Throws a ValueError where a setting of a group makes no sense; see `expect`. */
  protected abstract check(settings: Settings): void;
  /** Names of the states that it keeps for each parameter, PyTorch's. */
  protected abstract stateNames(): string[];
  /** Numbers of a group for its kernel; the group ends before the element `end` of its pack. */
  protected abstract hyper(settings: Settings, lr: number, end: number): number[];
  /** Assigns the next versions of parameters and states; gives the next counts, where the update makes them. */
  protected abstract update(update: Update): Tensor | null;

  /** Makes one step with the gradients that are there; a parameter without one is left alone. */
  step(): void {
    noGrad(() => {
      const due = this.#due();
      const finding = this.#nextFinding();
      const hypers = due.map(({ pack }, i) => this.#hyperOf(pack, i === due.length - 1));
      const skip = this.#skips ? { worst: worstOf(due.map(({ gradients }) => gradients.flat)), finding } : null;
      for (const [i, { pack, states, gradients, firstBlock, turn }] of due.entries()) {
        const hyper = hypers[i] as Tensor;
        const telling = { finding, firstBlock };
        const counts = this.update({ pack, gradients: gradients.flat, hyper, turn: turn(skip), telling, states });
        if (counts) pack.counts.assign(counts);
      }
      if (!currentTrace()) {
        const listener = this.#ledger.count();
        for (const { pack } of due.slice(0, -1)) pack.counts.onOutcome(ofFindings(listener));
        due.at(-1)?.pack.counts.onOutcome(listener);
      }
    });
    if (!currentTrace()) for (const listener of this.#listeners) listener('recorded');
    flush();
  }

  /** The finding of the step that is being recorded: steps of one submit have theirs in turn. */
  #nextFinding(): number {
    const trace = currentTrace();
    if (!trace) return 0;
    const finding = stepsIn.get(trace) ?? 0;
    stepsIn.set(trace, finding + 1);
    if (finding >= mostFindings && this.#skips)
      throw new ValueError(
        `[${this.constructor.name}] a compiled function can make ${mostFindings} steps where one may be left out; make fewer, or take nonFinite: 'update'`,
      );
    return Math.min(finding, mostFindings);
  }

  /** The packs that take part in a step. */
  #due() {
    let blocks = 0;
    const due = this.#packs.flatMap((pack, i) => {
      const gradients = pack.gradients();
      const firstBlock = blocks;
      blocks += pack.length / packedBlock;
      return gradients ? { pack, gradients, firstBlock, states: this.#states[i] as ReadonlyMap<string, State> } : [];
    });
    if (due.length === 0)
      throw new WeftError(`[${this.constructor.name}] step() found no gradient; call loss.backward() first`);
    if (due.some(({ pack }) => !pack.holds))
      throw new WeftError(
        `[${this.constructor.name}] its parameters have been given to another optimizer, which has them now`,
      );
    if (this.groups.some(({ params }) => params.some((each) => gradientFor(each) === null))) this.#setTogether(false);
    const read = () => this.#together;
    const together = currentTrace()?.guard(read) ?? read();
    return due.map((each) => ({
      ...each,
      turn: (skip: Skip | null) => turnOf(each.pack, each.gradients, together, skip),
    }));
  }

  /** The parameter that has a block of 64 elements, of all packs one after another. */
  #parameterAt(block: number): Parameter {
    const [first, ...others] = this.#packs.flatMap(({ members }) => members) as [Parameter, ...Parameter[]];
    let parameter = first;
    let end = packedSize(first.shape) / packedBlock;
    for (const each of others) {
      if (block < end) break;
      parameter = each;
      end += packedSize(each.shape) / packedBlock;
    }
    return parameter;
  }

  #setTogether(together: boolean): void {
    if (together !== this.#together) noteChange();
    this.#together = together;
  }

  /** All that a step commits on the device: parameters, counts, moments. @internal */
  get states(): State[] {
    return this.#packs.flatMap(({ state, counts }, i) => [
      state,
      counts,
      ...(this.#states[i] as Map<string, State>).values(),
    ]);
  }

  /** Its position beside the states. @internal */
  get position(): OptimizerPosition {
    const { steps, skipped } = this.#ledger;
    return { steps, skipped, together: this.#together };
  }
  /** Is set after the states have their values: their counts include steps whose fate the host had not heard of. */
  set position({ steps, skipped, together }) {
    const counted = together ? this.#packs[0]?.counts.committed.host?.[0] : undefined;
    const known = counted ?? steps;
    this.#ledger.setSteps(known);
    this.#ledger.forget(skipped + (this.#skips ? steps - known : 0));
    this.#setTogether(together);
  }

  /**
   * Calls `listener` after each step: once it is submitted, or, outside of compiled functions, as soon as it is recorded. Gives
   * the call that ends it. @internal
   */
  watch(listener: StepListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the gradients. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const parameter of params) parameter.grad = null;
  }

  /** The learning rate of a group in the next step. */
  learningRate(group = 0): number {
    return this.#rate(this.groups[group] as Settings, this.#ledger.steps);
  }

  /**
   * All that a resumed run needs: `step`, and `state.0.exp_avg` and the like, numbered by parameter as in PyTorch; where
   * parameters have missed steps, also `state.0.step`.
   */
  stateDict(): Map<string, Tensor> {
    const dict = new Map([['step', fromHost(stepType, Int32Array.of(this.#ledger.steps))]]);
    if (!this.#together)
      this.#eachMember((name, pack, i) => {
        dict.set(`${name}.step`, at(pack.counts.value, i));
      });
    this.#eachState((name, state, pack, first) => {
      for (const [i, part] of pack.unpack(state.value).entries()) dict.set(`state.${first + i}.${name}`, part);
    });
    return dict;
  }

  /** Takes what `stateDict` gave; compiled steps stay valid. Reports as a module's `loadStateDict` does. */
  loadStateDict(dict: StateDict, options?: LoadOptions): LoadReport {
    const wanted = new Map<string, TensorType>([['step', stepType]]);
    this.#eachState((name, _, pack, first) => {
      for (const [i, { shape, dtype }] of pack.members.entries())
        wanted.set(`state.${first + i}.${name}`, { shape, dtype });
    });
    const names = new Set(dict instanceof Map ? dict.keys() : Object.keys(dict));
    this.#eachMember((name) => {
      if (names.has(`${name}.step`)) wanted.set(`${name}.step`, stepType);
    });
    const { fitting, report } = matchState(this.constructor.name, wanted, dict, options);
    this.#ledger.forget();
    const step = fitting.get('step');
    if (step) {
      if (!step.host)
        throw new ValueError(
          `[${this.constructor.name}] the entry "step" must hold its value on the host, as stateDict() and files give it`,
        );
      this.#ledger.setSteps(step.host[0] as number);
      this.#loadCounts(fitting);
    }
    this.#eachState((name, state, pack, first) => {
      const current = pack.unpack(state.value);
      state.assign(packValues(current.map((value, i) => fitting.get(`state.${first + i}.${name}`) ?? value)));
    });
    return report;
  }

  /** Throws a ValueError unless `holds` is true of a finite `value`. */
  protected expect(name: string, value: number, holds: boolean, wanted: string): void {
    if (!(holds && Number.isFinite(value)))
      throw new ValueError(`[${this.constructor.name}] ${name} must be ${wanted}, got ${shown(value)}`);
  }

  #eachState(visit: (name: string, state: State, pack: ParameterPack, first: number) => void): void {
    let first = 0;
    for (const [i, pack] of this.#packs.entries()) {
      for (const [name, state] of this.#states[i] as ReadonlyMap<string, State>) visit(name, state, pack, first);
      first += pack.members.length;
    }
  }

  #eachMember(visit: (name: string, pack: ParameterPack, member: number) => void): void {
    let first = 0;
    for (const pack of this.#packs) {
      for (const i of pack.members.keys()) visit(`state.${first + i}`, pack, i);
      first += pack.members.length;
    }
  }

  /** Each parameter goes on from its own count where one is given, else from that of the optimizer. */
  #loadCounts(given: ReadonlyMap<string, Tensor>): void {
    const counts = new Map(this.#packs.map((pack) => [pack, [] as Tensor[]]));
    let own = false;
    this.#eachMember((name, pack) => {
      own ||= given.has(`${name}.step`);
      counts.get(pack)?.push(given.get(`${name}.step`) ?? (given.get('step') as Tensor));
    });
    for (const [pack, list] of counts)
      pack.counts.assign(own ? stack(list) : pack.countsOf(pack.members.map(() => this.#ledger.steps)));
    this.#setTogether(!own);
  }

  /** Settings of a pack's groups in the step that is made; in a compiled step, the last pack counts it. */
  #hyperOf(pack: ParameterPack, counts: boolean): Tensor {
    const length = this.hyper(this.groups[0] as Settings, 0, 0).length * pack.groups.length;
    const isTraced = currentTrace() !== null;
    return dynamic(() => {
      const values = pack.groups.flatMap(({ group, end }) => {
        const settings = this.groups[group] as Settings;
        return this.hyper(settings, this.#rate(settings, this.#ledger.steps), end);
      });
      if (isTraced && counts) {
        onOutcome(this.#ledger.count());
        for (const listener of this.#listeners) onSubmitted(() => listener('submitted'));
      }
      return values;
    }, length);
  }

  #rate({ lr, schedule }: CommonSettings, step: number): number {
    const rate = (typeof lr === 'number' ? lr : lr(step)) * (schedule?.(step) ?? 1);
    this.expect(`lr in step ${step}`, rate, rate >= 0, 'a finite number of at least 0');
    return rate;
  }
}

const stepType: TensorType = { shape: [], dtype: 'i32' };

/** Steps that a trace has recorded so far, of all optimizers. */
const stepsIn = new WeakMap<Trace, number>();

/** Keeps only the findings: where the submit of one pack can't run, the step still counts for the others. */
const ofFindings = ({ found }: OutcomeListener): OutcomeListener => ({ failed: () => {}, found });
