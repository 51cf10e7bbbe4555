import gruBackward from '../../shaders/lib/gruBackward.wgsl' with { type: 'text' };
import gruForward from '../../shaders/lib/gruForward.wgsl' with { type: 'text' };
import lstmBackward from '../../shaders/lib/lstmBackward.wgsl' with { type: 'text' };
import lstmCell from '../../shaders/lib/lstmCell.wgsl' with { type: 'text' };
import lstmForward from '../../shaders/lib/lstmForward.wgsl' with { type: 'text' };
import math from '../../shaders/lib/math.wgsl' with { type: 'text' };
import recurrent from '../../shaders/lib/recurrent.wgsl' with { type: 'text' };
import recurrentGradient from '../../shaders/lib/recurrentGradient.wgsl' with { type: 'text' };
import recurrentSequence from '../../shaders/lib/recurrentSequence.wgsl' with { type: 'text' };
import recurrentStep from '../../shaders/lib/recurrentStep.wgsl' with { type: 'text' };
import rnnBackward from '../../shaders/lib/rnnBackward.wgsl' with { type: 'text' };
import rnnForward from '../../shaders/lib/rnnForward.wgsl' with { type: 'text' };
import backwardSequence from '../../shaders/recurrent/backward.sequence.wgsl' with { type: 'text' };
import backwardStep from '../../shaders/recurrent/backward.steps.wgsl' with { type: 'text' };
import forwardSequence from '../../shaders/recurrent/forward.sequence.wgsl' with { type: 'text' };
import forwardStep from '../../shaders/recurrent/forward.steps.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { type Bound, bindingText, bindingTexts } from './bindingText.ts';
import { family } from './family.ts';
import {
  type BindingSource,
  type DeviceProfile,
  type Dispatch,
  type Family,
  grid,
  input,
  type KernelCall,
  type LoadHook,
  output,
  type Variant,
} from './kernel.ts';
import { roughly } from './lanes.ts';
import './blocksLibrary.ts';
import { addLibrary } from './library.ts';
import { loop, timesIn } from './loopLimit.ts';

addLibrary({
  gruBackward,
  gruForward,
  lstmBackward,
  lstmCell,
  lstmForward,
  math,
  recurrent,
  recurrentGradient,
  recurrentSequence,
  recurrentStep,
  rnnBackward,
  rnnForward,
});

/** What runs at each step: `tanh` and `relu` are the plain recurrence h' = act(gatesX + W_hh·h). */
export type RecurrentCell = 'lstm' | 'gru' | 'tanh' | 'relu';

/** One direction of one recurrent layer: `T` time steps of `B` batch rows, hidden size `H`. */
export interface RecurrentProblem {
  readonly cell: RecurrentCell;
  readonly T: number;
  readonly B: number;
  readonly H: number;
  /** Runs from t = T − 1 down to 0: the second direction of a bidirectional layer. */
  readonly reverse: boolean;
  /** Whether the last input is the lengths [B] (i32): steps beyond its length leave the state of a row as it is. */
  readonly lengths: boolean;
  /** Whether a GRU has a bias of the state's share. */
  readonly bias?: boolean;
}

export interface RecurrentBackwardProblem extends RecurrentProblem {
  /** Whether the last c of an LSTM has a gradient. */
  readonly dC?: boolean;
  /** Computes dOutput where it is read, in place of the input. */
  readonly load?: LoadHook;
}

type Direction = 'forward' | 'backward';
type Stage = 'sequence' | 'step';

/** What tells the kernels of a cell apart. */
interface Cell {
  /** Gates that h is multiplied for, G. */
  readonly gates: number;
  /** Whether there is a state c beside h. */
  readonly hasC: boolean;
  /** Whether some of the gradient of h goes past the gates. */
  readonly passes: boolean;
  /** Functions of its files that have another text. */
  readonly functions: Readonly<Record<Direction, Readonly<Record<string, string>>>>;
  /** Its files in shaders/lib/. */
  readonly files: Readonly<Record<Direction, string>>;
  /** Bindings of those files behind the shader's own. */
  readonly bindings: Readonly<Record<Direction, readonly BindingSource[]>>;
}

const plain = {
  gates: 1,
  hasC: false,
  passes: false,
  functions: { forward: {}, backward: {} },
  files: { forward: 'rnnForward', backward: 'rnnBackward' },
  bindings: { forward: [], backward: [input(2)] },
} satisfies Cell;

