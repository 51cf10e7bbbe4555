import { aligned, denseLayout } from '../core/layout.ts';
import { sizeOf } from '../core/shape.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { Lowering, ScanLowering } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Argument, elementwiseKernel } from '../kernels/elementwise.ts';
import type { DeviceProfile, Dispatch } from '../kernels/kernel.ts';
import { specialise } from '../kernels/specialise.ts';
import { type Access, type Lowered, lower, type Operation, partOf, rootOf, type Value } from './ir.ts';
import type { Command, DispatchCommand, Schedule } from './schedule.ts';

/**
 * Repeats the commands of a scan's body, which is compiled once, for every step with other bindings. The slices of `xs` and
 * `ys` are sub-ranges of theirs. A kernel can't read and write one buffer, so the values of a carry alternate between two:
 * between two places, where nobody asks for all of them, else between two halves of the history, whose rows are put in turn
 * after the loop.
 */
export function expandScan(
  operation: Operation,
  profile: DeviceProfile,
  scheduleBody: (lowered: Lowered) => Schedule,
  isUsed: (value: Value) => boolean,
): Command[] {
  const { body, length, reverse } = operation.node.op.lowering as ScanLowering;
  const carries = body.carries.length;
  const inputs = operation.inputs.map(({ value }) => value);
  const nexts = body.outputs.slice(0, carries);
  const stacked = new Map<Tensor, Value>();
  for (const [i, tensor] of body.outputs.slice(carries).entries()) {
    const value = operation.outputs[carries + i] as Value;
    if (isUsed(value)) stacked.set(tensor, value);
  }
  const isLeaf = new Set([...body.carries, ...body.slices, ...body.captured]);
  const outputs = [...new Set([...stacked.keys(), ...nexts])];
  const lowered = withOwnRoots(
    lower(
      reachable(outputs, (tensor) => isLeaf.has(tensor)),
      outputs,
      (tensor) => isLeaf.has(tensor),
    ),
    operation.node,
  );
  const inner = scheduleBody(lowered);

  const before: Command[] = [];
  const after: Command[] = [];
  const slices = body.slices.map((tensor, i) =>
    padded(inputs[carries + i] as Value, length, sizeOf(tensor.shape), profile, before),
  );
  const lastTime = reverse ? 0 : length - 1;
  const rows = new Map<Tensor, (time: number) => Value>();
  for (const tensor of outputs) {
    const target = stacked.get(tensor);
    if (nexts.includes(tensor)) {
      const halves = alternating(tensor, target ? Math.ceil(length / 2) : 1);
      rows.set(tensor, target ? halves.row : (time) => halves.row(time % 2));
      if (target) after.push(putInTurn(halves, target, length, profile));
    } else rows.set(tensor, rowsOf(unpadded(target as Value, length, sizeOf(tensor.shape), profile, after), tensor));
  }
  const placed = new Set<Tensor>();
  for (const [i, tensor] of nexts.entries()) {
    const last = operation.outputs[i] as Value;
    const row = rows.get(tensor) as (time: number) => Value;
    if (stacked.has(tensor)) last.parent = (row(lastTime) as { parent: Value['parent'] }).parent;
    else if (!placed.has(tensor)) rows.set(tensor, (time) => (time === lastTime ? last : row(time)));
    else if (isUsed(last)) after.push({ kind: 'copy', label: 'carry', from: row(lastTime), to: last });
    placed.add(tensor);
  }

  const commands: Command[] = [];
  for (let step = 0; step < length; step++) {
    const time = reverse ? length - 1 - step : step;
    const places = new Map<Value, Value>();
    const leaf = (tensor: Tensor, value: Value) => {
      const own = lowered.leaves.get(tensor);
      if (own) places.set(own, value);
    };
    for (const [i, tensor] of body.carries.entries()) {
      const row = rows.get(nexts[i] as Tensor) as (time: number) => Value;
      leaf(tensor, step === 0 ? (inputs[i] as Value) : row(reverse ? time + 1 : time - 1));
    }
    for (const [i, tensor] of body.slices.entries()) {
      const { value, stride } = slices[i] as Slices;
      leaf(tensor, partOf(value, time * stride, tensor));
    }
    for (const [i, tensor] of body.captured.entries()) leaf(tensor, inputs[carries + body.slices.length + i] as Value);
    for (const [i, tensor] of outputs.entries())
      places.set((lowered.roots[i] as Access).value, (rows.get(tensor) as (time: number) => Value)(time));
    for (const command of inner.commands) commands.push(moved(command, places));
  }
  return [...before, ...commands, ...after];
}

