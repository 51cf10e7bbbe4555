import { type DType, type HostArray, hostArray, isNumbers, type Numbers } from '../core/dtype.ts';
import { DTypeError, ShapeError, ValueError } from '../core/errors.ts';
import { expectKind, array as listKind, shown } from '../core/options.ts';
import { checkShape, formatShape, type Shape, sameShape, sizeOf } from '../core/shape.ts';
import { fromHost } from '../graph/leaf.ts';
import { isPlainObject } from '../graph/nested.ts';
import { Tensor } from '../graph/tensor.ts';
import { tensor } from '../ops/create.ts';
import { stack } from '../ops/join.ts';

/** What `collate` makes of samples of this type. */
export type Collated<Sample> = Sample extends Tensor | ArrayBufferView | number | boolean
  ? Tensor
  : Sample extends string
    ? Sample[]
    : Sample extends object
      ? { -readonly [Key in keyof Sample]: Collated<Sample[Key]> }
      : never;

/**
 * Makes one batch of B samples of one structure, as PyTorch's `default_collate` does: numbers and booleans become a tensor
 * [B] (f32, bool), typed arrays of n numbers [B, n], tensors [...] of one shape [B, ...], texts an array of B. Arrays and
 * plain objects of these are taken apart: B pairs `[x, y]` become one pair of batches. Numbers are f32 whatever they are;
 * `cast('i32')` makes ids of them.
 *
 * Throws a ShapeError or DTypeError that names the sample which differs from the first, a ValueError for what it can't put
 * together.
 */
export function collate<Sample>(samples: readonly Sample[]): Collated<Sample> {
  expectKind('collate', 'samples', samples, listKind);
  return collateNumbered(samples, (i) => i);
}

/** `collate` for samples that have numbers of their own, in messages; plain numbers become `dtype`. */
export function collateNumbered<Sample>(
  samples: readonly Sample[],
  numberOf: (i: number) => number,
  dtype: DType = 'f32',
): Collated<Sample> {
  if (samples.length === 0) throw new ShapeError('[collate] there are no samples; weft has no empty tensors');
  const context = { numberOf, dtype, depth: 0 };
  return join(samples, '', context) as Collated<Sample>;
}

interface Context {
  /** The sample that part i of each list is from. */
  readonly numberOf: (i: number) => number;
  readonly dtype: DType;
}
type Join<Part> = (parts: readonly Part[], path: string, context: Context) => unknown;

/** The kinds of values that samples are made of: how each is told, and put together. */
const kinds = {
  number: kind<number>(
    (part) => typeof part === 'number',
    (parts, _, { dtype }) => tensor(parts as number[], { dtype }),
  ),
  boolean: kind<boolean>(
    (part) => typeof part === 'boolean',
    (parts) => tensor(parts as boolean[]),
  ),
  text: kind<string>(
    (part) => typeof part === 'string',
    (parts) => [...parts],
  ),
  tensor: kind<Tensor>((part) => part instanceof Tensor, joinTensors),
  'typed array': kind<Numbers>(isNumbers, joinTypedArrays),
  array: kind<readonly unknown[]>(Array.isArray, (parts, path, context) => {
    expectAlike(parts, path, context, ({ length }) => length, 'elements');
    return (parts[0] as readonly unknown[]).map((_, k) =>
      join(
        parts.map((part) => part[k]),
        `${path}[${k}]`,
        context,
      ),
    );
  }),
  object: kind<Readonly<Record<string, unknown>>>(isPlainObject, (parts, path, context) => {
    const keysOf = (part: object) => Object.keys(part).sort().join(', ');
    expectAlike(parts, path, context, keysOf, 'as the names of its parts');
    const names = Object.keys(parts[0] as object);
    return Object.fromEntries(
      names.map((name) => [
        name,
        join(
          parts.map((part) => part[name]),
          `${path}.${name}`,
          context,
        ),
      ]),
    );
  }),
};
type KindName = keyof typeof kinds;

interface PartKind {
  readonly holds: (part: unknown) => boolean;
  readonly join: Join<unknown>;
}
function kind<Part>(holds: (part: unknown) => boolean, join: Join<Part>): PartKind {
  return { holds, join: join as Join<unknown> };
}

