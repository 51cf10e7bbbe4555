import findingsLibrary from '../../shaders/lib/findings.wgsl' with { type: 'text' };
import packedLibrary from '../../shaders/lib/packed.wgsl' with { type: 'text' };
import adamwSource from '../../shaders/updates/adamw.wgsl' with { type: 'text' };
import descendSource from '../../shaders/updates/descend.wgsl' with { type: 'text' };
import gateSource from '../../shaders/updates/gate.wgsl' with { type: 'text' };
import { type Bound, bindingText, bindingTexts } from './bindingText.ts';
import { family } from './family.ts';
import type { BindingSource, DeviceProfile, Dispatch } from './kernel.ts';
import { findings, grid, inout, input, output } from './kernel.ts';
import { addLibrary } from './library.ts';
import { loop } from './loopLimit.ts';

addLibrary({ findings: findingsLibrary, packed: packedLibrary });

/** Where a kernel tells of what it finds in a step. */
export interface Telling {
  /** The finding of the submit that is the step's. */
  readonly finding: number;
  /** The block of 64 elements, of all parameters that make the step, that is the first here. */
  readonly firstBlock: number;
  /** Whether the gradients are made of others, of which another kernel of the step tells. */
  readonly derived?: boolean;
}

/**
 * Parameters, packed one after another into a flat buffer, that make a step together. They have steps of their own, and
 * write nothing where the step's submit has failed. The kernel makes the step whatever the gradients are, and tells where a
 * gradient or what it writes is not finite (see findings.wgsl).
 *
 * - `counts`: all have one count. Inputs counts [members]; outputs the next counts.
 * - `scale`: the same, but the gradients have a factor. Inputs turn [64 + members]: the factor, and from word 64 on the
 *   counts, as i32; then the counts, which the next ones replace.
 * - `gate`: counts differ, or some have no gradient. Inputs gate [members, 4], see `gate`, and the table of members [N/64],
 *   one for each block of 64 elements.
 */
export interface PackedProblem extends Telling {
  /** Number of elements. */
  readonly N: number;
  /** Number of parameters. */
  readonly members: number;
  /** Number of groups, which have settings of their own. */
  readonly groups: number;
  readonly by: 'counts' | 'scale' | 'gate';
}

/** Elements of a pack that belong to one parameter: each starts at a multiple. */
export const packedBlock = 64;

const SIZE = 256;

/**
 * inputs parameters [N], gradients [N], mean [N], square [N], hyper [groups · 9] (see `adamHyper`), then as `PackedProblem`
 * says → outputs parameters, mean, square, in place of inputs 0, 2 and 3, then the next counts.
 */
export const adamw = family<PackedProblem>({
  name: 'adamw',
  variants: {
    packed: {
      call: (problem, profile) => {
        const bindings = [inout(0, 0), input(1), inout(2, 1), inout(3, 2), input(4)];
        return { dispatches: [packed(problem, profile, 'adamw/packed', adamwSource, bindings, 5, 3)] };
      },
    },
  },
  select: () => 'packed',
});

/** How many numbers `adamHyper` gives. */
export const adamWords = 9;

/**
 * Settings of one group as `adamw` reads them. Groups lie one after another in the pack, and `end` is the element that
 * follows the last of this one; a group that is the only one needs none.
 */
export function adamHyper(
  settings: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weightDecay: number;
    /** True for AdamW; false for Adam, which adds the decay to the gradient. */
    readonly decoupled: boolean;
  },
  end = 0,
): number[] {
  const { lr, eps, weightDecay, decoupled } = settings;
  // The corrections must undo the decay rates that the kernel has, which are f32.
  const [beta1, beta2] = settings.betas.map(Math.fround) as [number, number];
  const [logBeta1, logBeta2] = [beta1, beta2].map((beta) => Math.max(Math.log(beta), -60)) as [number, number];
  const [decay, l2] = decoupled ? [lr * weightDecay, 0] : [0, weightDecay];
  return [lr, beta1, beta2, least(eps), decay, l2, logBeta1, logBeta2, Math.ceil(end / packedBlock)];
}

export interface SgdProblem extends PackedProblem {
  /** Whether a group has momentum: the buffer is an input only then. */
  readonly momentum: boolean;
}

const direction = 'fn direction(index: u32, gradient: Vector, h: Hyper, step: f32) -> Vector';

/** The direction with momentum; the buffer of the first step is the gradient, whatever it held before. */
const momentumHook = {
  declarations: bindingText(4, 'read_write', 'buffer', 'array<Vector>'),
  functions: {
    direction: `${direction} {
  let velocity = select(h.a * buffer[index] + gradient, gradient, step == 1.0);
  buffer[index] = velocity;
  return select(velocity, gradient + h.a * velocity, h.b != 0.0);
}`,
  },
};

