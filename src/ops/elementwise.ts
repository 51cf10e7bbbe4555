import { type DType, expectKnownDType, fitting, integerRange } from '../core/dtype.ts';
import { DTypeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { anyNumber, expectKind, shown } from '../core/options.ts';
import { broadcastShapes, checkShape, type Shape, sameShape } from '../core/shape.ts';
import type { Op, OpDef } from '../graph/op.ts';
import { applyOne, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ExpressionContext } from '../kernels/expression.ts';
import { literal } from '../kernels/numbers.ts';
import {
  type EluOptions,
  eluOptions,
  type GeluOptions,
  geluOptions,
  type LeakyReluOptions,
  leakyReluOptions,
} from './activationOptions.ts';
import { any, bool, f, float, guarded, number, op, unary } from './elementwiseRow.ts';

/**
 * Elementwise ops: one row each of name, types, WGSL expression and gradient. Chains of them fuse into one kernel, or into
 * the kernel that makes their input. `V` stands for f32 or vec4<f32>; functions that end in `_` are in
 * shaders/lib/elementwise.wgsl.
 */

// ── constants ────────────────────────────────────────────────────────────────────────────────────────────────────────

const fullOp: Op<[], { shape: Shape; value: number; dtype: DType; isVariable?: boolean }> = {
  name: 'full',
  infer: (_, { shape, dtype }) => [{ shape, dtype }],
  lowering: {
    kind: 'elementwise',
    constant: ({ value }) => value,
    expression: (_, { value }, { types, dtype }) => `${types[dtype]}(${literal(value, dtype)})`,
  },
};
/**
 * A tensor of one repeated value that rules may take for a number, since nobody can ask for its gradient: users get those
 * of create.ts. In f32 any number, infinities and NaN too; in i32 and u32 a whole one that they hold.
 */
export function full(shape: Shape, value: number, dtype: DType = 'f32'): Tensor {
  expectKnownDType('full', dtype);
  return applyOne(fullOp, [], { shape: [...checkShape('full', shape)], value: fitting('full', value, dtype), dtype });
}
export const zeros = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 0, dtype);
export const ones = (shape: Shape, dtype: DType = 'f32'): Tensor => full(shape, 1, dtype);

/** The repeated value of a tensor that may be taken for a number, else null. */
export function constantOf(x: Tensor): number | null {
  const { op, attributes } = x.version.node;
  if (op.lowering.kind !== 'elementwise' || attributes.isVariable) return null;
  return op.lowering.constant?.(attributes) ?? null;
}

/** A number as a scalar tensor of the other operand's type. */
function operand(name: string, value: Tensor | number, like: Tensor): Tensor {
  return typeof value === 'number' ? full([], fitting(name, value, like.dtype), like.dtype) : value;
}

// ── one input ────────────────────────────────────────────────────────────────────────────────────────────────────────

