import columns from '../../shaders/reduce/columns.wgsl' with { type: 'text' };
import rows from '../../shaders/reduce/rows.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { family } from './family.ts';
import type { DeviceProfile, Dispatch, KernelCall, LoadHook, StoreHook } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { elementsOf, fewLanes, manyLanes, mostPlaces, powerOfTwo, roughly } from './lanes.ts';
import { loop, timesIn } from './loopLimit.ts';
import { mostSideRows } from './sideSum.ts';

export type ReduceKind = 'sum' | 'mean' | 'sumSquares' | 'max' | 'min' | 'argMax' | 'argMin' | 'logSumExp';

/** input(0) [outer, n, inner] → output(0) [outer, inner]. argMax and argMin give i32 indices; the first occurrence wins. */
export interface ReduceProblem {
  readonly kind: ReduceKind;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  /** mean, sumSquares and logSumExp take f32 alone. */
  readonly dtype: 'f32' | 'i32' | 'u32';
  readonly store?: StoreHook;
  readonly load?: LoadHook;
}

/** A reduction as WGSL expressions: `value` and `index` of an element, accumulators `a` and `b`, `count` elements in all. */
interface Reduction {
  /** The accumulator's type and its declaration, where it is not the element's own. */
  readonly accumulator?: string;
  readonly declarations?: string;
  /** Arguments of the accumulator's constructor. */
  readonly identity: string;
  readonly lift?: string;
  readonly combine: string;
  readonly finish?: string;
  readonly output?: 'i32';
}

/** Below and above everything, or nothing below and above it. */
const lowest = { f32: '-infinity()', i32: 'i32(-2147483648)', u32: '0u' };
const highest = { f32: 'infinity()', i32: '2147483647', u32: '4294967295u' };

type Element = ReduceProblem['dtype'];

/** The better of two. A NaN goes before everything: comparisons with it are false, so it is enough to look at one of the two. */
const better = (dtype: Element, order: '<' | '>'): Reduction => ({
  identity: (order === '>' ? lowest : highest)[dtype],
  combine: dtype === 'f32' ? `select(b, a, (a ${order} b) | areNaN(a))` : `${order === '>' ? 'max' : 'min'}(a, b)`,
});

/** Index 0 in the identity is right even for a row of nothing but the identity's value. */
const first = (dtype: Element, order: '<' | '>'): Reduction => {
  const before = `a.value ${order} b.value || (a.value == b.value && a.index < b.index)`;
  const nan = 'isNaN(a.value) && (!isNaN(b.value) || a.index < b.index)';
  const wins = dtype === 'f32' ? `select(${before}, ${nan}, isNaN(a.value) || isNaN(b.value))` : before;
  return {
    accumulator: 'Best',
    declarations: `struct Best { value: ${dtype}, index: u32 }`,
    identity: `${(order === '>' ? lowest : highest)[dtype]}, 0u`,
    lift: 'Best(value, index)',
    combine: `Best(select(b.value, a.value, ${wins}), select(b.index, a.index, ${wins}))`,
    finish: 'i32(a.index)',
    output: 'i32',
  };
};

const reductions: Readonly<Record<ReduceKind, (dtype: Element) => Reduction>> = {
  sum: (dtype) => ({ identity: `${dtype}(0)`, combine: 'a + b' }),
  mean: () => ({ identity: '0.0', combine: 'a + b', finish: 'a / f32(count)' }),
  sumSquares: () => ({ identity: '0.0', lift: 'value * value', combine: 'a + b' }),
  max: (dtype) => better(dtype, '>'),
  min: (dtype) => better(dtype, '<'),
  argMax: (dtype) => first(dtype, '>'),
  argMin: (dtype) => first(dtype, '<'),
  // (maximum m, Σ exp(x − m)); one exp for each combination. Equal maxima, infinite ones among them, are 0 apart.
  logSumExp: () => ({
    accumulator: 'vec2<f32>',
    identity: `${lowest.f32}, 0.0`,
    lift: 'vec2<f32>(value, 1.0)',
    combine:
      'vec2<f32>(select(b.x, a.x, a.x > b.x || isNaN(a.x)), select(b.y, a.y, a.x > b.x) + select(a.y, b.y, a.x > b.x) * exp(-select(abs(a.x - b.x), 0.0, a.x == b.x)))',
    finish: 'a.x + log(a.y)',
  }),
};

