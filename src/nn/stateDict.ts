import { ValueError } from '../errors.ts';
import type { TensorType } from '../graph/node.ts';
import { formatShape, sameShape } from '../graph/shape.ts';
import type { Tensor } from '../tensor.ts';

/** Tensors by name, as `stateDict()` gives them and files hold them. */
export type StateDict = ReadonlyMap<string, Tensor>;

/** What did not fit when a state was loaded. */
export interface LoadReport {
  /** Names that are wanted and not given. */
  readonly missing: readonly string[];
  /** Names that are given and not wanted. */
  readonly unexpected: readonly string[];
  /** Entries of another shape or type, each with what is wanted and what is given. */
  readonly mismatched: readonly string[];
}

export interface LoadOptions {
  /** Throw, and load nothing, unless every entry fits; default true. Otherwise what fits is loaded and the rest is reported. */
  strict?: boolean;
}

/** The given entries that fit the wanted ones, and a report of the others, which is thrown as one ValueError if `strict`. */
export function matchState(
  owner: string,
  wanted: ReadonlyMap<string, TensorType>,
  given: StateDict | Readonly<Record<string, Tensor>>,
  { strict = true }: LoadOptions = {},
): { fitting: Map<string, Tensor>; report: LoadReport } {
  const entries: StateDict = given instanceof Map ? given : new Map(Object.entries(given));
  const fitting = new Map<string, Tensor>();
  const missing: string[] = [];
  const mismatched: string[] = [];
  for (const [name, type] of wanted) {
    const value = entries.get(name);
    if (!value) missing.push(name);
    else if (sameShape(value.shape, type.shape) && value.dtype === type.dtype) fitting.set(name, value);
    else mismatched.push(`${name} is ${describe(type)} here, ${describe(value)} in what is loaded`);
  }
  const unexpected = [...entries.keys()].filter((name) => !wanted.has(name));
  const problems = [
    ...list('missing', missing, ', '),
    ...list('unexpected', unexpected, ', '),
    ...list('mismatched', mismatched, '; '),
  ];
  if (strict && problems.length > 0) {
    throw new ValueError(
      `[loadStateDict] this state does not fit ${owner}:\n${problems.join('\n')}\nNothing was loaded; { strict: false } loads what fits.`,
    );
  }
  return { fitting, report: { missing, unexpected, mismatched } };
}

const describe = ({ dtype, shape }: TensorType) => `${dtype} ${formatShape(shape)}`;
const list = (what: string, names: readonly string[], separator: string) =>
  names.length > 0 ? [`  ${what} (${names.length}): ${names.join(separator)}`] : [];
