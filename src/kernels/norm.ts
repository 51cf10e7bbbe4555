import normLibrary from '../../shaders/lib/norm.wgsl' with { type: 'text' };
import normBackwardLibrary from '../../shaders/lib/normBackward.wgsl' with { type: 'text' };
import backwardLine from '../../shaders/norm/backward.line.wgsl' with { type: 'text' };
import backwardRows from '../../shaders/norm/backward.rows.wgsl' with { type: 'text' };
import backwardThread from '../../shaders/norm/backward.thread.wgsl' with { type: 'text' };
import forwardRows from '../../shaders/norm/forward.rows.wgsl' with { type: 'text' };
import forwardThread from '../../shaders/norm/forward.thread.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingText } from './bindingText.ts';
import { family, familyCall } from './family.ts';
import type { BindingSource, DeviceProfile, Dispatch, KernelCall, StoreHook, Variant } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { elementsOf, manyLanes, powerOfTwo, type Rows, roughly, rowsOf } from './lanes.ts';
import { addLibrary } from './library.ts';
import { loop, timesIn } from './loopLimit.ts';
import type { ReduceProblem } from './reduce.ts';
import { reduce } from './reduce.ts';
import { mostSideRows } from './sideSum.ts';

addLibrary({ norm: normLibrary, normBackward: normBackwardLibrary });

/** Over the rows of x [rows, E]. */
export interface NormProblem {
  readonly kind: 'layer' | 'rms';
  readonly rows: number;
  readonly E: number;
  readonly eps: number;
  readonly weight: boolean;
  readonly bias: boolean;
  /** Epilogue of output(0): y, or dx in backward. */
  readonly store?: StoreHook;
}

/** Bindings that stand behind the fixed ones of a shader, in order, and the functions that use them. */
class Extras {
  readonly bindings: BindingSource[];
  readonly declarations: string[] = [];
  readonly functions: Record<string, string> = {};

  constructor(fixed: readonly BindingSource[]) {
    this.bindings = [...fixed];
  }

  /** The next `@binding`, for `array<Element>`. */
  add(name: string, source: BindingSource, access: 'read' | 'read_write', functions: Record<string, string>): void {
    const binding = this.bindings.push(source);
    this.declarations.push(bindingText(binding, access, name, 'array<Element>'));
    Object.assign(this.functions, functions);
  }

  addHook(hook: StoreHook | undefined): void {
    if (!hook) return;
    this.declarations.push(hook.declarations(this.bindings.length + 1));
    this.bindings.push(...hook.bindings);
    Object.assign(this.functions, hook.functions);
  }
}

const column = (name: string, array: string) => ({ [name]: `fn ${name}(e: u32) -> Element { return ${array}[e]; }` });

/** A fused epilogue takes elements one by one, so the result is an array of f32 then. */
const vectorFunctions = (hook: StoreHook | undefined): Record<string, string> =>
  hook
    ? {
        write: `fn write(index: u32, value: Element) {
  store(4u * index, value.x);
  store(4u * index + 1u, value.y);
  store(4u * index + 2u, value.z);
  store(4u * index + 3u, value.w);
}`,
      }
    : { store: '', write: 'fn write(index: u32, value: Element) { output[index] = value; }' };

function dispatch(
  { kind, rows, E, store }: BackwardProblem,
  extras: Extras,
  { constants, functions, n, pieces }: Rows,
  rest: Pick<Dispatch, 'kernel' | 'source' | 'uniforms' | 'workgroups' | 'turns'>,
): Dispatch {
  extras.addHook(store);
  const vector = constants.Element !== 'f32';
  return {
    ...rest,
    constants: { ...constants, Result: vector && !store ? 'vec4<f32>' : 'f32', CENTRED: kind === 'layer' },
    functions: { ...functions, ...(vector && vectorFunctions(store)), ...extras.functions },
    declarations: extras.declarations.join('\n'),
    library: store?.library ?? [],
    bindings: extras.bindings,
    uniforms: { rows, E, n, pieces, ...rest.uniforms },
  };
}

function normCall(
  problem: NormProblem,
  variant: string,
  source: string,
  layout: Rows,
  workgroups: number,
  turns: number,
): KernelCall {
  const { eps, weight, bias } = problem;
  const extras = new Extras([output(0), output(1), input(0)]);
  if (weight) extras.add('weight', input(1), 'read', column('gain', 'weight'));
  if (bias) extras.add('bias', input(weight ? 2 : 1), 'read', column('shift', 'bias'));
  const kernel = { kernel: `norm/${variant}`, source, uniforms: { eps }, workgroups: grid(workgroups), turns };
  return { dispatches: [dispatch(problem, extras, layout, kernel)] };
}