const cells: Readonly<Record<RecurrentCell, Cell>> = {
  lstm: {
    ...plain,
    gates: 4,
    hasC: true,
    files: { forward: 'lstmForward', backward: 'lstmBackward' },
    bindings: { forward: [input(3), output(1), output(2)], backward: [input(2), input(3), input(4)] },
  },
  gru: {
    ...plain,
    gates: 3,
    passes: true,
    files: { forward: 'gruForward', backward: 'gruBackward' },
    bindings: { forward: [output(1)], backward: [input(2), input(3), input(4)] },
  },
  tanh: plain,
  relu: {
    ...plain,
    functions: {
      forward: { activation: 'fn activation(x: T) -> T { return orNaN(max(x, T()), x); }' },
      backward: { slope: 'fn slope(h: T) -> T { return select(T(1.0), T(), h <= T()); }' },
    },
  },
};

/**
 * A recurrence over a whole sequence; the product with the input is made outside, for all time steps at once. Cells:
 * `lstm` with the gates i, f, g, o, `gru` with r, z, n, both as in PyTorch; `tanh`, `relu`.
 *
 * Inputs: gatesX [T, B, G·H] = x · W_ihᵀ + biases (a GRU's without b_hh), h0 [B, H], W_hh [G·H, H]; lstm: c0 [B, H]; gru: b_hh
 * [3H] where `bias`; lengths [B] where `lengths`. Outputs: h of every step [T, B, H]; lstm: c of every step [T, B, H]; lstm
 * and gru: what the gradient needs of the gates, [T, B, 4H].
 */
export const recurrentForward: Family<RecurrentProblem> = family<RecurrentProblem>({
  name: 'recurrentForward',
  variants: { sequence: sequence('forward', forwardSequence), steps: { call: forwardSteps } },
  select,
  shapeClass: ({ cell, T, B, H }) => `${cell} ${roughly(T, B, H)}`,
});

/**
 * Gradient of `recurrentForward`. The gradients of W_ih, W_hh, biases and x are products of dGates, made outside.
 *
 * Inputs: dOutput [T, B, H], W_hh; lstm: gates, cells, c0, and where `dC` the gradient of the last c [B, H]; gru: gates, output,
 * h0; else output, and lengths where `lengths`. Outputs: dGates, the gradient of gatesX (gru: [2, T, B, 3H], of the state's share,
 * then of gatesX); dState0 [B, H], of h0 (lstm: [2, B, H], of h0, then c0).
 */
export const recurrentBackward: Family<RecurrentBackwardProblem> = family<RecurrentBackwardProblem>({
  name: 'recurrentBackward',
  variants: {
    sequence: withOutputGradient(sequence('backward', backwardSequence)),
    steps: withOutputGradient({ call: backwardSteps }),
  },
  select,
  shapeClass: ({ cell, T, B, H }) => `${cell} ${roughly(T, B, H)}`,
});

/**
 * The bindings of a call and the texts that its cell and its options ask for, without dOutput, which stands last. Of
 * backward, only cells without gates need the lengths: what the others keep tells of them.
 */
function settingsOf(
  problem: RecurrentBackwardProblem,
  direction: Direction,
  stage: Stage,
): Omit<Dispatch, 'kernel' | 'source' | 'workgroups'> {
  const { cell: name, H, lengths, bias = false, dC = false } = problem;
  const cell = cells[name];
  const backward = direction === 'backward';
  const texts = wide(H, cell.gates, direction, stage);
  const shared = backward ? [input(1), output(0), output(1)] : [input(0), input(1), input(2), output(0)];
  const own = cell.bindings[direction];
  let inputs = (backward ? 2 : 3) + own.filter(({ kind }) => kind === 'input').length;
  const more: { bound: Bound; source: BindingSource; functions: Record<string, string> }[] = [];
  if (name === 'gru' && bias && !backward) {
    const functions = { biasOf: 'fn biasOf(at: u32) -> T { return bias[at]; }' };
    more.push({ bound: ['read', 'bias', 'array<T>'], source: input(inputs++), functions });
  }
  if (dC) {
    const functions = { lastDC: 'fn lastDC(at: u32) -> T { return dCN[at]; }' };
    more.push({ bound: ['read', 'dCN', 'array<T>'], source: input(inputs++), functions });
  }
  if (lengths && (!backward || cell.gates === 1)) {
    const functions = { lengthOf: 'fn lengthOf(row: u32) -> u32 { return u32(max(lengths[row], 0)); }' };
    more.push({ bound: ['read', 'lengths', 'array<i32>'], source: input(inputs++), functions });
  }
  const bindings = [...shared, ...own];
  return {
    constants: {
      ...texts.constants,
      GATES: cell.gates,
      ...(cell.hasC && { HAS_C: true }),
      ...(lengths && { HAS_LENGTHS: true }),
      ...(backward && (cell.passes || lengths) && { PASSES: true }),
    },
    functions: Object.assign({}, texts.functions, cell.functions[direction], ...more.map((each) => each.functions)),
    instead: { [plain.files[direction]]: cell.files[direction] },
    bindings: [...bindings, ...more.map(({ source }) => source)],
    declarations: bindingTexts(
      bindings.length + 1,
      more.map(({ bound }) => bound),
    ).join('\n'),
  };
}

