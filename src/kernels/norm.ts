import backward from '../../shaders/norm/backward.wgsl' with { type: 'text' };
import forward from '../../shaders/norm/forward.wgsl' with { type: 'text' };
import type { BindingSource, DeviceProfile, Dispatch, Family, KernelCall, StoreHook } from './kernel.ts';
import { grid, input, output, scratch } from './kernel.ts';
import type { ReduceProblem } from './reduce.ts';
import { fewThreads, reduce, rowLanes, vectors } from './reduce.ts';
import { powerOfTwo } from './rows.ts';

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
    this.declarations.push(`@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<Element>;`);
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

const foldVector = { sumOf: 'fn sumOf(v: Element) -> f32 { return (v.x + v.y) + (v.z + v.w); }' };

/** Four neighbours at a time. A fused epilogue takes elements one by one, so the result stays an array of f32 then. */
const vectorFunctions = (hook: StoreHook | undefined) => ({
  sumOf: foldVector.sumOf,
  ...(hook
    ? {
        write: `fn write(index: u32, value: Element) {
  store(4u * index, value.x);
  store(4u * index + 1u, value.y);
  store(4u * index + 2u, value.z);
  store(4u * index + 3u, value.w);
}`,
      }
    : { store: '', write: 'fn write(index: u32, value: Element) { output[index] = value; }' }),
});

function dispatch(
  { kind, rows, E, store }: BackwardProblem,
  extras: Extras,
  layout: { lanes: number; size: number; vector: boolean },
  rest: Pick<Dispatch, 'kernel' | 'source' | 'uniforms' | 'workgroups'>,
): Dispatch {
  extras.addHook(store);
  const { lanes, size, vector } = layout;
  return {
    ...rest,
    constants: {
      Element: vector ? 'vec4<f32>' : 'f32',
      Result: vector && !store ? 'vec4<f32>' : 'f32',
      ...{ SIZE: size, LANES: lanes, CENTRED: kind === 'layer' },
    },
    functions: { ...(vector && vectorFunctions(store)), ...extras.functions },
    declarations: extras.declarations.join('\n'),
    library: store?.library ?? [],
    bindings: extras.bindings,
    uniforms: { rows, E, n: vector ? E / 4 : E, ...rest.uniforms },
  };
}

function normCall(problem: NormProblem, variant: string, lanes: number, size: number): KernelCall {
  const { rows, E, eps, weight, bias } = problem;
  const extras = new Extras([output(0), output(1), input(0)]);
  if (weight) extras.add('weight', input(1), 'read', column('gain', 'weight'));
  if (bias) extras.add('bias', input(weight ? 2 : 1), 'read', column('shift', 'bias'));
  return {
    dispatches: [
      dispatch(
        problem,
        extras,
        { lanes, size, vector: E % 4 === 0 },
        {
          kernel: `norm/${variant}`,
          source: forward,
          uniforms: { eps },
          workgroups: grid(Math.ceil((rows * lanes) / size)),
        },
      ),
    ],
  };
}

/** input(0) x [rows, E], then weight [E], bias [E] → output(0) y, output(1) statistics [rows, 2] of (mean, 1/σ); an RMS norm's mean is 0. */
export const norm: Family<NormProblem> = {
  name: 'norm',
  variants: {
    /** A thread for each row. */
    thread: { call: (problem) => normCall(problem, 'thread', ...fewThreads(3 * vectors(problem.E))) },
    /** Up to a workgroup for each row. */
    rows: { call: (problem) => normCall(problem, 'rows', rowLanes(problem.E), 256) },
  },
  select: (_, { selection }) => (selection === 'gpu' ? 'rows' : 'thread'),
};

type BackwardProblem = Omit<NormProblem, 'eps'>;

interface BackwardLayout {
  readonly lanes: number;
  readonly size: number;
  readonly vector: boolean;
  /** Rows of a workgroup, at most 64. */
  readonly block: number;
}

