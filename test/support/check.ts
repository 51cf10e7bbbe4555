import { expect } from 'vitest';
import type { Node } from '../../src/graph/node.ts';
import { grad, type HostArray, sum, type Tensor } from '../../src/index.ts';
import { directional, inner } from '../reference/finite.ts';
import { type Ref, ref } from '../reference/index.ts';
import { type Approximation, interpret } from '../reference/interpret.ts';
import { expectClose } from './compare.ts';
import { draw } from './draw.ts';
import { read } from './gpu.ts';

/** The checks that tests of ops are made of. Each draws what it needs, runs one plan on the GPU, and reads once. */

/** Runs the graphs behind `tensors` on the GPU and in float64, and compares. */
export async function check(...tensors: readonly Tensor[]): Promise<void> {
  // Before they are read: a detached value that has been computed is a leaf, and has no graph any more.
  const expected = interpret(tensors, { errors: true });
  compare(tensors, await read(...tensors), expected);
}

/** Compares values that were read with what the interpreter says of them. */
export function compare(
  tensors: readonly Tensor[],
  actual: readonly HostArray[],
  expected: readonly Approximation[],
  names: readonly string[] = [],
): void {
  for (const [i, tensor] of tensors.entries()) {
    const { value, error } = expected[i] as Approximation;
    const what = names[i] ?? `${tensor.node.op.name} [${tensor.shape}]`;
    expect(value.shape, what).toEqual(tensor.shape);
    expectClose(actual[i] as HostArray, value.data, error?.data ?? new Float64Array(value.data.length), what);
  }
}

type Outputs = Tensor | readonly Tensor[];
const listed = (outputs: Outputs) => (Array.isArray(outputs) ? outputs : [outputs]) as readonly Tensor[];
const isFloat = ({ dtype }: Tensor) => dtype === 'f32';

/**
 * Checks `f` and its gradients: results and gradients of all f32 inputs on the GPU against those of the interpreter, and
 * the interpreter's gradients against differences of its results, along a random direction.
 */
export async function checkGradients(
  f: (...inputs: Tensor[]) => Outputs,
  inputs: readonly Tensor[],
  { finite = true }: { finite?: boolean } = {},
): Promise<void> {
  const outputs = listed(f(...inputs));
  const targets = inputs.filter(isFloat);
  const loss = objective(outputs);
  const gradients = grad(loss, targets);
  const roots = [...outputs, ...gradients];
  const expected = interpret(roots, { errors: true });
  const actual = await read(...roots);
  const names = [...outputs.map((_, i) => `output ${i}`), ...targets.map((_, i) => `gradient of input ${i}`)];
  compare(roots, actual, expected, names);
  if (finite)
    checkSlope(
      loss,
      targets,
      expected.slice(outputs.length).map(({ value }) => value),
    );
}

/** Σ y·dy over all outputs, with dy drawn: a scalar whose gradients are those that dy brings back. */
export function objective(outputs: readonly Tensor[]): Tensor {
  return outputs
    .filter(isFloat)
    .map((y) => sum(y.mul(draw(y.shape, -1, 1))))
    .reduce((total, term) => total.add(term));
}

/** The slope of `loss` along a random direction must be ⟨gradient, direction⟩: all in float64, so to many digits. */
export function checkSlope(loss: Tensor, targets: readonly Tensor[], gradients: readonly Ref[], step = 1e-5): void {
  const start = interpret(targets).map(({ value }) => value);
  const direction = start.map(({ shape, data }) =>
    ref(
      shape,
      data.map(() => draw([], -1, 1).host?.[0] ?? 0),
    ),
  );
  const along = (at: readonly Ref[]) => {
    const given = new Map(targets.map((target, i) => [target.version, at[i] as Ref]));
    return (interpret([loss], { given })[0] as Approximation).value.data[0] as number;
  };
  const slope = directional(along, start, direction, step);
  const expected = gradients.reduce((total, gradient, i) => total + inner(gradient, direction[i] as Ref), 0);
  const size = gradients.reduce(
    (total, { data }, i) =>
      total + data.reduce((sum, g, j) => sum + Math.abs(g * ((direction[i] as Ref).data[j] as number)), 0),
    0,
  );
  expectClose([slope], [expected], [1e-7 * size + 1e-8 * Math.abs(along(start)) + 1e-9], 'slope by differences');
}

/** A fused op against its definition in plain ops: both on the GPU, and both in float64. */
export async function checkFused(fused: Tensor, outputs?: readonly Tensor[]): Promise<void> {
  const { op, inputs, attributes, outputs: own } = producer(fused);
  expect(op.decompose, `${op.name} has no definition in plain ops`).toBeDefined();
  const plain = op.decompose?.(inputs, attributes) ?? [];
  const pairs = plain.map((tensor, i) => [(outputs ?? own)[i] as Tensor, tensor] as const);
  const roots = pairs.flat();
  const expected = interpret(roots, { errors: true });
  const actual = await read(...roots);
  for (const i of pairs.keys()) {
    const [a, b] = [expected[2 * i], expected[2 * i + 1]] as [Approximation, Approximation];
    const size = Math.max(...a.value.data.map(Math.abs));
    expectClose(
      b.value.data,
      a.value.data,
      a.value.data.map(() => 1e-11 * (1 + size)),
      `${op.name}, composed, in float64`,
    );
    const bound = a.value.data.map((_, j) => (a.error?.data[j] ?? 0) + (b.error?.data[j] ?? 0));
    expectClose(actual[2 * i] as HostArray, actual[2 * i + 1] as HostArray, bound, `${op.name} fused against composed`);
  }
}

/** The node of the fused op behind a result, through the views that the public function puts around it. */
function producer(tensor: Tensor): Node {
  let { node } = tensor;
  while (!node.op.decompose && node.inputs.length === 1) node = (node.inputs[0] as Tensor).node;
  return node;
}
