import { ShapeError, UnsupportedError } from './errors.ts';
import { provideTensorTools } from './gpu/arguments.ts';
import { type Ballast, giveBallast, takeBallast } from './gpu/ballast.ts';
import type { Storage } from './gpu/buffers.ts';
import type { Device } from './gpu/device.ts';
import { type Berth, berthFor, fillBerth } from './gpu/fill.ts';
import { expectOutside, flushIfLong, readAll } from './gpu/run.ts';
import { noteSettled } from './gpu/scope.ts';
import type { Verdict } from './gpu/status.ts';
import { type DType, dtypes, type HostArray, HostValues, type Numbers } from './graph/dtype.ts';
import { leaf, versionOp } from './graph/leaf.ts';
import type { Node, TensorType } from './graph/node.ts';
import { applyOne, currentTrace, expectTensor, provideTensor, withTrace } from './graph/record.ts';
import { formatShape, type Shape, sizeOf } from './graph/shape.ts';
import type { Source } from './graph/source.ts';
import { markVersion, State, stateOf } from './graph/state.ts';
import { asTensor, tensor } from './ops/create.ts';
import * as elementwise from './ops/elementwise.ts';
import { backward } from './ops/gradient.ts';
import * as indexing from './ops/indexing.ts';
import * as join from './ops/join.ts';
import { matmul } from './ops/matmul.ts';
import { dropout } from './ops/random.ts';
import * as reduce from './ops/reduce.ts';
import * as rows from './ops/softmax.ts';
import * as view from './ops/view.ts';
import { expectKind, flag } from './options.ts';
import { denoInspect, formatValues, headline, nodeInspect } from './print.ts';

type Operand = Tensor | number;

/** Frees GPU memory of tensors that nobody holds any more. */
const forgotten = new FinalizationRegistry<Storage>((storage) => storage.release());

/**
 * A thin, immutable handle on a value of the graph. Calling an op records it; nothing runs until the value is read.
 * Logically dense and row-major.
 */
export class Tensor implements TensorType {
  // Shape and type come first: consoles of browsers show the first fields.
  readonly shape: Shape;
  readonly dtype: DType;
  node: Node;
  readonly index: number;
  /** The state whose current version it stands for: a parameter's, a buffer's. Null for a plain value. */
  readonly state: State | null = null;
  /** Where the values come from, if nothing computes them: they may not be on a device yet. */
  source: Source | null = null;
  /** Brings the bytes from the staging buffer of the step that made them; null once that has moved on. */
  staged: (() => Promise<ArrayBuffer | null>) | null = null;
  /** What the kernels of the submit that made the value had to say, where they may have met bad data. */
  verdict: Verdict | null = null;
  /** True once this version of a state was handed out: the next step must not overwrite it. */
  observed = false;
  /** True for what a compiled function has captured, or a scope has returned: no scope frees it. */
  kept = false;
  #device: Device | null = null;
  #storage: Storage | null = null;
  /** What the garbage collector sees of the memory on the device. */
  #ballast: Ballast | null = null;
  #disposed = false;