/** Which elements of an accumulator are NaN. */
const areNaN = (four: boolean) =>
  four
    ? 'fn areNaN(x: vec4<f32>) -> vec4<bool> { return (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u); }'
    : 'fn areNaN(x: f32) -> bool { return isNaN(x); }';

/** Elements to accumulators (`partial`), those to fewer (`more`), accumulators to results (`final`), or straight through (`whole`). */
type Stage = 'whole' | 'partial' | 'more' | 'final';

/** How a stage lies on the device: lanes that share an output, lanes of a workgroup, and pieces of the axis. */
interface Layout {
  readonly lanes: number;
  readonly size: number;
  readonly chunks: number;
  readonly chunk: number;
}

/** `from`: the scratch that holds the accumulators; new ones go to the next. */
function stage(
  problem: ReduceProblem,
  name: string,
  stage: Stage,
  n: number,
  layout: Layout,
  four: boolean,
  from = -1,
): Dispatch {
  const { kind, outer, inner, dtype } = problem;
  const reduction = reductions[kind](dtype);
  const type = (scalar: string) => (four ? `vec4<${scalar}>` : scalar);
  const Accumulator = reduction.accumulator ?? type(dtype);
  const isFirst = stage === 'whole' || stage === 'partial';
  const isLast = stage === 'whole' || stage === 'final';
  const Input = isFirst ? type(dtype) : Accumulator;
  const Output = isLast ? type(reduction.output ?? dtype) : Accumulator;
  const load = isFirst ? problem.load : undefined;
  const store = isLast ? problem.store : undefined;
  const contiguous = inner === 1;
  const vector = contiguous && !load && isFirst && n % 4 === 0;

  const sources = load ? load.bindings : [isFirst ? input(0) : scratch(from)];
  const { lanes, size, chunks, chunk } = layout;
  const columnsAt = four ? inner / 4 : inner;
  const turn = 4 * lanes * (vector ? 4 : 1);
  const source = contiguous ? rows : columns;
  return {
    kernel: `reduce/${name}${stage === 'whole' ? '' : `/${stage}`}`,
    source,
    ...(load ? { without: ['source'] } : {}),
    constants: {
      ...{ Input, Accumulator, Output, SIZE: size, LANES: lanes },
      WHOLE: chunk % turn === 0 && n % chunk === 0 && !(isBatch(problem) && stage === 'whole'),
      ...(contiguous
        ? { VECTOR: vector, Element: vector ? `vec4<${Input}>` : Input }
        : { Source: load ? dtype : Input, Result: store ? 'f32' : Output }),
    },
    functions: {
      identity: `fn identity() -> Accumulator { return Accumulator(${reduction.identity}); }`,
      lift: `fn lift(value: Input, index: u32) -> Accumulator { return ${(isFirst && reduction.lift) || 'value'}; }`,
      combine: `fn combine(a: Accumulator, b: Accumulator) -> Accumulator { return ${reduction.combine}; }`,
      finish: `fn finish(a: Accumulator, count: u32) -> Output { return ${(isLast && reduction.finish) || 'a'}; }`,
      ...(vector && vectorLoads),
      ...(four && load && { fetch: fourHooks.fetch }),
      ...(four && store && { write: fourHooks.write }),
      ...load?.functions,
      ...store?.functions,
    },
    declarations: [
      reduction.declarations,
      reduction.combine.includes('areNaN') ? areNaN(four) : '',
      load?.declarations(2),
      store?.declarations(2 + sources.length),
    ]
      .filter(Boolean)
      .join('\n'),
    library: ['bits', ...(load?.library ?? []), ...(store?.library ?? [])],
    bindings: [isLast ? output(0) : scratch(from + 1), ...sources, ...(store?.bindings ?? [])],
    uniforms: {
      ...{ outer, n, chunks, chunk, count: problem.n, turns: Math.ceil(chunk / turn) },
      ...(!contiguous && { inner: columnsAt }),
    },
    workgroups: grid(Math.ceil((outer * columnsAt * chunks * lanes) / size)),
    turns: loop(Math.ceil(chunk / turn)) + meeting(lanes),
  };
}

