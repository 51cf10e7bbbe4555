import columns from '../../shaders/reduce/columns.wgsl' with { type: 'text' };
import rows from '../../shaders/reduce/rows.wgsl' with { type: 'text' };
import type { DeviceProfile, Dispatch, Family, KernelCall, LoadHook, StoreHook } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import { loopLimit } from './loops.ts';
import { powerOfTwo } from './rows.ts';
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
  readonly identity: string;
  readonly lift?: string;
  readonly combine: string;
  readonly finish?: string;
  readonly output?: 'i32';
}

/** The least and the greatest finite value. */
const lowest = { f32: '-3.4028234e38', i32: 'i32(-2147483648)', u32: '0u' };
const highest = { f32: '3.4028234e38', i32: '2147483647', u32: '4294967295u' };

/** Index 0 in the identity is right even for a row of nothing but the identity's value. */
const first = (dtype: ReduceProblem['dtype'], identity: string, better: '<' | '>'): Reduction => ({
  accumulator: 'Best',
  declarations: `struct Best { value: ${dtype}, index: u32 }`,
  identity: `Best(${identity}, 0u)`,
  lift: 'Best(value, index)',
  combine: `Best(select(b.value, a.value, FIRST), select(b.index, a.index, FIRST))`.replaceAll(
    'FIRST',
    `a.value ${better} b.value || (a.value == b.value && a.index < b.index)`,
  ),
  finish: 'i32(a.index)',
  output: 'i32',
});

const reductions: Readonly<Record<ReduceKind, (dtype: ReduceProblem['dtype']) => Reduction>> = {
  sum: (dtype) => ({ identity: `${dtype}(0)`, combine: 'a + b' }),
  mean: () => ({ identity: '0.0', combine: 'a + b', finish: 'a / f32(count)' }),
  sumSquares: () => ({ identity: '0.0', lift: 'value * value', combine: 'a + b' }),
  max: (dtype) => ({ identity: lowest[dtype], combine: 'max(a, b)' }),
  min: (dtype) => ({ identity: highest[dtype], combine: 'min(a, b)' }),
  argMax: (dtype) => first(dtype, lowest[dtype], '>'),
  argMin: (dtype) => first(dtype, highest[dtype], '<'),
  // (maximum m, Σ exp(x − m)); one exp for each combination, its argument clamped where exp gives 0 anyway.
  logSumExp: () => ({
    accumulator: 'vec2<f32>',
    identity: `vec2<f32>(${lowest.f32}, 0.0)`,
    lift: 'vec2<f32>(value, 1.0)',
    combine:
      'vec2<f32>(max(a.x, b.x), select(b.y, a.y, a.x > b.x) + select(a.y, b.y, a.x > b.x) * exp(-min(abs(a.x - b.x), 104.0)))',
    finish: 'a.x + log(a.y)',
  }),
};

/** Elements to accumulators (`partial`), accumulators to results (`final`), or straight through (`whole`). */
type Stage = 'whole' | 'partial' | 'final';

/** How a stage lies on the device: lanes that share an output, threads of a workgroup, and pieces of the axis. */
interface Layout {
  readonly lanes: number;
  readonly size: number;
  readonly chunks: number;
  readonly chunk: number;
}

function stage(problem: ReduceProblem, name: string, stage: Stage, n: number, layout: Layout): Dispatch {
  const { kind, outer, inner, dtype } = problem;
  const reduction = reductions[kind](dtype);
  const Accumulator = reduction.accumulator ?? dtype;
  const Input = stage === 'final' ? Accumulator : dtype;
  const Output = stage === 'partial' ? Accumulator : (reduction.output ?? dtype);
  const load = stage === 'final' ? undefined : problem.load;
  const store = stage === 'partial' ? undefined : problem.store;
  const vector = inner === 1 && !load && stage !== 'final' && n % 4 === 0;

  const sources = load ? load.bindings : [stage === 'final' ? scratch(0) : input(0)];
  const { lanes, size, chunks, chunk } = layout;
  return {
    kernel: `reduce/${name}${stage === 'whole' ? '' : `/${stage}`}`,
    source: load ? withoutSource(inner === 1 ? rows : columns) : inner === 1 ? rows : columns,
    constants: {
      ...{ Input, Accumulator, Output, SIZE: size, LANES: lanes },
      ...(inner === 1 && { VECTOR: vector, Element: vector ? `vec4<${Input}>` : Input }),
    },
    functions: {
      identity: `fn identity() -> Accumulator { return ${reduction.identity}; }`,
      lift: `fn lift(value: Input, index: u32) -> Accumulator { return ${(stage !== 'final' && reduction.lift) || 'value'}; }`,
      combine: `fn combine(a: Accumulator, b: Accumulator) -> Accumulator { return ${reduction.combine}; }`,
      finish: `fn finish(a: Accumulator, count: u32) -> Output { return ${(stage !== 'partial' && reduction.finish) || 'a'}; }`,
      ...(vector && vectorLoads),
      ...load?.functions,
      ...store?.functions,
    },
    declarations: [reduction.declarations, load?.declarations(2), store?.declarations(2 + sources.length)]
      .filter(Boolean)
      .join('\n'),
    library: [...(load?.library ?? []), ...(store?.library ?? [])],
    bindings: [stage === 'partial' ? scratch(0) : output(0), ...sources, ...(store?.bindings ?? [])],
    uniforms: { outer, n, chunks, chunk, count: problem.n, ...(inner > 1 && { inner }) },
    workgroups: grid(Math.ceil((outer * inner * chunks * lanes) / size)),
  };
}

