import { padSequences, type Tensor } from '../../src/index.ts';

/**
 * What a decoder learns from rows of ids: those before each step, begun with `end`, and those after it, ended with it, both
 * [B, T] of i32, and how many of them are each row's own, [B]. Filled up to a length T, or to the longest row.
 */
export function shifted(
  rows: readonly (readonly number[])[],
  end: number,
  length?: number,
): [before: Tensor, after: Tensor, lengths: Tensor] {
  const options = { dtype: 'i32', ...(length !== undefined && { length }) } as const;
  const before = padSequences(
    rows.map((row) => [end, ...row]),
    options,
  );
  const after = padSequences(
    rows.map((row) => [...row, end]),
    options,
  );
  return [before.values, after.values, after.lengths];
}