  constructor(node: Node, index: number, shape: Shape, dtype: DType) {
    this.node = node;
    this.index = index;
    this.shape = shape;
    this.dtype = dtype;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  // ── engine ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The value itself; a parameter's current version. */
  get version(): Tensor {
    this.expectHeld();
    return this;
  }

  /** Throws where the value is gone for good. */
  expectHeld(): void {
    if (this.#disposed)
      throw new UnsupportedError(
        `[tensor] this ${formatShape(this.shape)} tensor was disposed of, by dispose() or at the end of the scope that it was made in; keep it while it is needed, or return it from the scope`,
      );
  }

  /** The device that the value lies on, once it does. What was on a lost one lies nowhere, if it can be had again. */
  get device(): Device | null {
    if (this.#device?.isLost && !this.#isFinal) this.#release();
    return this.#device;
  }

  /** True for what nothing can bring back: no source has it, no graph computes it. */
  get #isFinal(): boolean {
    return this.source === null && this.node.op.lowering.kind === 'leaf';
  }

  /** True where nothing has to compute the value: it has a source, or lies on a device. */
  get isComputed(): boolean {
    return this.source !== null || this.device !== null;
  }

  /** The values, where the host has them. */
  get host(): HostArray | null {
    return this.source instanceof HostValues ? this.source.array : null;
  }

  /** Where the value lies on `device`; brings it there from its source. */
  storageOn(device: Device): Storage {
    if (this.#storage && this.device === device) return this.#storage;
    if (this.device)
      throw new UnsupportedError(
        this.device.isLost
          ? `[device] this ${formatShape(this.shape)} tensor lay on a device that was lost; make it anew`
          : '[device] a tensor of another device is used; read its values and make a tensor of them on this one',
      );
    const { source } = this;
    if (!source) {
      this.expectHeld();
      throw new UnsupportedError(
        `[tensor] ${this.node.op.name} ${formatShape(this.shape)} is used before it is computed`,
      );
    }
    return this.upload(device, this.berthOn(device));
  }

  /** True for a value that has a source, and is on no device yet. */
  get isAbroad(): boolean {
    return this.source !== null && this.device === null;
  }

  /** Memory for the value. */
  allocateOn({ buffers }: Device): Storage {
    return buffers.allocate(this.#bytes, this.#place);
  }

  /** Memory for the value of a source. */
  berthOn(device: Device): Berth {
    return berthFor(device, this.source as Source, this.#bytes, this.#place);
  }

  /** Brings the value from its source to the memory on `device` that is now its own. */
  upload(device: Device, berth: Berth): Storage {
    fillBerth(device, berth, this.source as Source);
    this.settle(device, berth.storage);
    // Steps write new versions of a state over the old one; the source would be stale then.
    if (stateOf(this)) this.source = null;
    return berth.storage;
  }

  get #bytes(): number {
    return sizeOf(this.shape) * dtypes[this.dtype].bytes;
  }

  /** What the memory is called in messages. */
  get #place(): string {
    return `weft ${this.node.op.name} ${formatShape(this.shape)}`;
  }

  /** Takes over the memory that now holds the value. */
  settle(device: Device, storage: Storage): void {
    forgotten.unregister(this);
    forgotten.register(this, storage, this);
    this.#device = device;
    this.#storage = storage;
    if (!stateOf(this)) this.#ballast ??= takeBallast(storage.bytes);
    noteSettled(this);
    // What no gradient goes through is a leaf from now on: else the values of a loop would keep the graph of all of it.
    const { op, differentiable } = this.node;
    const final = stateOf(this) !== undefined || op === versionOp || !differentiable;
    if (final && op.lowering.kind !== 'leaf') this.node = withTrace(null, () => leaf('constant', this)).node;
  }

  /** Frees the memory of a value that can be had again, from its source or from the graph; disposes of any other. */
  forget(): void {
    if (this.#isFinal) this.dispose();
    else this.#release();
  }

  #release(): void {
    forgotten.unregister(this);
    if (this.#storage) giveBallast(this.#storage.bytes);
    this.#storage?.release();
    this.#storage = null;
    this.#device = null;
    this.#ballast = null;
  }

  /** Puts other memory with the same value in place of the tensor's; the old memory is the caller's. */
  exchangeStorage(storage: Storage): Storage {
    const old = this.#storage as Storage;
    forgotten.unregister(this);
    forgotten.register(this, storage, this);
    this.#storage = storage;
    this.source = null;
    this.observed = false;
    return old;
  }

  /** A leaf with this value, for a state to hold. */
  asVersion(state: State): Tensor {
    if (this.source && !stateOf(this)) return markVersion(fromHost(this, this.source), state);
    return markVersion(applyOne(versionOp, [this]), state);
  }

  // ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The elements in row-major order, in a typed array of the caller's own. */
  data(): Promise<HostArray> {
    expectOutside();
    return this.#data();
  }

  async #data(): Promise<HostArray> {
    const { staged } = this.version;
    if (staged) {
      const bytes = await staged();
      if (bytes) return new dtypes[this.dtype].array(bytes) as HostArray;
    }
    return (await readAll([this]))[0] as HostArray;
  }

  /** The element of a tensor that has one. */
  item(): Promise<number> {
    expectOutside();
    return this.#item();
  }

  async #item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(
        `[item] needs a tensor of one element, got ${formatShape(this.shape)}; use data() or array()`,
      );
    return (await this.data())[0] as number;
  }

  /** The elements as nested arrays; bool as true and false. */
  array(): Promise<NestedArray> {
    return this.data().then((data) => nest(data, this.shape, this.dtype));
  }

  /** A text that shows shape, type and values, shortened where there are many. */
  print(): Promise<string> {
    return this.data().then((data) => `${this}\n${formatValues(data, this.shape, this.dtype)}`);
  }

  toString(): string {
    return headline(this[Symbol.toStringTag], this.shape, this.dtype);
  }

  /** What it is called where it is printed. */
  get [Symbol.toStringTag](): string {
    return 'Tensor';
  }

  /** The values, where they can be shown at once: those on the host. To look is not to read: a state takes no notice. */
  protected get inHand(): HostArray | null {
    const { state } = this;
    if (!state) return this.source?.inHand ?? null;
    return state.home || currentTrace() ? null : (state.committed.source?.inHand ?? null);
  }

  /** What `console.log` shows in Node and Deno: the values as well, where they are on the host. */
  [nodeInspect](): string {
    const values = this.inHand;
    if (values) return `${this}${this.rank < 2 ? ' ' : '\n'}${formatValues(values, this.shape, this.dtype)}`;
    return `${this} { ${this.#disposed ? 'disposed of' : 'values: await .print() or .array()'} }`;
  }
  [denoInspect](): string {
    return this[nodeInspect]();
  }

  /** What JSON holds of it: shape, type, and the values, where they are on the host. */
  toJSON(): { shape: Shape; dtype: DType; values?: NestedArray } {
    const { shape, dtype, inHand } = this;
    return { shape, dtype, ...(inHand ? { values: nest(inHand, shape, dtype) } : {}) };
  }

  /** Frees the memory at once; the tensor can't be used afterwards. Not needed: forgotten tensors are freed. */
  dispose(): void {
    this.#release();
    this.source = null;
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // ── ops: each is documented at the function of its name ────────────────────────────────────────────────────────────

  add(other: Operand): Tensor {
    return elementwise.add(this, other);
  }
  sub(other: Operand): Tensor {
    return elementwise.sub(this, other);
  }
  mul(other: Operand): Tensor {
    return elementwise.mul(this, other);
  }
  div(other: Operand): Tensor {
    return elementwise.div(this, other);
  }
  pow(other: Operand): Tensor {
    return elementwise.pow(this, other);
  }
  maximum(other: Operand): Tensor {
    return elementwise.maximum(this, other);
  }
  minimum(other: Operand): Tensor {
    return elementwise.minimum(this, other);
  }
  equal(other: Operand): Tensor {
    return elementwise.equal(this, other);
  }
  notEqual(other: Operand): Tensor {
    return elementwise.notEqual(this, other);
  }
  less(other: Operand): Tensor {
    return elementwise.less(this, other);
  }
  lessEqual(other: Operand): Tensor {
    return elementwise.lessEqual(this, other);
  }
  greater(other: Operand): Tensor {
    return elementwise.greater(this, other);
  }
  greaterEqual(other: Operand): Tensor {
    return elementwise.greaterEqual(this, other);
  }
  isNaN(): Tensor {
    return elementwise.isNaN(this);
  }
  isInf(): Tensor {
    return elementwise.isInf(this);
  }
  isFinite(): Tensor {
    return elementwise.isFinite(this);
  }
  and(other: Tensor): Tensor {
    return elementwise.and(this, other);
  }
  or(other: Tensor): Tensor {
    return elementwise.or(this, other);
  }
  not(): Tensor {
    return elementwise.not(this);
  }
  neg(): Tensor {
    return elementwise.neg(this);
  }
  abs(): Tensor {
    return elementwise.abs(this);
  }
  sign(): Tensor {
    return elementwise.sign(this);
  }
  floor(): Tensor {
    return elementwise.floor(this);
  }
  exp(): Tensor {
    return elementwise.exp(this);
  }
  log(): Tensor {
    return elementwise.log(this);
  }
  sqrt(): Tensor {
    return elementwise.sqrt(this);
  }
  rsqrt(): Tensor {
    return elementwise.rsqrt(this);
  }
  reciprocal(): Tensor {
    return elementwise.reciprocal(this);
  }
  square(): Tensor {
    return elementwise.square(this);
  }
  sin(): Tensor {
    return elementwise.sin(this);
  }
  cos(): Tensor {
    return elementwise.cos(this);
  }
  tanh(): Tensor {
    return elementwise.tanh(this);
  }
  sigmoid(): Tensor {
    return elementwise.sigmoid(this);
  }
  erf(): Tensor {
    return elementwise.erf(this);
  }
  relu(): Tensor {
    return elementwise.relu(this);
  }
  leakyRelu(options?: { slope?: number }): Tensor {
    return elementwise.leakyRelu(this, options);
  }
  elu(options?: { alpha?: number }): Tensor {
    return elementwise.elu(this, options);
  }
  gelu(options?: { approximate?: 'none' | 'tanh' }): Tensor {
    return elementwise.gelu(this, options);
  }
  silu(): Tensor {
    return elementwise.silu(this);
  }
  softplus(): Tensor {
    return elementwise.softplus(this);
  }
  clamp(min: number, max: number): Tensor {
    return elementwise.clamp(this, min, max);
  }
  cast(dtype: DType): Tensor {
    return elementwise.cast(this, dtype);
  }

  reshape(shape: Shape): Tensor {
    return view.reshape(this, shape);
  }
  permute(order: readonly number[]): Tensor {
    return view.permute(this, order);
  }
  transpose(a?: number, b?: number): Tensor {
    return view.transpose(this, a, b);
  }
  slice(ranges: Parameters<typeof view.slice>[1]): Tensor {
    return view.slice(this, ranges);
  }
  at(index: number, axis?: number): Tensor {
    return view.at(this, index, axis);
  }
  expand(shape: Shape): Tensor {
    return view.expand(this, shape);
  }
  flip(axes?: number | readonly number[]): Tensor {
    return view.flip(this, axes);
  }
  squeeze(axes?: number | readonly number[]): Tensor {
    return view.squeeze(this, axes);
  }
  unsqueeze(axis: number): Tensor {
    return view.unsqueeze(this, axis);
  }
  detach(): Tensor {
    return view.detach(this);
  }
  pad(widths: readonly (readonly [number, number])[], value?: number): Tensor {
    return join.pad(this, widths, value);
  }
  split(extents: number | readonly number[], axis?: number): Tensor[] {
    return join.split(this, extents, axis);
  }

  sum(axes?: number | readonly number[] | null, options?: reduce.ReduceOptions): Tensor {
    return reduce.sum(this, axes, options);
  }
  mean(axes?: number | readonly number[] | null, options?: reduce.ReduceOptions): Tensor {
    return reduce.mean(this, axes, options);
  }
  max(axes?: number | readonly number[] | null, options?: reduce.ReduceOptions): Tensor {
    return reduce.max(this, axes, options);
  }
  min(axes?: number | readonly number[] | null, options?: reduce.ReduceOptions): Tensor {
    return reduce.min(this, axes, options);
  }
  logSumExp(axes?: number | readonly number[] | null, options?: reduce.ReduceOptions): Tensor {
    return reduce.logSumExp(this, axes, options);
  }
  argMax(axis?: number, options?: reduce.ReduceOptions): Tensor {
    return reduce.argMax(this, axis, options);
  }
  argMin(axis?: number, options?: reduce.ReduceOptions): Tensor {
    return reduce.argMin(this, axis, options);
  }
  softmax(axis?: number): Tensor {
    return rows.softmax(this, axis);
  }
  logSoftmax(axis?: number): Tensor {
    return rows.logSoftmax(this, axis);
  }
  cumsum(axis: number, options?: { reverse?: boolean }): Tensor {
    return indexing.cumsum(this, axis, options);
  }
  gather(index: Tensor, axis: number): Tensor {
    return indexing.gather(this, index, axis);
  }
  scatterAdd(index: Tensor, source: Tensor, axis: number): Tensor {
    return indexing.scatterAdd(this, index, source, axis);
  }
  topK(k: number, options?: { largest?: boolean }): { values: Tensor; indices: Tensor } {
    return indexing.topK(this, k, options);
  }
  oneHot(classes: number): Tensor {
    return indexing.oneHot(this, classes);
  }
  tril(diagonal?: number): Tensor {
    return indexing.tril(this, diagonal);
  }
  triu(diagonal?: number): Tensor {
    return indexing.triu(this, diagonal);
  }
  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }
  dropout(probability: number): Tensor {
    return dropout(this, probability);
  }

  /** Adds the gradient of this scalar (or of its product with `seed`) to the `grad` of every parameter behind it. */
  backward(seed?: Tensor): void {
    backward(this, seed);
  }
}

provideTensor(
  (node, index, shape, dtype) => new Tensor(node, index, shape, dtype),
  (value) => value instanceof Tensor,
  flushIfLong,
);

/** A trained leaf: a tensor whose value has versions. `grad` accumulates until `zeroGrad()`. */
export class Parameter extends Tensor {
  override readonly state: State;

