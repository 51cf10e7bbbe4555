import { type DType, type HostArray, HostValues } from '../core/dtype.ts';
import { DTypeError, UnsupportedError } from '../core/errors.ts';
import { denoInspect, formatValues, headline, nested, nodeInspect } from '../core/print.ts';
import { formatShape, type Shape, sizeOf } from '../core/shape.ts';
import type { NestedArray, TensorType } from '../core/types.ts';
import type { Node } from './node.ts';
import { retain, retainedGradient } from './retained.ts';
import type { Source } from './source.ts';
import type { State } from './state.ts';

/** Where a value lies on a device: the runtime's business, see runtime/residence.ts. */
export interface OnDevice {
  /** False once it was lost with the device, and can be had again. */
  readonly isThere: boolean;
}

/**
 * A thin, immutable handle on a value of the graph. Calling an op records it; nothing runs until the value is read.
 * Logically dense and row-major. What else it can do is declared where that is defined: methods.ts adds the ops,
 * runtime/reading.ts what reads its values.
 */
export class Tensor implements TensorType {
  // Shape and type come first: consoles of browsers show the first fields.
  /** Extents, outermost first; `[]` for a scalar. */
  readonly shape: Shape;
  /** Type of the elements. */
  readonly dtype: DType;
  /** The call whose output the value is; a leaf once the value is computed, where no gradient goes through. */
  node: Node;
  /** Position among the outputs of its node. */
  readonly index: number;
  /** The state whose current version it stands for: a parameter's, a buffer's. Null for a plain value. */
  readonly state: State | null = null;
  /** Where the values come from, if nothing computes them: they may not be on a device yet. */
  source: Source | null = null;
  /** Null as long as no device has had to do with it. */
  onDevice: OnDevice | null = null;
  /** True once this version of a state was handed out: the next step must not overwrite it. */
  observed = false;
  /** True once its owner has given it up: it can't be used any more. */
  disposed = false;

  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.node = node;
    this.index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** The value itself; a parameter's current version. */
  get version(): Tensor {
    this.expectHeld();
    return this;
  }

  /**
   * Has `backward` keep the gradient of this value, f32, in `grad`, as it does for parameters: ∂L/∂h of a hidden state. To
   * be called before `backward`, in compiled steps within; values in the body of a `scan` or `checkpoint` get none. PyTorch's
   * `retain_grad`.
   */
  retainGrad(): this {
    if (this.dtype !== 'f32') throw new DTypeError(`[retainGrad] this is ${this.dtype}; only f32 has gradients`);
    retain(this);
    return this;
  }

  /** The gradient, added up over calls of `backward`: of a parameter, or of what was told to `retainGrad`; else null. */
  get grad(): Tensor | null {
    return retainedGradient(this);
  }

  /** Throws where the value is gone for good. */
  expectHeld(): void {
    if (this.disposed)
      throw new UnsupportedError(
        `[tensor] this ${formatShape(this.shape)} tensor was disposed of, by dispose() or at the end of the scope that it was made in; keep it while it is needed, or return it from the scope`,
      );
  }

  /** True where nothing has to compute the value: it has a source, or lies on a device. */
  get isComputed(): boolean {
    return this.source !== null || (this.onDevice?.isThere ?? false);
  }

  /** The values, where the host has them. */
  get host(): HostArray | null {
    return this.source instanceof HostValues ? this.source.array : null;
  }

  /** Kind, shape and type, without values: `Tensor([2, 3], f32)`. */
  toString(): string {
    return headline(this[Symbol.toStringTag], this.shape, this.dtype);
  }

  /** What it is called where it is printed. */
  get [Symbol.toStringTag](): string {
    return 'Tensor';
  }

  /** The values, where they can be shown at once: those on the host. To look is not to read. */
  protected get inHand(): HostArray | null {
    return this.source?.inHand ?? null;
  }

  /** What `console.log` shows in Node and Deno: the values as well, where they are on the host. */
  [nodeInspect](): string {
    const values = this.inHand;
    if (values) return `${this}${this.rank < 2 ? ' ' : '\n'}${formatValues(values, this.shape, this.dtype)}`;
    return `${this} { ${this.disposed ? 'disposed of' : 'values: await .print() or .array()'} }`;
  }
  [denoInspect](): string {
    return this[nodeInspect]();
  }

  /** What JSON holds of it: shape, type, and the values, where they are on the host. */
  toJSON(): { shape: Shape; dtype: DType; values?: NestedArray } {
    const { shape, dtype, inHand } = this;
    return { shape, dtype, ...(inHand ? { values: nested(inHand, shape, dtype) } : {}) };
  }
}

/** Tells tensors from other values. */
export const isTensor = (value: unknown): value is Tensor => value instanceof Tensor;
