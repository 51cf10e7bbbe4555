import type { DType } from '../core/dtype.ts';
import { DTypeError, ShapeError, WeftError } from '../core/errors.ts';
import { callback, expectKind, shown, tensorLike } from '../core/options.ts';
import { formatShape } from '../core/shape.ts';
import { expectSync } from '../core/sync.ts';
import type { Attributes, TensorType } from '../core/types.ts';
import type { Node } from './node.ts';
import type { NoAttributes, Op, OpDef } from './op.ts';
import type { State } from './state.ts';
import { Tensor } from './tensor.ts';

/** What a trace does instead of the eager defaults while `compile` or `scan` runs a user's function. */
export interface Trace {
  /** The value of a state at this point of the trace. */
  read(state: State): Tensor;
  /** The state's next version: committed when the plan ends. */
  assign(state: State, value: Tensor): void;
  /** Numbers evaluated at each replay. */
  dynamic(values: () => readonly number[], length: number): Tensor;
  /** The key that `source` gives at each replay, and the first of the next `count` streams under it. */
  random(source: KeySource, count: number): Streams;
  /** The accumulated gradient of a parameter at this point of the trace. */
  gradient(state: State): Tensor | null;
  setGradient(state: State, value: Tensor | null): void;
  /**
   * Remembers a host value that the trace depends on: where it has changed, the trace is made again. Whoever changes it
   * calls `noteChange`.
   */
  guard<T>(read: () => T): T;
  /** Remembers where the state lies: once it moves into a pack, another trace is needed. */
  locate(state: State): void;
  /** Names the trace in messages. */
  readonly label: string;
}

/** Where the keys of random ops come from: a generator, which a trace asks at each replay. */
export interface KeySource {
  /** The key of the first of `count` positions, which are then taken. */
  take(count: number): Uint32Array<ArrayBuffer>;
}

/** What a random op draws from: a key u32 [4 or more], and a stream under it (see shaders/lib/philox.wgsl). */
export interface Streams {
  readonly key: Tensor;
  readonly stream: number;
}

interface Recording {
  trace: Trace | null;
  differentiable: boolean;
}

const recording: Recording = { trace: null, differentiable: true };
let nextId = 1;
let eagerNodes = 0;

/** Called after each eager call is recorded: the runtime computes chains that grow too long. */
let eagerListener: (node: Node) => void = () => {};
export function onEagerCall(listener: (node: Node) => void): void {
  eagerListener = listener;
}

let changes = 0;
/** Notes a change of something that a trace may depend on: a mode, a gradient, the place of a state. */
export function noteChange(): void {
  changes++;
}
/** The number of such changes so far: while it stays the same, a trace that held still holds. */
export function changeCount(): number {
  return changes;
}

/** The trace in progress, or null. */
export function currentTrace(): Trace | null {
  return recording.trace;
}

/** The id of the node that is recorded next; later nodes have higher ones. */
export function nextNodeId(): number {
  return nextId;
}

/** Nodes recorded eagerly since the counter was last taken; the eager runner flushes when there are many. */
export function takeEagerNodes(): number {
  const count = eagerNodes;
  eagerNodes = 0;
  return count;
}
export function eagerNodeCount(): number {
  return eagerNodes;
}

/** Runs `body` with `trace` receiving what it records. */
export function withTrace<T>(trace: Trace | null, body: () => T): T {
  const before = recording.trace;
  recording.trace = trace;
  try {
    return body();
  } finally {
    recording.trace = before;
  }
}

/** Runs `body` without recording gradients: what it computes is constant to `backward`. */
export function noGrad<T>(body: () => T): T {
  expectKind('noGrad', 'the body', body, callback);
  return withGradient(false, () => {
    const result = body();
    expectSync('noGrad', 'the function', result);
    return result;
  });
}

/** Runs `body` with gradients recorded, or not. */
export function withGradient<T>(differentiable: boolean, body: () => T): T {
  const before = recording.differentiable;
  recording.differentiable = differentiable;
  try {
    return body();
  } finally {
    recording.differentiable = before;
  }
}

