import lstm from '../../shaders/lib/lstm.wgsl' with { type: 'text' };
import lstmCellText from '../../shaders/lib/lstmCell.wgsl' with { type: 'text' };
import lstmSequence from '../../shaders/lib/lstmSequence.wgsl' with { type: 'text' };
import lstmStep from '../../shaders/lib/lstmStep.wgsl' with { type: 'text' };
import math from '../../shaders/lib/math.wgsl' with { type: 'text' };
import backwardSequence from '../../shaders/lstm/backward.sequence.wgsl' with { type: 'text' };
import backwardStep from '../../shaders/lstm/backward.steps.wgsl' with { type: 'text' };
import cellBackward from '../../shaders/lstm/cell.backward.wgsl' with { type: 'text' };
import cell from '../../shaders/lstm/cell.forward.wgsl' with { type: 'text' };
import forwardSequence from '../../shaders/lstm/forward.sequence.wgsl' with { type: 'text' };
import forwardStep from '../../shaders/lstm/forward.steps.wgsl' with { type: 'text' };
import { family } from './family.ts';
import {
  type BindingSource,
  type DeviceProfile,
  type Dispatch,
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

addLibrary({ lstm, lstmCell: lstmCellText, lstmSequence, lstmStep, math });

/** One direction of one LSTM layer: `T` time steps of `B` batch rows, hidden size `H`. */
export interface LstmProblem {
  readonly T: number;
  readonly B: number;
  readonly H: number;
  /** Runs from t = T − 1 down to 0: the second direction of a bidirectional layer. */
  readonly reverse: boolean;
}

/** `load` computes dOutput where it is read, in place of the input. */
export interface LstmBackwardProblem extends LstmProblem {
  readonly load?: LoadHook;
}

/** One step of an LSTM, its gates given before their activations. */
export interface LstmCellProblem {
  readonly B: number;
  readonly H: number;
}

/**
 * The LSTM recurrence; the product with the input is made outside, for all time steps at once.
 *
 * Inputs: gatesX [T, B, 4H] = x · W_ihᵀ + b_ih + b_hh, h0 [B, H], c0 [B, H], W_hh [4H, H]; gates in the order i, f, g, o.
 * Outputs: h of every step [T, B, H], c of every step [T, B, H], activated gates [T, B, 4H] (for `lstmBackward`).
 */
export const lstmForward = family<LstmProblem>({
  name: 'lstmForward',
  variants: { sequence: sequence('forward', forwardSequence), steps: { call: forwardSteps } },
  select,
  shapeClass: ({ T, B, H }) => roughly(T, B, H),
});

/**
 * Gradient of `lstmForward`. The gradients of W_ih, W_hh, biases and x are products of dGates, made outside.
 *
 * Inputs: dOutput [T, B, H], dStateN [2, B, H] (gradient of the last h, then of the last c), gates [T, B, 4H],
 * cells [T, B, H], c0 [B, H], W_hh [4H, H]. Outputs: dGates [T, B, 4H] (gradient of gatesX), dState0 [2, B, H] (of h0, then c0).
 */
export const lstmBackward = family<LstmBackwardProblem>({
  name: 'lstmBackward',
  variants: {
    sequence: withOutputGradient(sequence('backward', backwardSequence)),
    steps: withOutputGradient({ call: backwardSteps }),
  },
  select,
  shapeClass: ({ T, B, H }) => roughly(T, B, H),
});

/** Inputs: gates before activation [B, 4H], c [B, H]. Outputs: h' [B, H], c' [B, H], activated gates [B, 4H]. */
export const lstmCell = family<LstmCellProblem>({
  name: 'lstmCell',
  variants: { plain: elementwise('lstmCell/plain', cell, [input(0), input(1), output(0), output(1), output(2)]) },
  select: () => 'plain',
});

/**
 * Gradient of `lstmCell`. Inputs: dh' [B, H], dc' [B, H], activated gates [B, 4H], c [B, H], c' [B, H].
 * Outputs: dGates [B, 4H] (before activation), dc [B, H].
 */
export const lstmCellBackward = family<LstmCellProblem>({
  name: 'lstmCellBackward',
  variants: {
    plain: elementwise('lstmCellBackward/plain', cellBackward, [
      input(0),
      input(1),
      input(2),
      input(3),
      input(4),
      output(0),
      output(1),
    ]),
  },
  select: () => 'plain',
});

const bindings = {
  forward: [input(0), input(1), input(2), input(3), output(0), output(1), output(2)],
  /** Without dOutput, which stands last. */
  backward: [input(1), input(2), input(3), input(4), input(5), output(0), output(1)],
};

/**
 * `sequence` is one dispatch, but each of its workgroups reads all weights in every step; `steps` spreads a step over the
 * whole device, and all of it waits for the end of a step. Up to H 256 a dispatch costs a GPU more than a step. On a CPU
 * `sequence` keeps as many cores busy as it has workgroups, and `steps` takes less time to compile. A single step
 * is better spread in any case.
 */
function select({ T, B, H }: LstmProblem, { selection }: DeviceProfile): string {
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
function wide(
  H: number,
  direction: 'forward' | 'backward',
  stage: 'sequence' | 'step',
): Pick<Dispatch, 'constants' | 'functions'> {
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
    const name = direction === 'forward' ? 'hiddenBlock' : 'gradientBlock';
    functions[name] = `fn ${name}(k: u32) -> Block {
  return Block(exchange[4u * k], exchange[4u * k + 1u], exchange[4u * k + 2u], exchange[4u * k + 3u]);
}`;
  } else if (direction === 'forward') {
    functions.hiddenBlock = `fn hiddenBlock(at: u32) -> Block {
  if (FIRST) { return Block(${four('h0', 'UNITS')}); }
  return Block(${four('output', 'UNITS')});
}`;
  } else {
    functions.gradientBlock = `fn gradientBlock(at: u32) -> Block { return Block(${four('dGates', '4u * UNITS')}); }`;
  }
  return { constants: { H, WIDTH: 4, T: 'vec4<f32>', TBits: 'vec4<u32>', Block: 'mat4x4<f32>' }, functions };
}

/** One workgroup for some batch rows and all of time, in chunks that no watchdog and no limit of iterations ends. */
function sequence(direction: 'forward' | 'backward', source: string): Variant<LstmProblem> {
  return {
    unsupported({ H }, profile) {
      // One thread per unit and, at 256 threads, all but one block of the default workgroup memory.
      const limit = (Math.min(profile.invocations, 256) - 1) * widthOf(H);
      return H <= limit ? null : `one workgroup holds all units: hidden size ${H} is above ${limit}`;
    },
    call({ T, B, H, reverse }, profile) {
      const { constants, functions } = wide(H, direction, 'sequence');
      const width = widthOf(H);
      const units = H / width;
      // 128 threads or 4 slices: more gain little, and SwiftShader compiles for 0.3 s per 4 KiB of workgroup memory.
      const slices = slicesOf(H, Math.min(8, 256 / units, Math.max(4, 128 / units)), profile);
      const SLICES = slices < width ? 1 : slices;
      const BLOCKS = direction === 'backward' && SLICES === 1 ? blocksOf(units, profile) : 1;
      const own = SLICES === 1 ? width * BLOCKS : 1;
      const slicesSum = SLICES === 1 ? 0 : loop(width) + loop(SLICES);
      const together = SLICES >= 4 ? 4 : 1;
      const each = {
        forward: loop(own) + loop(Math.ceil(units / SLICES)) + 4 * slicesSum + loop(own),
        backward:
          loop(own, loop(4)) +
          loop(4 / together, loop(own, loop(together)) + loop(Math.ceil((together * units) / SLICES))) +
          slicesSum +
          loop(own),
      }[direction];
      const most = timesIn(profile.loopLimit - 2 * loop(own), each);
      const chunk = Math.max(1, Math.min(Math.floor(2 ** 27 / (H * H * Math.ceil(B / 64))), most, T));
      const dispatches: Dispatch[] = [];
      for (let start = 0; start < T; start += chunk) {
        dispatches.push({
          kernel: `lstm${direction === 'forward' ? 'Forward' : 'Backward'}/sequence`,
          source,
          constants: { ...constants, SLICES, ...(direction === 'backward' && { BLOCKS }) },
          functions,
          bindings: bindings[direction],
          uniforms: { T, B, start, count: Math.min(chunk, T - start), reverse: Number(reverse) },
          workgroups: grid(Math.ceil(B / width)),
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
function stepper(direction: 'forward' | 'backward', source: string, { B, H }: LstmProblem, profile: DeviceProfile) {
  const { constants, functions } = wide(H, direction, 'step');
  const width = widthOf(H);
  const SLICES = slicesOf(H, 16, profile);
  const BLOCKS = direction === 'backward' ? blocksOf(H / width, profile) : 1;
  const items = (H / width / BLOCKS) * Math.ceil(B / width);
  const turns = {
    forward: loop(Math.ceil(H / width / SLICES)) + 4 * loop(SLICES) + loop(width),
    backward: loop(Math.ceil((4 * H) / width / SLICES)) + loop(SLICES) + loop(BLOCKS * width),
  }[direction];
  // Small workgroups keep all cores busy on a CPU.
  const SIZE = profile.selection === 'gpu' ? 64 : 16;
  return (uniforms: Record<string, number>, flags: Record<string, boolean> = {}): Dispatch => ({
    kernel: `lstm${direction === 'forward' ? 'Forward' : 'Backward'}/steps`,
    source,
    constants: { ...constants, ...flags, SLICES, SIZE, ...(direction === 'backward' && { BLOCKS }) },
    functions,
    bindings: bindings[direction],
    uniforms: { B, ...uniforms },
    workgroups: grid(Math.ceil((items * SLICES) / SIZE)),
    turns,
  });
}

function forwardSteps(problem: LstmProblem, profile: DeviceProfile): KernelCall {
  const step = stepper('forward', forwardStep, problem, profile);
  const times = timesOf(problem);
  return { dispatches: times.map((t, n) => step({ t, before: times[n - 1] ?? t }, { FIRST: n === 0 })) };
}

function backwardSteps(problem: LstmProblem, profile: DeviceProfile): KernelCall {
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
function timesOf({ T, reverse }: LstmProblem): number[] {
  return Array.from({ length: T }, (_, n) => (reverse ? T - 1 - n : n));
}

/** Adds dOutput, or the producer that is fused in its place, to a backward pass: its bindings come last. */
function withOutputGradient(variant: Variant<LstmProblem>): Variant<LstmBackwardProblem> {
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
    if (!load) return { ...dispatch, functions, bindings: [...dispatch.bindings, input(0)] };
    return {
      ...dispatch,
      without: ['dOutput'],
      functions,
      declarations: load.declarations(dispatch.bindings.length + 1),
      library: load.library,
      bindings: [...dispatch.bindings, ...load.bindings],
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

function elementwise(kernel: string, source: string, bindings: readonly BindingSource[]): Variant<LstmCellProblem> {
  return {
    call: ({ B, H }) => ({
      dispatches: [
        { kernel, source, constants: { H }, bindings, uniforms: { B }, workgroups: grid(Math.ceil((B * H) / 64)) },
      ],
    }),
  };
}
