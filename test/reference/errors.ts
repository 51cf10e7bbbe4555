import { sizeOf } from '../../src/core/shape.ts';
import type { Node } from '../../src/graph/node.ts';
import { sumError, unit } from '../support/compare.ts';
import type { ConvSizes } from './conv.ts';
import { type Ref, ref } from './index.ts';
import type { Approximation } from './interpret.ts';
import { broadcastTo, extent, get, map } from './ref.ts';
import type { Bands } from './resample.ts';

/**
 * How far a float32 computation of an op may be off: what its own roundings add, and what the errors of its inputs become
 * in it. First-order analysis, op by op; every rule says where its numbers come from. `unit` is u = 2⁻²⁴.
 */
type Bounds = readonly (Ref | null)[];
type Rule = (inputs: readonly Ref[]) => readonly Ref[];

/** Bounds for each output of `node`, whose exact `outputs` are `rule(values of the inputs)`. */
export function errorsOf(node: Node, inputs: readonly Approximation[], outputs: readonly Ref[], rule: Rule): Bounds {
  const { name, lowering } = node.op;
  if (moves.has(name)) return moved(inputs, outputs, rule, node);
  if (name === 'uniformIn' || name === 'normal') return [randomError(name, inputs, outputs[0] as Ref)];
  if (choices.has(name)) return chosen(inputs, outputs);
  if (lowering.kind === 'elementwise') return [elementwise(node, inputs, outputs[0] as Ref, rule)];
  const kind = name === 'reduce' ? String(node.attributes.kind) : name;
  if (kind in sums) return [summed(inputs, rule, (sums[kind] as (typeof sums)[string])(node))];
  if (kind === 'max' || kind === 'min') return [isExact(inputs) ? null : between(inputs, outputs[0] as Ref, rule, 0)];
  if (kind === 'logSumExp') return [between(inputs, outputs[0] as Ref, rule, steps)];
  if (kind === 'matmul') return [product(inputs, rule, extent((inputs[0] as Approximation).value, -1))];
  if (kind in terms) return [product(inputs, rule, (terms[kind] as (typeof terms)[string])(node.attributes as never))];
  if (choices.has(kind)) return chosen(inputs, outputs);
  return sampled(inputs, outputs, rule);
}

const values = (inputs: readonly Approximation[]) => inputs.map(({ value }) => value);
const isExact = (inputs: readonly Approximation[]) => inputs.every(({ error }) => error === null);
const errorOf = ({ value, error }: Approximation) => error ?? ref(value.shape);
const magnitude = (x: Ref) => ref(x.shape, x.data.map(Math.abs));
const plus = (a: Ref, b: Ref) => map([a, b], (x, y) => x + y);
const times = (a: Ref, factor: number) =>
  ref(
    a.shape,
    a.data.map((x) => x * factor),
  );

// ── values that are only moved ───────────────────────────────────────────────────────────────────────────────────────

const moves = new Set([
  'reshape',
  'permute',
  'slice',
  'expand',
  'flip',
  'pad',
  'concat',
  'split',
  'version',
  'linearCrossEntropy',
  'checkpoint',
  'later',
  'alias',
  'copy',
  'pack',
  'segment',
  'place',
  'gather',
  'embedding',
  'iota',
  'uniform',
  'randint',
  'turnKeys',
]);

/** Errors go where their values go. An index that may be wrong makes everything possible. */
function moved(inputs: readonly Approximation[], outputs: readonly Ref[], rule: Rule, node: Node): Bounds {
  if (isExact(inputs)) return outputs.map(() => null);
  const index = node.op.name === 'gather' || node.op.name === 'embedding' ? (inputs[1] as Approximation) : null;
  if (index?.error)
    return outputs.map((y) =>
      ref(
        y.shape,
        y.data.map(() => Infinity),
      ),
    );
  const padding = node.op.name === 'pad' ? (node.attributes.value as number) : 0;
  const errors = rule(inputs.map((input, i) => (index && i === 1 ? input.value : errorOf(input))));
  return errors.map((error) =>
    padding === 0
      ? error
      : ref(
          error.shape,
          error.data.map((e) => (e === padding ? 0 : e)),
        ),
  );
}

// ── one element from one element ─────────────────────────────────────────────────────────────────────────────────────

type OwnError = (y: number, a: number, b: number) => number;
const relative =
  (roundings: number): OwnError =>
  (y) =>
    roundings * Math.abs(y);

/**
 * What an elementwise op adds, in units of u, by the accuracy that WGSL demands of the built-in functions in its expression
 * (a ulp is 2u): division 2.5 ulp, exp 3 + 2|x| ulp, log 2⁻²¹ near 1 and 3 ulp elsewhere, sqrt as 1/inverseSqrt, pow as
 * exp2(y log2 x). 0 where nothing is rounded; ops that are not named round once.
 */