/** The attributes of a call, which may be left out where the op has none. */
type AttributesOf<Own extends Attributes> = NoAttributes extends Own ? [attributes?: Own] : [attributes: Own];

/** Records a call of `op`; its shape and type rules are checked here, so that errors point at the caller's line. */
export function apply<Inputs extends readonly Tensor[], Own extends Attributes, Outputs extends readonly Tensor[]>(
  op: Op<Inputs, Own, Outputs>,
  inputs: Readonly<NoInfer<Inputs>>,
  ...[attributes]: AttributesOf<NoInfer<Own>>
): Readonly<Outputs> {
  // An op has as many outputs as it says: `infer` gives a type for each.
  return record(op, inputs, attributes ?? {}) as readonly Tensor[] as Readonly<Outputs>;
}

/** Records a call of an op with one output, or whose first output alone is wanted. */
export function applyOne<Inputs extends readonly Tensor[], Own extends Attributes>(
  op: Op<Inputs, Own, readonly [Tensor, ...Tensor[]]>,
  inputs: Readonly<NoInfer<Inputs>>,
  ...attributes: AttributesOf<NoInfer<Own>>
): Tensor {
  const [first] = apply(op, inputs, ...attributes);
  return first;
}

function record(op: OpDef, inputs: readonly Tensor[], attributes: Attributes): readonly Tensor[] {
  const values = inputs.map((tensor, i) => {
    expectTensor(op.name, `input ${i}`, tensor);
    const value = tensor.version;
    const owner = value.node.trace;
    if (owner !== null && owner !== recording.trace && !enclosing(owner)) {
      throw new WeftError(
        `[${op.name}] an input was made inside a traced function and has leaked out of it; return it from the function instead`,
      );
    }
    return value;
  });
  const types = op.infer(values, attributes);
  const outputs: Tensor[] = [];
  const { trace, differentiable } = recording;
  const depth = trace === null && !differentiable ? 1 + deepest(values) : 0;
  const node: Node = {
    id: nextId++,
    op,
    inputs: values,
    attributes,
    types,
    outputs,
    differentiable,
    trace,
    depth,
    ran: false,
  };
  for (const [index, type] of types.entries()) outputs.push(new Tensor(node, index, type.shape, type.dtype));
  if (trace === null) {
    eagerNodes++;
    eagerListener(node);
  }
  return outputs;
}

function deepest(values: readonly Tensor[]): number {
  let depth = 0;
  for (const value of values) if (!value.isComputed && value.node.depth > depth) depth = value.node.depth;
  return depth;
}

// The body of a scan reads values of the trace around it, so traces nest.
const outer = new WeakMap<object, Trace | null>();
export function nestTrace(inner: Trace): void {
  outer.set(inner, recording.trace);
}
function enclosing(owner: object): boolean {
  for (let trace = recording.trace; trace; trace = outer.get(trace) ?? null) if (trace === owner) return true;
  return false;
}

/** Throws a DTypeError unless this is a tensor: who calls from JavaScript may pass anything. */
export function expectTensor(op: string, name: string, x: unknown): void {
  if (!tensorLike.accepts(x))
    throw new DTypeError(`[${op}] ${name} must be a tensor, got ${shown(x)}; tensor(…) makes one of numbers`);
}

/** Throws a DTypeError unless `x` is a tensor of one of the wanted types. */
export function expectDType(op: string, name: string, x: TensorType, wanted: readonly DType[]): void {
  expectTensor(op, name, x);
  if (!wanted.includes(x.dtype)) {
    throw new DTypeError(`[${op}] ${name} must be ${wanted.join(' or ')}, got ${x.dtype}; use .cast('${wanted[0]}')`);
  }
}

/** Throws a ShapeError unless `x` is a tensor of the wanted rank (or one in a range). */
export function expectRank(op: string, name: string, x: TensorType, least: number, most = least): void {
  expectTensor(op, name, x);
  const { shape } = x;
  if (shape.length < least || shape.length > most) {
    const wanted = least === most ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
    throw new ShapeError(`[${op}] ${name} must have rank ${wanted}, got ${formatShape(shape)} of rank ${shape.length}`);
  }
}