/** Turns in which lanes bring their results together, from above: in two levels in rows.wgsl, in one in columns.wgsl. */
const meeting = (lanes: number) => (lanes === 1 ? 0 : loop(Math.max(lanes, 16)) + loop(16));

const vectorLoads = {
  load: 'fn load(index: u32) -> Input { return source[index / 4u][index % 4u]; }',
  load4:
    'fn load4(index: u32) -> array<Input, 4> { let v = source[index / 4u]; return array<Input, 4>(v.x, v.y, v.z, v.w); }',
};

/** Four columns at once, though the hooks take numbers one by one. */
const fourHooks = {
  fetch: `fn fetch(index: u32) -> Input {
  return Input(load(4u * index), load(4u * index + 1u), load(4u * index + 2u), load(4u * index + 3u));
}`,
  write: `fn write(index: u32, value: Output) {
  store(4u * index, value.x);
  store(4u * index + 1u, value.y);
  store(4u * index + 2u, value.z);
  store(4u * index + 3u, value.w);
}`,
};

/**
 * Whether a lane takes four columns at once. A GPU needs many lanes more than it needs that, and SwiftShader's compiler does
 * not come to an end with sixteen loads of a concatenation.
 */
function fourColumns({ kind, dtype, outer, inner, load }: ReduceProblem, { selection }: DeviceProfile): boolean {
  const { accumulator, output } = reductions[kind](dtype);
  if (load?.windowed) return false;
  return inner % 4 === 0 && !accumulator && !output && (selection === 'software' || outer * inner >= 2 ** 15);
}

/** Places of the axis: four neighbours are one where rows are contiguous and read straight from memory. */
const placesOf = ({ n, inner, load }: ReduceProblem) => (load ? n : elementsOf(n, inner));

/**
 * A sum over everything in front, as of losses and gradients over a batch: its kernels know nothing of the length, so that all
 * batches share them. Lanes without work cost little where there is one row, and a comparison of places next to a load.
 */
const isBatch = ({ outer }: ReduceProblem) => outer === 1;

/** One pass, `lanes` lanes to an output. */
function whole(problem: ReduceProblem, name: string, profile: DeviceProfile, [lanes, size]: Lanes): KernelCall {
  const layout = { lanes, size, chunks: 1, chunk: problem.n };
  const dispatch = stage(problem, name, 'whole', problem.n, layout, fourColumns(problem, profile));
  return { dispatches: [{ ...dispatch, ...sideSumOf(problem) }] };
}

/** A plain sum of a few rows, as another kernel could make it. */
function sideSumOf({ kind, dtype, outer, n, inner, load, store }: ReduceProblem): Pick<Dispatch, 'sideSum'> {
  if (kind !== 'sum' || dtype !== 'f32' || outer > 1 || n > mostSideRows || load || store) return {};
  return { sideSum: { rows: n, columns: inner, source: input(0), outputs: [output(0)] } };
}

