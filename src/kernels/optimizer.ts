import adamwSource from '../../shaders/optimizer/adamw.wgsl' with { type: 'text' };
import clip from '../../shaders/optimizer/clip.wgsl' with { type: 'text' };
import sgdSource from '../../shaders/optimizer/sgd.wgsl' with { type: 'text' };
import squares from '../../shaders/optimizer/squares.wgsl' with { type: 'text' };
import type { BindingSource, Dispatch, Family } from './kernel.ts';
import { grid, inout, input, output, scratch } from './kernel.ts';
import { loop, timesIn } from './loops.ts';
import { rowsOf } from './rows.ts';

/** Parameters of up to eight groups with settings of their own, packed one after another into a flat buffer. */
export interface PackedProblem {
  /** Element at which each group ends; the last is the number of elements N. */
  readonly ends: readonly number[];
  /** Whether a last input holds a factor for the gradients [1], see `clipScale`. */
  readonly clipped: boolean;
}

const SIZE = 256;

/**
 * inputs parameters [N], gradients [N], mean [N], square [N], hyper [groups · 8] (see `adamHyper`), scale [1] where
 * clipped → outputs parameters, mean, square, in place of inputs 0, 2 and 3.
 */
export const adamw: Family<PackedProblem> = {
  name: 'adamw',
  variants: {
    packed: {
      unsupported: tooManyGroups,
      call: (problem) => {
        const bindings = [inout(0, 0), input(1), inout(2, 1), inout(3, 2), input(4)];
        return { dispatches: [packed(problem, 'adamw/packed', adamwSource, bindings, 5)] };
      },
    },
  },
  select: () => 'packed',
};

/** Settings of one group as `adamw` reads them, for step `step` (the first is 1). */
export function adamHyper(settings: {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** True for AdamW; false for Adam, which adds the decay to the gradient. */
  readonly decoupled: boolean;
  readonly step: number;
}): number[] {
  const { lr, eps, weightDecay, decoupled, step } = settings;
  // The corrections must undo the decay rates that the kernel has, which are f32.
  const [beta1, beta2] = settings.betas.map(Math.fround) as [number, number];
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  const decay = lr * weightDecay;
  return [
    lr / (1 - beta1 ** step),
    beta1,
    beta2,
    eps,
    decoupled ? decay : 0,
    correction,
    decoupled ? 0 : weightDecay,
    0,
  ];
}

export interface SgdProblem extends PackedProblem {
  /** Whether a group has momentum: the buffer is an input only then. */
  readonly momentum: boolean;
}

/** The direction with momentum; the buffer of the first step is the gradient, whatever it held before. */
const momentumHook = {
  declarations: '@group(0) @binding(4) var<storage, read_write> buffer: array<Vector>;',
  functions: {
    direction: `fn direction(index: u32, gradient: Vector, h: Hyper) -> Vector {
  let velocity = select(h.momentum * buffer[index] + gradient, gradient, h.first != 0.0);
  buffer[index] = velocity;
  return select(velocity, gradient + h.momentum * velocity, h.nesterov != 0.0);
}`,
  },
};

/**
 * inputs parameters [N], gradients [N], hyper [groups · 8] (see `sgdHyper`), buffer [N] with momentum, scale [1] where
 * clipped → outputs parameters and, with momentum, the buffer, in place of inputs 0 and 3.
 */
export const sgd: Family<SgdProblem> = {
  name: 'sgd',
  variants: {
    packed: {
      unsupported: tooManyGroups,
      call: (problem) => {
        const bindings = [inout(0, 0), input(1), input(2)];
        return {
          dispatches: [
            problem.momentum
              ? packed(problem, 'sgd/momentum', sgdSource, [...bindings, inout(3, 1)], 4, momentumHook)
              : packed(problem, 'sgd/plain', sgdSource, bindings, 3),
          ],
        };
      },
    },
  },
  select: () => 'packed',
};

/** Settings of one group as `sgd` reads them; `first` is true in the first step. */
export function sgdHyper(settings: {
  readonly lr: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly first: boolean;
}): number[] {
  const { lr, momentum, nesterov, weightDecay, first } = settings;
  return [lr, momentum, weightDecay, Number(nesterov), Number(first), 0, 0, 0];
}