const own: Readonly<Record<string, OwnError>> = {
  ...Object.fromEntries(
    [
      'neg',
      'abs',
      'sign',
      'floor',
      'relu',
      'maximum',
      'minimum',
      'equal',
      'notEqual',
      'less',
      'lessEqual',
      'greater',
      'greaterEqual',
      'and',
      'or',
      'not',
      'where',
      'cast',
    ].map((name) => [name, relative(0)]),
  ),
  full: (y) => Math.abs(y - Math.fround(y)) / unit,
  div: relative(5),
  reciprocal: relative(5),
  sqrt: relative(10),
  rsqrt: relative(16),
  leakyRelu: relative(2),
  exp: (y, x) => (6 + 4 * Math.abs(x)) * Math.abs(y),
  log: (y) => 8 + 6 * Math.abs(y),
  pow: (y, a, b) => (8 + 4 * Math.abs(b * Math.log2(Math.abs(a) || 1)) + 16 * Math.abs(b)) * Math.abs(y),
  // Reduction by multiples of π, then a polynomial.
  sin: (_, x) => 8 + Math.abs(x),
  cos: (_, x) => 8 + Math.abs(x),
  // Quotients of exponentials: near 0 their difference cancels, so the error is absolute.
  tanh: () => 24,
  sigmoid: (y, x) => (12 + 4 * Math.abs(x)) * Math.abs(y),
  silu: (y, x) => (14 + 4 * Math.abs(x)) * Math.abs(y),
  softplus: (y) => 16 + Math.abs(y),
  erf: () => 16,
  elu: (y) => 16 + 2 * Math.abs(y),
  geluErf: (y, x) => 12 * Math.abs(x) + 2 * Math.abs(y),
  geluTanh: (y, x) => 16 * Math.abs(x) + 2 * Math.abs(y),
  geluErfGradient: (_, x) => 24 * (1 + Math.abs(x)),
  geluTanhGradient: (_, x) => 32 * (1 + Math.abs(x)),
};

/** An input that is off by e moves the result by what the function itself says: |f(x ± e) − f(x)|, kinks and steps included. */
function elementwise(node: Node, inputs: readonly Approximation[], y: Ref, rule: Rule): Ref | null {
  const rounding = own[node.op.name] ?? relative(1);
  const [a, b] = values(inputs).map((x) => broadcastTo(x, y.shape));
  const float = node.types[0]?.dtype === 'f32';
  let error = ref(
    y.shape,
    y.data.map((value, i) => (float ? unit * rounding(value, a?.data[i] ?? 0, b?.data[i] ?? 0) : 0)),
  );
  for (const [n, input] of inputs.entries()) {
    if (!input.error) continue;
    const [up, down] = [1, -1].map((sign) => {
      const shifted = map([input.value, input.error as Ref], (x, e) => x + sign * e);
      return rule(values(inputs).with(n, shifted))[0] as Ref;
    }) as [Ref, Ref];
    error = map(
      [error, up, down, y],
      (e, above, below, here) => e + Math.max(Math.abs(above - here), Math.abs(below - here)),
    );
  }
  return error.data.some((e) => e !== 0) ? error : null;
}

/** Four sums of numbers that are none greater than the bounds; or what `normalError` says. */
function randomError(name: string, [, settings]: readonly Approximation[], y: Ref): Ref {
  const [a = 0, b = 0] = settings?.value.data ?? [];
  const room = 4 * unit * (Math.abs(a) + Math.abs(b));
  return ref(
    y.shape,
    y.data.map((value) => (name === 'normal' ? normalError(value, a, b) : room)),
  );
}

/** Normal numbers are right to 1e-6 of their standard deviation, in the tails of themselves, on every engine. */
export const normalError = (x: number, mean: number, std: number) =>
  1e-6 * Math.max(Math.abs(std), Math.abs(x - mean)) + 2 * unit * Math.abs(x);

// ── sums and products ────────────────────────────────────────────────────────────────────────────────────────────────

/** Ops that add up `terms` numbers for each element of the result. */
const sums: Readonly<Record<string, (node: Node) => number>> = {
  sum: ({ attributes }) => attributes.n as number,
  mean: ({ attributes }) => (attributes.n as number) + 1,
  cumsum: ({ inputs, attributes }) => inputs[0]?.shape[attributes.axis as number] as number,
  // How many ids are equal is not known here: as many as there are.
  embeddingBackward: ({ inputs }) => inputs[0]?.shape[0] as number,
  scatterAdd: ({ inputs, attributes }) => (inputs[1]?.shape[attributes.axis as number] as number) + 1,
  // How many windows found the same pixel is not known here: as many as there are.
  maxPoolBackward: ({ inputs }) => sizeOf((inputs[0]?.shape ?? []).slice(1)),
  // A term is a product of an element and two numbers that are rounded, too.
  resample: ({ attributes: { rows, columns } }) => longest(rows as Bands) * longest(columns as Bands) + 4,
};

const longest = (bands: Bands) => Math.max(...bands.map(({ length }) => length - 1));

