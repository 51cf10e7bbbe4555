import { dtypes } from '../core/dtype.ts';
import { ValueError } from '../core/errors.ts';
import { brief, declareOptions, firstOf, flag, shown } from '../core/options.ts';
import { formatShape, sameShape, sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import { fromHost } from '../graph/leaf.ts';
import { Tensor } from '../graph/tensor.ts';
import type { HostTensor } from '../io/safetensors.ts';

/**
 * Tensors by name, in a Map or an object: what `stateDict()` gives, what `io.load` loads (`refused` says why a tensor of the
 * file is missing), and the `tensors` of `io.readSafetensors`.
 */
export type StateDict =
  | (ReadonlyMap<string, Tensor | HostTensor> & {
      /** Why a tensor of the file is missing, by its name. */
      readonly refused?: Readonly<Record<string, string>>;
    })
  | Readonly<Record<string, Tensor | HostTensor>>;

/** What did not fit when a state was loaded. */
export interface LoadReport {
  /** Names that are wanted and not given. */
  readonly missing: readonly string[];
  /** Names that are given and not wanted. */
  readonly unexpected: readonly string[];
  /** Entries of another shape or type, each with what is wanted and what is given. */
  readonly mismatched: readonly string[];
}

/** Whether `loadStateDict` wants every entry to fit. */
export interface LoadOptions {
  /** Throw, and load nothing, unless every entry fits; default true. Otherwise what fits is loaded and the rest is reported. */
  strict?: boolean;
}
const loadOptions = declareOptions<LoadOptions>({ strict: flag });

/** The given entries that fit the wanted ones, and a report of the others, which is thrown as one ValueError if `strict`. */
export function matchState(
  owner: string,
  wanted: ReadonlyMap<string, TensorType>,
  given: StateDict,
  options?: LoadOptions,
): { fitting: Map<string, Tensor>; report: LoadReport } {
  const { strict = true } = loadOptions('loadStateDict', options);
  if (typeof given !== 'object' || given === null)
    throw new ValueError(`[loadStateDict] needs a Map or an object of tensors, got ${shown(given)}`);
  const entries: ReadonlyMap<string, Tensor | HostTensor> =
    given instanceof Map ? given : new Map(Object.entries(given));
  const fitting = new Map<string, Tensor>();
  const missing: string[] = [];
  const mismatched: string[] = [];
  for (const [name, type] of wanted) {
    const value = entries.get(name);
    if (!value) missing.push(name);
    else if (!isWhole(value)) mismatched.push(`${name} is ${describe(type)} here, no tensor in what is loaded`);
    else if (sameShape(value.shape, type.shape) && value.dtype === type.dtype) fitting.set(name, asTensor(value));
    else mismatched.push(`${name} is ${describe(type)} here, ${describe(value)} in what is loaded`);
  }
  const unexpected = [...entries.keys()].filter((name) => !wanted.has(name)).map(asName);
  const { refused = {} } = (given instanceof Map ? given : {}) as { refused?: Readonly<Record<string, string>> };
  const why = (name: string) => (Object.hasOwn(refused, name) ? `${name} (in the file it ${refused[name]})` : name);
  const problems = [
    ...list('missing', missing.map(why), ', '),
    ...list('unexpected', unexpected, ', '),
    ...list('mismatched', mismatched, '; '),
  ];
  if (strict && problems.length > 0) {
    throw new ValueError(
      `[loadStateDict] this state does not fit ${brief(owner)}:\n${problems.join('\n')}\nNothing was loaded; { strict: false } loads what fits.`,
    );
  }
  return { fitting, report: { missing, unexpected, mismatched } };
}

/** Who calls from JavaScript may have a Map with any keys. */
const asName = (key: unknown) => (typeof key === 'string' ? key : shown(key));

/** Whether a value is a tensor; one in host memory needs values for its type and shape. */
function isWhole(value: Tensor | HostTensor): boolean {
  if (value instanceof Tensor) return true;
  const { dtype, shape, data } = Object(value) as Partial<HostTensor>;
  const kind = dtype && dtypes[dtype]?.array;
  return kind !== undefined && Array.isArray(shape) && data instanceof kind && data.length === sizeOf(shape);
}

/** Values of the caller's are copied: they may change before the tensor is used. */
const asTensor = (value: Tensor | HostTensor) =>
  value instanceof Tensor ? value : fromHost(value, value.data.slice());

const describe = ({ dtype, shape }: TensorType) => `${dtype} ${brief(formatShape(shape))}`;
const list = (what: string, names: readonly string[], separator: string) =>
  names.length > 0 ? [`  ${what} (${names.length}): ${firstOf(names, separator)}`] : [];