/** Two passes: the axis in about `pieces` chunks, then their accumulators; more where those are many. */
function split(problem: ReduceProblem, profile: DeviceProfile, pieces: number, [lanes, size]: Lanes): KernelCall {
  const { n, outer, inner } = problem;
  const four = fourColumns(problem, profile);
  const bytes = wordSize * (reductions[problem.kind](problem.dtype).accumulator ? 2 : 1);
  const most = 4 * lanes * Math.min(mostTurns, timesIn(profile.loopLimit - meeting(lanes)));
  const dispatches: Dispatch[] = [];
  const sizes: number[] = [];
  let left = n;
  let wanted = pieces;
  do {
    const chunk = Math.ceil(left / Math.max(wanted, left / most) / 4) * 4;
    const chunks = Math.ceil(left / chunk);
    const part = sizes.length === 0 ? 'partial' : 'more';
    dispatches.push(stage(problem, 'split', part, left, { lanes, size, chunks, chunk }, four, sizes.length - 1));
    sizes.push(outer * chunks * inner * bytes);
    left = chunks;
    wanted = left / mostPlaces;
  } while (left > most);
  const last = { lanes, size, chunks: 1, chunk: left };
  return {
    dispatches: [...dispatches, stage(problem, 'split', 'final', left, last, four, sizes.length - 1)],
    scratch: sizes,
  };
}

/** A lane takes no more turns: rounding errors of a sum grow with them, if less than with the first pass. */
const mostTurns = 4096;

type Lanes = readonly [lanes: number, size: number];

export const reduce = family<ReduceProblem>({
  name: 'reduce',
  variants: {
    /** A lane for each output, or for four columns; more only along an axis so long that rounding errors would grow. */
    thread: {
      call: (problem, profile) =>
        whole(problem, 'thread', profile, fewLanes(placesOf(problem), problem.inner === 1 ? 32 : 8)),
    },
    /** Contiguous rows, up to a workgroup for each. */
    rows: {
      unsupported: ({ inner }) => (inner === 1 ? null : 'inner > 1: a row is not contiguous'),
      call: (problem, profile) =>
        whole(problem, 'rows', profile, isBatch(problem) ? [256, 256] : manyLanes(placesOf(problem))),
    },
    /** Strided columns, 32 to a workgroup of 256. */
    columns: {
      unsupported: ({ inner }) => (inner > 1 ? null : 'inner = 1: rows are contiguous'),
      call: (problem, profile) =>
        whole(problem, 'columns', profile, [isBatch(problem) ? 8 : powerOfTwo(problem.n / 4, 8), 256]),
    },
    /** Few outputs and a long axis: pieces of it first, then a final pass. */
    split: {
      call: (problem, profile) => {
        const lanes: Lanes = profile.selection === 'software' ? [1, 8] : [problem.inner === 1 ? 256 : 8, 256];
        return split(problem, profile, splitPieces(problem, profile), lanes);
      },
    },
  },
  select(problem, profile) {
    const { outer, n, inner } = problem;
    if (profile.selection === 'software') {
      const lanes = lanesOf(problem, profile);
      return lanes * 4 < n && lanes < 64 && placesOf(problem) > mostPlaces ? 'split' : 'thread';
    }
    if (inner === 1) return outer <= 32 && n > 65536 ? 'split' : n <= 8 ? 'thread' : 'rows';
    return outer * inner <= 4096 && n >= 2048 ? 'split' : 'columns';
  },
  shapeClass: ({ outer, n, inner }) => roughly(outer, n, inner),
});

/** Lanes that have work where each has its own output. */
const lanesOf = (problem: ReduceProblem, profile: DeviceProfile) =>
  (problem.outer * problem.inner) / (fourColumns(problem, profile) ? 4 : 1);

function splitPieces(problem: ReduceProblem, profile: DeviceProfile): number {
  const { outer, n, inner } = problem;
  if (profile.selection === 'software') {
    const wanted = Math.min(Math.ceil(128 / lanesOf(problem, profile)), Math.ceil(n / 256));
    // A lane has a chunk to itself.
    return Math.max(2, wanted, placesOf(problem) / mostPlaces);
  }
  // Enough pieces to fill a device, at least a few elements for each lane, and few enough for one short final pass.
  const groups = inner === 1 ? outer : Math.ceil((outer * inner) / 32);
  return Math.max(2, Math.min(Math.ceil(1024 / groups), Math.ceil(n / (inner === 1 ? 8192 : 128))));
}