/**
 * inputs parameters [N], gradients [N], hyper [groups · 7] (see `sgdHyper`), buffer [N] with momentum, then as
 * `PackedProblem` says → outputs parameters and, with momentum, the buffer, in place of inputs 0 and 3, then the next counts.
 */
export const sgd = family<SgdProblem>({
  name: 'sgd',
  variants: {
    packed: {
      call: (problem, profile) => {
        const bindings = [inout(0, 0), input(1), input(2)];
        return {
          dispatches: [
            problem.momentum
              ? packed(
                  problem,
                  profile,
                  'sgd/descend/momentum',
                  descendSource,
                  [...bindings, inout(3, 1)],
                  4,
                  2,
                  momentumHook,
                )
              : packed(problem, profile, 'sgd/descend/plain', descendSource, bindings, 3, 1),
          ],
        };
      },
    },
  },
  select: () => 'packed',
});

/** How many numbers `sgdHyper` and the hypers of rules give. */
export const descendWords = 7;

interface DescendSettings {
  readonly lr: number;
  /** Added to the gradient, times the parameter. */
  readonly l2: number;
  /** Share of the parameter that goes. */
  readonly decay: number;
  /** What `direction` has for h.a, h.b and h.c. */
  readonly own: readonly number[];
}
function descendHyper({ lr, l2, decay, own: [a = 0, b = 0, c = 0] }: DescendSettings, end: number): number[] {
  return [lr, l2, decay, a, b, c, Math.ceil(end / packedBlock)];
}

/** Settings of one group as `sgd` reads them; `end` as for `adamHyper`. */
export function sgdHyper(
  settings: {
    readonly lr: number;
    readonly momentum: number;
    readonly nesterov: boolean;
    readonly weightDecay: number;
  },
  end = 0,
): number[] {
  const { lr, momentum, nesterov, weightDecay } = settings;
  return descendHyper({ lr, l2: weightDecay, decay: 0, own: [momentum, Number(nesterov)] }, end);
}

/** What a rule keeps beside the parameters, and how it finds its direction. */
interface Rule {
  readonly states: readonly string[];
  readonly direction: string;
  /** The bits of what must stay finite. */
  readonly kept: string;
}

const nextSquare = `let s = h.a * square[index] + (1.0 - h.a) * gradient * gradient;
  square[index] = s;`;
const meanSquare = `${nextSquare}
  let d = gradient / (sqrt(s) + h.b);`;
/** No square is negative. */
const square = 'bitcast<Bits>(square[index])';
const rules = {
  /** a: decay of the mean square, b: ε. */
  rmsprop: { states: ['square'], direction: `${meanSquare}\n  return d;`, kept: square },
  /** The same; c: momentum. */
  rmspropMomentum: {
    states: ['square', 'velocity'],
    direction: `${meanSquare}
  let v = h.c * velocity[index] + d;
  velocity[index] = v;
  return v;`,
    kept: square,
  },
  /**
   * The square of the mean taken from the mean square, which leaves the variance; rounding may make it negative. With the
   * velocity there would be more bindings than devices must have.
   */
  rmspropCentered: {
    states: ['square', 'average'],
    direction: `${nextSquare}
  let m = h.a * average[index] + (1.0 - h.a) * gradient;
  average[index] = m;
  let variance = s - m * m;
  return gradient / (sqrt(select(variance, Vector(0.0), variance < Vector(0.0))) + h.b);`,
    kept: square,
  },
  /** a: ε, b: decay of the learning rate, c: what the squares add up from. */
  adagrad: {
    states: ['square'],
    direction: `let s = select(square[index], Vector(h.c), step == 1.0) + gradient * gradient;
  square[index] = s;
  return gradient / ((sqrt(s) + h.a) * (1.0 + (step - 1.0) * h.b));`,
    kept: square,
  },
  /** a: share of the mean in the direction, b: decay of the mean. Of what is not finite, the sign is not either. */
  lion: {
    states: ['average'],
    direction: `let before = average[index];
  let ahead = h.a * before + (1.0 - h.a) * gradient;
  average[index] = h.b * before + (1.0 - h.b) * gradient;
  return select(sign(ahead), ahead, magnitude(ahead) >= Bits(NOT_FINITE));`,
    kept: 'magnitude(average[index])',
  },
} satisfies Record<string, Rule>;
export type RuleName = keyof typeof rules;

/** How many states a rule has. */
export const statesOf = (rule: RuleName): number => rules[rule].states.length;

export interface RuledProblem extends PackedProblem {
  readonly rule: RuleName;
}

/**
 * inputs parameters [N], gradients [N], hyper [groups · 7], the states of the rule [N] each, then as `PackedProblem` says →
 * outputs parameters and states, in place of inputs 0 and from 3 on, then the next counts.
 */
