import { wordSize } from '../core/dtype.ts';
import { family } from './family.ts';
import './attentionLibrary.ts';
import delta from '../../shaders/attention/delta.wgsl' with { type: 'text' };
import dkdvBlock from '../../shaders/attention/dkdv.block.wgsl' with { type: 'text' };
import dkdv from '../../shaders/attention/dkdv.flash.wgsl' with { type: 'text' };
import dkdvRows from '../../shaders/attention/dkdv.rows.wgsl' with { type: 'text' };
import dqBlock from '../../shaders/attention/dq.block.wgsl' with { type: 'text' };
import dq from '../../shaders/attention/dq.flash.wgsl' with { type: 'text' };
import dqRows from '../../shaders/attention/dq.rows.wgsl' with { type: 'text' };
import forwardBlock from '../../shaders/attention/forward.block.wgsl' with { type: 'text' };
import forward from '../../shaders/attention/forward.flash.wgsl' with { type: 'text' };
import forwardRows from '../../shaders/attention/forward.rows.wgsl' with { type: 'text' };
import { elements, type Hooked, hooks, operands, rowLoads, shared, uniforms, withDelta } from './attentionHooks.ts';
import { blockWalks, quadWalks, rowWalks, tileWalks, type Walks } from './attentionWalks.ts';
import {
  type DeviceProfile,
  type Dispatch,
  input,
  type KernelCall,
  type Operand,
  output,
  scratch,
  type Variant,
} from './kernel.ts';
import { roughly } from './lanes.ts';
import { loop, ranges, timesIn } from './loopLimit.ts';

/**
 * softmax(scale Q Kᵀ + mask) V, with dropout on the weights.
 *
 * Inputs of the forward family: 0 q, 1 k, 2 v, then the mask and the random key (u32[4]), each where it is used.
 * Outputs: 0 O; 1 the log of the sum of exponentials, dense [B, H, L].
 */
export interface AttentionProblem {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  /** At most 128. */
  readonly D: number;
  /** Query i sees keys j ≤ i, as PyTorch's is_causal. */
  readonly causal: boolean;
  readonly scale: number;
  /** Probability; 0: none. Element ((b H + h) L + i) S + j of the random stream decides on weight i, j of head h. */
  readonly dropout: number;
  readonly stream: number;
  /** [B, H, L, D]; the last stride is 1, the others are free, here and below. */
  readonly q: Operand;
  /** [B, H, S, D]. */
  readonly k: Operand;
  /** [B, H, S, D]. */
  readonly v: Operand;
  /** [B, H, L, D]. */
  readonly O: Operand;
  /** Added to the scores: f32 [B, H, L, S], stride 0 where it broadcasts; -1e9 and lower hides a key. */
  readonly mask?: Operand;
}

/**
 * Gradients of attention. Inputs: 0 q, 1 k, 2 v, 3 O, 4 the log of the sum of exponentials, 5 dO, then mask and random key.
 * Output: 0 dQ, dK and dV, each somewhere in it.
 */
export interface AttentionBackwardProblem extends AttentionProblem {
  /** [B, H, L, D]. */
  readonly dO: Operand;
  /** [B, H, L, D]. */
  readonly dQ: Operand;
  /** [B, H, S, D]. */
  readonly dK: Operand;
  /** [B, H, S, D]. */
  readonly dV: Operand;
}

type Part = 'forward' | 'dq' | 'dkdv';

/** One way to do all stages. */
interface Form {
  readonly sources: Readonly<Record<Part, string>>;
  constants(problem: AttentionProblem, part: Part): Readonly<Record<string, number | boolean>>;
  /** Rows that a workgroup takes, of queries or of keys. */
  readonly tile: number;
  /** How long the walks of its kernels are. */
  readonly walks: Walks;
  /** Whether a lane works on many 4×4 blocks at once, or on one. */
  readonly wide: boolean;
  /** Whether four lanes make a workgroup and load together. */
  readonly quads: boolean;
}
const tiles = { forward, dq, dkdv };
const rows = { forward: forwardRows, dq: dqRows, dkdv: dkdvRows };
const block = { forward: forwardBlock, dq: dqBlock, dkdv: dkdvBlock };
const wideLanes = (SIZE: number, TEAM: number) => () => ({ SIZE, TEAM, WIDE: true });
const blockLanes = (SIZE: number) => () => ({ SIZE });
/** The sums of dK and dV for large heads need more lanes, or they would not find room in the registers. */
const tileLanes = ({ D }: AttentionProblem, part: Part) => ({ D, MEMBERS: part === 'dkdv' && D > 64 ? 16 : 8 });
const forms = {
  flash: { sources: tiles, constants: tileLanes, walks: tileWalks, tile: 32, wide: false, quads: false },
  rows: { sources: rows, constants: wideLanes(8, 8), walks: rowWalks, tile: 64, wide: true, quads: false },
  quads: { sources: rows, constants: wideLanes(4, 32), walks: quadWalks, tile: 32, wide: true, quads: true },
  block: { sources: block, constants: blockLanes(8), walks: blockWalks, tile: 32, wide: false, quads: false },
  quadBlock: { sources: block, constants: blockLanes(4), walks: blockWalks, tile: 16, wide: false, quads: true },
} satisfies Record<string, Form>;
type Name = keyof typeof forms;

/** The variants of a family, one for each form. */
function variants<Problem extends AttentionProblem>(
  call: (problem: Problem, name: Name, profile: DeviceProfile) => KernelCall,
): Record<Name, Variant<Problem>> {
  const variant = (name: Name): Variant<Problem> => ({
    unsupported: (problem, profile) => unsupported(problem, forms[name], profile),
    call: (problem, profile) => call(problem, name, profile),
  });
  return {
    flash: variant('flash'),
    rows: variant('rows'),
    quads: variant('quads'),
    block: variant('block'),
    quadBlock: variant('quadBlock'),
  };
}