/** `put` with the place before the value, which no function called with the value can have: SwiftShader is 4 % faster. */
const placeFirst = {
  put: `fn put(at: u32, near: f32, rest: f32, deviation: f32, weight: Element, bias: Element) {
  output[at] = result(at, near, rest, deviation, weight, bias);
}`,
};

/** Elements of the longest row that one lane goes along alone, where its squares overflow: a quarter of what Mesa lets it. */
const largestRow = 2 ** 14;

/** Four rows to a lane: fewer lanes than rows, so a workgroup has few of them. */
const fourRows = { rows: 4, size: 8 };

/** input(0) x [rows, E], then weight [E], bias [E] → output(0) y, output(1) statistics [rows, 2] of (mean, 1/σ); an RMS norm's mean is 0. */
export const norm = family<NormProblem>({
  name: 'norm',
  variants: {
    /** A lane for each four rows. */
    thread: {
      call: (problem, { subgroups }) => {
        const { rows, E, store } = problem;
        const layout = rowsOf(rows, E, 1, 1, fourRows.size);
        const adapted = {
          ...layout,
          // Mesa runs eight lanes side by side and gains a seventh; SwiftShader, whose subgroups have four, would lose a tenth.
          constants: { ...layout.constants, SKEW: subgroups ? 0 : 8 },
          functions: store ? layout.functions : { ...layout.functions, ...placeFirst },
        };
        const workgroups = Math.ceil(rows / (fourRows.rows * fourRows.size));
        return normCall(
          problem,
          'thread',
          forwardThread,
          adapted,
          workgroups,
          2 * loop(layout.n) + loop(4, 3 * loop(layout.n)) + loop(4),
        );
      },
    },
    /** Up to a workgroup for each row. */
    rows: {
      call: (problem) => {
        const layout = rowsOf(problem.rows, problem.E, 1, ...manyLanes(elementsOf(problem.E)));
        const large = layout.n <= largestRow;
        const turns =
          2 * loop(layout.pieces) + layout.meeting + (large ? 2 * loop(layout.n) : 0) + loop(4 * layout.pieces);
        const adapted = { ...layout, constants: { ...layout.constants, LARGE: large } };
        return normCall(problem, 'rows', forwardRows, adapted, layout.workgroups, turns);
      },
    },
  },
  select,
  shapeClass,
});

/** Alone with its rows, a lane adds up all of them: rounding errors grow with their length. */
function select({ E }: BackwardProblem, { selection }: DeviceProfile): string {
  return selection === 'gpu' || elementsOf(E) > 4096 ? 'rows' : 'thread';
}

/** Up to here a kernel that compiles sooner is worth more than one that runs faster. */
const fewElements = 2 ** 15;

function selectBackward(problem: BackwardProblem, profile: DeviceProfile): string {
  const variant = select(problem, profile);
  return variant === 'thread' && problem.rows * problem.E <= fewElements ? 'line' : variant;
}

function shapeClass({ kind, rows, E }: BackwardProblem): string {
  return `${kind} ${roughly(rows, E)}`;
}

type BackwardProblem = Omit<NormProblem, 'eps'>;

function normBackwardCall(
  problem: BackwardProblem,
  variant: string,
  source: string,
  layout: Rows,
  block: number,
  turns: number,
  profile: DeviceProfile,
): KernelCall {
  const { rows, E, weight, bias } = problem;
  const groups = Math.ceil(rows / block);
  const gradients = Number(weight) + Number(bias);
  const extras = new Extras([output(0), input(0), input(1), input(weight ? 3 : 2)]);
  if (weight) extras.add('weight', input(2), 'read', column('gain', 'weight'));
  if (gradients) extras.add('partials', scratch(0), 'read_write', partials(weight, bias));
  const kernel = { kernel: `normBackward/${variant}`, source, uniforms: { block }, workgroups: grid(groups), turns };
  const dx = dispatch(problem, extras, layout, kernel);
  if (!gradients) return { dispatches: [dx] };
  const sums = sumGroups(groups, E, gradients, profile);
  return { dispatches: [dx, ...sums.dispatches], scratch: [groups * gradients * E * wordSize, ...sums.scratch] };
}

/** Writes a workgroup's share of dweight and dbias, and reads it again. */
function partials(weight: boolean, bias: boolean): Record<string, string> {
  const names = (['Weight', 'Bias'] as const).filter((name) => (name === 'Weight' ? weight : bias));
  const place = (i: number) => `partials[(group * ${names.length}u + ${i}u) * params.n + e]`;
  const lines = names.map((name, i) => `  ${place(i)} = ${name.toLowerCase()}Sum;`);
  return {
    storePartials: `fn storePartials(group: u32, e: u32, weightSum: Element, biasSum: Element) {\n${lines.join('\n')}\n}`,
    ...Object.fromEntries(
      names.map((name, i) => [
        `partial${name}`,
        `fn partial${name}(group: u32, e: u32) -> Element { return ${place(i)}; }`,
      ]),
    ),
  };
}