const kindOf = (part: unknown) => (Object.keys(kinds) as KindName[]).find((name) => kinds[name].holds(part));

/** Arrays in arrays, at most: what holds itself has no end. */
const deepest = 64;

function join(parts: readonly unknown[], path: string, context: Context): unknown {
  const [first] = parts;
  const name = kindOf(first);
  const { numberOf } = context;
  if (!name)
    throw new ValueError(
      `[collate] sample ${numberOf(0)} has ${shown(first)}${place(path)}, which can't become part of a batch: samples are made of numbers, booleans, texts, typed arrays and tensors, in arrays and plain objects; give a collate function of your own for others`,
    );
  if (path.split(/[.[]/).length > deepest)
    throw new ValueError(`[collate] samples are nested more than ${deepest} deep; does one hold itself?`);
  const odd = parts.findIndex((part) => kindOf(part) !== name);
  if (odd >= 0)
    throw new DTypeError(
      `[collate] sample ${numberOf(odd)} has ${shown(parts[odd])}${place(path)} where sample ${numberOf(0)} has ${withArticle(name)}; all samples must have the same structure`,
    );
  return kinds[name].join(parts, path, context);
}

const place = (path: string) => (path ? ` at ${path.replace(/^\./, '')}` : '');
const withArticle = (name: KindName) => `${/^[aeo]/.test(name) ? 'an' : 'a'} ${name}`;

/** Throws where a part differs from the first in what `measure` tells. */
function expectAlike<Part>(
  parts: readonly Part[],
  path: string,
  { numberOf }: Context,
  measure: (part: Part) => string | number,
  what: string,
): void {
  const wanted = measure(parts[0] as Part);
  const odd = parts.findIndex((part) => measure(part) !== wanted);
  if (odd < 0) return;
  throw new ShapeError(
    `[collate] sample ${numberOf(odd)} has ${measure(parts[odd] as Part)} ${what}${place(path)}, sample ${numberOf(0)} has ${wanted}; make them alike (by padding, say), or give a collate function of your own`,
  );
}

function expectOneType(dtypesOf: readonly DType[], path: string, { numberOf }: Context): DType {
  const [dtype] = dtypesOf as [DType];
  const odd = dtypesOf.findIndex((each) => each !== dtype);
  if (odd >= 0)
    throw new DTypeError(
      `[collate] sample ${numberOf(odd)} has ${dtypesOf[odd]} values${place(path)}, sample ${numberOf(0)} has ${dtype}; weft never converts unasked`,
    );
  return dtype;
}

/** The type of the tensor that holds a typed array's numbers. */
export function dtypeOf(numbers: Numbers): DType {
  if (numbers instanceof Int32Array) return 'i32';
  return numbers instanceof Uint32Array ? 'u32' : 'f32';
}

/** [n] each → [B, n] */
function joinTypedArrays(parts: readonly Numbers[], path: string, context: Context): Tensor {
  expectAlike(parts, path, context, ({ length }) => length, 'elements');
  const dtype = expectOneType(parts.map(dtypeOf), path, context);
  return stacked(parts, dtype, [(parts[0] as Numbers).length]);
}

/** [...] each → [B, ...], on the host where all lie there. */
function joinTensors(parts: readonly Tensor[], path: string, context: Context): Tensor {
  const { shape } = parts[0] as Tensor;
  const odd = parts.findIndex((part) => !sameShape(part.shape, shape));
  if (odd >= 0) expectAlike(parts, path, context, (part) => formatShape(part.shape), 'as its shape');
  const dtype = expectOneType(
    parts.map((part) => part.dtype),
    path,
    context,
  );
  const values = parts.map((part) => part.version.host);
  return values.every((each) => each !== null) ? stacked(values, dtype, shape) : stack(parts);
}

function stacked(rows: readonly (Numbers | HostArray)[], dtype: DType, shape: Shape): Tensor {
  const whole = checkShape('collate', [rows.length, ...shape]);
  const values = hostArray(dtype, sizeOf(whole));
  for (const [i, row] of rows.entries()) values.set(row, i * sizeOf(shape));
  return fromHost({ shape: whole, dtype }, values);
}
