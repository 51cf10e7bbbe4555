import type { DType } from '../../src/core/dtype.ts';
import { map, type Ref, type Rules } from './ref.ts';

/** erf(x) = 2/√π · exp(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!! (Abramowitz & Stegun 7.1.6): every term has the sign of x. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let total = 0;
  for (let n = 0; n < 200; n++) {
    total += term;
    term *= (2 * x * x) / (2 * n + 3);
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

const gelu = (x: number, approximate: 'none' | 'tanh') =>
  approximate === 'tanh'
    ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    : 0.5 * x * (1 + erf(x / Math.SQRT2));

const clamp = (x: number, min: number, max: number) => Math.min(Math.max(x, min), max);

/** Conversions as WGSL has them: towards zero, and to the nearest value of the type where it is out of range; NaN gives 0. */
const casts: Readonly<Record<DType, (x: number) => number>> = {
  f32: (x) => x,
  i32: (x) => clamp(Math.trunc(x) || 0, -(2 ** 31), 2 ** 31 - 1),
  u32: (x) => clamp(Math.trunc(x) || 0, 0, 2 ** 32 - 1),
  bool: (x) => Number(x !== 0),
};

const unary =
  (f: (x: number) => number) =>
  ([x]: readonly [Ref]): [Ref] => [map([x], f)];

const unaryWith =
  <A>(f: (x: number, attributes: A) => number) =>
  ([x]: readonly [Ref], attributes: A): [Ref] => [map([x], (value) => f(value, attributes))];

const binary =
  (f: (a: number, b: number) => number | boolean) =>
  ([a, b]: readonly [Ref, Ref]): [Ref] => [map([a, b], (x, y) => Number(f(x, y)))];

export const elementwise = {
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  rsqrt: unary((x) => 1 / Math.sqrt(x)),
  abs: unary(Math.abs),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  tanh: unary(Math.tanh),
  sigmoid: unary(sigmoid),
  erf: unary(erf),
  relu: unary((x) => Math.max(x, 0)),
  leakyRelu: unaryWith((x, { slope }: { slope: number }) => (x > 0 ? x : slope * x)),
  elu: unaryWith((x, { alpha }: { alpha: number }) => (x > 0 ? x : alpha * Math.expm1(x))),
  gelu: unaryWith((x, { approximate }: { approximate: 'none' | 'tanh' }) => gelu(x, approximate)),
  silu: unary((x) => x * sigmoid(x)),
  softplus: unary((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  reciprocal: unary((x) => 1 / x),
  square: unary((x) => x * x),
  sign: unary(Math.sign),
  floor: unary(Math.floor),
  not: unary((x) => Number(x === 0)),
  isNaN: unary((x) => Number(Number.isNaN(x))),
  isInf: unary((x) => Number(Math.abs(x) === Infinity)),
  isFinite: unary((x) => Number(Number.isFinite(x))),
  cast: unaryWith((x, { dtype }: { dtype: DType }) => casts[dtype](x)),
  clamp: unaryWith((x, { min, max }: { min?: number | null; max?: number | null }) =>
    clamp(x, min ?? -Infinity, max ?? Infinity),
  ),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  pow: binary((a, b) => (a === 1 ? 1 : Math.abs(a) === 1 && Math.abs(b) === Infinity ? 1 : a ** b)), // as IEEE 754, not as JavaScript
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  equal: binary((a, b) => a === b),
  notEqual: binary((a, b) => a !== b),
  less: binary((a, b) => a < b),
  lessEqual: binary((a, b) => a <= b),
  greater: binary((a, b) => a > b),
  greaterEqual: binary((a, b) => a >= b),
  and: binary((a, b) => a !== 0 && b !== 0),
  or: binary((a, b) => a !== 0 || b !== 0),
  where: ([condition, a, b]: readonly [Ref, Ref, Ref]): [Ref] => [
    map([condition, a, b], (chosen, x, y) => (chosen !== 0 ? x : y)),
  ],
} satisfies Rules;