const unaryOps = {
  neg: unary(
    'neg',
    (x, _, { dtype }) => (dtype === 'u32' ? `(~${x} + 1u)` : `(-${x})`),
    (dy) => neg(dy),
    number,
  ),
  abs: unary(
    'abs',
    (x) => `abs(${x})`,
    (dy, x) => mul(dy, sign(x)),
    number,
  ),
  sign: unary(
    'sign',
    (x, _, { dtype, types }) =>
      dtype === 'f32' ? `sign_(${x})` : dtype === 'u32' ? `min(${x}, ${types.u32}(1u))` : `sign(${x})`,
    () => null,
    number,
  ),
  floor: unary(
    'floor',
    (x) => `floor(${x})`,
    () => null,
  ),
  exp: unary(
    'exp',
    (x) => `exp_(${x})`,
    (dy, _, y) => mul(dy, y),
  ),
  log: unary(
    'log',
    (x) => `log_(${x})`,
    (dy, x) => div(dy, x),
  ),
  sqrt: unary(
    'sqrt',
    (x) => `sqrt(${x})`,
    (dy, _, y) => div(mul(dy, 0.5), y),
  ),
  rsqrt: unary(
    'rsqrt',
    (x, _, { types }) => `(${types.f32}(1.0) / sqrt(${x}))`,
    (dy, x, y) => mul(mul(dy, -0.5), div(y, x)),
  ),
  reciprocal: unary(
    'reciprocal',
    (x, _, { types }) => `(${types.f32}(1.0) / ${x})`,
    (dy, _, y) => neg(mul(dy, square(y))),
  ),
  square: unary(
    'square',
    (x) => `(${x} * ${x})`,
    (dy, x) => mul(mul(dy, 2), x),
  ),
  sin: unary(
    'sin',
    (x) => `sin_(${x})`,
    (dy, x) => mul(dy, cos(x)),
  ),
  cos: unary(
    'cos',
    (x) => `cos_(${x})`,
    (dy, x) => neg(mul(dy, sin(x))),
  ),
  tanh: unary(
    'tanh',
    (x) => `tanh_(${x})`,
    (dy, _, y) => mul(dy, sub(1, square(y))),
  ),
  sigmoid: unary(
    'sigmoid',
    (x) => `sigmoid_(${x})`,
    (dy, _, y) => mul(dy, mul(y, sub(1, y))),
  ),
  erf: unary(
    'erf',
    (x) => `erf_(${x})`,
    (dy, x) => mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
  ),
  relu: unary(
    'relu',
    (x) => `relu_(${x})`,
    (dy, _, y) => where(lessEqual(y, 0), 0, dy),
  ),
  leakyRelu: unary<{ slope: number }>(
    'leakyRelu',
    (x, { slope }, c) => `select(${x}, ${x} * ${f(slope, c)}, negative_(${x}))`,
    (dy, x, _, { slope }) => where(greater(x, 0), dy, mul(dy, slope)),
  ),
  elu: unary<{ alpha: number }>(
    'elu',
    (x, { alpha }, c) => `select(${x}, ${f(alpha, c)} * (exp(${x}) - ${f(1, c)}), negative_(${x}))`,
    (dy, x, y, { alpha }) => where(greater(x, 0), dy, mul(dy, add(y, alpha))),
  ),
  geluErf: unary(
    'geluErf',
    (x) => `gelu_(${x})`,
    (dy, x) => mul(dy, applyOne(geluErfGradient, [x])),
  ),
  geluTanh: unary(
    'geluTanh',
    (x) => `geluTanh_(${x})`,
    (dy, x) => mul(dy, applyOne(geluTanhGradient, [x])),
  ),
  silu: unary(
    'silu',
    (x) => `silu_(${x})`,
    (dy, x) => {
      const s = sigmoid(x);
      return mul(dy, mul(s, add(1, mul(x, sub(1, s)))));
    },
  ),
  softplus: unary(
    'softplus',
    (x) => `softplus_(${x})`,
    (dy, x) => mul(dy, sigmoid(x)),
  ),
  not: unary('not', (x) => `(!${x})`, undefined, bool),
  clamp: unary<{ min: number; max: number }>(
    'clamp',
    (x, { min, max }, { dtype, types }) =>
      `${guarded('clamp', dtype)}(${x}, ${types[dtype]}(${literal(min, dtype)}), ${types[dtype]}(${literal(max, dtype)}))`,
    (dy, x, _, { min, max }) => where(and(greaterEqual(x, min), lessEqual(x, max)), dy, 0),
    number,
  ),
  cast: op<[x: Tensor], { dtype: DType }>('cast', {
    inputs: [any],
    output: ({ dtype }) => dtype,
    expression: ([x], _, { types, dtype, inputDTypes }) => {
      const from = nth(inputDTypes, 0);
      if (dtype === 'bool') return from === 'f32' ? `isTrue_(${x})` : `(${x} != ${types[from]}(${literal(0, from)}))`;
      return from === 'f32' ? `${types[dtype]}(whole_(${x}))` : `${types[dtype]}(${x})`;
    },
    gradient: (dy, [x]) => [x.dtype === 'f32' ? dy : null],
  }),
  copy: unary(
    'copy',
    (x) => x,
    (dy) => dy,
    any,
  ),
  isNaN: op<[x: Tensor]>('isNaN', { inputs: [float], output: 'bool', expression: ([x]) => `isNaN_(${x})` }),
  isInf: op<[x: Tensor]>('isInf', { inputs: [float], output: 'bool', expression: ([x]) => `isInf_(${x})` }),
  isFinite: op<[x: Tensor]>('isFinite', { inputs: [float], output: 'bool', expression: ([x]) => `isFinite_(${x})` }),
};

