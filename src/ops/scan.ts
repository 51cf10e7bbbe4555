import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { callback, count, declareOptions, expectKind, flag, listOf, shown, tensorLike } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { takeRejection } from '../core/sync.ts';
import type { TensorType } from '../core/types.ts';
import { leaf } from '../graph/leaf.ts';
import { type Node, reachable } from '../graph/node.ts';
import type { NoAttributes, Op, ScanBody } from '../graph/op.ts';
import { apply, currentTrace } from '../graph/record.ts';
import { replay } from '../graph/replay.ts';
import type { Tensor } from '../graph/tensor.ts';
import { BodyTrace } from '../graph/trace.ts';
import { differentiateAll } from './autograd.ts';
import { add, copy, zeros } from './elementwise.ts';
import { nextRandom, turnKeys } from './random.ts';

/** One step of a recurrence: from the carry and a slice of xs to the next carry and a slice of ys. */
export type ScanStep = (carry: Tensor[], x: Tensor[]) => { carry: Tensor[]; y: Tensor[] };

export interface ScanOptions {
  /** Whether it goes from the last slice to the first; default false. */
  reverse?: boolean;
  /** The number of steps, where there are no xs to tell. */
  length?: number;
}
const scanOptions = declareOptions<ScanOptions>({ reverse: flag, length: count });

/**
 * A recurrence over time: `body` is traced once and replayed for each slice of `xs` along dimension 0. Its gradient is the
 * scan in reverse, which computes each step again from the saved carry. Gives the last carry and the stacked ys.
 * The body may use tensors and parameters from outside; their gradients add up over the steps. What it draws at random is
 * fresh at each turn, as a loop would draw it, and the same again in backward.
 */
export function scan(
  body: ScanStep,
  carry: readonly Tensor[],
  xs: readonly Tensor[],
  options?: ScanOptions,
): { carry: Tensor[]; ys: Tensor[] } {
  const { reverse = false, length } = scanOptions('scan', options);
  expectKind('scan', 'the body', body, callback);
  expectKind('scan', 'carry', carry, listOf(tensorLike));
  expectKind('scan', 'xs', xs, listOf(tensorLike));
  const T = length ?? xs[0]?.shape[0];
  if (T === undefined || !Number.isInteger(T) || T < 1)
    throw new ShapeError('[scan] the number of steps follows from xs; without xs give `length`');
  for (const x of xs) {
    if (x.shape[0] !== T)
      throw new ShapeError(`[scan] all xs must have ${T} slices along dimension 0, got ${formatShape(x.shape)}`);
  }
  const { traced, isRead, randoms } = traceBody(body, carry, xs);
  const keys = randoms.map(({ source, streams }) => turnKeys(nextRandom(source, T * streams), T, streams, reverse));
  const slices = [...xs, ...keys].filter((_, i) => isRead[i]);
  const outputs = applyScan(traced, carry, slices, T, reverse);
  const carries = carry.length;
  return { carry: outputs.slice(0, carries), ys: outputs.slice(2 * carries) };
}

/** The op of one scan. Its ys begin with the carry that each step started from, which backward needs; unread, they cost nothing. */
function applyScan(
  traced: ScanBody,
  carry: readonly Tensor[],
  xs: readonly Tensor[],
  T: number,
  reverse: boolean,
): readonly Tensor[] {
  const op: Op<Tensor[], NoAttributes, Tensor[]> = {
    name: 'scan',
    infer: () =>
      traced.outputs.map((tensor, i) => ({
        shape: i < carry.length ? tensor.shape : [T, ...tensor.shape],
        dtype: tensor.dtype,
      })),
    lowering: { kind: 'scan', length: T, reverse, body: traced },
    gradient: (node, outputGradients, wanted) => scanGradient(traced, node, outputGradients, wanted, T, reverse),
  };
  return apply(op, [...carry, ...xs, ...traced.captured]);
}

interface ClosedBody {
  readonly traced: ScanBody;
  /** Whether the body reads each slice; it has no place for the others. */
  readonly isRead: readonly boolean[];
}

interface TracedBody extends ClosedBody {
  /** The random keys of the body, which follow the slices of xs. */
  readonly randoms: ReturnType<BodyTrace['randoms']['keys']>;
}

function traceBody(body: ScanStep, carry: readonly Tensor[], xs: readonly Tensor[]): TracedBody {
  const trace = new BodyTrace(currentTrace());
  return trace.run(() => {
    const placeholder = (type: TensorType) => leaf('input', type);
    const carries = carry.map(placeholder);
    const slices = xs.map(({ shape, dtype }) => placeholder({ shape: shape.slice(1), dtype }));
    const result = checkStep(body(carries, slices));
    if (result.carry.length !== carry.length)
      throw new ShapeError(`[scan] the body returns ${result.carry.length} carries for ${carry.length}`);
    for (const [i, next] of result.carry.entries()) {
      const before = nth(carry, i);
      if (!sameShape(next.shape, before.shape) || next.dtype !== before.dtype) {
        throw new ShapeError(
          `[scan] carry ${i} starts as ${before.dtype} ${formatShape(before.shape)} and the body makes it ${next.dtype} ${formatShape(next.shape)}; they must be equal`,
        );
      }
    }
    const randoms = trace.randoms.keys();
    const all = [...slices, ...randoms.map(({ key }) => key)];
    return { ...closeBody(trace, carries, all, [...result.carry, ...carries, ...result.y]), randoms };
  });
}