const vectorLoads = {
  load: 'fn load(index: u32) -> Input { return source[index / 4u][index % 4u]; }',
  load4:
    'fn load4(index: u32) -> array<Input, 4> { let v = source[index / 4u]; return array<Input, 4>(v.x, v.y, v.z, v.w); }',
};

const withoutSource = (text: string) => text.replace(/^@group.*\bsource: .*\n/m, '');

/** One pass, `lanes` lanes to an output. */
function whole(problem: ReduceProblem, name: string, lanes: number, size: number): KernelCall {
  const dispatch = stage(problem, name, 'whole', problem.n, { lanes, size, chunks: 1, chunk: problem.n });
  return { dispatches: [{ ...dispatch, ...sideSumOf(problem) }] };
}

/** A plain sum of a few rows, as another kernel could make it. */
function sideSumOf({ kind, dtype, outer, n, inner, load, store }: ReduceProblem): Pick<Dispatch, 'sideSum'> {
  if (kind !== 'sum' || dtype !== 'f32' || outer > 1 || n > mostSideRows || load || store) return {};
  return { sideSum: { rows: n, columns: inner, source: input(0), outputs: [output(0)] } };
}

/** Two passes: the axis in about `pieces` chunks, then their accumulators. */
function split(problem: ReduceProblem, pieces: number, partial: Lanes, final: Lanes): KernelCall {
  const { n, outer, inner } = problem;
  const chunk = Math.ceil(n / pieces / 4) * 4;
  const chunks = Math.ceil(n / chunk);
  return {
    dispatches: [
      stage(problem, 'split', 'partial', n, { ...partial, chunks, chunk }),
      stage(problem, 'split', 'final', chunks, { ...final, chunks: 1, chunk: chunks }),
    ],
    scratch: [outer * chunks * inner * (reductions[problem.kind](problem.dtype).accumulator ? 8 : 4)],
  };
}

type Lanes = Pick<Layout, 'lanes' | 'size'>;

/**
 * Lanes for a row and threads for a workgroup, on a device where a thread per row does best: more lanes only where the
 * `iterations` of all loops together reach what software drivers allow (see loops.ts), with a margin for outer loops.
 */
export function fewThreads(iterations: number): [lanes: number, size: number] {
  const lanes = powerOfTwo(iterations / (loopLimit / 2), 256);
  return [lanes, Math.max(32, lanes)];
}

/** Elements of a contiguous row as a kernel counts them: vectors of four, where they fit. */
export const vectors = (n: number) => (n % 4 === 0 ? n / 4 : n);

/** A thread gives its row about eight elements before others help. */
export const rowLanes = (n: number) => powerOfTwo(n / 8, 256);

export const reduce: Family<ReduceProblem> = {
  name: 'reduce',
  variants: {
    /** A thread for each output. */
    thread: { call: (problem) => whole(problem, 'thread', ...fewThreads(problem.n)) },
    /** Contiguous rows, up to a workgroup for each. */
    rows: {
      unsupported: ({ inner }) => (inner === 1 ? null : 'inner > 1: a row is not contiguous'),
      call: (problem) => whole(problem, 'rows', rowLanes(problem.n), 256),
    },
    /** Strided columns, 32 to a workgroup of 256. */
    columns: {
      unsupported: ({ inner }) => (inner > 1 ? null : 'inner = 1: rows are contiguous'),
      call: (problem) => whole(problem, 'columns', powerOfTwo(problem.n, 8), 256),
    },
    /** Few outputs and a long axis: pieces of it first, then a final pass. */
    split: {
      call: (problem, { selection }) => {
        const pieces = splitPieces(problem, selection);
        if (selection === 'software') return split(problem, pieces, { lanes: 1, size: 8 }, { lanes: 1, size: 8 });
        const lanes = problem.inner === 1 ? { lanes: 256, size: 256 } : { lanes: 8, size: 256 };
        return split(problem, pieces, lanes, lanes);
      },
    },
  },
  select(problem, { selection }) {
    const { outer, n, inner } = problem;
    const outputs = outer * inner;
    if (selection === 'software') return outputs * 4 < n && outputs < 64 && n >= 1024 ? 'split' : 'thread';
    if (inner === 1) return outer <= 32 && n > 65536 ? 'split' : n <= 8 ? 'thread' : 'rows';
    return outputs <= 8192 && n > 4096 ? 'split' : 'columns';
  },
};

function splitPieces({ outer, n, inner }: ReduceProblem, selection: DeviceProfile['selection']): number {
  const outputs = outer * inner;
  if (selection === 'software') return Math.max(2, Math.min(Math.ceil(128 / outputs), Math.ceil(n / 256)), n / 16384);
  // Enough pieces to fill a device, at least a few elements for each lane, and few enough for one short final pass.
  const groups = inner === 1 ? outer : Math.ceil(outputs / 32);
  return Math.max(2, Math.min(Math.ceil(1024 / groups), Math.ceil(n / (inner === 1 ? 8192 : 128))));
}