/** Products of this many scalars or more are worth the compilation of many blocks: up to a second, and a quarter for one. */
const wideFrom = 2 ** 20;

/** Tiles in workgroup memory on GPUs; none where barriers and workgroup memory are emulated. */
function select({ B, H, L, S, D }: AttentionProblem, { selection, subgroups }: DeviceProfile): Name {
  if (selection === 'gpu') return 'flash';
  if (B * H * L * S * D < wideFrom) return subgroups ? 'quadBlock' : 'block';
  return subgroups ? 'quads' : 'rows';
}

export const attentionForward = family<AttentionProblem>({
  name: 'attentionForward',
  variants: variants(forwardCall),
  select,
  shapeClass,
});

export const attentionBackward = family<AttentionBackwardProblem>({
  name: 'attentionBackward',
  variants: variants(backwardCall),
  select,
  shapeClass,
});

function shapeClass({ B, H, L, S, D, causal }: AttentionProblem): string {
  return `${causal ? 'causal' : 'full'} ${roughly(B * H, L, S)} ${D}`;
}

type Sizes = Pick<AttentionProblem, 'B' | 'H' | 'L' | 'S' | 'D'>;

/** Why no variant can do a problem of these sizes, whatever the device and however the operands lie; null where one may. */
export function tooLarge({ B, H, L, S, D }: Sizes, tile = 64): string | null {
  if (D > 128) return `heads of ${D} elements: at most 128`;
  const most = 65535;
  if (Math.max(B, H) > most) return `${B} sequences of ${H} heads: at most ${most} of each, so cut the batch in parts`;
  if (Math.max(L, S) > most * tile) return `${L} queries and ${S} keys: at most ${most * tile} of each`;
  return null;
}

function unsupported(problem: AttentionProblem, { tile, quads }: Form, { subgroups }: DeviceProfile): string | null {
  const { D } = problem;
  if (quads && !subgroups) return 'the device has no subgroups';
  const large = tooLarge(problem, tile);
  if (large) return large;
  const loose = operands(problem).find(({ operand }) => D > 1 && operand.strides[3] !== 1);
  return loose ? `${loose.name} has stride ${loose.operand.strides[3]} in its last dimension: must be 1` : null;
}

function forwardCall(problem: AttentionProblem, name: Name, profile: DeviceProfile): KernelCall {
  const fixed = [input(0), input(1), input(2), output(0), output(1)];
  const hooked = hooks(problem, ['Q', 'K', 'V'], fixed, 3);
  const { L, S } = problem;
  return { dispatches: stages(problem, name, 'forward', L, S, shared(hooked, forms[name], ['K', 'V']), profile) };
}

function backwardCall(problem: AttentionBackwardProblem, name: Name, profile: DeviceProfile): KernelCall {
  const { B, H, L, S } = problem;
  const form = forms[name];
  const fixed = [input(0), input(1), input(2), input(5), scratch(0), output(0)];
  const hooked = hooks(problem, ['Q', 'K', 'V', 'DO'], fixed, 6);
  const folded = foldsDelta(problem);
  const first: Dispatch = {
    kernel: `attentionBackward/${name}/delta`,
    source: delta,
    constants: elements(problem),
    functions: rowLoads(problem, ['O', 'DO']),
    bindings: [input(3), input(4), input(5), scratch(0)],
    workgroups: [Math.ceil(L / 64), H, B],
    uniforms: uniforms(problem),
    turns: loop(Math.ceil(problem.D / 4)),
  };
  const ofQueries = shared(folded ? withDelta(problem, hooked) : hooked, form, ['K', 'V']);
  const ofKeys = shared(hooked, form, ['Q', 'DO']);
  const dispatches = [
    ...stages(problem, name, 'dq', L, S, ofQueries, profile),
    ...stages(problem, name, 'dkdv', S, L, ofKeys, profile),
  ];
  return { dispatches: folded ? dispatches : [first, ...dispatches], scratch: [B * H * L * 2 * wordSize] };
}

/** A stage, whose lanes own rows of `extent` and walk over `others`: one dispatch, or one for each range that a walk can take in. */
function stages(
  problem: AttentionProblem,
  name: Name,
  part: Part,
  extent: number,
  others: number,
  hooked: Hooked,
  { loopLimit }: DeviceProfile,
): Dispatch[] {
  const { sources, constants, tile, walks } = forms[name];
  const { by, step, rest } = walks(problem, part);
  const walk = ranges(others, by * timesIn(loopLimit - rest, step));
  return walk.map(({ start, end }) => ({
    kernel: part === 'forward' ? `attentionForward/${name}` : `attentionBackward/${name}/${part}`,
    source: sources[part],
    workgroups: [Math.ceil(extent / tile), problem.H, problem.B],
    uniforms: { ...uniforms(problem), first: start, end },
    turns: loop(Math.ceil((end - start) / by), step) + rest,
    ...hooked,
    constants: {
      ...elements(problem),
      ...{ CAUSAL: problem.causal, MASKED: problem.mask !== undefined, SPLIT: walk.length > 1 },
      ...constants(problem, part),
    },
  }));
}

/** Whether dq computes δ itself, and leaves it for dkdv: with a mask or a random key it has no bindings left for O and lse. */
function foldsDelta({ mask, dropout }: AttentionProblem): boolean {
  return !mask && dropout === 0;
}