function normBackwardCall(
  problem: BackwardProblem,
  variant: string,
  layout: BackwardLayout,
  profile: DeviceProfile,
): KernelCall {
  const { rows, E, weight, bias } = problem;
  const { block } = layout;
  const groups = Math.ceil(rows / block);
  const gradients = Number(weight) + Number(bias);
  const extras = new Extras([output(0), input(0), input(1), input(weight ? 3 : 2)]);
  if (weight) extras.add('weight', input(2), 'read', column('gain', 'weight'));
  if (gradients) extras.add('partials', scratch(0), 'read_write', { keep: keep(weight, bias) });
  const dx = dispatch(problem, extras, layout, {
    kernel: `normBackward/${variant}`,
    source: backward,
    uniforms: { block },
    workgroups: grid(groups),
  });
  if (!gradients) return { dispatches: [dx] };
  return { dispatches: [dx, sumGroups(groups, E, gradients, profile)], scratch: [groups * gradients * E * 4] };
}

/** Writes a workgroup's share of dweight and dbias. */
function keep(weight: boolean, bias: boolean): string {
  const names = [weight && 'weight', bias && 'bias'].filter((name) => name !== false);
  const lines = names.map((name, i) => `  partials[(group * ${names.length}u + ${i}u) * params.n + e] = ${name}Sum;`);
  return `fn keep(group: u32, e: u32, weightSum: Element, biasSum: Element) {\n${lines.join('\n')}\n}`;
}

/** partials [groups, gradients, E] → output(1) and output(2), in one dispatch. */
function sumGroups(groups: number, E: number, gradients: number, profile: DeviceProfile): Dispatch {
  const second: StoreHook = {
    functions: {
      store: `fn store(index: u32, value: f32) {
  if (index < ${E}u) { output[index] = value; } else { second[index - ${E}u] = value; }
}`,
    },
    declarations: (binding) => `@group(0) @binding(${binding}) var<storage, read_write> second: array<f32>;`,
    library: [],
    bindings: [output(2)],
  };
  const problem: ReduceProblem = {
    ...{ kind: 'sum', outer: 1, n: groups, inner: gradients * E, dtype: 'f32' },
    ...(gradients > 1 && { store: second }),
  };
  const variant = profile.selection === 'software' ? 'thread' : problem.inner > 1 ? 'columns' : 'rows';
  const sum = reduce.variants[variant]?.call(problem, profile).dispatches[0] as Dispatch;
  const [, , ...others] = sum.bindings;
  return { ...sum, kernel: `normBackward/${variant}/sum`, bindings: [output(1), scratch(0), ...others] };
}

/** The least number of rows for which there are no more than `groups` workgroups, a multiple of `step` up to 64. */
const blockOf = (rows: number, groups: number, step: number) =>
  Math.min(64, Math.max(1, Math.ceil(rows / groups / step)) * step);

/**
 * input(0) x [rows, E], input(1) statistics [rows, 2], then weight [E], then dy [rows, E]
 * → output(0) dx, then dweight [E], dbias [E]. `eps` is not needed.
 */
export const normBackward: Family<BackwardProblem> = {
  name: 'normBackward',
  variants: {
    /** A thread for each row, then for each four columns, in workgroups of 16. */
    thread: {
      call: (problem, profile) => {
        const { rows, E } = problem;
        // Two loops over a block: its rows, and E / 16 columns of each row.
        const block = vectors(E) > 2048 ? 16 : blockOf(rows, 32, 16);
        const vector = E % 4 === 0;
        return normBackwardCall(problem, 'thread', { lanes: 1, size: 16, vector, block }, profile);
      },
    },
    /** Up to 32 lanes for each row, then a thread for each column. */
    rows: {
      call: (problem, profile) => {
        const { rows, E } = problem;
        const size = Math.max(64, powerOfTwo(E, 256));
        const lanes = powerOfTwo(E / 4, 32);
        const layout = { lanes, size, vector: E % 4 === 0 && E >= 1024, block: blockOf(rows, 512, size / lanes) };
        return normBackwardCall(problem, 'rows', layout, profile);
      },
    },
  },
  select: (_, { selection }) => (selection === 'gpu' ? 'rows' : 'thread'),
};