/** partials [groups, gradients, E] → output(1) and output(2), in one dispatch where groups are not too many for that. */
function sumGroups(groups: number, E: number, gradients: number, profile: DeviceProfile): Required<KernelCall> {
  const second: StoreHook = {
    functions: {
      store: `fn store(index: u32, value: f32) {
  if (index < ${E}u) { output[index] = value; } else { second[index - ${E}u] = value; }
}`,
    },
    declarations: (binding) => bindingText(binding, 'read_write', 'second', 'array<f32>'),
    library: [],
    bindings: [output(2)],
  };
  const problem: ReduceProblem = {
    ...{ kind: 'sum', outer: 1, n: groups, inner: gradients * E, dtype: 'f32' },
    ...(gradients > 1 && { store: second }),
  };
  const wanted = profile.selection === 'software' ? 'thread' : problem.inner > 1 ? 'columns' : 'rows';
  const call = familyCall(reduce, problem).call({ ...profile, choices: { reduce: wanted } });
  const dispatches = call.dispatches.map(({ sideSum: _, ...sum }) => ({
    ...sum,
    kernel: `normBackward/${call.variant}/sum`,
    bindings: sum.bindings.map(moved),
  }));
  const [only] = dispatches;
  if (!only || dispatches.length > 1 || groups > mostSideRows) return { dispatches, scratch: call.scratch ?? [] };
  const outputs = gradients > 1 ? [output(1), output(2)] : [output(1)];
  return {
    dispatches: [{ ...only, sideSum: { rows: groups, columns: problem.inner, source: scratch(0), outputs } }],
    scratch: [],
  };
}

/** Where a sum's bindings lie behind the kernel that made the partials: those are scratch 0, and dweight is output 1. */
function moved(binding: BindingSource): BindingSource {
  if (binding.kind === 'input') return scratch(0);
  if (binding.kind === 'scratch') return scratch(binding.index + 1);
  return binding.kind === 'output' && binding.index === 0 ? output(1) : binding;
}

/** Workgroups with few lanes, which go along four rows for each lane, then down the columns. */
function alongAndDown(
  name: string,
  source: string,
  turns: (layout: Rows, lanes: number) => number,
): Variant<BackwardProblem> {
  return {
    call: (problem, profile) => {
      const { rows, E } = problem;
      const lanes = Math.max(4, powerOfTwo(elementsOf(E) / 4, fourRows.size));
      const layout = rowsOf(rows, E, 1, lanes, lanes);
      const block = fourRows.rows * lanes;
      return normBackwardCall(problem, name, source, layout, block, turns(layout, lanes), profile);
    },
  };
}

/**
 * input(0) x [rows, E], input(1) statistics [rows, 2], then weight [E], then dy [rows, E]
 * → output(0) dx, then dweight [E], dbias [E]. `eps` is not needed.
 */
export const normBackward = family<BackwardProblem>({
  name: 'normBackward',
  variants: {
    /** A lane for each four rows, then for each four columns. */
    thread: alongAndDown('thread', backwardThread, ({ n, pieces }, lanes) => loop(n) + loop(pieces, loop(4 * lanes))),
    /** A lane for each row, then for each column: the same with less to compile. */
    line: alongAndDown(
      'line',
      backwardLine,
      ({ n }, lanes) => loop(4, loop(n)) + loop(Math.ceil(n / lanes), loop(4 * lanes)),
    ),
    /** Up to a workgroup for each row. */
    rows: {
      call: (problem, profile) => {
        const { rows, E } = problem;
        const [lanes, size] = manyLanes(elementsOf(E));
        const layout = rowsOf(rows, E, 1, lanes, size);
        const atOnce = size / lanes;
        const HEADS = atOnce > 64 ? 16 : atOnce > 4 ? 4 : 1;
        const adapted = { ...layout, constants: { ...layout.constants, HEADS } };
        const each = loop(layout.pieces) + layout.meeting + loop(layout.pieces, loop(4));
        const last = loop(4, 2 * (loop(atOnce / HEADS) + loop(HEADS)));
        // No more workgroups than fill a large device a few times over: each adds to what is summed at last.
        const most = Math.max(1, timesIn(profile.loopLimit - last, each));
        const times = Math.min(most, Math.ceil(layout.workgroups / 256));
        const block = times * atOnce;
        return normBackwardCall(problem, 'rows', backwardRows, adapted, block, loop(times, each) + last, profile);
      },
    },
  },
  select: selectBackward,
  shapeClass,
});