/**
 * `sequence` is one dispatch, but each of its workgroups reads all weights in every step; `steps` spreads a step over the
 * whole device, and all of it waits for the end of a step. Up to H 256 a dispatch costs a GPU more than a step. On a CPU
 * `sequence` keeps as many cores busy as it has workgroups, and `steps` takes less time to compile. A single step
 * is better spread in any case.
 */
function select({ T, B, H }: RecurrentProblem, { selection }: DeviceProfile): string {
  if (H > 256 || T === 1) return 'steps';
  return selection === 'gpu' || H <= 64 || B > widthOf(H) ? 'sequence' : 'steps';
}

/** Threads work on 4 units of 4 batch rows with 4×4 matrices where vectors fit the hidden size, else on single values. */
function widthOf(H: number): number {
  return H % 4 === 0 ? 4 : 1;
}

/**
 * Slices of the sum over k, at most `most`: neighbouring threads then read neighbouring weights, which only GPUs gain
 * from. A power of two.
 */
function slicesOf(H: number, most: number, profile: DeviceProfile): number {
  if (profile.selection === 'software') return 1;
  return 2 ** Math.floor(Math.log2(Math.max(1, Math.min(most, H / widthOf(H)))));
}

/** Settings of the shaders for 4 units of 4 rows; those for single values stand in the shaders. */
function wide(H: number, gates: number, direction: Direction, stage: Stage): Pick<Dispatch, 'constants' | 'functions'> {
  if (widthOf(H) === 1) return { constants: { H }, functions: {} };
  const four = (array: string, stride: string) =>
    `${array}[at], ${array}[at + ${stride}], ${array}[at + 2u * ${stride}], ${array}[at + 3u * ${stride}]`;
  // The columns are rows of W_hh: transposed they multiply h, as they are dGates.
  const weights = `Block(${four('weights', 'UNITS')})`;
  const functions: Record<string, string> = {
    weightBlock: `fn weightBlock(row: u32, k: u32) -> Block {
  let at = row * UNITS + k;
  return ${direction === 'forward' ? `transpose(${weights})` : weights};
}`,
    addProduct: `fn addProduct(sum: Block, weights: Block, block: Block) -> Block {
  return multiplyAdd(sum, block, weights);
}`,
    column: 'fn column(block: Block, row: u32) -> T {\n  var copy = block;\n  return copy[row];\n}',
  };
  if (stage === 'sequence') {
    functions.blockOf = 'fn blockOf(first: T) -> Block { return Block(first, T(), T(), T()); }';
    functions.exchangedBlock = `fn exchangedBlock(k: u32) -> Block {
  return Block(exchange[4u * k], exchange[4u * k + 1u], exchange[4u * k + 2u], exchange[4u * k + 3u]);
}`;
  } else if (direction === 'forward') {
    functions.hiddenBlock = `fn hiddenBlock(at: u32) -> Block {
  if (FIRST) { return Block(${four('h0', 'UNITS')}); }
  return Block(${four('output', 'UNITS')});
}`;
  } else {
    functions.gradientBlock = `fn gradientBlock(at: u32) -> Block { return Block(${four('dGates', `${gates}u * UNITS`)}); }`;
  }
  return { constants: { H, WIDTH: 4, T: 'vec4<f32>', TBits: 'vec4<u32>', Block: 'mat4x4<f32>' }, functions };
}

