import { BodyTrace } from '../compile/trace.ts';
import { ShapeError } from '../errors.ts';
import { differentiate } from '../graph/autograd.ts';
import { leaf } from '../graph/leaf.ts';
import { reachable, type TensorType } from '../graph/node.ts';
import type { OpDef, ScanBody } from '../graph/op.ts';
import { apply, currentTrace } from '../graph/record.ts';
import { replay } from '../graph/replay.ts';
import { formatShape, sameShape } from '../graph/shape.ts';
import type { Tensor } from '../tensor.ts';
import { add, copy, mul, zeros } from './elementwise.ts';
import { sum } from './reduce.ts';

/** One step of a recurrence: from the carry and a slice of xs to the next carry and a slice of ys. */
export type ScanStep = (carry: Tensor[], x: Tensor[]) => { carry: Tensor[]; y: Tensor[] };

/**
 * A recurrence over time: `body` is traced once and replayed for each slice of `xs` along dimension 0. Its gradient is the
 * scan in reverse, which computes each step again from the saved carry. Gives the last carry and the stacked ys.
 * The body may use tensors and parameters from outside; their gradients add up over the steps.
 */
export function scan(
  body: ScanStep,
  carry: readonly Tensor[],
  xs: readonly Tensor[],
  { reverse = false, length }: { reverse?: boolean; length?: number } = {},
): { carry: Tensor[]; ys: Tensor[] } {
  const T = length ?? xs[0]?.shape[0];
  if (T === undefined || !Number.isInteger(T) || T < 1)
    throw new ShapeError('[scan] the number of steps follows from xs; without xs give `length`');
  for (const x of xs) {
    if (x.shape[0] !== T)
      throw new ShapeError(`[scan] all xs must have ${T} slices along dimension 0, got ${formatShape(x.shape)}`);
  }
  const traced = traceBody(body, carry, xs);
  const outputs = applyScan(traced, carry, xs, T, reverse);
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
  const op: OpDef = {
    name: 'scan',
    infer: () =>
      traced.outputs.map((tensor, i) => ({
        shape: i < carry.length ? tensor.shape : [T, ...tensor.shape],
        dtype: tensor.dtype,
      })),
    lowering: { kind: 'scan', length: T, reverse, body: traced },
    gradient: (node, outputGradients) => scanGradient(traced, node, outputGradients, T, reverse),
  };
  return apply(op, [...carry, ...xs, ...traced.captured]);
}

function traceBody(body: ScanStep, carry: readonly Tensor[], xs: readonly Tensor[]): ScanBody {
  const trace = new BodyTrace(currentTrace());
  return trace.run(() => {
    const placeholder = (type: TensorType) => leaf('input', type);
    const carries = carry.map(placeholder);
    const slices = xs.map(({ shape, dtype }) => placeholder({ shape: shape.slice(1), dtype }));
    const result = body(carries, slices);
    if (result.carry.length !== carry.length)
      throw new ShapeError(`[scan] the body returns ${result.carry.length} carries for ${carry.length}`);
    for (const [i, next] of result.carry.entries()) {
      const before = carry[i] as Tensor;
      if (!sameShape(next.shape, before.shape) || next.dtype !== before.dtype) {
        throw new ShapeError(
          `[scan] carry ${i} starts as ${before.dtype} ${formatShape(before.shape)} and the body makes it ${next.dtype} ${formatShape(next.shape)}; they must be equal`,
        );
      }
    }
    return closeBody(trace, carries, slices, [...result.carry, ...carries, ...result.y]);
  });
}

/** Finds what the body takes from outside, and gives each of its outputs memory of its own. */
function closeBody(
  trace: object,
  carries: readonly Tensor[],
  slices: readonly Tensor[],
  results: readonly Tensor[],
): ScanBody {
  const outputs = results.map((tensor) => copy(tensor.version));
  const own = (tensor: Tensor) => tensor.node.trace === trace;
  const captured = new Set<Tensor>();
  for (const node of reachable(outputs, (tensor) => !own(tensor))) {
    for (const input of node.inputs) if (!own(input)) captured.add(input);
  }
  return { carries, slices, captured: [...captured], outputs };
}

/**
 * The carry of the reversed scan holds the gradients of the carry and, adding up, of what was captured; its ys are the
 * gradients of xs.
 */
function scanGradient(
  traced: ScanBody,
  node: { inputs: readonly Tensor[]; outputs: readonly Tensor[] },
  outputGradients: readonly (Tensor | null)[],
  T: number,
  reverse: boolean,
): (Tensor | null)[] {
  const carries = traced.carries.length;
  const xs = node.inputs.slice(carries, carries + traced.slices.length);
  const captured = node.inputs.slice(carries + xs.length);
  const saved = node.outputs.slice(carries, 2 * carries);
  const isFloat = (tensor: Tensor) => tensor.dtype === 'f32';
  const floatCarries = traced.carries.flatMap((tensor, i) => (isFloat(tensor) ? [i] : []));
  const floatSlices = traced.slices.flatMap((tensor, i) => (isFloat(tensor) ? [i] : []));
  const floatCaptured = captured.flatMap((tensor, i) => (isFloat(tensor) ? [i] : []));
  const yGradients = node.outputs.flatMap((output, i) =>
    i >= 2 * carries && isFloat(output) && outputGradients[i] ? [i] : [],
  );

  const initial = [
    ...floatCarries.map((i) => outputGradients[i] ?? zeros((traced.carries[i] as Tensor).shape)),
    ...floatCaptured.map((i) => zeros((captured[i] as Tensor).shape)),
  ];
  const sources = [...saved, ...xs, ...yGradients.map((i) => outputGradients[i] as Tensor)];
  const result = scan(
    (gradients, values) => {
      const inputs = [...traced.carries, ...traced.slices, ...traced.captured];
      const given = [...values.slice(0, carries + xs.length), ...captured];
      const copies = replay(traced.outputs, new Map(inputs.map((tensor, i) => [tensor, given[i] as Tensor])));
      // ⟨gradient, output⟩ summed over the outputs is a scalar whose gradient is the one wanted.
      const terms: Tensor[] = [];
      for (const [position, i] of floatCarries.entries())
        terms.push(sum(mul(copies[i] as Tensor, (gradients[position] as Tensor).detach())));
      for (const [position, i] of yGradients.entries())
        terms.push(sum(mul(copies[i] as Tensor, (values[carries + xs.length + position] as Tensor).detach())));
      const targets = given.map((tensor) => tensor.version);
      const set = new Set(targets);
      const found =
        terms.length > 0 ? differentiate(terms.reduce(add), (tensor) => set.has(tensor)) : new Map<Tensor, Tensor>();
      const gradientOf = (i: number) => found.get(targets[i] as Tensor) ?? zeros((targets[i] as Tensor).shape);
      return {
        carry: [
          ...floatCarries.map(gradientOf),
          ...floatCaptured.map((i, position) =>
            add(gradients[floatCarries.length + position] as Tensor, gradientOf(carries + xs.length + i)),
          ),
        ],
        y: floatSlices.map((i) => gradientOf(carries + i)),
      };
    },
    initial,
    sources,
    { reverse: !reverse, length: T },
  );
  const inputGradients = node.inputs.map((): Tensor | null => null);
  for (const [position, i] of floatCarries.entries()) inputGradients[i] = result.carry[position] as Tensor;
  for (const [position, i] of floatSlices.entries()) inputGradients[carries + i] = result.ys[position] as Tensor;
  for (const [position, i] of floatCaptured.entries())
    inputGradients[carries + xs.length + i] = result.carry[floatCarries.length + position] as Tensor;
  return inputGradients;
}
