import { UnsupportedError } from '../core/errors.ts';
import { alignment, denseLayout, expandLayout, isDense, type Layout } from '../core/layout.ts';
import { sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { Node } from '../graph/node.ts';
import type { ElementwiseLowering, KernelLowering, Surroundings } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Window } from '../kernels/expression.ts';
import type { Operand } from '../kernels/kernel.ts';

/**
 * The graph as the compiler sees it: views are gone (they live on as the layouts of accesses), and what is left either
 * is a leaf or computes something.
 */

/** A stretch of memory with a meaning. `layout` says how the logical elements lie in it. */
export interface Value {
  readonly type: TensorType;
  readonly layout: Layout;
  readonly label: string;
  readonly leaf: boolean;
  /** The repeated value of a constant: expressions name it, and it takes memory only where a kernel binds it. */
  readonly constant?: number;
  /** The value in whose memory this one lies, `offset` elements from its start. Packs and segments of them are so. */
  parent?: { readonly value: Value; readonly offset: number };
}

/** The value that owns the memory. */
export function rootOf(value: Value): Value {
  let root = value;
  while (root.parent) root = root.parent.value;
  return root;
}

/** A part of another value, from element `offset` on. */
export function partOf(value: Value, offset: number, type: TensorType, label = value.label): Value {
  return { type: typeOf(type), layout: denseLayout(type.shape), label, leaf: value.leaf, parent: { value, offset } };
}

/** A value of its own in the same memory: what reads a part of a value never joins the kernel that makes it. */
function behindBarrier(value: Value): Value {
  return value.leaf ? value : { ...value, parent: { value, offset: 0 } };
}

/** How one reader looks at a value. */
export interface Access {
  readonly value: Value;
  readonly layout: Layout;
}

export interface Operation {
  readonly node: Node;
  readonly inputs: readonly Access[];
  /** The values that it writes. */
  readonly outputs: readonly Value[];
  /** How the outputs of the node lie in `outputs`. */
  readonly results: readonly Access[];
  /** `copy` makes a dense value of an access that its reader can't take as it lies. */
  readonly kind: 'elementwise' | 'kernel' | 'pack' | 'scan' | 'copy';
}

export interface Lowered {
  readonly operations: readonly Operation[];
  /** Leaves by tensor, in the order of their first use. */
  readonly leaves: ReadonlyMap<Tensor, Value>;
  /** The roots, each dense in a value. */
  readonly roots: readonly Access[];
}

/** Resolves views, and inserts copies where a reader needs dense memory. `isLeaf` tells which values come from outside. */
export function lower(
  nodes: readonly Node[],
  roots: readonly Tensor[],
  isLeaf: (tensor: Tensor) => boolean,
  needed: readonly Tensor[] = [],
): Lowered {
  const operations: Operation[] = [];
  const accesses = new Map<Tensor, Access>();
  const leaves = new Map<Tensor, Value>();
  const copies = new Map<Tensor, Access>();

  const accessOf = (tensor: Tensor): Access => {
    const known = accesses.get(tensor);
    if (known) return known;
    if (!isLeaf(tensor)) {
      tensor.expectHeld();
      throw new UnsupportedError(`[compile] ${tensor.node.op.name} is used before it is recorded`);
    }
    const value: Value = {
      type: typeOf(tensor),
      layout: denseLayout(tensor.shape),
      label: tensor.node.op.name,
      leaf: true,
    };
    leaves.set(tensor, value);
    const access = { value, layout: value.layout };
    accesses.set(tensor, access);
    return access;
  };

  const dense = (tensor: Tensor): Access => {
    const access = accessOf(tensor);
    if (coversDensely(access)) return access;
    const known = copies.get(tensor);
    if (known) return known;
    let value: Value;
    if (isDense(access.layout) && access.layout.offset % alignment === 0)
      value = partOf(access.value, access.layout.offset, tensor);
    else {
      value = plainValue(tensor, `copy of ${tensor.node.op.name}`);
      const results = [{ value, layout: value.layout }];
      operations.push({ node: tensor.node, inputs: [access], outputs: [value], results, kind: 'copy' });
    }
    const copy = { value, layout: value.layout };
    copies.set(tensor, copy);
    return copy;
  };

  const wanted = new Set(roots);
  const around = (node: Node, inputs: readonly Access[]): Surroundings => ({
    together: (a, b) => inputs[a]?.value === inputs[b]?.value,
    isResult: (output) => wanted.has(node.outputs[output] as Tensor),
  });

  for (const node of nodes) {
    const { op } = node;
    const lowering = op.lowering;
    if (lowering.kind === 'leaf') continue;
    if (lowering.kind === 'segment') {
      const source = dense(node.inputs[0] as Tensor).value;
      const value = partOf(source, node.attributes.offset as number, node.types[0] as TensorType);
      accesses.set(node.outputs[0] as Tensor, { value, layout: value.layout });
      continue;
    }
    if (lowering.kind === 'view') {
      for (const [index, output] of node.outputs.entries()) {
        const source = node.inputs[lowering.source?.(index) ?? 0] as Tensor;
        const input = accessOf(source);
        const layout = lowering.layout(input.layout, node, index);
        const { value } = layout ? input : dense(source);
        accesses.set(output, {
          value: lowering.barrier ? behindBarrier(value) : value,
          layout: layout ?? (lowering.layout(value.layout, node, index) as Layout),
        });
      }
      continue;
    }
    if (lowering.kind === 'elementwise' && lowering.constant) {
      const type = node.types[0] as TensorType;
      const value: Value = {
        type,
        layout: denseLayout(type.shape),
        label: op.name,
        leaf: true,
        constant: lowering.constant(node.attributes),
      };
      accesses.set(node.outputs[0] as Tensor, { value, layout: value.layout });
      continue;
    }
    const joined = lowering.kind === 'elementwise' ? joinedView(node, lowering, accessOf) : null;
    if (joined) {
      accesses.set(node.outputs[0] as Tensor, joined);
      continue;
    }
    const inputs = node.inputs.map((tensor, index) => {
      const access = accessOf(tensor);
      if (lowering.kind === 'elementwise' && !lowering.tables?.includes(index)) return access;
      if (lowering.kind === 'kernel' && lowering.strided?.(operandOf(access), index, node)) return access;
      return dense(tensor);
    });
    const placement =
      lowering.kind === 'kernel' ? lowering.place?.(node, inputs.map(operandOf), around(node, inputs)) : null;
    const outputs = (placement?.values ?? node.outputs).map((type) => plainValue(type, op.name));
    const results = node.outputs.map((_, i): Access => {
      const { value, layout } = placement?.outputs[i] ?? { value: i, layout: null };
      const written = outputs[value] as Value;
      return { value: written, layout: layout ?? written.layout };
    });
    for (const [i, tensor] of node.outputs.entries()) accesses.set(tensor, results[i] as Access);
    operations.push({ node, inputs, outputs, results, kind: lowering.kind });
  }
  needed.forEach(accessOf);
  return { operations, leaves, roots: roots.map(dense) };
}

