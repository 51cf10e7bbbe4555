import { type DType, dtypes } from '../core/dtype.ts';
import type { Layout } from '../core/layout.ts';
import type { Attributes } from '../core/types.ts';
import { bindingText } from './bindingText.ts';

import type { Expression, ExpressionTypes, Window } from './expression.ts';
import { type DeviceProfile, grid, input, type KernelCall, type LoadHook, output, type StoreHook } from './kernel.ts';
import { coordinateText, indexExpression, readsVectors, rowOf, vectorises } from './layout.ts';
import { loop } from './loopLimit.ts';
import { coordinateOf, extentText, literal, uniformText } from './numbers.ts';

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
  readonly lowering: Expression;
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

const workgroup = 64;

const scalarTypes: ExpressionTypes = { f32: 'f32', i32: 'i32', u32: 'u32', bool: 'bool' };
/** What makes the functions of shaders/lib/elementwise.wgsl take four elements. */
const vectorConstants = { V: 'vec4<f32>', B: 'vec4<bool>', U: 'vec4<u32>' };
const vectorTypes: ExpressionTypes = { f32: 'vec4<f32>', i32: 'vec4<i32>', u32: 'vec4<u32>', bool: 'vec4<bool>' };

/** The chain as a kernel of its own: inputs 0… are `chain.buffers`, outputs 0… are `chain.outputs`. */
export function elementwiseKernel(chain: Chain, label: string, profile: DeviceProfile): KernelCall {
  const vector = takesVectors(chain);
  const count = vector ? chain.size / 4 : chain.size;
  // Software adapters pay for every workgroup, for loops and for bounds; GPUs want many workgroups.
  const perInvocation = profile.selection === 'software' && count >= 4096 ? 4 : 1;
  const workgroups = grid(Math.ceil(count / (workgroup * perInvocation)));
  const whole = workgroups[0] * workgroups[1] * workgroup * perInvocation === count;
  const declare = elementType(vector);
  const lines = chain.buffers.map((dtype, i) => bindingText(i + 1, 'read', `in${i}`, `array<${declare(dtype)}>`));
  for (const [i, step] of chain.outputs.entries()) {
    const dtype = (chain.steps[step] as ChainStep).dtype;
    lines.push(bindingText(chain.buffers.length + i + 1, 'read_write', `out${i}`, `array<${declare(dtype)}>`));
  }
  const read = (load: Load, dtype: DType) => loadExpression(`in${load.buffer}`, load, dtype, vector);
  const short = chain.steps.length <= 16;
  const rows = vector && perInvocation > 1 && whole && short ? sharedRows(chain, count, read) : null;
  const body = chainBody(chain, vector, (load, dtype) => rows?.names.get(read(load, dtype)) ?? read(load, dtype));
  const stores = chain.outputs.map(
    (step, i) => `  out${i}[i] = ${stored(`v${step}`, (chain.steps[step] as ChainStep).dtype, vector)};`,
  );
  const source = `// uses: order, bits, elementwise
struct Params { count: u32 }
const SIZE: u32 = ${workgroup}u;
@group(0) @binding(0) var<uniform> params: Params;
${lines.join('\n')}
fn element(i: u32${(rows?.parameters ?? []).map((parameter) => `, ${parameter}`).join('')}) {
${[...body, ...stores].join('\n')}
}
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
${rows ? rows.main : elements(perInvocation, whole, short)}
}
`;
  return {
    dispatches: [
      {
        kernel: `elementwise/${label}`,
        source,
        library: libraryOf(chain),
        ...(vector && { constants: vectorConstants }),
        bindings: [...chain.buffers.map((_, i) => input(i)), ...chain.outputs.map((_, i) => output(i))],
        uniforms: { count },
        workgroups,
        turns: loop(perInvocation),
      },
    ],
  };
}

/** The type of what is bound, of four elements or of one. */
const elementType = (vector: boolean) => (dtype: DType) =>
  vector ? `vec4<${dtypes[dtype].wgsl}>` : dtypes[dtype].wgsl;

/** Every lane's share, spelled out where the chain is short. `whole` tells that no lane's share lies past the end. */
function elements(count: number, whole: boolean, short: boolean): string {
  const first = `  let first = linearGroup(group, num_workgroups) * SIZE * ${count}u + lane;`;
  const one = (i: string) => (whole ? `element(${i});` : `if (${i} < params.count) { element(${i}); }`);
  if (!short && count > 1)
    return `${first}\n  for (var k = 0u; k < ${count}u; k++) { let i = first + k * SIZE; ${one('i')} }`;
  return [first, ...turns(count, 'SIZE', one)].join('\n');
}

