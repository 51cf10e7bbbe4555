import { wordSize } from '../core/dtype.ts';
import { UnsupportedError } from '../core/errors.ts';
import { denseLayout } from '../core/layout.ts';
import { formatShape, type Shape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { KernelLowering, SumHook } from '../graph/op.ts';
import { elementwiseKernel, loadHook, storeHook } from '../kernels/elementwise.ts';
import type { FamilyCall } from '../kernels/family.ts';
import { statusWords } from '../kernels/findings.ts';
import type { BindingSource, DeviceProfile, Dispatch, KernelCall } from '../kernels/kernel.ts';
import { type SpecialisedShader, specialise } from '../kernels/specialise.ts';
import { chainInputs, chainOf, countConsumers, fuse, type Group, storedValues } from './fusion.ts';
import { type Lowered, type Operation, operandOf, rootOf, type Value } from './ir.ts';
import { absorbPrologues } from './prologues.ts';
import { absorbSums } from './rowSums.ts';
import { expandScan } from './scan.ts';
import { hostSideSums } from './sideSums.ts';

/** What a device does, in order: it runs a kernel, or copies bytes. */
export type Command = DispatchCommand | CopyCommand;

/** A kernel that runs, with the values that it is bound to. */
export interface DispatchCommand {
  readonly kind: 'dispatch';
  readonly label: string;
  readonly dispatch: Dispatch;
  readonly shader: SpecialisedShader;
  readonly bindings: readonly Value[];
  /** The values of `dispatch.sideSum`, if it is a sum that another dispatch could make. */
  readonly side?: { readonly source: Value; readonly outputs: readonly Value[] } | undefined;
  /** The ops that were fused into the kernel, for `explain`. */
  readonly fused: readonly string[];
  /** The sentence to throw when the kernel sets the status word. */
  readonly badData?: string | undefined;
  /** The problem that the kernel was selected for; undefined for generated kernels. */
  readonly use?: KernelUse | undefined;
}

/** A problem of a family of kernels, with the values that go in and come out. */
export interface KernelUse {
  readonly problem: FamilyCall;
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
}

/** All bytes of one value, copied to another. */
export interface CopyCommand {
  readonly kind: 'copy';
  readonly label: string;
  readonly from: Value;
  readonly to: Value;
}

/** The status of a submit, whose first word kernels set when they meet bad data. */
export const statusValue = statusOf([2], 'status');
/** The status together with the findings of optimizers' kernels, which make nothing fail. */
export const findingsValue = statusOf([statusWords], 'findings');

function statusOf(shape: Shape, label: string): Value {
  return { type: { shape, dtype: 'u32' }, layout: denseLayout(shape), label, leaf: true };
}

/** Whether a value is the status, alone or with the findings: both lie in one place. */
export const isStatus = (value: Value) => value === statusValue || value === findingsValue;

/** Whether the command's kernel sets the status word, and so reports bad data. */
export function setsStatus(command: Command): boolean {
  return bindsStatus(command, 'w');
}

/** Whether the command's kernel does something else where the status word is set. */
export function readsStatus(command: Command): boolean {
  return bindsStatus(command, 'r') || (command.kind === 'dispatch' && command.bindings.includes(findingsValue));
}

function bindsStatus(command: Command, access: 'r' | 'w'): boolean {
  if (command.kind === 'copy') return false;
  return command.bindings.some((value, i) => value === statusValue && command.shader.access[i] === access);
}

/** Gives commands those forms of their shaders that `choose` takes. Forms differ in fields, not in bindings. */
export function withForms(
  commands: readonly Command[],
  choose: (shaders: readonly SpecialisedShader[]) => readonly SpecialisedShader[],
): Command[] {
  const shaders = choose(commands.flatMap((command) => (command.kind === 'dispatch' ? command.shader : [])));
  let next = 0;
  return commands.map((command) =>
    command.kind === 'dispatch' ? { ...command, shader: shaders[next++] as SpecialisedShader } : command,
  );
}

/** The commands of a graph, and what the planning of their memory has to know. */
export interface Schedule {
  readonly commands: readonly Command[];
  /** Packs with gaps between their parts: their memory is zeroed once and not shared, so that the gaps stay zero. */
  readonly packs: ReadonlySet<Value>;
}

/** Turns the graph into commands: fuses, picks kernels, specialises them. */
export function schedule(lowered: Lowered, profile: DeviceProfile): Schedule {
  const commands: Command[] = [];
  const packs = new Set<Value>();
  const consumers = countConsumers(lowered);
  const { groups, groupOf } = fuse(lowered, consumers, profile);
  const summing = absorbSums(groups, consumers, profile);
  for (const group of absorbPrologues(summing, groupOf, consumers, profile)) {
    if (group.head?.kind === 'pack') {
      hostSideSums(commands, profile);
      commands.push(...gather(group.head, commands, packs));
    } else if (group.head?.kind === 'scan') {
      commands.push(
        ...expandScan(
          group.head,
          profile,
          (body) => schedule(body, profile),
          (value) => consumers.has(value),
        ),
      );
    } else {
      commands.push(...groupCommands(group, consumers, profile));
    }
  }
  hostSideSums(commands, profile);
  return { commands, packs };
}

function groupCommands(group: Group, consumers: ReadonlyMap<Value, number>, profile: DeviceProfile): Command[] {
  const buffers = chainInputs(group);
  const stored = storedValues(group, consumers);
  const sum = group.sum ? [group.sum.operation] : [];
  const fused = [...(group.prologue?.members ?? []), ...group.members, ...sum].map((member) =>
    member.kind === 'copy' ? 'copy' : member.node.op.name,
  );
  if (!group.head) {
    if (stored.length === 0) return [];
    const names = fused.slice(0, 4).join('+') + (fused.length > 4 ? `+${fused.length - 4}` : '');
    const call = elementwiseKernel(chainOf(group, buffers, stored), names, profile);
    return emit(call, buffers, stored, fused, (stored[0] as Value).type.shape);
  }
  const { head } = group;
  const lowering = head.node.op.lowering as KernelLowering;
  const inputs = head.inputs.map(({ value }) => value);
  const outputs = [...head.outputs];
  const hooks: { store?: ReturnType<typeof storeHook>; load?: ReturnType<typeof loadHook>; sum?: SumHook } = {};
  if (group.prologue) {
    const source = group.prologue;
    const sources = chainInputs(source);
    hooks.load = loadHook(chainOf(source, sources, storedValues(source, consumers)), inputs.length);
    inputs.push(...sources);
  }
  if (group.members.length > 0) {
    const primary = stored.findIndex((value) => value.type.dtype === 'f32');
    const chain = chainOf(group, buffers, stored);
    hooks.store = storeHook(chain, inputs.length, primary, outputs.length);
    outputs[0] = stored[primary] as Value;
    outputs.push(...stored.filter((_, i) => i !== primary));
    inputs.push(...buffers);
  }
  if (group.sum) {
    hooks.sum = { input: group.sum.input, output: outputs.length };
    outputs.push(group.sum.operation.outputs[0] as Value);
  }
  const problem = lowering.problem(head.node, head.inputs.map(operandOf), hooks, head.results.map(operandOf));
  const use = { problem, inputs: inputs.map(({ type }) => type), outputs: outputs.map(({ type }) => type) };
  const own = outputs[0] === head.outputs[0] && head.results[0];
  const shape = (own ? own.layout : (outputs[0] as Value).type).shape;
  const badData = lowering.badData?.(head.node) ?? undefined;
  return emit(problem.call(profile), inputs, outputs, fused, shape).map((command) =>
    command.kind === 'copy' ? command : { ...command, use, badData },
  );
}

/**
 * The commands of a call, bound to these inputs and outputs and to scratch of its own. An output that a kernel changes in
 * place starts as a copy of its input. Labels show `shape`.
 */
export function emit(
  call: KernelCall,
  inputs: readonly Value[],
  outputs: readonly Value[],
  fused: readonly string[],
  shape: Shape,
): Command[] {
  const scratch = (call.scratch ?? []).map((bytes): Value => {
    const shape = [Math.ceil(bytes / wordSize)];
    return { type: { shape, dtype: 'f32' }, layout: denseLayout(shape), label: 'scratch', leaf: false };
  });
  const commands: Command[] = [];
  for (const dispatch of call.dispatches) {
    const shader = specialise(dispatch);
    const bindings = dispatch.bindings.map((source) => {
      if (source.kind === 'inout')
        commands.push({
          kind: 'copy',
          label: 'in place',
          from: at(inputs, source.input),
          to: at(outputs, source.output),
        });
      return bound(source, inputs, outputs, scratch);
    });
    const label = `${dispatch.kernel} ${formatShape(shape)}`;
    const resolve = (source: BindingSource) => bound(source, inputs, outputs, scratch);
    const { sideSum } = dispatch;
    const side = sideSum && { source: resolve(sideSum.source), outputs: sideSum.outputs.map(resolve) };
    commands.push({ kind: 'dispatch', label, dispatch, shader, bindings, side, fused });
  }
  return commands;
}

function bound(
  source: BindingSource,
  inputs: readonly Value[],
  outputs: readonly Value[],
  scratch: readonly Value[],
): Value {
  switch (source.kind) {
    case 'input':
      return at(inputs, source.index);
    case 'output':
      return at(outputs, source.index);
    case 'inout':
      return at(outputs, source.output);
    case 'scratch':
      return at(scratch, source.index);
    case 'status':
      return statusValue;
    case 'findings':
      return findingsValue;
  }
}

function at(values: readonly Value[], index: number): Value {
  const value = values[index];
  if (!value) throw new UnsupportedError(`[compile] a kernel binds value ${index} of ${values.length}`);
  return value;
}

/** Gives each part of a pack its place in the pack's memory, so that its producer writes it there; copies where that can't be. */
function gather(operation: Operation, before: readonly Command[], packs: Set<Value>): Command[] {
  const pack = operation.outputs[0] as Value;
  const copies: Command[] = [];
  const placed = new Set<Value>();
  const offsets = operation.node.attributes.offsets as readonly number[];
  const values = operation.inputs.map(({ value }) => value);
  const filled = values.reduce((total, { type }) => total + sizeOf(type.shape), 0);
  if (filled < sizeOf(pack.type.shape)) packs.add(pack);
  for (const [i, value] of values.entries()) {
    const offset = offsets[i] as number;
    // Keeps a gradient that two parameters share outside, and copies it to both places: copies within a buffer are
    // errors.
    const once = values.filter((other) => rootOf(other) === rootOf(value)).length === 1;
    if (once && canPlace(value, placed, before)) {
      (value as { parent?: Value['parent'] }).parent = { value: pack, offset };
      placed.add(value);
    } else copies.push({ kind: 'copy', label: 'pack', from: value, to: partOfPack(pack, value, offset) });
  }
  return copies;
}

function partOfPack(pack: Value, value: Value, offset: number): Value {
  return { ...value, leaf: false, parent: { value: pack, offset } };
}

function canPlace(value: Value, placed: ReadonlySet<Value>, commands: readonly Command[]): boolean {
  if (value.leaf || value.parent) return false;
  // Checks that no producer reads a neighbour in the pack: a dispatch can't bind one buffer for reading and for
  // writing.
  return commands.every((command) => {
    if (command.kind === 'copy') return rootOf(command.to) !== value;
    const writes = command.bindings.some((bound, i) => command.shader.access[i] === 'w' && rootOf(bound) === value);
    const reads = command.bindings.some((bound, i) => command.shader.access[i] === 'r' && placed.has(rootOf(bound)));
    const written = command.bindings.some((bound, i) => command.shader.access[i] === 'w' && placed.has(bound));
    const own = command.bindings.some((bound, i) => command.shader.access[i] === 'r' && rootOf(bound) === value);
    return !(writes && reads) && !(written && own);
  });
}