/** Settings for threads that read each weight once for two blocks of batch rows. */
const twoRowBlocks: Pick<Dispatch, 'constants' | 'functions' | 'declarations'> = {
  constants: { ROW_BLOCKS: 2, Rows: 'TwoBlocks' },
  declarations: 'struct TwoBlocks { first: Block, second: Block }',
  functions: {
    exchangedRows: `fn exchangedRows(k: u32) -> Rows {
  return Rows(exchangedBlock(2u * k), exchangedBlock(2u * k + 1u));
}`,
    addRows: `fn addRows(sum: Rows, weights: Block, rows: Rows) -> Rows {
  return Rows(addProduct(sum.first, weights, rows.first), addProduct(sum.second, weights, rows.second));
}`,
    wholeRows: 'fn wholeRows(mine: Rows, lane: u32) -> Rows { return mine; }',
    rowOf: `fn rowOf(rows: Rows, n: u32) -> T {
  if (n < WIDTH) { return column(rows.first, n); }
  return column(rows.second, n - WIDTH);
}`,
  },
};

/**
 * Blocks of batch rows for a thread. On a CPU what counts is how often weights are read, and two workgroups keep
 * two cores busy; GPUs have more of them than rows.
 */
function rowBlocksOf({ B, H }: RecurrentProblem, { selection, workgroupMemory }: DeviceProfile): 1 | 2 {
  const [width, rows] = [widthOf(H), 2 * widthOf(H)];
  const pays = selection === 'software' && width > 1 && H > 64 && B > rows;
  return pays && wordSize * rows * H <= workgroupMemory ? 2 : 1;
}

/** One workgroup for some batch rows and all of time, in chunks that no watchdog and no limit of iterations ends. */
function sequence(direction: Direction, source: string): Variant<RecurrentProblem> {
  return {
    unsupported({ H }, profile) {
      // One thread per unit and, at 256 threads, all but one block of the default workgroup memory.
      const limit = (Math.min(profile.invocations, 256) - 1) * widthOf(H);
      return H <= limit ? null : `one workgroup holds all units: hidden size ${H} is above ${limit}`;
    },
    call(problem, profile) {
      const { T, B, H, reverse } = problem;
      const { gates } = cells[problem.cell];
      const { constants, ...settings } = settingsOf(problem, direction, 'sequence');
      const width = widthOf(H);
      const units = H / width;
      const rowBlocks = rowBlocksOf(problem, profile);
      const rows = rowBlocks === 2 ? twoRowBlocks : {};
      // 128 threads or 4 slices: more gain little, and SwiftShader compiles for 0.3 s per 4 KiB of workgroup memory.
      const slices = slicesOf(H, Math.min(8, 256 / units, Math.max(4, 128 / units)), profile);
      const SLICES = slices < width ? 1 : slices;
      const BLOCKS = direction === 'backward' && SLICES === 1 ? blocksOf(units, profile) : 1;
      const own = SLICES === 1 ? width * BLOCKS * rowBlocks : 1;
      const slicesSum = SLICES === 1 ? 0 : loop(width) + loop(SLICES);
      const together = SLICES >= 4 ? gates : 1;
      const each = {
        forward: loop(own) + loop(Math.ceil(units / SLICES)) + gates * slicesSum + loop(own),
        backward:
          loop(own) +
          loop(gates / together, loop(own, loop(together)) + loop(Math.ceil((together * units) / SLICES))) +
          slicesSum +
          loop(own),
      }[direction];
      const most = timesIn(profile.loopLimit - 2 * loop(own), each);
      const chunk = Math.max(1, Math.min(Math.floor(2 ** 29 / (gates * H * H * Math.ceil(B / 64))), most, T));
      const dispatches: Dispatch[] = [];
      for (let start = 0; start < T; start += chunk) {
        dispatches.push({
          kernel: `recurrent${direction === 'forward' ? 'Forward' : 'Backward'}/sequence`,
          source,
          ...settings,
          constants: { ...constants, ...rows.constants, SLICES, ...(direction === 'backward' && { BLOCKS }) },
          functions: { ...settings.functions, ...rows.functions },
          declarations: [rows.declarations, settings.declarations].filter(Boolean).join('\n'),
          uniforms: { T, B, start, count: Math.min(chunk, T - start), reverse: Number(reverse) },
          workgroups: grid(Math.ceil(B / width / rowBlocks)),
          turns: loop(chunk, each) + 2 * loop(own),
        });
      }
      return { dispatches };
    },
  };
}

/**
 * Blocks of units for a thread of the backward pass, which reads each gradient once for all of them; eight threads are left
 * for the vectors of a CPU. GPUs have more threads than blocks.
 */