const turns = (count: number, step: string, one: (i: string) => string) =>
  Array.from({ length: count }, (_, k) => `  ${one(k === 0 ? 'first' : `first + ${k}u * ${step}`)}`);

/**
 * Where operands hold one row for many (a bias, a scale), a lane takes the same place of four rows, and reads those
 * operands once. `read` gives the text of a load; `count` is the number of vectors.
 */
function sharedRows(chain: Chain, count: number, read: (load: Load, dtype: DType) => string) {
  const rows = new Map<string, { length: number; dtype: DType }>();
  for (const { arguments: values, argumentTypes } of chain.steps) {
    for (const [a, argument] of values.entries()) {
      const length = 'load' in argument ? rowOf(argument.load.layout) : undefined;
      const dtype = argumentTypes[a] as DType;
      if ('load' in argument && length) rows.set(read(argument.load, dtype), { length: length / 4, dtype });
    }
  }
  const [first] = rows.values();
  const length = first?.length ?? 0;
  if (length === 0 || count % (4 * length) !== 0) return null;
  const invocations = count / 4;
  const shared = [...rows].filter(([, row]) => row.length === length);
  const names = new Map(shared.map(([text], k) => [text, `row${k}`]));
  return {
    names,
    parameters: shared.map(([, { dtype }], k) => `row${k}: ${vectorTypes[dtype]}`),
    main: [
      '  let linear = linearGroup(group, num_workgroups) * SIZE + lane;',
      `  let i = ${coordinateOf('linear', invocations, 1, length)};`,
      `  let first = ${coordinateOf('linear', invocations, length)} * ${extentText(4 * length)} + i;`,
      ...shared.map(([text], k) => `  let row${k} = ${text};`),
      ...turns(4, extentText(length), (at) => `element(${[at, ...names.values()].join(', ')});`),
    ].join('\n'),
  };
}

/**
 * The chain as the tail of a kernel that hands over `value` at `index`. Further buffers are the kernel's inputs from
 * `firstInput`; `primary` is the position in `chain.outputs` that takes the kernel's own `output` binding.
 */
export function storeHook(chain: Chain, firstInput: number, primary: number, firstExtraOutput: number): StoreHook {
  const extra = chain.outputs.map((step, i) => ({ step, i })).filter(({ i }) => i !== primary);
  const dtypeOf = (step: number) => (step < 0 ? 'f32' : (chain.steps[step] as ChainStep).dtype);
  const tail = (vector: boolean): Pick<StoreHook, 'functions' | 'declarations'> => {
    const value = (step: number) => (step < 0 ? 'value' : stored(`v${step}`, dtypeOf(step), vector));
    const lines = [
      `  let i = index${vector ? ' >> 2u' : ''};`,
      ...chainBody(chain, vector, reader('in', vector)),
      `  output[i] = ${value(chain.outputs[primary] as number)};`,
      ...extra.map(({ step, i }) => `  extra${i}[i] = ${value(step)};`),
    ];
    const name = vector ? 'storeFour' : 'store';
    const declare = elementType(vector);
    return {
      functions: { [name]: `fn ${name}(index: u32, value: ${declare('f32')}) {\n${lines.join('\n')}\n}` },
      declarations: (firstBinding) =>
        [
          ...readDeclarations(chain, firstBinding, 'in', vector),
          ...extra.map(({ step, i }, k) => {
            const binding = firstBinding + chain.buffers.length + k;
            return bindingText(binding, 'read_write', `extra${i}`, `array<${declare(dtypeOf(step))}>`);
          }),
        ].join('\n'),
    };
  };
  return {
    ...tail(false),
    ...(takesVectors(chain) && { four: { ...tail(true), constants: vectorConstants } }),
    library: ['bits', 'elementwise', ...libraryOf(chain)],
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
  const body = chainBody(chain, false, reader('source', false), 'source');
  return {
    functions: {
      load: `fn load(index: u32) -> f32 {\n  let i = index;\n${body.join('\n')}\n  return v${chain.outputs[0]};\n}`,
    },
    library: ['bits', 'elementwise', ...libraryOf(chain)],
    declarations: (firstBinding) => readDeclarations(chain, firstBinding, 'source', false).join('\n'),
    bindings: chain.buffers.map((_, i) => input(firstInput + i)),
    windowed: chain.steps.some((step) => step.arguments.some(isWindowed)),
  };
}

/** Whether an argument counts only where the index lies inside of a window. */
const isWindowed = (argument: Argument): boolean =>
  ('load' in argument && argument.load.window !== undefined) ||
  ('constant' in argument && argument.window !== undefined);

/** Reads of a hook. */
const reader = (prefix: Prefix, vector: boolean) => (load: Load, dtype: DType) =>
  loadExpression(`${prefix}${load.buffer}`, load, dtype, vector);

function libraryOf(chain: Chain): string[] {
  return [...new Set(chain.steps.flatMap((step) => step.lowering.library ?? []))];
}

/** Buffers of a head and of a tail meet in one kernel, so they have names of their own. */
type Prefix = 'in' | 'source';

function readDeclarations(chain: Chain, firstBinding: number, prefix: Prefix, vector: boolean): string[] {
  const declare = elementType(vector);
  return chain.buffers.map((dtype, i) =>
    bindingText(firstBinding + i, 'read', `${prefix}${i}`, `array<${declare(dtype)}>`),
  );
}

/** `let v0 = …; let v1 = …;`: one line per step. */
function chainBody(
  chain: Chain,
  vector: boolean,
  read: (load: Load, dtype: DType) => string,
  prefix: Prefix = 'in',
): string[] {
  const types = vector ? vectorTypes : scalarTypes;
  return chain.steps.flatMap((step, s) => {
    const inside: string[] = [];
    const constants: string[] = [];
    // Compilers would compute with constants alone, and refuse a text in which they overflow or divide by 0.
    const named = step.arguments.length > 1 && step.arguments.every((argument) => 'constant' in argument);
    const values = step.arguments.map((argument, a) => {
      const dtype = step.argumentTypes[a] as DType;
      inside.push('true');
      if ('table' in argument) return '';
      if ('constant' in argument) {
        if (argument.window) inside[a] = windowCondition(argument.window);
        const value = `${types[dtype]}(${constantText(argument.constant, dtype)})`;
        if (named) constants.push(`  let v${s}of${a} = ${value};`);
        return named ? `v${s}of${a}` : value;
      }
      if ('step' in argument) return argument.step < 0 ? 'value' : `v${argument.step}`;
      const { load } = argument;
      if (load.window) inside[a] = windowCondition(load.window);
      return read(load, dtype);
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
        const table = `${prefix}${argument.table}`;
        return vector ? `${table}[${position >> 2}u][${position & 3}u]` : `${table}[${position}u]`;
      },
    });
    return [...constants, `  let v${s}: ${types[step.dtype]} = ${expression};`];
  });
}