// The derivative of gelu in plain ops, for gradients of gradients: φ(x) = e^(−x²/2)/√(2π), Φ(x) = (1 + erf(x/√2))/2.
const geluErfGradient = unary(
  'geluErfGradient',
  (x) => `geluGradient_(${x})`,
  (dy, x) => mul(dy, mul(mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI)), sub(2, square(x)))),
);
const geluTanhGradient = unary(
  'geluTanhGradient',
  (x) => `geluTanhGradient_(${x})`,
  (dy, x) => {
    const c = Math.sqrt(2 / Math.PI);
    const inner = mul(add(x, mul(mul(square(x), x), 0.044715)), c);
    const t = tanh(inner);
    const slope = mul(add(1, mul(square(x), 0.134145)), c);
    const sech2 = sub(1, square(t));
    // d/dx of ½(1+t) + ½x·sech²·slope
    const second = sub(
      add(mul(sech2, slope), mul(mul(x, sech2), mul(x, 0.134145 * c))),
      mul(mul(mul(x, t), sech2), square(slope)),
    );
    return mul(dy, second);
  },
);

type Unary = (x: Tensor) => Tensor;
const unaryFunction =
  (op: Op<[x: Tensor]>): Unary =>
  (x) =>
    applyOne(op, [x]);
/** −x of f32, i32 or u32 numbers; in u32 modulo 2³². */
export const neg: Unary = unaryFunction(unaryOps.neg);
/** |x| of f32, i32 or u32 numbers; its derivative at 0 is 0. */
export const abs: Unary = unaryFunction(unaryOps.abs);
/** −1, 0 or 1, the sign of f32, i32 or u32 numbers, in their type; NaN of NaN. Its gradient is 0 everywhere. */
export const sign: Unary = unaryFunction(unaryOps.sign);
/** ⌊x⌋ of f32 numbers: the greatest whole number that is not above x, as f32. Its gradient is 0 everywhere. */
export const floor: Unary = unaryFunction(unaryOps.floor);
/** eˣ of f32 numbers; ∞ beyond f32's range, from 88.72 on. */
export const exp: Unary = unaryFunction(unaryOps.exp);
/** ln x of f32 numbers; −∞ at 0, NaN below. */
export const log: Unary = unaryFunction(unaryOps.log);
/** √x of f32 numbers. */
export const sqrt: Unary = unaryFunction(unaryOps.sqrt);
/** 1/√x of f32 numbers. */
export const rsqrt: Unary = unaryFunction(unaryOps.rsqrt);
/** 1/x of f32 numbers. */
export const reciprocal: Unary = unaryFunction(unaryOps.reciprocal);
/** x² of f32 numbers. */
export const square: Unary = unaryFunction(unaryOps.square);
/** sin x of f32 numbers in radians, with the same polynomial on every device: WGSL's own may be off by 2⁻¹¹. */
export const sin: Unary = unaryFunction(unaryOps.sin);
/** cos x of f32 numbers in radians, with the same polynomial on every device: WGSL's own may be off by 2⁻¹¹. */
export const cos: Unary = unaryFunction(unaryOps.cos);
/** tanh x = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ) of f32 numbers; no x overflows. */
export const tanh: Unary = unaryFunction(unaryOps.tanh);
/** 1/(1 + e⁻ˣ) of f32 numbers; no x overflows. */
export const sigmoid: Unary = unaryFunction(unaryOps.sigmoid);
/** erf x = 2/√π · ∫₀ˣ e^(−t²) dt of f32 numbers, the Gauss error function. */
export const erf: Unary = unaryFunction(unaryOps.erf);
/** max(x, 0) of f32 numbers (Nair and Hinton 2010); its derivative at 0 is 0, as in PyTorch. */
export const relu: Unary = unaryFunction(unaryOps.relu);
/** x·sigmoid(x) of f32 numbers (Elfwing et al. 2017). */
export const silu: Unary = unaryFunction(unaryOps.silu);
/** ln(1 + eˣ) of f32 numbers; no x overflows. */
export const softplus: Unary = unaryFunction(unaryOps.softplus);
/** True where x (bool) is false. */
export const not: Unary = unaryFunction(unaryOps.not);
/** True (bool) where x (f32) is NaN. */
const whereNaN: Unary = unaryFunction(unaryOps.isNaN);
/** True (bool) where x (f32) is ∞ or −∞. */
const whereInf: Unary = unaryFunction(unaryOps.isInf);
/** True (bool) where x (f32) is neither infinite nor NaN. */
const whereFinite: Unary = unaryFunction(unaryOps.isFinite);