  constructor(initial: Tensor, name = 'parameter') {
    super(initial.node, initial.index, initial.shape, initial.dtype);
    this.state = new State(initial, name, true);
  }

  override get version(): Tensor {
    return this.state.value;
  }

  override get [Symbol.toStringTag](): string {
    return 'Parameter';
  }

  /** The accumulated gradient, or null. */
  get grad(): Tensor | null {
    return gradientOf(this.state);
  }
  set grad(value: Tensor | null) {
    setGradient(this.state, value);
  }

  /**
   * Whether `backward` gives it a gradient, and optimizers change it; false for a frozen parameter, for whose sake nothing is
   * computed. A compiled step has a plan for each choice. PyTorch's `requires_grad`.
   */
  get requiresGrad(): boolean {
    return this.state.requiresGrad;
  }
  set requiresGrad(wanted: boolean) {
    expectKind('parameter', 'requiresGrad', wanted, flag);
    this.state.requiresGrad = wanted;
  }

  /** Makes `value`, a tensor or whatever `tensor` takes, the next version; values computed before keep the old one. */
  assign(value: Tensor | Values): void {
    this.state.assign(asTensor(value));
  }
}

/** The accumulated gradient of a trainable state, as the program or the trace sees it here. */
export function gradientOf(state: State): Tensor | null {
  const trace = currentTrace();
  if (trace) return trace.gradient(state);
  return state.hasGradient ? (state.gradient as State).value : null;
}
export function setGradient(state: State, value: Tensor | null): void {
  if (value !== null) expectTensor('grad', 'a gradient', value);
  const trace = currentTrace();
  if (trace) trace.setGradient(state, value);
  else if (value === null) state.dropGradient();
  else {
    state.gradientSlot(() => fromHost(state.type, new Float32Array(sizeOf(state.type.shape)))).assign(value);
    state.hasGradient = true;
  }
}

export type NestedArray = number | boolean | NestedArray[];

/** Values on the host, as `tensor` takes them: a number, nested arrays, or a typed array of numbers. */
export type Values = NestedArray | Numbers;

/** A tensor whose values come from the host, or another source. */
export function fromHost({ shape, dtype }: TensorType, values: HostArray | Source): Tensor {
  const tensor = withTrace(null, () => leaf('constant', { shape, dtype }));
  tensor.source = ArrayBuffer.isView(values) ? new HostValues(values) : values;
  return tensor;
}

function nest(data: HostArray, shape: Shape, dtype: DType, offset = 0): NestedArray {
  if (shape.length === 0) return dtype === 'bool' ? data[offset] !== 0 : (data[offset] as number);
  const [extent, ...rest] = shape as [number, ...number[]];
  const stride = sizeOf(rest);
  return Array.from({ length: extent }, (_, i) => nest(data, rest, dtype, offset + i * stride));
}

provideTensorTools({
  tensor,
  result: ({ shape, dtype }) => withTrace(null, () => leaf('constant', { shape, dtype })),
  gradientSlot: (state) => state.gradientSlot(() => fromHost(state.type, new Float32Array(sizeOf(state.type.shape)))),
});