/**
 * A repeated value. A few small ones stay in the text, where compilers make something of them: exponents above all, for x³
 * is two products, and xʸ is none. Others may well be 1/N or a position.
 */
function constantText(value: number, dtype: DType): string {
  const small = Number.isInteger(2 * value) && Math.abs(value) <= (dtype === 'f32' ? 4 : 2);
  if (small || dtype === 'bool' || !Number.isFinite(Math.fround(value))) return literal(value, dtype);
  if (dtype === 'f32') return uniformText(Math.fround(value), 'f32');
  return uniformText(dtype === 'u32' ? Math.trunc(value) >>> 0 : Math.trunc(value), dtype);
}

/** bool lives in memory as u32. */
function stored(name: string, dtype: DType, vector: boolean): string {
  if (dtype !== 'bool') return name;
  return vector ? `select(vec4<u32>(0u), vec4<u32>(1u), ${name})` : `select(0u, 1u, ${name})`;
}

function loadExpression(name: string, { layout }: Load, dtype: DType, vector: boolean): string {
  const index = indexExpression(layout, vector);
  const element = !vector || readsVectors(layout) ? `${name}[${index}]` : spread(name, index, dtype);
  return dtype === 'bool' ? `(${element} != ${vector ? 'vec4<u32>(0u)' : '0u'})` : element;
}

/** The same element for the four lanes: the buffer holds vectors, so pick one of its words. */
function spread(name: string, index: string, dtype: DType): string {
  return `vec4<${dtypes[dtype].wgsl}>(${name}[(${index}) >> 2u][(${index}) & 3u])`;
}

function windowCondition({ layout, axis, low, high }: Window): string {
  const coordinate = coordinateText('i', layout.shape, axis);
  return `(${coordinate} >= ${uniformText(low, 'u32')} && ${coordinate} < ${uniformText(high, 'u32')})`;
}

/** Four elements at a time, where every operand allows it. */
function takesVectors(chain: Chain): boolean {
  if (chain.size % 4 !== 0) return false;
  return chain.steps.every(
    (step) =>
      !step.lowering.indexed &&
      step.arguments.every((argument) => {
        if ('step' in argument) return true;
        if ('table' in argument) return step.lowering.blocks === true;
        if ('constant' in argument) return !argument.window;
        return !argument.load.window && vectorises(argument.load.layout);
      }),
  );
}
