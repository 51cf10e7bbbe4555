import { DTypeError, ShapeError, ValueError } from '../errors.ts';
import { type DType, dtypes, type HostArray, HostValues, hostArray } from '../graph/dtype.ts';
import { checkShape, formatShape, type Shape, sizeOf } from '../graph/shape.ts';
import { fromHost, type NestedArray, Parameter, type Tensor } from '../tensor.ts';
import { copy } from './elementwise.ts';

/**
 * A tensor of the given values: a number, nested arrays (f32 unless `dtype` says otherwise; booleans give bool), or a
 * typed array, which keeps its kind and is copied.
 */
export function tensor(
  values: number | boolean | NestedArray | HostArray | Float64Array,
  options: { shape?: Shape; dtype?: DType } = {},
): Tensor {
  const flat: (number | boolean)[] | ArrayLike<number> = ArrayBuffer.isView(values)
    ? (values as HostArray)
    : flatten(values as NestedArray);
  const shape = checkShape(
    'tensor',
    options.shape ?? (ArrayBuffer.isView(values) ? [flat.length] : shapeOf(values as NestedArray)),
  );
  if (sizeOf(shape) !== flat.length)
    throw new ShapeError(
      `[tensor] ${flat.length} values do not fill shape ${formatShape(shape)}, which has ${sizeOf(shape)} elements`,
    );
  const own: DType =
    values instanceof Int32Array
      ? 'i32'
      : values instanceof Uint32Array
        ? 'u32'
        : typeof flat[0] === 'boolean'
          ? 'bool'
          : 'f32';
  const dtype = options.dtype ?? own;
  if (!(dtype in dtypes))
    throw new DTypeError(`[tensor] there is no dtype ${String(dtype)}; there are ${Object.keys(dtypes).join(', ')}`);
  return fromHost(
    { shape: [...shape], dtype },
    typed(dtype, flat.length, (i) => Number(flat[i])),
  );
}

/** The numbers start, start + step, … below stop, one dimension. */
export function arange(start: number, stop?: number, step = 1, dtype: DType = 'i32'): Tensor {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const count = Math.ceil((to - from) / step);
  if (!(count >= 1)) throw new ValueError(`[arange] from ${from} to ${to} in steps of ${step} there are no numbers`);
  return fromHost(
    { shape: [count], dtype },
    typed(dtype, count, (i) => from + i * step),
  );
}

/** A parameter that starts with the value of `initial`. */
export function parameter(initial: Tensor, name?: string): Parameter {
  if (initial.dtype !== 'f32') throw new DTypeError(`[parameter] must be f32, got ${initial.dtype}; use .cast('f32')`);
  return new Parameter(
    initial.version.hostValues ? fromHost(initial, initial.version.hostValues) : copy(initial),
    name,
  );
}

/** A tensor that `fill` fills when its values are first needed. */
export function filled(op: string, shape: Shape, fill: (values: Float32Array<ArrayBuffer>) => void): Tensor {
  const size = sizeOf(checkShape(op, shape));
  const values = new HostValues(() => {
    const values = new Float32Array(size);
    fill(values);
    return values;
  });
  return fromHost({ shape: [...shape], dtype: 'f32' }, values);
}

function typed(dtype: DType, length: number, value: (i: number) => number): HostArray {
  const array = hostArray(dtype, length);
  for (let i = 0; i < length; i++) array[i] = value(i);
  return array;
}

function flatten(values: NestedArray, into: (number | boolean)[] = []): (number | boolean)[] {
  if (Array.isArray(values)) for (const value of values) flatten(value, into);
  else into.push(values);
  return into;
}

function shapeOf(values: NestedArray): number[] {
  if (!Array.isArray(values)) return [];
  const inner = shapeOf(values[0] ?? 0);
  for (const value of values) {
    const other = shapeOf(value);
    if (formatShape(other) !== formatShape(inner))
      throw new ShapeError(
        `[tensor] ragged arrays: one row has shape ${formatShape(inner)}, another ${formatShape(other)}`,
      );
  }
  return [values.length, ...inner];
}
