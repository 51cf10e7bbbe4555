import { WeftError } from '../core/errors.ts';
import { oneByOne } from '../core/oneByOne.ts';
import { brief, count, declareOptions, flag } from '../core/options.ts';
import { Recent } from '../core/recent.ts';
import { formatShape } from '../core/shape.ts';
import { currentDevice } from '../device/current.ts';
import { currentTrace } from '../graph/record.ts';
import { pendingStates, type State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { asTensors, signatureOf, tensorsAmong } from './arguments.ts';
import { inOrder, materialise } from './eager.ts';
import { Plan } from './plan.ts';

/** Signatures whose plans are kept by default. */
const keptSignatures = 16;
/** Plans kept per signature: one for each mode (training, evaluation, gradients present or not). */
const keptModes = 4;
/** Signatures after which a warning says what varies, where nobody has said how many there are. */
const manySignatures = 8;

/** Runs calls one after another in the order in which they were made, whether they were waited for or not. */
const calls = oneByOne();

/** Options of `compile`: how many plans it keeps, and checks for the search of an error, each of which makes it slow. */
export interface CompileOptions {
  /**
   * Signatures, such as lengths of sequences, whose plans are kept; 16 by default. Beyond them the one that was not used
   * for the longest is given back, and traced anew when it comes again.
   */
  plans?: number;
  /** Traces again at every call, and throws where the recording has changed: a captured number, a branch. Slow. */
  debug?: boolean;
  /**
   * Looks for infinities and NaN in every result of every op, and names the first op that has one: reading a result of the
   * step rejects with a ValueError, and its states are as before. Nothing is fused away, so it is slow: for the search.
   */
  checkFinite?: boolean;
}

const compileOptions = declareOptions<CompileOptions>({ plans: count, debug: flag, checkFinite: flag });

/**
 * Throws where a new trace differs from the plan, in debug mode: JavaScript that depends on more than the arguments is
 * frozen by the trace.
 */
function compareWithNewTrace(plan: Plan, fn: (...args: never[]) => unknown, args: readonly unknown[]): void {
  const again = Plan.trace(fn, args, currentDevice());
  const [before, after] = [plan.record, again.record];
  again.destroy();
  const at = before.findIndex((line, i) => line !== after[i]);
  if (at < 0 && before.length === after.length) return;
  throw new WeftError(
    `[compile] ${fn.name || 'the function'} records something else than when it was traced; node ${at} was\n  ${brief(before[at] ?? 'nothing', 200)}\nand is now\n  ${brief(after[at] ?? 'nothing', 200)}\nPass what changes as an argument, or through dynamic(() => number).`,
  );
}

/** The states that were warned of. */
const told = new WeakSet<State>();

/**
 * Warns once for each parameter whose gradients nobody uses: most often a part of a model was left out of the optimizer.
 */
function tellUnheld(fn: object, unheld: readonly State[]): void {
  const news = unheld.filter((state) => !told.has(state));
  if (news.length === 0) return;
  for (const state of news) told.add(state);
  const names = news.map(({ label, type }) => `${label} ${formatShape(type.shape)}`);
  console.warn(
    `[compile] backward in ${nameOf(fn)} reaches parameters that no optimizer holds and that the step leaves as they are: ${names.join(', ')}. Give them to the optimizer, or detach them.`,
  );
}

const nameOf = (fn: object) => ('name' in fn && fn.name) || 'a function';

/** A compiled function: call it like the original, await the results. */
export interface Compiled<Args extends readonly unknown[], Result> {
  (...args: Args): Promise<Result>;
  /** Traces and compiles for arguments like these without running. */
  prepare(...args: Args): Promise<Plan>;
  /** The plans that are kept, by signature. */
  readonly plans: ReadonlyMap<string, readonly Plan[]>;
  /** Number of traces so far. */
  readonly traces: number;
}

/** Plans give their buffers back when nobody holds the compiled function any more: they must not hold it either. */
const abandoned = new FinalizationRegistry<Recent<Plan[]>>((plans) => {
  for (const list of plans.values()) destroyAll(list);
});
const destroyAll = (plans: Plan[]) => {
  for (const plan of plans) plan.destroy();
};

/**
 * Records `fn` once for each signature (shapes and dtypes of tensors, values of other arguments, modes of modules, which
 * gradients are there) and replays it from then on: one submit, nothing allocated, nothing traced. What changes from step to
 * step must be an argument, a state, or a `dynamic` number.
 *
 * Arguments are taken as they are at the call. Tensors, and what `tensor` makes tensors of (typed arrays, arrays of only
 * numbers or booleans), may change from call to call. A parameter or buffer stands for its state, which the function may
 * read, differentiate and assign. Numbers, strings, booleans and null are part of the signature: each value costs a plan.
 * Arrays, plain objects and Maps of all these are taken apart.
 *
 * Results are put together in the same way. Tensors belong to the caller; parameters and buffers come back as themselves, so
 * that reading them gives the current version; other values come back as they were when `fn` was recorded. Rejects with a
 * ValueError that names the place of anything else: objects of a class, functions, typed arrays.
 */
export function compile<Args extends readonly unknown[], Result>(
  fn: (...args: Args) => Result,
  options?: CompileOptions,
): Compiled<Args, Result> {
  const { plans: kept, debug = false, checkFinite = false } = compileOptions('compile', options);
  const most = kept ?? keptSignatures;
  const plans = new Recent(most, destroyAll);
  /** Signatures that have had a plan, some of which was given back since. */
  const seen = new Recent<true>(4 * most);
  let hasTold = false;
  let traces = 0;
  /** A plan for these arguments, and for the modes and gradients of now. */
  const choose = (args: readonly unknown[]): Plan => {
    const signature = signatureOf(args);
    const known = plans.get(signature)?.find((plan) => plan.holds);
    if (known) {
      if (debug) compareWithNewTrace(known, fn as (...args: never[]) => unknown, args);
      return known;
    }
    const plan = Plan.trace(fn as (...args: never[]) => unknown, args, currentDevice(), { checkFinite });
    traces++;
    tellUnheld(fn, plan.unheld);
    if (seen.has(signature) && !plans.has(signature) && !hasTold) {
      hasTold = true;
      console.warn(
        `[compile] ${nameOf(fn)} is traced again for a signature whose plan was given back: it is called with more than ${most} in turn. Keep more of them, compile(fn, { plans: ${2 * most} }), or pad what comes in to fewer lengths.`,
      );
    }
    seen.set(signature, true);
    // Keeps plans for other modes: training and evaluation take turns.
    const list = [...(plans.get(signature) ?? []).filter(({ device }) => !device.isLost), plan];
    if (list.length > keptModes) list.shift()?.destroy();
    plans.set(signature, list);
    if (plans.size === manySignatures && kept === undefined) {
      console.warn(
        `[compile] ${nameOf(fn)} has been traced for ${plans.size} signatures; each costs a plan. They are:\n  ${[...plans.keys()].map((each) => brief(each, 200)).join('\n  ')}`,
      );
    }
    return plan;
  };
  const replay = (plan: Plan, tensors: readonly Tensor[]) =>
    plan.use(async () => {
      await plan.prepare();
      return plan.device.orLost(inOrder(() => plan.replay(tensors))) as Promise<Result>;
    });
  const run = async (args: Args): Promise<Result> => {
    const given = asTensors(args);
    const tensors = tensorsAmong(given);
    const chosen = choose(given);
    const pending = tensors.filter((tensor) => !tensor.source);
    // Compiles plans side by side; an error shows when the call has its turn.
    chosen.compile().catch(() => {});
    return chosen.use(() =>
      calls(async () => {
        if (pending.length > 0 || pendingStates.size > 0) await materialise(pending);
        // A call before this one, which was not waited for, may have made a gradient since.
        return replay(chosen.statesHold ? chosen : choose(given), tensors);
      }),
    );
  };
  const call = (...args: Args): Promise<Result> => {
    // A promise would be lost in the trace around it, which must be told.
    if (currentTrace())
      throw new WeftError(
        `[compile] a compiled function is called inside ${currentTrace()?.label}; call the plain function there`,
      );
    return run(args);
  };
  const prepare = async (...args: Args): Promise<Plan> => {
    const given = asTensors(args);
    tensorsAmong(given);
    return choose(given).use(async (plan) => {
      await plan.prepare();
      return plan;
    });
  };
  abandoned.register(call, plans);
  return Object.defineProperties(Object.assign(call, { prepare }), {
    plans: { get: () => plans },
    traces: { get: () => traces },
  }) as Compiled<Args, Result>;
}
