import scores from '../../shaders/additiveAttention/backward.scores.wgsl' with { type: 'text' };
import sums from '../../shaders/additiveAttention/backward.sums.wgsl' with { type: 'text' };
import forward from '../../shaders/additiveAttention/forward.wgsl' with { type: 'text' };
import math from '../../shaders/lib/math.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingTexts } from './bindingText.ts';
import { family } from './family.ts';
import type { DeviceProfile, Dispatch, Family, KernelCall } from './kernel.ts';
import { grid, input, output, scratch, status } from './kernel.ts';
import { elementsOf, mostPlaces, powerOfTwo, roughly, rowsOf } from './lanes.ts';
import { addLibrary } from './library.ts';
import { loop } from './loopLimit.ts';

addLibrary({ math });

/** Queries [B, Q, A] that look at keys [B, S, A] with values [B, S, D]. */
export interface AdditiveAttentionProblem {
  readonly B: number;
  readonly Q: number;
  readonly S: number;
  readonly A: number;
  readonly D: number;
  /** The type of the lengths, where sources have some. */
  readonly lengths: 'i32' | 'u32' | null;
}

export interface AdditiveAttentionBackwardProblem extends Omit<AdditiveAttentionProblem, 'lengths'> {
  /** Whether the weights have a gradient of their own. */
  readonly weighted: boolean;
  /** Where the gradients of keys, values and v begin in the output; those of the queries stand in front. */
  readonly offsets: readonly [keys: number, values: number, v: number];
}

type Sizes = Pick<AdditiveAttentionProblem, 'B' | 'Q' | 'S' | 'A' | 'D'>;

function declare<Problem extends Sizes>({
  name,
  call,
}: {
  readonly name: string;
  call(problem: Problem, variant: string, lanes: number, size: number): KernelCall;
}): Family<Problem> {
  /** A lane for each row; more where rows are few, or so long that a driver would end their loops. */
  const thread = (problem: Problem, { loopLimit }: DeviceProfile): KernelCall => {
    for (let lanes = problem.B * problem.Q < 64 ? 8 : 1; ; lanes *= 2) {
      const made = call(problem, 'thread', lanes, Math.max(8, lanes));
      if (lanes === 256 || made.dispatches.every(({ turns = 0 }) => turns <= loopLimit)) return made;
    }
  };
  return family<Problem>({
    name,
    variants: {
      thread: { call: thread },
      /** Up to a workgroup for each row. */
      rows: {
        call: (problem) => {
          const lanes = powerOfTwo(Math.max(problem.S, problem.A, problem.D), 256);
          return call(problem, 'rows', lanes, Math.max(64, lanes));
        },
      },
    },
    select: (_, { selection }) => (selection === 'gpu' ? 'rows' : 'thread'),
    shapeClass: ({ B, Q, S, A, D }) => roughly(B * Q, S, A, D),
  });
}

/** The lanes of a row, and Elements of vectors of `width` numbers. */
function rowsWith(rows: number, width: number, lanes: number, size: number) {
  const { constants, functions, meeting } = rowsOf(rows, width, 1, lanes, size);
  const { Element = 'f32' } = constants;
  return {
    constants: { Element, SIZE: size, LANES: lanes },
    functions,
    meeting,
    workgroups: grid(Math.ceil((rows * lanes) / size)),
  };
}

/** Positions of a source that have one: a length that is none has no positions, and is told of. */
const lengthOf = `fn lengthOf(source: u32) -> u32 {
  let length = u32(lengths[source]);
  if (length > 0u && length <= params.S) { return length; }
  reportBadData(params.statusCode);
  return 0u;
}`;

/**
 * inputs queries, keys, values, v [A], and lengths [B] where there are some → output(0) context [B, Q, D], output(1) weights
 * [B, Q, S]. A length outside [1, S] gives zeros and sets the status word.
 */