// Exports them under their names only here: inside this file these would hide JavaScript's own.
export { whereFinite as isFinite, whereInf as isInf, whereNaN as isNaN };
/** The same values, of any type, in memory of their own. */
export const copy: Unary = unaryFunction(unaryOps.copy);

/** x where positive, slope·x elsewhere, of f32 numbers (Maas et al. 2013). */
export function leakyRelu(x: Tensor, options?: LeakyReluOptions): Tensor {
  const { slope = 0.01 } = leakyReluOptions('leakyRelu', options);
  return applyOne(unaryOps.leakyRelu, [x], { slope });
}
/** x where positive, α(eˣ − 1) elsewhere, of f32 numbers (Clevert et al. 2015). */
export function elu(x: Tensor, options?: EluOptions): Tensor {
  const { alpha = 1 } = eluOptions('elu', options);
  return applyOne(unaryOps.elu, [x], { alpha });
}
/** x·Φ(x) of f32 numbers (Hendrycks and Gimpel 2016), exactly by default, or in the tanh form that GPT-2 was trained with. */
export function gelu(x: Tensor, options?: GeluOptions): Tensor {
  const { approximate = 'none' } = geluOptions('gelu', options);
  return applyOne(approximate === 'tanh' ? unaryOps.geluTanh : unaryOps.geluErf, [x]);
}
/** x limited to [min, max]; for integers, to as much of it as their type holds. NaN stays NaN. */
export function clamp(x: Tensor, min: number, max: number): Tensor {
  expectTensor('clamp', 'the input', x);
  expectKind('clamp', 'min', min, anyNumber);
  expectKind('clamp', 'max', max, anyNumber);
  if (!(min <= max)) throw new ValueError(`[clamp] min must not exceed max, got ${shown(min)} and ${shown(max)}`);
  return applyOne(unaryOps.clamp, [x], { min: bound(min, x.dtype), max: bound(max, x.dtype) });
}
/** The nearest number that the type has to a limit. */
function bound(value: number, dtype: DType): number {
  if (dtype !== 'i32' && dtype !== 'u32') return value;
  const [least, greatest] = integerRange[dtype];
  return fitting('clamp', Math.min(Math.max(value, least), greatest), dtype);
}
/**
 * The values in another element type: floats lose their fraction and are limited to what integers hold, NaN gives the
 * integer 0; bool is 0 or 1, numbers become true where not 0, NaN too.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  expectTensor('cast', 'the input', x);
  expectKnownDType('cast', dtype);
  return x.dtype === dtype ? x : applyOne(unaryOps.cast, [x], { dtype });
}

// ── two inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────

function binary(
  name: string,
  expression: (a: string, b: string, context: ExpressionContext) => string,
  rule?: (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => readonly [Tensor, Tensor],
  types = number,
): Op<[a: Tensor, b: Tensor]> {
  return op<[a: Tensor, b: Tensor]>(name, {
    inputs: [types, types],
    expression: ([a, b], _, context) => expression(a, b, context),
    ...(rule ? { gradient: (dy, [a, b], y) => rule(dy, a, b, y) } : {}),
  });
}
function comparison(
  name: string,
  expression: (a: string, b: string, context: ExpressionContext) => string,
  types = number,
): Op<[a: Tensor, b: Tensor]> {
  return op<[a: Tensor, b: Tensor]>(name, {
    inputs: [types, types],
    output: 'bool',
    expression: ([a, b], _, context) => expression(a, b, context),
  });
}

/** Whether the text of an operand is the number 0. */
const isZero = (text: string) => /^\S*\(0\.0\)$/.test(text);

