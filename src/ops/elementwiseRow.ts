import type { DType } from '../core/dtype.ts';
import { DTypeError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import { broadcastShapes } from '../core/shape.ts';
import type { Attributes, TensorType } from '../core/types.ts';
import type { Each, NoAttributes, Op } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { ExpressionContext } from '../kernels/expression.ts';
import { literal } from '../kernels/numbers.ts';

/** What an elementwise op is, but for its name. */
interface Row<Inputs extends readonly Tensor[], Own extends Attributes> {
  readonly inputs: Each<Inputs, readonly DType[]>;
  /** Type of the result; that of the first input where left out. */
  readonly output?: DType | ((attributes: Own) => DType);
  expression(inputs: Each<Inputs, string>, attributes: Own, context: ExpressionContext): string;
  /** Gradients of the inputs from that of the output; `y` is the output, which the rule may use. */
  gradient?(dy: Tensor, inputs: Readonly<Inputs>, y: Tensor, attributes: Own): Each<Inputs, Tensor | null>;
}

/** Types that an input may have. */
export const float: readonly DType[] = ['f32'];
export const number: readonly DType[] = ['f32', 'i32', 'u32'];
export const any: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];
export const bool: readonly DType[] = ['bool'];

/** An op of one input. */
export function unary<Own extends Attributes = NoAttributes>(
  name: string,
  expression: (x: string, attributes: Own, context: ExpressionContext) => string,
  rule?: (dy: Tensor, x: Tensor, y: Tensor, attributes: Own) => Tensor | null,
  types = float,
): Op<[x: Tensor], Own> {
  return op<[x: Tensor], Own>(name, {
    inputs: [types],
    expression: ([x], attributes, context) => expression(x, attributes, context),
    ...(rule ? { gradient: (dy, [x], y, attributes) => [rule(dy, x, y, attributes)] } : {}),
  });
}

/** An op whose inputs broadcast. */
export function op<Inputs extends readonly Tensor[], Own extends Attributes = NoAttributes>(
  name: string,
  row: Row<Inputs, Own>,
): Op<Inputs, Own> {
  const { gradient } = row;
  return {
    name,
    infer: (inputs, attributes) => [inferRow(name, row, inputs, attributes)],
    lowering: { kind: 'elementwise', expression: row.expression },
    ...(gradient
      ? {
          gradient: ({ inputs, outputs: [y], attributes }, [dy]) => gradient(dy, inputs, y, attributes),
        }
      : {}),
  };
}

function inferRow<Inputs extends readonly Tensor[], Own extends Attributes>(
  name: string,
  row: Row<Inputs, Own>,
  inputs: Each<Inputs, TensorType>,
  attributes: Own,
): TensorType {
  for (const [i, { dtype }] of inputs.entries()) {
    const wanted = nth(row.inputs, i);
    if (!wanted.includes(dtype))
      throw new DTypeError(
        `[${name}] input ${i} must be ${wanted.join(' or ')}, got ${dtype}; use .cast('${wanted[0]}')`,
      );
  }
  // Inputs that may be of several types must agree; a condition has a type of its own.
  const free = inputs.filter((_, i) => nth(row.inputs, i).length > 1);
  const differing = free.find(({ dtype }) => dtype !== free[0]?.dtype);
  if (differing)
    throw new DTypeError(
      `[${name}] the inputs are ${free[0]?.dtype} and ${differing.dtype}; weft never promotes, so cast one: .cast('${free[0]?.dtype}')`,
    );
  const own = (free[0] ?? nth(inputs, 0)).dtype;
  const output = typeof row.output === 'function' ? row.output(attributes) : (row.output ?? own);
  return {
    shape: broadcastShapes(
      name,
      inputs.map(({ shape }) => shape),
    ),
    dtype: output,
  };
}

/** A function that WGSL has for all numbers, in the form that keeps NaN for floats. */
export const guarded = (name: 'clamp' | 'max' | 'min', dtype: DType) => (dtype === 'f32' ? `${name}_` : name);

/** A number as a literal, or a vector, of the kernel's f32. */
export const f = (value: number, { types }: ExpressionContext) => `${types.f32}(${literal(value, 'f32')})`;