export const additiveAttention = declare<AdditiveAttentionProblem>({
  name: 'additiveAttention',
  call: ({ B, Q, S, A, D, lengths }, variant, lanes, size) => {
    const { constants, functions, meeting, workgroups } = rowsWith(B * Q, A, lanes, size);
    const vector = constants.Element !== 'f32';
    // A lane that has a row to itself has its own columns; neighbours share what they read.
    const wide = lanes === 1 && D % 4 === 0;
    const [elements, columns] = [elementsOf(A), wide ? D / 4 : D];
    const own = Math.ceil(S / lanes);
    return {
      dispatches: [
        {
          kernel: `additiveAttention/${variant}`,
          source: forward,
          constants: {
            ...constants,
            ...(vector && { T: 'vec4<f32>', TBits: 'vec4<u32>' }),
            Value: wide ? 'vec4<f32>' : 'f32',
          },
          functions: { ...functions, ...(lengths && { lengthOf }) },
          ...(lengths && {
            library: ['status'],
            declarations: bindingTexts(7, [
              ['read', 'lengths', `array<${lengths}>`],
              ['read_write', 'status', 'array<atomic<u32>>'],
            ]).join('\n'),
          }),
          bindings: [
            ...[output(0), output(1), input(0), input(1), input(2), input(3)],
            ...(lengths ? [input(4), status] : []),
          ],
          uniforms: { rows: B * Q, Q, S, A: elements, D: columns, statusCode: 0 },
          workgroups,
          turns: loop(own, loop(elements)) + meeting + loop(own) + loop(Math.ceil(columns / lanes), loop(S)),
        },
      ],
    };
  },
});

/**
 * inputs queries, keys, values, v, weights, dcontext, and the weights' own gradient where they have one → output(0), in which
 * the gradients of queries, keys, values and v lie.
 */
export const additiveAttentionBackward = declare<AdditiveAttentionBackwardProblem>({
  name: 'additiveAttentionBackward',
  call: (problem, variant, lanes, size) => {
    const { B, Q, S, A, D, weighted } = problem;
    const { constants, functions, meeting, workgroups } = rowsWith(B * Q, D, lanes, size);
    const [elements, own] = [elementsOf(D), Math.ceil(S / lanes)];
    const ofWeight = 'fn ofWeight(index: u32) -> f32 { return dWeights[index]; }';
    return {
      dispatches: [
        {
          kernel: `additiveAttentionBackward/${variant}/scores`,
          source: scores,
          constants,
          functions: { ...functions, ...(weighted && { ofWeight }) },
          ...(weighted && { declarations: bindingTexts(8, [['read', 'dWeights', 'array<f32>']]).join('') }),
          bindings: [output(0), scratch(0), ...[0, 1, 2, 4, 5].map(input), ...(weighted ? [input(6)] : [])],
          uniforms: { rows: B * Q, Q, S, A, D: elements },
          workgroups,
          turns: loop(own, loop(elements)) + meeting + loop(own) + loop(Math.ceil(A / lanes), loop(S)),
        },
        sumsOf(problem, variant),
      ],
      scratch: [B * Q * (S + A) * wordSize],
    };
  },
});

function sumsOf({ B, Q, S, A, D, offsets }: AdditiveAttentionBackwardProblem, variant: string): Dispatch {
  const [rows, keys, values] = [B * Q, B * S * A, B * S * D];
  // A lane adds up no more numbers than rounding errors allow; a GPU has more lanes than there are columns.
  const [slices, size] =
    variant === 'thread' ? [powerOfTwo(rows / mostPlaces, 32), 32] : [powerOfTwo(rows / 8, 32), 256];
  const groups = Math.ceil((keys + values + rows * A) / size);
  const [keysAt, valuesAt, vectorAt] = offsets;
  return {
    kernel: `additiveAttentionBackward/${variant}/sums`,
    source: sums,
    constants: { SIZE: size, SLICES: slices },
    bindings: [output(0), scratch(0), ...[0, 1, 3, 4, 5].map(input)],
    uniforms: { rows, Q, S, A, D, keys, values, groups, keysAt, valuesAt, vectorAt },
    workgroups: grid(groups + Math.ceil((A * slices) / size)),
    turns: Math.max(2 * loop(Q), loop(Math.ceil(rows / slices)) + loop(slices)),
  };
}