/** Sums are linear: errors add up like the terms do, and `sumError` bounds the rest. Ids are no terms. */
function summed(inputs: readonly Approximation[], rule: Rule, terms: number): Ref {
  const isIndex = (i: number) => inputs.length > 1 && i === 1;
  const [sizes] = rule(inputs.map(({ value }, i) => (isIndex(i) ? value : magnitude(value)))) as [Ref];
  const [carried] = rule(inputs.map((input, i) => (isIndex(i) ? input.value : errorOf(input)))) as [Ref];
  return map([sizes, carried], (size, error) => sumError(terms, size) + error);
}

/** Products of which an element of a convolution, or of a gradient of it, is the sum; where zeros surround it, of fewer. */
const terms: Readonly<Record<string, (sizes: ConvSizes) => number>> = {
  conv: ({ channels, kernel }) => channels * sizeOf(kernel),
  convInput: ({ filters, kernel }) => filters * sizeOf(kernel),
  convWeight: ({ B, result }) => B * sizeOf(result),
};

/** A product of matrices: K terms, each a product, and (A + δA)(B + δB) − AB to first order. */
function product([a, b]: readonly Approximation[], rule: Rule, K: number): Ref {
  const [x, y] = [a, b].map((input) => magnitude((input as Approximation).value)) as [Ref, Ref];
  const [dx, dy] = [errorOf(a as Approximation), errorOf(b as Approximation)];
  let [error] = rule([x, y]) as [Ref];
  error = ref(
    error.shape,
    error.data.map((size) => sumError(K + 1, size)),
  );
  if (a?.error) error = plus(error, rule([dx, plus(y, dy)])[0] as Ref);
  if (b?.error) error = plus(error, rule([x, dy])[0] as Ref);
  return error;
}

// ── order and choice ─────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * A function that rises with its input by no more than the input does lies between its values at both ends; `roundings` more
 * of input and result are what computing it adds.
 */
function between([x]: readonly Approximation[], y: Ref, rule: Rule, roundings: number): Ref {
  const { value } = x as Approximation;
  const room = plus(errorOf(x as Approximation), times(magnitude(value), unit * Math.sign(roundings)));
  const [upper, lower] = [plus(value, room), map([value, room], (v, e) => v - e)].map(
    (moved) => rule([moved])[0] as Ref,
  ) as [Ref, Ref];
  return map(
    [upper, lower, y],
    (high, low, here) => Math.max(high - here, here - low) + roundings * unit * (1 + Math.abs(here)),
  );
}

const choices = new Set(['argMax', 'argMin', 'sort', 'topK', 'categorical', 'sample', 'bernoulli', 'maxPool']);

/** What is chosen is certain where the inputs are exact, and may be anything where they are not. */
function chosen(inputs: readonly Approximation[], outputs: readonly Ref[]): Bounds {
  if (isExact(inputs)) return outputs.map(() => null);
  const most = errorOf(inputs[0] as Approximation).data.reduce((a, b) => Math.max(a, b), 0);
  return outputs.map((y, i) =>
    ref(
      y.shape,
      y.data.map(() => (outputs.length === 2 && i === 0 ? most : Infinity)),
    ),
  );
}

// ── fused kernels ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Roundings of an input that a stable kernel may seem to have made: a few for each of its steps. */
const steps = 12;
const samples = 4;

/**
 * A stable kernel gives the exact result for inputs that are off by a few roundings, and rounds that. So the op is evaluated
 * again at inputs that are off by that much and by their own errors, each element up or down at random, and the greatest
 * move of a row, tripled, bounds each of its elements.
 */
function sampled(inputs: readonly Approximation[], outputs: readonly Ref[], rule: Rule): Bounds {
  const moves = outputs.map((y) => ref(y.shape));
  for (let sample = 0; sample < samples; sample++) {
    const random = signs(sample);
    const shifted = inputs.map((input) => {
      const error = errorOf(input);
      const integral = input.error === null && input.value.data.every(Number.isInteger);
      if (integral) return input.value;
      return ref(
        input.value.shape,
        input.value.data.map((x, i) => x + random() * (get(error, i) + steps * unit * Math.abs(x))),
      );
    });
    for (const [n, y] of rule(shifted).entries()) {
      const move = moves[n] as Ref;
      for (const [i, value] of y.data.entries()) {
        move.data[i] = Math.max(get(move, i), Math.abs(value - get(outputs[n] as Ref, i)));
      }
    }
  }
  return outputs.map((y, n) => {
    const row = y.shape.at(-1) ?? 1;
    const own = moves[n] as Ref;
    const bound = ref(y.shape);
    for (let start = 0; start < y.data.length; start += row) {
      let most = 0;
      for (let i = start; i < start + row; i++) most = Math.max(most, get(own, i));
      for (let i = start; i < start + row; i++) bound.data[i] = 3 * most + steps * unit * Math.abs(get(y, i));
    }
    return bound;
  });
}

/** −1 and 1 at random (xorshift; the same in every run). */
function signs(sample: number): () => number {
  let state = 0x9e3779b9 ^ (sample * 0x85ebca6b);
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state < 0 ? -1 : 1;
  };
}