const binaryOps = {
  add: binary(
    'add',
    (a, b) => `(${a} + ${b})`,
    (dy) => [dy, dy],
  ),
  sub: binary(
    'sub',
    (a, b, { dtype }) => (a === b && dtype === 'f32' ? `timesZero_(${a})` : `(${a} - ${b})`),
    (dy) => [dy, neg(dy)],
  ),
  mul: binary(
    'mul',
    (a, b) => (isZero(a) ? `timesZero_(${b})` : isZero(b) ? `timesZero_(${a})` : `(${a} * ${b})`),
    (dy, a, b) => [mul(dy, b), mul(dy, a)],
  ),
  div: binary(
    'div',
    (a, b, { dtype }) => (isZero(a) || (a === b && dtype === 'f32') ? `quotient_(${a}, ${b})` : `(${a} / ${b})`),
    (dy, _, b, y) => [div(dy, b), neg(mul(dy, div(y, b)))],
  ),
  // d/db a^b = a^b·ln a, taken as 0 where a ≤ 0, as PyTorch does at 0.
  pow: binary(
    'pow',
    (a, b) => `pow_(${a}, ${b})`,
    (dy, a, b, y) => [
      // Of a⁰ at 0, b·aᵇ⁻¹ would be 0·∞; the derivatives of every power with a whole exponent end there.
      mul(dy, mul(b, pow(a, where(and(equal(a, 0), equal(b, 0)), 0, sub(b, 1))))),
      mul(dy, where(greater(a, 0), mul(y, log(maximum(a, 1e-38))), 0)),
    ],
    float,
  ),
  // Equal operands share the gradient, as in PyTorch.
  maximum: binary(
    'maximum',
    (a, b, { dtype }) => `${guarded('max', dtype)}(${a}, ${b})`,
    (dy, a, b) => shared(dy, greater(a, b), equal(a, b)),
  ),
  minimum: binary(
    'minimum',
    (a, b, { dtype }) => `${guarded('min', dtype)}(${a}, ${b})`,
    (dy, a, b) => shared(dy, less(a, b), equal(a, b)),
  ),
  equal: comparison('equal', (a, b) => `(${a} == ${b})`, any),
  notEqual: comparison(
    'notEqual',
    (a, b, { inputDTypes }) => (inputDTypes[0] === 'f32' ? `notEqual_(${a}, ${b})` : `(${a} != ${b})`),
    any,
  ),
  less: comparison('less', (a, b) => `(${a} < ${b})`),
  lessEqual: comparison('lessEqual', (a, b) => `(${a} <= ${b})`),
  greater: comparison('greater', (a, b) => `(${a} > ${b})`),
  greaterEqual: comparison('greaterEqual', (a, b) => `(${a} >= ${b})`),
  and: comparison('and', (a, b) => `(${a} & ${b})`, bool),
  or: comparison('or', (a, b) => `(${a} | ${b})`, bool),
};

function shared(dy: Tensor, first: Tensor, tie: Tensor): [Tensor, Tensor] {
  const half = where(tie, mul(dy, 0.5), 0);
  return [where(first, dy, half), where(or(first, tie), half, dy)];
}

type Operand = Tensor | number;
/** Throws a DTypeError unless each is a tensor or a number. */
function expectOperands(name: string, ...operands: readonly Operand[]): void {
  for (const each of operands) if (typeof each !== 'number') expectTensor(name, 'an operand', each);
}
/** Two operands as tensors; a number takes the other's type. */
function operands(name: string, a: Operand, b: Operand): [Tensor, Tensor] {
  expectOperands(name, a, b);
  if (typeof a !== 'number') return [a, operand(name, b, a)];
  if (typeof b !== 'number') return [operand(name, a, b), b];
  throw new DTypeError(`[${name}] one operand must be a tensor`);
}

type Binary = (a: Operand, b: Operand) => Tensor;
type BinaryName = keyof typeof binaryOps;
const binaryFunction =
  (name: BinaryName): Binary =>
  (a, b) => {
    const [left, right] = operands(name, a, b);
    return simplified(name, left, right) ?? applyOne(binaryOps[name], [left, right]);
  };

/** Constants meet constants when the graph is recorded, and 1·x is x: gradients start with ones. */
const folded: Partial<
  Record<BinaryName, { compute(a: number, b: number): number; neutral: number; commutes: boolean }>