/**
 * Gives each root a value of its own, which can be put into memory outside: a copy, where it is a leaf, a part or another root,
 * or may become a part, as the last carry of a scan within.
 */
function withOwnRoots({ operations, leaves, roots }: Lowered, node: Node): Lowered {
  const scans = operations.filter(({ kind }) => kind === 'scan');
  const taken = new Set(scans.flatMap(({ node: { op }, outputs }) => outputs.slice(0, carriesOf(op.lowering))));
  const copies: Operation[] = [];
  const own = roots.map((access, i): Access => {
    const { value } = access;
    if (!value.leaf && !value.parent && !taken.has(value)) {
      taken.add(value);
      return access;
    }
    const copy = freshValue(value.type.shape, value.type, `root ${i}`);
    const results = [{ value: copy, layout: copy.layout }];
    copies.push({ node, inputs: [access], outputs: [copy], results, kind: 'copy' });
    return results[0] as Access;
  });
  return { operations: [...operations, ...copies], leaves, roots: own };
}

const carriesOf = (lowering: Lowering) => (lowering as ScanLowering).body.carries.length;

/** Two values, of which one has the rows of even times, the other those of odd ones. */
interface Halves {
  readonly even: Value;
  readonly odd: Value;
  readonly stride: number;
  readonly row: (time: number) => Value;
}

function alternating(tensor: Tensor, count: number): Halves {
  const size = sizeOf(tensor.shape);
  const stride = count === 1 ? size : aligned(size);
  const [even, odd] = ['even', 'odd'].map((name) => freshValue([count, stride], tensor, `${name} carries`)) as [
    Value,
    Value,
  ];
  const row = (time: number) => partOf(time % 2 ? odd : even, (time >> 1) * stride, tensor, 'carry');
  return { even, odd, stride, row };
}

const rowsOf =
  ({ value, stride }: Slices, tensor: Tensor) =>
  (time: number): Value => ({ ...partOf(value, time * stride, tensor), leaf: false });

/** Puts the rows of two halves into `target` [T, n…], in turn. */
function putInTurn({ even, odd, stride }: Halves, target: Value, length: number, profile: DeviceProfile): Command {
  const width = sizeOf(target.type.shape) / length;
  const shape = [Math.ceil(length / 2), 2, width];
  const half = (buffer: number): Argument => {
    const layout = { shape, strides: [stride, 0, 1], offset: 0 };
    return { load: { buffer, layout, window: { layout, axis: 1, low: buffer, high: buffer + 1 } } };
  };
  const dtype = target.type.dtype;
  const call = elementwiseKernel(
    {
      size: width * length,
      buffers: [dtype, dtype],
      steps: [
        {
          lowering: { indexed: true, expression: ([x, y], _, { inside }) => `select(${x}, ${y}, ${inside[1]})` },
          attributes: {},
          arguments: [half(0), half(1)],
          argumentTypes: [dtype, dtype],
          dtype,
          shape,
        },
      ],
      outputs: [0],
    },
    'carries in turn',
    profile,
  );
  const dispatch = call.dispatches[0] as Dispatch;
  return {
    kind: 'dispatch',
    label: dispatch.kernel,
    dispatch,
    shader: specialise(dispatch),
    bindings: [even, odd, target],
    fused: ['concat'],
  };
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
