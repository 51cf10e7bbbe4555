import { formatShape } from '../core/shape.ts';
import type { Values } from '../core/types.ts';
import { isPlainObject, isPlainValue, literal, mapLeaves, mapTensors } from '../graph/nested.ts';
import type { State } from '../graph/state.ts';
import type { Tensor } from '../graph/tensor.ts';
import { isTensor } from '../graph/tensor.ts';
import { tensor } from '../ops/create.ts';

/**
 * Replaces typed arrays, and arrays that hold only numbers and booleans, by tensors among the arguments of a call, by the
 * rule of `tensor`. They are copies: the caller may fill an array anew before the step has its turn.
 */
export function asTensors(args: readonly unknown[]): unknown[] {
  const leaf = (value: unknown) =>
    ArrayBuffer.isView(value) || Array.isArray(value) ? tensor(value as Values) : value;
  return args.map((value, i) => mapLeaves('compile', `argument ${i}`, value, leaf, holdsNumbers));
}

/** True for arrays of numbers and booleans, nested or not. */
function holdsNumbers(array: readonly unknown[]): boolean {
  if (array.length === 0) return false;
  return array.every((item) =>
    Array.isArray(item) ? holdsNumbers(item) : typeof item === 'number' || typeof item === 'boolean',
  );
}

/** The tensors among arguments, in their order. Throws a ValueError where there is something else than data. */
export function tensorsAmong(args: readonly unknown[]): Tensor[] {
  const tensors: Tensor[] = [];
  for (const [i, value] of args.entries())
    mapTensors('compile', `argument ${i}`, value, (tensor) => tensors.push(tensor.version));
  return tensors;
}

/** Text that is equal for arguments which one trace serves: types of tensors, plain values, which states. */
export function signatureOf(value: unknown): string {
  if (isTensor(value)) return `${value.state ? nameOf(value.state) : ''}${value.dtype}${formatShape(value.shape)}`;
  if (Array.isArray(value)) return `[${value.map(signatureOf).join()}]`;
  if (value instanceof Map) return `Map{${entries([...value])}}`;
  if (isPlainObject(value)) return `{${entries(Object.entries(value))}}`;
  return isPlainValue(value) ? literal(value) : '';
}

const entries = (of: readonly (readonly [unknown, unknown])[]) =>
  of.map(([key, item]) => `${signatureOf(key)}:${signatureOf(item)}`).join();

/** Numbers that tell parameters and buffers apart: a trace belongs to the states that it reads. */
const numbers = new WeakMap<State, number>();
let states = 0;
function nameOf(state: State): string {
  let number = numbers.get(state);
  if (number === undefined) {
    number = ++states;
    numbers.set(state, number);
  }
  return `${JSON.stringify(state.label)} #${number} `;
}
