import gradient from '../../shaders/ctcLoss/backward.gradient.wgsl' with { type: 'text' };
import rows from '../../shaders/ctcLoss/rows.wgsl' with { type: 'text' };
import { wordSize } from '../core/dtype.ts';
import { bindingTexts } from './bindingText.ts';
import { family } from './family.ts';
import type { BindingSource, DeviceProfile, Dispatch } from './kernel.ts';
import { grid, input, output, scratch, status } from './kernel.ts';
import { powerOfTwo, roughly } from './lanes.ts';
import { loop } from './loopLimit.ts';

type Index = 'i32' | 'u32';

/** Log probabilities [T, B, C] against targets [B, L]; S = 2L + 1 states. */
export interface CtcLossProblem {
  readonly T: number;
  readonly B: number;
  readonly C: number;
  readonly L: number;
  readonly blank: number;
  /** Types of targets, and of the lengths of inputs and targets. */
  readonly types: readonly [targets: Index, inputLengths: Index, targetLengths: Index];
}

const statesOf = ({ L }: CtcLossProblem) => 2 * L + 1;
const typesOf = ({ types: [Target, InputLength, TargetLength] }: CtcLossProblem) => ({
  ...{ Target, InputLength, TargetLength },
});
const uniformsOf = (problem: CtcLossProblem) => {
  const { T, B, C, L, blank } = problem;
  return { B, T, C, L, S: statesOf(problem), blank };
};

/** The walk over all times, whose sums go to `sums`; inputs 0 to 3 are log probabilities, targets and lengths. */
function walk(problem: CtcLossProblem, kernel: string, sums: BindingSource, profile: DeviceProfile): Dispatch {
  const { T, B } = problem;
  const S = statesOf(problem);
  const turns = (size: number) => loop(T, loop(Math.ceil(S / size))) + loop(Math.ceil(S / size));
  let size = profile.selection === 'software' ? 8 : Math.max(32, powerOfTwo(S, 256));
  while (size < 256 && turns(size) > profile.loopLimit) size *= 2;
  return {
    kernel,
    source: rows,
    constants: { SIZE: size, ...typesOf(problem) },
    bindings: [sums, ...[0, 1, 2, 3].map(input)],
    uniforms: { ...uniformsOf(problem), statusCode: 0 },
    workgroups: grid(B),
    turns: turns(size),
  };
}

/** The loss from what is in the last two states at the end; what is no length, no class or the blank among the labels is told of. */
const finish = `fn finish(b: u32, input: u32, labels: u32, lane: u32) {
  var bad = u32(targetLengths[b]) > params.L || input == 0u;
  for (var k = lane; k < labels; k += SIZE) {
    let id = u32(targets[b * params.L + k]);
    bad = bad || id >= params.C || id == params.blank;
  }
  if (bad) { reportBadData(params.statusCode); }
  if (lane > 0u) { return; }
  var loss = 0.0;
  if (input > 0u) {
    let last = (b * params.T + input - 1u) * params.S + 2u * labels;
    var label = IMPOSSIBLE;
    if (labels > 0u) { label = sums[last - 1u]; }
    let total = logSum(sums[last], label, IMPOSSIBLE);
    loss = select(-total, infinity(), total <= -1e29);
  }
  losses[b] = loss;
}`;

/**
 * inputs log probabilities, targets, lengths of inputs and of targets [B] → output(0) losses [B], ∞ where no path fits, output(1)
 * the sums from the start [B, T, S]. A length or a target that is none sets the status word.
 */
export const ctcLoss = family<CtcLossProblem>({
  name: 'ctcLoss',
  variants: {
    rows: {
      call: (problem, profile) => {
        const whole = walk(problem, 'ctcLoss/rows', output(1), profile);
        return {
          dispatches: [
            {
              ...whole,
              functions: { finish },
              library: ['status'],
              declarations: bindingTexts(6, [
                ['read_write', 'losses', 'array<f32>'],
                ['read_write', 'status', 'array<atomic<u32>>'],
              ]).join('\n'),
              bindings: [...whole.bindings, output(0), status],
            },
          ],
        };
      },
    },
  },
  select: () => 'rows',
  shapeClass: ({ T, B, L }) => roughly(T, B, L),
});

/**
 * inputs log probabilities, targets, lengths of inputs and of targets, sums from the start, losses and their gradients [B, 2] →
 * output(0) the gradient of the log probabilities [T, B, C].
 */
export const ctcLossBackward = family<CtcLossProblem>({
  name: 'ctcLossBackward',
  variants: {
    rows: {
      call: (problem, profile) => {
        const { T, B, C, L } = problem;
        const ends = walk(problem, 'ctcLossBackward/rows', scratch(0), profile);
        const size = profile.selection === 'software' ? 8 : 64;
        return {
          dispatches: [
            { ...ends, constants: { ...ends.constants, REVERSE: true } },
            {
              kernel: 'ctcLossBackward/rows/gradient',
              source: gradient,
              constants: { SIZE: size, ...typesOf(problem) },
              bindings: [output(0), scratch(0), ...[4, 0, 1, 2, 5, 3].map(input)],
              uniforms: uniformsOf(problem),
              workgroups: grid(Math.ceil((T * B * C) / size)),
              turns: loop(L + 1),
            },
          ],
          scratch: [B * T * statesOf(problem) * wordSize],
        };
      },
    },
  },
  select: () => 'rows',
  shapeClass: ({ T, B, L }) => roughly(T, B, L),
});
