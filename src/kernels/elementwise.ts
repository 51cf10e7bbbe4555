import { type DType, dtypes } from '../graph/dtype.ts';
import type { Attributes } from '../graph/node.ts';
import type { ElementwiseLowering, ExpressionTypes, Window } from '../graph/op.ts';
import { type Layout, sizeOf } from '../graph/shape.ts';
import { type DeviceProfile, grid, input, type KernelCall, type LoadHook, output, type StoreHook } from './kernel.ts';

/**
 * Elementwise chains as one generated kernel, or as the tail (`store`) or head (`load`) of a hand-written one. All
 * values of a chain have the same number of elements; what differs is how each operand is laid out in memory.
 */

/** An element read from a bound buffer: its layout over the chain's index space. */
export interface Load {
  /** Position in `Chain.buffers`. */
  readonly buffer: number;
  readonly layout: Layout;
  readonly window?: Window;
}

export type Argument =
  | { readonly load: Load }
  | { readonly step: number }
  | { readonly table: number }
  | { readonly constant: number; readonly window?: Window };

/** One op of the chain. */
export interface ChainStep {
  readonly lowering: ElementwiseLowering;
  readonly attributes: Attributes;
  readonly arguments: readonly Argument[];
  readonly argumentTypes: readonly DType[];
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface Chain {
  readonly size: number;
  /** Element types of the buffers that are read. */
  readonly buffers: readonly DType[];
  readonly steps: readonly ChainStep[];
  /** Steps whose values are written, in the order of the outputs. -1 is the value given to a `store` hook. */
  readonly outputs: readonly number[];
}

/** A WGSL literal of the given element type. f32 values are clamped to the finite range: shaders know no infinity. */
export function literal(value: number, dtype: DType): string {
  if (dtype === 'bool') return value ? 'true' : 'false';
  if (dtype === 'u32') return `${Math.trunc(value) >>> 0}u`;
  if (dtype === 'i32') return Math.trunc(value) === -2147483648 ? 'i32(-2147483647 - 1)' : `i32(${Math.trunc(value)})`;
  const finite = Math.fround(Math.min(Math.max(value, -3.4028234e38), 3.4028234e38));
  const text = String(finite);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
const workgroup = 64;

const scalarTypes: ExpressionTypes = { f32: 'f32', i32: 'i32', u32: 'u32', bool: 'bool' };
const vectorTypes: ExpressionTypes = { f32: 'vec4<f32>', i32: 'vec4<i32>', u32: 'vec4<u32>', bool: 'vec4<bool>' };

/** The chain as a kernel of its own: inputs 0… are `chain.buffers`, outputs 0… are `chain.outputs`. */
export function elementwiseKernel(chain: Chain, label: string, profile: DeviceProfile): KernelCall {
  const vector = vectorises(chain);
  const count = vector ? chain.size / 4 : chain.size;
  // Software adapters pay for every workgroup, for loops and for bounds; GPUs want many workgroups.
  const perInvocation = profile.selection === 'software' && count >= 4096 ? 4 : 1;
  const workgroups = grid(Math.ceil(count / (workgroup * perInvocation)));
  const whole = workgroups[0] * workgroups[1] * workgroup * perInvocation === count;
  const declare = (dtype: DType) => (vector ? `vec4<${dtypes[dtype].wgsl}>` : dtypes[dtype].wgsl);
  const lines = chain.buffers.map(
    (dtype, i) => `@group(0) @binding(${i + 1}) var<storage, read> in${i}: array<${declare(dtype)}>;`,
  );
  for (const [i, step] of chain.outputs.entries()) {
    const dtype = (chain.steps[step] as ChainStep).dtype;
    lines.push(
      `@group(0) @binding(${chain.buffers.length + i + 1}) var<storage, read_write> out${i}: array<${declare(dtype)}>;`,
    );
  }
  const offsets = offsetFields(chain);
  const body = chainBody(chain, vector, (load) => offsets.get(load) ?? '');
  const stores = chain.outputs.map(
    (step, i) => `  out${i}[i] = ${stored(`v${step}`, (chain.steps[step] as ChainStep).dtype, vector)};`,
  );
  const source = `// uses: order.wgsl, elementwise.wgsl
struct Params { count: u32${[...new Set(offsets.values())].map((name) => `, ${name}: i32`).join('')} }
const SIZE: u32 = ${workgroup}u;
const PER_INVOCATION: u32 = ${perInvocation}u;
@group(0) @binding(0) var<uniform> params: Params;
${lines.join('\n')}
fn element(i: u32) {
${[...body, ...stores].join('\n')}
}
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let first = linearGroup(group, num_workgroups) * SIZE * PER_INVOCATION + lane;
${elements(perInvocation, whole, chain.steps.length)}
}
`;
  const uniforms: Record<string, number> = { count };
  for (const [load, name] of offsets) uniforms[name] = load.layout.offset;
  return {
    dispatches: [
      {
        kernel: `elementwise/${label}`,
        source,
        library: libraryOf(chain),
        ...(vector ? { constants: { V: 'vec4<f32>', B: 'vec4<bool>' } } : {}),
        bindings: [...chain.buffers.map((_, i) => input(i)), ...chain.outputs.map((_, i) => output(i))],
        uniforms,
        workgroups,
      },
    ],
  };
}

/** Every lane's share; where the chain is short, without a loop. `whole` tells that no lane's share lies past the end. */
function elements(count: number, whole: boolean, steps: number): string {
  const one = (i: string) => (whole ? `element(${i});` : `if (${i} < params.count) { element(${i}); }`);
  if (steps > 16 && count > 1)
    return `  for (var k = 0u; k < ${count}u; k++) { let i = first + k * SIZE; ${one('i')} }`;
  return Array.from({ length: count }, (_, k) => `  ${one(k === 0 ? 'first' : `first + ${k}u * SIZE`)}`).join('\n');
}

/**
 * The chain as the tail of a kernel that hands over `value` at `index`. Further buffers are the kernel's inputs from
 * `firstInput`; `primary` is the position in `chain.outputs` that takes the kernel's own `output` binding.
 */
export function storeHook(chain: Chain, firstInput: number, primary: number, firstExtraOutput: number): StoreHook {
  const body = chainBody(chain, false, () => '');
  const extra = chain.outputs.map((step, i) => ({ step, i })).filter(({ i }) => i !== primary);
  const value = (step: number) =>
    step < 0 ? 'value' : stored(`v${step}`, (chain.steps[step] as ChainStep).dtype, false);
  const stores = [
    `  output[index] = ${value(chain.outputs[primary] as number)};`,
    ...extra.map(({ step, i }) => `  extra${i}[index] = ${value(step)};`),
  ];
  return {
    functions: { store: `fn store(index: u32, value: f32) {\n  let i = index;\n${[...body, ...stores].join('\n')}\n}` },
    library: ['elementwise.wgsl', ...libraryOf(chain)],
    declarations: (firstBinding) =>
      [
        ...readDeclarations(chain, firstBinding, 'in'),
        ...extra.map(({ step, i }, k) => {
          const type = step < 0 ? 'f32' : dtypes[(chain.steps[step] as ChainStep).dtype].wgsl;
          return `@group(0) @binding(${firstBinding + chain.buffers.length + k}) var<storage, read_write> extra${i}: array<${type}>;`;
        }),
      ].join('\n'),
    bindings: [
      ...chain.buffers.map((_, i) => input(firstInput + i)),
      ...extra.map((_, k) => output(firstExtraOutput + k)),
    ],
  };
}

/**
 * The chain as the head of a kernel that asks for `load(index)`: its only output is the loaded value. Its buffers are the
 * kernel's inputs from `firstInput`.
 */
export function loadHook(chain: Chain, firstInput: number): LoadHook {
  const body = chainBody(chain, false, () => '', 'source');
  return {
    functions: {
      load: `fn load(index: u32) -> f32 {\n  let i = index;\n${body.join('\n')}\n  return v${chain.outputs[0]};\n}`,
    },
    library: ['elementwise.wgsl', ...libraryOf(chain)],
    declarations: (firstBinding) => readDeclarations(chain, firstBinding, 'source').join('\n'),
    bindings: chain.buffers.map((_, i) => input(firstInput + i)),
  };
}

function libraryOf(chain: Chain): string[] {
  return [...new Set(chain.steps.flatMap((step) => step.lowering.library ?? []))];
}

/** Buffers of a head and of a tail meet in one kernel, so they have names of their own. */
type Prefix = 'in' | 'source';

function readDeclarations(chain: Chain, firstBinding: number, prefix: Prefix): string[] {
  return chain.buffers.map(
    (dtype, i) =>
      `@group(0) @binding(${firstBinding + i}) var<storage, read> ${prefix}${i}: array<${dtypes[dtype].wgsl}>;`,
  );
}

/** Offsets are uniforms, so that slices that differ only in where they start share a pipeline. */
function offsetFields(chain: Chain): Map<Load, string> {
  const fields = new Map<Load, string>();
  for (const step of chain.steps) {
    for (const argument of step.arguments) {
      if ('load' in argument && argument.load.layout.offset !== 0) fields.set(argument.load, `offset${fields.size}`);
    }
  }
  return fields;
}

/** `let v0 = …; let v1 = …;`: one line per step. */
function chainBody(
  chain: Chain,
  vector: boolean,
  offsetField: (load: Load) => string,
  prefix: Prefix = 'in',
): string[] {
  const types = vector ? vectorTypes : scalarTypes;
  return chain.steps.map((step, s) => {
    const inside: string[] = [];
    const values = step.arguments.map((argument, a) => {
      const dtype = step.argumentTypes[a] as DType;
      inside.push('true');
      if ('table' in argument) return '';
      if ('constant' in argument) {
        if (argument.window) inside[a] = windowCondition(argument.window);
        return `${types[dtype]}(${literal(argument.constant, dtype)})`;
      }
      if ('step' in argument) return argument.step < 0 ? 'value' : `v${argument.step}`;
      const { load } = argument;
      if (load.window) inside[a] = windowCondition(load.window);
      return loadExpression(`${prefix}${load.buffer}`, load, dtype, vector, offsetField(load));
    });
    const expression = step.lowering.expression(values, step.attributes, {
      types,
      inputDTypes: step.argumentTypes,
      dtype: step.dtype,
      shape: step.shape,
      index: 'i',
      inside,
      element: (a, position) => {
        const argument = step.arguments[a] as Argument;
        if (!('table' in argument)) throw new Error(`argument ${a} is not a table`);
        return `${prefix}${argument.table}[${position}u]`;
      },
    });
    return `  let v${s}: ${types[step.dtype]} = ${expression};`;
  });
}

/** bool lives in memory as u32. */
function stored(name: string, dtype: DType, vector: boolean): string {
  if (dtype !== 'bool') return name;
  return vector ? `select(vec4<u32>(0u), vec4<u32>(1u), ${name})` : `select(0u, 1u, ${name})`;
}

function loadExpression(name: string, load: Load, dtype: DType, vector: boolean, offset: string): string {
  const type = dtypes[dtype].wgsl;
  const asBool = (text: string) => (dtype === 'bool' ? `(${text} != ${vector ? 'vec4<u32>(0u)' : '0u'})` : text);
  const dimensions = collapse(load.layout);
  if (!vector) return asBool(`${name}[${indexExpression(dimensions, load.layout, 1, offset)}]`);
  const innermost = dimensions.at(-1);
  if (!innermost || innermost.stride === 0) {
    // The same element for the four lanes: the buffer holds vectors, so pick one of its words.
    const index = indexExpression(dimensions, load.layout, 4, offset);
    return asBool(`vec4<${type}>(${name}[(${index}) >> 2u][(${index}) & 3u])`);
  }
  return asBool(`${name}[(${indexExpression(dimensions, load.layout, 4, offset)}) >> 2u]`);
}

interface Dimension {
  readonly extent: number;
  readonly stride: number;
}

/** The layout with neighbouring dimensions merged where one index walks both. */
function collapse(layout: Layout): Dimension[] {
  const merged: Dimension[] = [];
  for (const [i, extent] of layout.shape.entries()) {
    if (extent === 1) continue;
    const stride = layout.strides[i] as number;
    const last = merged.at(-1);
    if (last && last.stride === stride * extent) merged[merged.length - 1] = { extent: last.extent * extent, stride };
    else merged.push({ extent, stride });
  }
  return merged;
}

/**
 * Element index from the linear index `i` of the invocation, which covers `width` elements. The outermost extent never
 * appears in the text, so that a longer batch shares the pipeline.
 */
function indexExpression(dimensions: readonly Dimension[], layout: Layout, width: number, offset: string): string {
  const signed = offset !== '' || layout.offset !== 0 || dimensions.some(({ stride }) => stride < 0);
  const linear = width === 1 ? 'i' : `(i * ${width}u)`;
  const terms: string[] = [];
  let inner = 1;
  for (let d = dimensions.length - 1; d >= 0; d--) {
    const { extent, stride } = dimensions[d] as Dimension;
    let coordinate = inner === 1 ? linear : `(${linear} / ${inner}u)`;
    if (d > 0) coordinate = `(${coordinate} % ${extent}u)`;
    if (stride !== 0) {
      if (signed) terms.unshift(`i32(${coordinate}) * ${stride}`);
      else terms.unshift(stride === 1 ? coordinate : `${coordinate} * ${stride}u`);
    }
    inner *= extent;
  }
  if (offset !== '') terms.push(`params.${offset}`);
  else if (layout.offset !== 0) terms.push(`(${layout.offset})`);
  const sum = terms.length === 0 ? '0' : terms.join(' + ');
  return signed ? `u32(${sum})` : terms.length === 0 ? '0u' : sum;
}

function windowCondition({ layout, axis, low, high }: Window): string {
  const inner = sizeOf(layout.shape.slice(axis + 1));
  const coordinate = `((i / ${inner}u) % ${layout.shape[axis]}u)`;
  return `(${coordinate} >= ${low}u && ${coordinate} < ${high}u)`;
}

/** Four elements at a time, where every operand allows it. */
function vectorises(chain: Chain): boolean {
  if (chain.size % 4 !== 0) return false;
  return chain.steps.every(
    (step) =>
      !step.lowering.indexed &&
      step.arguments.every((argument) => {
        if ('step' in argument) return true;
        if ('table' in argument) return false;
        if ('constant' in argument) return !argument.window;
        if (argument.load.window) return false;
        const { layout } = argument.load;
        const dimensions = collapse(layout);
        const innermost = dimensions.at(-1);
        if (!innermost) return true;
        if (innermost.extent % 4 !== 0 || layout.offset % 4 !== 0) return false;
        if (innermost.stride === 0) return dimensions.every(({ stride }) => stride >= 0);
        return innermost.stride === 1 && dimensions.slice(0, -1).every(({ stride }) => stride % 4 === 0 && stride >= 0);
      }),
  );
}