/** Copies the type out of a tensor: plans are kept, and must not keep tensors. */
function typeOf({ shape, dtype }: TensorType): TensorType {
  return { shape, dtype };
}

function plainValue(type: TensorType, label: string): Value {
  return { type: typeOf(type), layout: denseLayout(type.shape), label, leaf: false };
}

export function operandOf(access: Access): Operand {
  return { ...access.layout, dtype: access.value.type.dtype };
}

/** True where the access walks its whole value in memory order, so that any kernel can read it. */
export function coversDensely({ value, layout }: Access): boolean {
  return layout.offset === 0 && isDense(layout) && sizeOf(layout.shape) === sizeOf(value.type.shape);
}

/** The window of an input of an elementwise op in the op's own index space. */
export function windowOf(operation: Operation, index: number): Window | null {
  const lowering = operation.node.op.lowering as ElementwiseLowering;
  const layout = (operation.inputs[index] as Access).layout;
  return lowering.window?.(layout, index, operation.node) ?? null;
}

/** The layout of an input of an elementwise op, stretched to the op's shape. */
export function broadcastAccess(operation: Operation, index: number): Layout {
  const { layout } = operation.inputs[index] as Access;
  return expandLayout(layout, (operation.outputs[0] as Value).type.shape);
}

/**
 * A concatenation whose parts already lie side by side in one value (the gradients of a split) is that value seen
 * whole: null where it is not.
 */
function joinedView(node: Node, lowering: ElementwiseLowering, accessOf: (tensor: Tensor) => Access): Access | null {
  if (!lowering.window || node.inputs.length < 2) return null;
  const parts = node.inputs.map(accessOf) as [Access, Access, ...Access[]];
  const windows = parts.map((part, index) =>
    (lowering.window as NonNullable<typeof lowering.window>)(part.layout, index, node),
  ) as [Window, Window, ...Window[]];
  const [first, second] = parts;
  const { axis } = windows[0];
  const stride = (second.layout.offset - first.layout.offset) / windows[1].low;
  if (!Number.isInteger(stride) || stride < 0) return null;
  const { shape } = node.types[0] as TensorType;
  const strides = shape.map((_, d) => (d === axis ? stride : (first.layout.strides[d] as number)));
  const adjacent = parts.every(
    ({ value, layout }, i) =>
      value === first.value &&
      layout.offset === first.layout.offset + (windows[i] as Window).low * stride &&
      layout.shape.every((extent, d) => extent === 1 || layout.strides[d] === strides[d]),
  );
  return adjacent ? { value: first.value, layout: { shape, strides, offset: first.layout.offset } } : null;
}

/** True for kernels that take an elementwise tail, and elementwise operations themselves. */
export function takesTail(operation: Operation): boolean {
  if (operation.kind === 'elementwise' || operation.kind === 'copy') return true;
  return operation.kind === 'kernel' && (operation.node.op.lowering as KernelLowering).store === true;
}