function tooManyGroups({ ends }: PackedProblem): string | null {
  return ends.length <= 8 ? null : `${ends.length} groups: a dispatch takes up to 8`;
}

interface Hook {
  readonly declarations?: string;
  readonly functions?: Readonly<Record<string, string>>;
}

/** One dispatch over all elements. The scale is input `scale`, and the last binding. */
function packed(
  { ends, clipped }: PackedProblem,
  kernel: string,
  source: string,
  bindings: readonly BindingSource[],
  scale: number,
  hook: Hook = {},
): Dispatch {
  const elements = ends.at(-1) ?? 0;
  const WIDTH = ends.every((end) => end % 4 === 0) ? 4 : 1;
  const workgroups = grid(Math.ceil(elements / (WIDTH * SIZE)));
  const scaleBinding = `@group(0) @binding(${bindings.length + 1}) var<storage, read> scale: f32;`;
  const gradientScale = 'fn gradientScale() -> f32 { return scale; }';
  return {
    kernel,
    source,
    constants: {
      ...{ SIZE, WIDTH, GROUPS: ends.length, Vector: WIDTH === 4 ? 'vec4<f32>' : 'f32' },
      WHOLE: workgroups[0] * workgroups[1] * SIZE * WIDTH === elements,
    },
    declarations: [hook.declarations, clipped && scaleBinding].filter(Boolean).join('\n'),
    functions: { ...hook.functions, ...(clipped && { gradientScale }) },
    bindings: clipped ? [...bindings, input(scale)] : bindings,
    uniforms: {
      elements,
      ...Object.fromEntries(Array.from({ length: 7 }, (_, group) => [`end${group}`, ends[group] ?? elements])),
    },
    workgroups,
  };
}

export interface ClipScaleProblem {
  /** Number of partial sums of squares. */
  readonly count: number;
  readonly maxNorm: number;
}

/** input(0) sums of squares [count] → output(0) norm [1], output(1) scale [1] = min(1, maxNorm / (norm + 1e-6)). */
export const clipScale: Family<ClipScaleProblem> = {
  name: 'clipScale',
  variants: {
    sum: { call: ({ count, maxNorm }) => ({ dispatches: [clipDispatch('clipScale/sum', input(0), count, maxNorm)] }) },
  },
  select: () => 'sum',
};

export interface ClipNormProblem {
  readonly N: number;
  readonly maxNorm: number;
}

/** input(0) gradients [N] → output(0) norm [1], output(1) scale [1], as `clipScale`: the whole of clipping in two passes. */
export const clipNorm: Family<ClipNormProblem> = {
  name: 'clipNorm',
  variants: {
    twoPasses: {
      call: ({ N, maxNorm }, { selection, loopLimit }) => {
        const [lanes, wanted] = selection === 'software' ? [8, 64] : [256, 512];
        const { constants, functions, n, meeting } = rowsOf(1, N, 1, lanes, lanes);
        const most = Math.max(wanted, Math.ceil(n / (4 * lanes * timesIn(loopLimit - meeting))));
        const groups = Math.min(most, Math.ceil(n / (4 * lanes)));
        const pieces = n / (4 * lanes * groups);
        const partial: Dispatch = {
          kernel: 'clipNorm/squares',
          source: squares,
          constants: { ...constants, WHOLE: Number.isInteger(pieces) },
          functions,
          bindings: [input(0), scratch(0)],
          uniforms: { n, groups, pieces: Math.ceil(pieces) },
          workgroups: [groups, 1, 1],
          turns: loop(Math.ceil(pieces)) + meeting,
        };
        return {
          dispatches: [partial, clipDispatch('clipNorm/norm', scratch(0), groups, maxNorm)],
          scratch: [groups * 4],
        };
      },
    },
  },
  select: () => 'twoPasses',
};

function clipDispatch(kernel: string, squaresFrom: BindingSource, count: number, maxNorm: number): Dispatch {
  return {
    kernel,
    source: clip,
    bindings: [squaresFrom, output(0), output(1)],
    uniforms: { count, maxNorm },
    workgroups: [1, 1, 1],
    turns: loop(Math.ceil(count / 64)) + loop(6),
  };
}