export const ruled = family<RuledProblem>({
  name: 'ruled',
  variants: {
    packed: {
      call: (problem, profile) => {
        const { states, direction: body, kept }: Rule = rules[problem.rule];
        const bindings = [inout(0, 0), input(1), input(2), ...states.map((_, i) => inout(3 + i, 1 + i))];
        const hook = {
          declarations: bindingTexts(
            4,
            states.map((name): Bound => ['read_write', name, 'array<Vector>']),
          ).join('\n'),
          functions: {
            direction: `${direction} {\n  ${body}\n}`,
            kept: `fn kept(index: u32) -> Bits { return ${kept}; }`,
          },
        };
        const [firstInput, firstOutput] = [3 + states.length, 1 + states.length];
        return {
          dispatches: [
            packed(
              problem,
              profile,
              `ruled/descend/${problem.rule}`,
              descendSource,
              bindings,
              firstInput,
              firstOutput,
              hook,
            ),
          ],
        };
      },
    },
  },
  select: () => 'packed',
});

/** ε where nothing may be divided by 0: between parameters all is 0, and 0/0 would be told of. */
const least = (eps: number) => Math.max(eps, 2 ** -126);

/** Settings of one group for the rules of RMSprop; `end` as for `adamHyper`. */
export function rmspropHyper(
  settings: {
    readonly lr: number;
    readonly alpha: number;
    readonly eps: number;
    readonly momentum: number;
    readonly weightDecay: number;
  },
  end = 0,
): number[] {
  const { lr, alpha, eps, momentum, weightDecay } = settings;
  return descendHyper({ lr, l2: weightDecay, decay: 0, own: [alpha, least(eps), momentum] }, end);
}
/** Settings of one group for `adagrad`. */
export function adagradHyper(
  settings: {
    readonly lr: number;
    readonly lrDecay: number;
    readonly eps: number;
    readonly initialAccumulatorValue: number;
    readonly weightDecay: number;
  },
  end = 0,
): number[] {
  const { lr, lrDecay, eps, initialAccumulatorValue, weightDecay } = settings;
  return descendHyper({ lr, l2: weightDecay, decay: 0, own: [least(eps), lrDecay, initialAccumulatorValue] }, end);
}
/** Settings of one group for `lion`. */
export function lionHyper(
  settings: { readonly lr: number; readonly betas: readonly [number, number]; readonly weightDecay: number },
  end = 0,
): number[] {
  const { lr, betas, weightDecay } = settings;
  return descendHyper({ lr, l2: 0, decay: lr * weightDecay, own: betas }, end);
}
/** Settings of Muon's last step, along a direction that is made; momentum and nesterov stand in the place of the rule's own. */
export function muonHyper(
  settings: {
    readonly lr: number;
    readonly momentum: number;
    readonly nesterov: boolean;
    readonly weightDecay: number;
  },
  end = 0,
): number[] {
  const { lr, momentum, nesterov, weightDecay } = settings;
  return descendHyper({ lr, l2: 0, decay: lr * weightDecay, own: [momentum, Number(nesterov)] }, end);
}

interface Hook {
  readonly declarations?: string;
  readonly functions?: Readonly<Record<string, string>>;
}

/**
 * Vectors to an invocation. What one works out once costs a CPU as much as a few elements, and SwiftShader, which ends no loops, as
 * many as it can have; Mesa's driver loses more by the strides of its lanes. Lanes of a GPU read side by side.
 */
function vectorsFor({ selection, loopLimit }: DeviceProfile): number {
  if (selection === 'gpu') return 1;
  return loopLimit === Infinity ? packedBlock / 4 : 4;
}

/** One dispatch over all elements. What `turnOf` reads are the inputs from `firstInput` on, and the last bindings. */
function packed(
  { N, members, groups, by, finding, firstBlock, derived = false }: PackedProblem,
  profile: DeviceProfile,
  kernel: string,
  source: string,
  before: readonly BindingSource[],
  firstInput: number,
  firstOutput: number,
  hook: Hook = {},
): Dispatch {
  const WIDTH = N % 4 === 0 ? 4 : 1;
  const VECTORS = N >= 4096 ? vectorsFor(profile) : 1;
  const each = WIDTH * VECTORS * SIZE;
  const workgroups = grid(Math.ceil(N / each));
  const turn = by === 'gate' ? gated(firstInput) : counted(by, groups, firstInput, firstOutput);
  return {
    kernel,
    source,
    constants: {
      ...{ SIZE, WIDTH, VECTORS, BLOCK: packedBlock },
      ...(WIDTH === 4 ? { Vector: 'vec4<f32>', Bits: 'vec4<u32>' } : { Vector: 'f32', Bits: 'u32' }),
      WHOLE: workgroups[0] * workgroups[1] * each === N,
    },
    declarations: [hook.declarations, ...bindingTexts(before.length + 1, [...turn.buffers, stepStatus])]
      .filter(Boolean)
      .join('\n'),
    functions: {
      ...hook.functions,
      ...turn.functions,
      ...(WIDTH === 4 ? greatestOfFour : {}),
      ...(derived ? { isOfGradient: 'fn isOfGradient(element: u32) -> bool { return false; }' } : {}),
      tell,
    },
    bindings: [...before, ...turn.bindings, findings],
    uniforms: { elements: N, members, groups, finding, firstBlock },
    workgroups,
    turns: loop(VECTORS) + loop(Math.ceil(Math.log2(groups))),
  };
}

