import type { Values } from './core/types.ts';
import { Stateful } from './graph/parameter.ts';
import { Tensor } from './graph/tensor.ts';
import { repeat, roll } from './ops/arrange.ts';
import { asTensor } from './ops/create.ts';
import { cumsum } from './ops/cumsum.ts';
import * as elementwise from './ops/elementwise.ts';
import { gather, scatterAdd } from './ops/gather.ts';
import { backward } from './ops/gradient.ts';
import { oneHot, tril, triu } from './ops/indexing.ts';
import { chunk, split, unbind } from './ops/join.ts';
import { maskedFill } from './ops/masks.ts';
import { matmul } from './ops/matmul.ts';
import { dropout } from './ops/random.ts';
import { all, any, argMax, argMin, logSumExp, max, mean, min, sum } from './ops/reduce.ts';
import { at, pad, slice } from './ops/slice.ts';
import { logSoftmax, softmax } from './ops/softmax.ts';
import { argsort, sort } from './ops/sort.ts';
import { norm, std, variance } from './ops/statistics.ts';
import { topK } from './ops/topK.ts';
import { detach, expand, flip, permute, reshape, squeeze, transpose, unsqueeze } from './ops/view.ts';
import './runtime/reading.ts';

/**
 * The ops as methods of tensors: the one file that knows them all, so that whoever imports less carries less. Each method is
 * the function of its name, which documents it, with the tensor in the place of the first argument.
 */

const { add, sub, mul, div, pow, maximum, minimum } = elementwise;
const { equal, notEqual, less, lessEqual, greater, greaterEqual, isInf, and, or, not } = elementwise;
const { neg, abs, sign, floor, exp, log, sqrt, rsqrt, reciprocal, square, sin, cos, tanh, sigmoid, erf } = elementwise;
const { relu, leakyRelu, elu, gelu, silu, softplus, clamp, cast } = elementwise;

const methods = {
  ...{ add, sub, mul, div, pow, maximum, minimum },
  ...{ equal, notEqual, less, lessEqual, greater, greaterEqual, isInf, and, or, not },
  ...{ isNaN: elementwise.isNaN, isFinite: elementwise.isFinite },
  ...{ neg, abs, sign, floor, exp, log, sqrt, rsqrt, reciprocal, square, sin, cos, tanh, sigmoid, erf },
  ...{ relu, leakyRelu, elu, gelu, silu, softplus, clamp, cast },
  ...{ reshape, permute, transpose, slice, at, expand, flip, squeeze, unsqueeze, detach, pad, split },
  ...{ sum, mean, max, min, logSumExp, argMax, argMin, softmax, logSoftmax },
  ...{ any, all, variance, std, norm, chunk, unbind, roll, repeat, maskedFill },
  ...{ cumsum, gather, scatterAdd, sort, argsort, topK, oneHot, tril, triu, matmul, dropout },
  /** Adds the gradient of this scalar (or of its product with `seed`) to the `grad` of every parameter behind it. */
  backward,
};

/** A function of a tensor as its method. */
type Method<F> = F extends (x: never, ...others: infer Others) => infer Result ? (...others: Others) => Result : never;
type Methods = { [Name in keyof typeof methods]: Method<(typeof methods)[Name]> };

declare module './graph/tensor.ts' {
  interface Tensor extends Methods {}
}
declare module './graph/parameter.ts' {
  interface Stateful {
    /** Makes `value`, a tensor or whatever `tensor` takes, the next version; values computed before keep the old one. */
    assign(value: Tensor | Values): void;
  }
}

for (const [name, op] of Object.entries(methods))
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...others: readonly unknown[]) {
      return (op as (x: Tensor, ...others: readonly unknown[]) => unknown)(this, ...others);
    },
    configurable: true,
    writable: true,
  });

Stateful.prototype.assign = function assign(value) {
  this.state.assign(asTensor(value));
};