/** Throws where the body returns something else than carry and ys, for those who have no compiler to say it. */
function checkStep(result: ReturnType<ScanStep>): ReturnType<ScanStep> {
  const what = takeRejection(result) ? 'a promise: it must not be async' : shown(result);
  const isObject = typeof result === 'object' && result !== null;
  if (!isObject || [result.carry, result.y].some((part) => !listOf(tensorLike).accepts(part)))
    throw new ValueError(
      `[scan] the body must return { carry: [tensors], y: [tensors] }, got ${what}; without results of each step, y is []`,
    );
  return result;
}

/** Finds what the body takes from outside, and gives each of its outputs memory of its own. */
function closeBody(
  trace: object,
  carries: readonly Tensor[],
  slices: readonly Tensor[],
  results: readonly Tensor[],
): ClosedBody {
  const outputs = results.map((tensor) => copy(tensor.version));
  const own = (tensor: Tensor) => tensor.node.trace === trace;
  const read = new Set(reachable(outputs, (tensor) => !own(tensor)).flatMap(({ inputs }) => inputs));
  const captured = [...read].filter((tensor) => !own(tensor));
  return {
    traced: { carries, slices: slices.filter((slice) => read.has(slice)), captured, outputs },
    isRead: slices.map((slice) => read.has(slice)),
  };
}

/**
 * The carry of the reversed scan holds the gradients of the carry and, adding up, of what was captured; its ys are the
 * gradients of xs. It is a scan like any other, of incoming gradients too, and has a gradient itself.
 */
function scanGradient(
  traced: ScanBody,
  { inputs, outputs }: Node,
  outputGradients: readonly (Tensor | null)[],
  wanted: readonly boolean[],
  T: number,
  reverse: boolean,
): (Tensor | null)[] {
  const [carries, slices] = [traced.carries.length, traced.slices.length];
  const xs = inputs.slice(carries, carries + slices);
  const captured = inputs.slice(carries + slices);
  const saved = outputs.slice(carries, 2 * carries);
  /** Positions from `from` to `to` among the inputs whose gradient is carried, or given out. */
  const positions = (from: number, to: number, isWanted: (i: number) => boolean) =>
    inputs.slice(from, to).flatMap(({ dtype }, i) => (dtype === 'f32' && isWanted(from + i) ? [from + i] : []));
  // A carry's gradient depends on that of every other carry; nobody waits for those of xs and of what was captured.
  const ofCarries = positions(0, carries, () => true);
  const ofSlices = positions(carries, carries + slices, (i) => wanted[i] === true);
  const ofCaptured = positions(carries + slices, inputs.length, (i) => wanted[i] === true);
  // The saved carries have a gradient where a gradient is differentiated again.
  const stacked = outputGradients.flatMap((gradient, i) => (i >= carries && gradient ? [{ i, gradient }] : []));

  const initial = [
    ...ofCarries.map((i) => outputGradients[i] ?? zeros(nth(inputs, i).shape)),
    ...ofCaptured.map((i) => zeros(nth(inputs, i).shape)),
  ];
  const sources = [...saved, ...xs, ...stacked.map(({ gradient }) => gradient)];
  const result = scan(
    (gradients, values) => {
      const given = [...values.slice(0, carries + slices), ...captured];
      const places = [...traced.carries, ...traced.slices, ...traced.captured];
      const copies = replay(traced.outputs, new Map(places.map((tensor, i) => [tensor, nth(given, i)])));
      const seeds = [
        ...ofCarries.map((i, n) => [nth(copies, i), nth(gradients, n)] as const),
        ...stacked.map(({ i }, n) => [nth(copies, i), nth(values, carries + slices + n)] as const),
      ];
      const targets = new Set(given);
      const found = differentiateAll(seeds, (tensor) => targets.has(tensor));
      const gradientOf = (i: number) => {
        const tensor = nth(given, i);
        return found.get(tensor) ?? zeros(tensor.shape);
      };
      return {
        carry: [
          ...ofCarries.map(gradientOf),
          ...ofCaptured.map((i, n) => add(nth(gradients, ofCarries.length + n), gradientOf(i))),
        ],
        y: ofSlices.map(gradientOf),
      };
    },
    initial,
    sources,
    { reverse: !reverse, length: T },
  );
  const inputGradients = inputs.map((): Tensor | null => null);
  for (const [n, i] of [...ofCarries, ...ofCaptured].entries()) inputGradients[i] = nth(result.carry, n);
  for (const [n, i] of ofSlices.entries()) inputGradients[i] = nth(result.ys, n);
  return inputGradients;
}