> = {
  add: { compute: (a, b) => a + b, neutral: 0, commutes: true },
  sub: { compute: (a, b) => a - b, neutral: 0, commutes: false },
  mul: { compute: (a, b) => a * b, neutral: 1, commutes: true },
  div: { compute: (a, b) => a / b, neutral: 1, commutes: false },
};
function simplified(name: BinaryName, a: Tensor, b: Tensor): Tensor | null {
  const rule = folded[name];
  if (!rule || a.dtype !== 'f32' || b.dtype !== 'f32') return null;
  const [x, y] = [constantOf(a), constantOf(b)];
  if (x === null && y === null) return null;
  const shape = broadcastShapes(name, [a.shape, b.shape]);
  if (x !== null && y !== null) return full(shape, Math.fround(rule.compute(Math.fround(x), Math.fround(y))));
  if (y === rule.neutral && sameShape(a.shape, shape)) return a.version;
  if (x === rule.neutral && rule.commutes && sameShape(b.shape, shape)) return b.version;
  return null;
}
/**
 * a + b, elementwise. One operand may be a number and takes the type of the other; two tensors must both be f32, i32 or
 * u32, and broadcast as in NumPy. Throws a DTypeError on two types, or none of these, and a ShapeError where the shapes
 * don't broadcast. The other functions of two tensors do the same.
 */
export const add: Binary = binaryFunction('add');
/** a − b; operands as for `add`. */
export const sub: Binary = binaryFunction('sub');
/** a · b, elementwise; operands as for `add`. */
export const mul: Binary = binaryFunction('mul');
/** a / b; integers divide towards zero. Operands as for `add`. */
export const div: Binary = binaryFunction('div');
/** aᵇ of f32 numbers, as IEEE 754 has it: NaN for a negative base with a fraction in the exponent, ∞ for 0 with a negative one, 1 for a⁰. */
export const pow: Binary = binaryFunction('pow');
/** The greater of a and b; NaN where one of them is. Operands as for `add`; where they are equal, they share the gradient. */
export const maximum: Binary = binaryFunction('maximum');
/** The lesser of a and b; NaN where one of them is. Operands as for `add`; where they are equal, they share the gradient. */
export const minimum: Binary = binaryFunction('minimum');
/** True (bool) where a = b; false where one of them is NaN. Operands as for `add`, and bool. */
export const equal: Binary = binaryFunction('equal');
/** True (bool) where a ≠ b, and where one of them is NaN; operands as for `equal`. */
export const notEqual: Binary = binaryFunction('notEqual');
/** True (bool) where a < b; false where one of them is NaN. Operands as for `add`. */
export const less: Binary = binaryFunction('less');
/** True (bool) where a ≤ b; false where one of them is NaN. Operands as for `add`. */
export const lessEqual: Binary = binaryFunction('lessEqual');
/** True (bool) where a > b; false where one of them is NaN. Operands as for `add`. */
export const greater: Binary = binaryFunction('greater');
/** True (bool) where a ≥ b; false where one of them is NaN. Operands as for `add`. */
export const greaterEqual: Binary = binaryFunction('greaterEqual');
/** True where a and b (bool, broadcast as in NumPy) are both true. */
export const and: Binary = binaryFunction('and');
/** True where a or b (bool, broadcast as in NumPy) is true, or both. */
export const or: Binary = binaryFunction('or');

const whereOp = op<[condition: Tensor, a: Tensor, b: Tensor]>('where', {
  inputs: [bool, any, any],
  expression: ([condition, a, b]) => `select(${b}, ${a}, ${condition})`,
  gradient: (dy, [condition]) => [null, where(condition, dy, 0), where(condition, 0, dy)],
});
/** `a` where the condition (bool) holds, `b` elsewhere; all broadcast. Two numbers give f32. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  expectTensor('where', 'the condition', condition);
  expectOperands('where', a, b);
  const like = typeof a !== 'number' ? a : typeof b !== 'number' ? b : zeros([]);
  return applyOne(whereOp, [condition, operand('where', a, like), operand('where', b, like)]);
}

/** All elementwise ops, for the registry. */
export const elementwiseOps = {
  ...unaryOps,
  ...binaryOps,
  where: whereOp,
  full: fullOp,
  geluErfGradient,
  geluTanhGradient,
} satisfies Readonly<Record<string, OpDef>>;