function blocksOf(units: number, { selection }: DeviceProfile): number {
  if (selection === 'gpu') return 1;
  return [4, 2].find((blocks) => units % blocks === 0 && units / blocks >= 8) ?? 1;
}

/** One dispatch per time step; blocks of units and batch rows over all workgroups. */
function stepper(direction: Direction, source: string, problem: RecurrentProblem, profile: DeviceProfile) {
  const { T, B, H, cell } = problem;
  const { gates } = cells[cell];
  const { constants, ...settings } = settingsOf(problem, direction, 'step');
  const width = widthOf(H);
  const SLICES = slicesOf(H, 16, profile);
  const BLOCKS = direction === 'backward' ? blocksOf(H / width, profile) : 1;
  const items = (H / width / BLOCKS) * Math.ceil(B / width);
  const turns = {
    forward: loop(Math.ceil(H / width / SLICES)) + gates * loop(SLICES) + loop(width),
    backward: loop(Math.ceil((gates * H) / width / SLICES)) + loop(SLICES) + loop(BLOCKS * width),
  }[direction];
  // Small workgroups keep all cores busy on a CPU.
  const SIZE = profile.selection === 'gpu' ? 64 : 16;
  return (uniforms: Record<string, number>, flags: Record<string, boolean> = {}): Dispatch => ({
    kernel: `recurrent${direction === 'forward' ? 'Forward' : 'Backward'}/steps`,
    source,
    ...settings,
    constants: { ...constants, ...flags, SLICES, SIZE, ...(direction === 'backward' && { BLOCKS }) },
    uniforms: { ...(direction === 'backward' && { T }), B, ...uniforms },
    workgroups: grid(Math.ceil((items * SLICES) / SIZE)),
    turns,
  });
}

function forwardSteps(problem: RecurrentProblem, profile: DeviceProfile): KernelCall {
  const step = stepper('forward', forwardStep, problem, profile);
  const times = timesOf(problem);
  return { dispatches: times.map((t, n) => step({ t, before: times[n - 1] ?? t }, { FIRST: n === 0 })) };
}

function backwardSteps(problem: RecurrentProblem, profile: DeviceProfile): KernelCall {
  const step = stepper('backward', backwardStep, problem, profile);
  const times = timesOf(problem);
  const dispatches = times.map((t, n) => {
    return step(
      { t, before: times[n - 1] ?? t, after: times[n + 1] ?? t, hasBefore: Number(n > 0) },
      { FIRST: n === times.length - 1 },
    );
  });
  const first = times[0] as number;
  return {
    dispatches: [
      ...dispatches.reverse(),
      step({ t: first, before: first, after: first, hasBefore: 0 }, { LAST: true }),
    ],
  };
}

/** Time steps in the order of the forward pass. */
function timesOf({ T, reverse }: RecurrentProblem): number[] {
  return Array.from({ length: T }, (_, n) => (reverse ? T - 1 - n : n));
}

/** Adds dOutput, or the producer that is fused in its place, to a backward pass: its bindings come last. */
function withOutputGradient(variant: Variant<RecurrentProblem>): Variant<RecurrentBackwardProblem> {
  const withLoad = (dispatch: Dispatch, H: number, load: LoadHook | undefined): Dispatch => {
    const vector = widthOf(H) === 4;
    const functions: Record<string, string> = { ...dispatch.functions, ...load?.functions };
    if (vector && !load) {
      functions.load = 'fn load(index: u32) -> f32 { return dOutput[index / 4u][index % 4u]; }';
      functions.outputGradient = 'fn outputGradient(at: u32) -> T { return dOutput[at]; }';
    } else if (vector) {
      functions.outputGradient = `fn outputGradient(at: u32) -> T {
  return T(load(4u * at), load(4u * at + 1u), load(4u * at + 2u), load(4u * at + 3u));
}`;
    }
    const first = dispatch.bindings.length + 1;
    const declared = load ? load.declarations(first) : bindingText(first, 'read', 'dOutput', 'array<T>');
    return {
      ...dispatch,
      without: ['dOutput'],
      functions,
      declarations: [dispatch.declarations, declared].filter(Boolean).join('\n'),
      library: load?.library ?? [],
      bindings: [...dispatch.bindings, ...(load?.bindings ?? [input(0)])],
    };
  };
  return {
    ...variant,
    call({ load, ...problem }, profile) {
      const { dispatches } = variant.call(problem, profile);
      return { dispatches: dispatches.map((dispatch) => withLoad(dispatch, problem.H, load)) };
    },
  };
}
