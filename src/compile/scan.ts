import { aligned, denseLayout } from '../core/layout.ts';
import { sizeOf } from '../core/shape.ts';
import { reachable } from '../graph/node.ts';
import type { ScanLowering } from '../graph/op.ts';
import { elementwiseKernel } from '../kernels/elementwise.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { specialise } from '../kernels/specialise.ts';
import { type Lowered, lower, type Operation, partOf, rootOf, type Value } from './ir.ts';
import type { Command, DispatchCommand, Schedule } from './schedule.ts';

/**
 * Repeats the commands of a scan's body, which is compiled once, for every step with other bindings. The carry alternates
 * between two buffers, since a kernel can't read and write one; the slices of `xs` and `ys` are sub-ranges of theirs.
 */
export function expandScan(
  operation: Operation,
  profile: DeviceProfile,
  scheduleBody: (lowered: Lowered) => Schedule,
  isUsed: (value: Value) => boolean,
): Command[] {
  const { body, length, reverse } = operation.node.op.lowering as ScanLowering;
  const carries = body.carries.length;
  const used = operation.outputs.map((value, i) => i < carries || isUsed(value));
  const isLeaf = new Set([...body.carries, ...body.slices, ...body.captured]);
  const outputs = body.outputs.filter((_, i) => used[i]);
  const lowered = lower(
    reachable(outputs, (tensor) => isLeaf.has(tensor)),
    outputs,
    (tensor) => isLeaf.has(tensor),
  );
  const inner = scheduleBody(lowered);
  const inputs = operation.inputs.map(({ value }) => value);

  const before: Command[] = [];
  const after: Command[] = [];
  const pingPong = body.carries.map(
    (tensor) => [freshValue(tensor.shape, tensor, 'carry'), freshValue(tensor.shape, tensor, 'carry')] as const,
  );
  const slices = body.slices.map((tensor, i) =>
    padded(inputs[carries + i] as Value, length, sizeOf(tensor.shape), profile, before),
  );
  const stacks = body.outputs
    .slice(carries)
    .map((tensor, i) =>
      used[carries + i]
        ? unpadded(operation.outputs[carries + i] as Value, length, sizeOf(tensor.shape), profile, after)
        : null,
    );

  const commands: Command[] = [];
  for (let step = 0; step < length; step++) {
    const time = reverse ? length - 1 - step : step;
    const places = new Map<Value, Value>();
    const leaf = (tensor: (typeof body.carries)[number], value: Value) => {
      const own = lowered.leaves.get(tensor);
      if (own) places.set(own, value);
    };
    for (const [i, tensor] of body.carries.entries())
      leaf(tensor, step === 0 ? (inputs[i] as Value) : ((pingPong[i] as readonly Value[])[step % 2] as Value));
    for (const [i, tensor] of body.slices.entries()) {
      const { value, stride } = slices[i] as Slices;
      leaf(tensor, partOf(value, time * stride, tensor));
    }
    for (const [i, tensor] of body.captured.entries()) leaf(tensor, inputs[carries + body.slices.length + i] as Value);
    let root = 0;
    for (const [i, tensor] of body.outputs.entries()) {
      if (!used[i]) continue;
      const own = (lowered.roots[root++] as { value: Value }).value;
      if (i < carries)
        places.set(
          own,
          step === length - 1
            ? (operation.outputs[i] as Value)
            : ((pingPong[i] as readonly Value[])[(step + 1) % 2] as Value),
        );
      else {
        const { value, stride } = stacks[i - carries] as Slices;
        places.set(own, { ...partOf(value, time * stride, tensor), leaf: false });
      }
    }
    for (const command of inner.commands) commands.push(moved(command, places));
  }
  return [...before, ...commands, ...after];
}

interface Slices {
  readonly value: Value;
  /** Elements from one step to the next: a multiple of the alignment of bindings, unless there is only one step. */
  readonly stride: number;
}

function moved(command: Command, places: ReadonlyMap<Value, Value>): Command {
  const move = (value: Value): Value => {
    const place = places.get(value);
    if (place) return place;
    if (!value.parent) return value;
    const parent = move(value.parent.value);
    return parent === value.parent.value
      ? value
      : { ...value, leaf: rootOf(parent).leaf, parent: { value: parent, offset: value.parent.offset } };
  };
  if (command.kind === 'copy') return { ...command, from: move(command.from), to: move(command.to) };
  return { ...command, bindings: command.bindings.map(move) };
}

function freshValue(shape: readonly number[], type: { dtype: Value['type']['dtype'] }, label: string): Value {
  return { type: { shape, dtype: type.dtype }, layout: denseLayout(shape), label, leaf: false };
}

/** Copies `source` [T, n…] to rows that start at aligned addresses. */
function padded(source: Value, length: number, size: number, profile: DeviceProfile, commands: Command[]): Slices {
  const stride = length === 1 ? size : aligned(size);
  if (stride === size) return { value: source, stride };
  const value = freshValue([length, stride], source.type, 'padded rows');
  commands.push(...copyRows(source, { shape: [length, stride], strides: [size, 1], offset: 0 }, value, size, profile));
  return { value, stride };
}

/** Gives memory with aligned rows, which is copied into `target` [T, n…] afterwards. */
function unpadded(target: Value, length: number, size: number, profile: DeviceProfile, commands: Command[]): Slices {
  const stride = length === 1 ? size : aligned(size);
  if (stride === size) return { value: target, stride };
  const value = freshValue([length, stride], target.type, 'padded rows');
  commands.push(...copyRows(value, { shape: [length, size], strides: [stride, 1], offset: 0 }, target, size, profile));
  return { value, stride };
}

function copyRows(
  from: Value,
  layout: Value['layout'],
  to: Value,
  width: number,
  profile: DeviceProfile,
): DispatchCommand[] {
  const call = elementwiseKernel(
    {
      size: sizeOf(layout.shape),
      buffers: [from.type.dtype],
      steps: [
        {
          lowering: {
            expression: ([x], _, { inside, types, dtype }) => `select(${types[dtype]}(0), ${x}, ${inside[0]})`,
          },
          attributes: {},
          arguments: [{ load: { buffer: 0, layout, window: { layout, axis: 1, low: 0, high: width } } }],
          argumentTypes: [from.type.dtype],
          dtype: from.type.dtype,
          shape: layout.shape,
        },
      ],
      outputs: [0],
    },
    'copy rows',
    profile,
  );
  return call.dispatches.map((dispatch) => ({
    kind: 'dispatch',
    label: dispatch.kernel,
    dispatch,
    shader: specialise(dispatch),
    bindings: [from, to],
    fused: ['copy'],
  }));
}