const greatestOfFour = {
  greatest: 'fn greatest(x: Bits) -> u32 { return max(max(x.x, x.y), max(x.z, x.w)); }',
};

/** How kernels bind the status, and tell: what is found anywhere in the step stays, the greatest of it. */
const stepStatus: Bound = ['read_write', 'status', 'StepStatus'];
const tell = `fn tell(finding: u32) {
  atomicMax(&status.findings[params.finding], finding);
  atomicStore(&status.found, 1u);
}`;

/**
 * All parameters make the same step, each with the settings of its group. Where the counts come with a factor, the kernel
 * reads them there, and not where it counts: a binding serves for both.
 */
function counted(by: 'counts' | 'scale', groups: number, firstInput: number, firstOutput: number) {
  const alone = by === 'counts';
  const [first, scale] = alone ? [0, '1.0'] : [packedBlock, 'bitcast<f32>(counts[0])'];
  return {
    buffers: [
      ['read', 'counts', 'array<i32>'],
      ['read_write', 'nextCounts', 'array<i32>'],
    ] satisfies Bound[],
    bindings: [input(firstInput), alone ? output(firstOutput) : inout(firstInput + 1, firstOutput)],
    functions: {
      turnOf: `fn turnOf(element: u32) -> Turn {
  return Turn(f32(counts[${first}] + 1), ${scale}, ${groups > 1 ? 'groupOf(element)' : '0u'}, status.failed == 0u);
}`,
      countStep: `fn countStep(index: u32) {
  if (index < params.members) { nextCounts[index] = counts[${first}u + index] + i32(status.failed == 0u); }
}`,
    },
  };
}

/** Each parameter makes the step that its gate says. */
function gated(firstInput: number) {
  return {
    buffers: [
      ['read', 'gate', 'array<vec4<f32>>'],
      ['read', 'table', 'array<u32>'],
    ] satisfies Bound[],
    bindings: [input(firstInput), input(firstInput + 1)],
    functions: {
      turnOf: `fn turnOf(element: u32) -> Turn {
  let own = gate[table[element / ${packedBlock}u]];
  return Turn(own.x, own.y, u32(own.z), own.w != 0.0);
}`,
    },
  };
}

export interface GateProblem {
  readonly members: number;
  /** Whether an input is the factor [1] of the gradients. */
  readonly scaled: boolean;
  /** The finding that tells that the step is left out, where a last input decides that: `worst` [1]. */
  readonly skips: number | null;
}

/** In the table of groups: a parameter that has no gradient, and is left alone. */
export const leftAlone = 0xffffffff;

/**
 * inputs counts [members], groups [members] (u32, `leftAlone` where there is no gradient), scale [1] where scaled, worst [1]
 * where a step is left out unless that, and the scale, are finite → outputs the next counts, in place of input 0, and gate
 * [members, 4]: step number, factor of the gradients, group, 1 or 0 for whether the parameter makes the step.
 */
export const gate = family<GateProblem>({
  name: 'gate',
  variants: {
    members: {
      call: ({ members, scaled, skips }) => {
        const given = [...(scaled ? ['scale'] : []), ...(skips === null ? [] : ['worst'])];
        const buffers = [stepStatus, ...given.map((name): Bound => ['read', name, 'array<f32>'])];
        const finite = skips === null ? 'true' : given.map((name) => `isFinite(${name}[0])`).join(' && ');
        const dispatch: Dispatch = {
          kernel: 'gate/members',
          source: gateSource,
          declarations: bindingTexts(4, buffers).join('\n'),
          functions: {
            allowed: `fn allowed() -> Allowed { return Allowed(${scaled ? 'scale[0]' : '1.0'}, status.failed == 0u, ${finite}); }`,
            tell,
          },
          bindings: [inout(0, 0), input(1), output(1), findings, ...given.map((_, i) => input(2 + i))],
          uniforms: { members, finding: skips ?? 0 },
          workgroups: grid(Math.ceil(members / 64)),
        };
        return { dispatches: [dispatch] };
      },
    },
  },
  select: () => 'members',
});
