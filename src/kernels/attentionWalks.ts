import type { AttentionProblem } from './attention.ts';
import { vectors } from './attentionHooks.ts';
import { loop } from './loopLimit.ts';

/** How a lane of an attention kernel walks over keys, or queries: `by` so many at a time, with what turns of other loops. */
interface Walk {
  readonly by: number;
  /** Turns within each step. */
  readonly step: number;
  /** Turns before and after. */
  readonly rest: number;
}

export type Walks = (problem: AttentionProblem, part: 'forward' | 'dq' | 'dkdv') => Walk;

/** Columns of a head, and turns in which four of its elements are stored. */
const widthOf = (problem: AttentionProblem) => ({
  columns: Math.ceil(problem.D / 4),
  store: vectors(problem) ? 0 : loop(4),
});

/** `savedRows` of attentionHooks.ts. */
const delta = (columns: number) => loop(4, loop(columns));

/** forward.block.wgsl, dq.block.wgsl, dkdv.block.wgsl. */
export const blockWalks: Walks = (problem, part) => {
  const { columns, store } = widthOf(problem);
  const stored = 4 * store;
  return {
    forward: { by: 4, step: loop(columns) + loop(columns, stored), rest: 2 * loop(4) },
    dq: { by: 4, step: loop(columns) + loop(columns, stored), rest: delta(columns) },
    dkdv: { by: 4, step: loop(columns) + loop(columns, loop(2, stored)), rest: 0 },
  }[part];
};

/** forward.rows.wgsl, dq.rows.wgsl, dkdv.rows.wgsl; storing is a loop where four lanes load together. */
const wideWalks =
  (quads: boolean): Walks =>
  (problem, part) => {
    const { columns, store } = widthOf(problem);
    const eight = quads ? loop(8, store) : 8 * store;
    const stored = loop(columns, eight);
    // Lanes of one team may take either way through a block, and are as slow as both.
    const diagonal = problem.causal && !problem.mask;
    const taken = (each: number) => (diagonal ? loop(4, loop(columns, each)) : 0);
    const looked = diagonal ? loop(8, loop(columns)) : 0;
    return {
      forward: {
        by: 16,
        step: loop(columns) + 2 * loop(4) + stored + taken(eight),
        rest: 2 * loop(4) + loop(8) + looked,
      },
      dq: {
        by: 16,
        step: 2 * loop(columns) + loop(4) + stored + taken(eight),
        rest: loop(2, delta(columns)) + looked,
      },
      dkdv: { by: 16, step: 2 * loop(columns) + loop(4) + 2 * stored + taken(2 * eight), rest: 2 * looked },
    }[part];
  };
export const rowWalks = wideWalks(false);
export const quadWalks = wideWalks(true);

/** forward.flash.wgsl, dq.flash.wgsl, dkdv.flash.wgsl; the names are those of attentionTiles.wgsl. */
export const tileWalks: Walks = (problem, part) => {
  const { columns, store } = widthOf(problem);
  const chunks = Math.ceil(columns / 16);
  const width = Math.ceil(columns / chunks);
  const stage = loop(Math.ceil((32 * width) / 64));
  const multiply = chunks * (stage + loop(width));
  const accumulate = loop(32);
  const again = (chunks - 1) * (stage + accumulate);
  const stored = chunks * 2 * 4 * store;
  return {
    forward: {
      by: 32,
      step: multiply + loop(8) + stage + accumulate + again,
      rest: loop(4) + chunks * loop(4) + loop(8) + stored + loop(4),
    },
    dq: { by: 32, step: 2 * multiply + accumulate + again, rest: delta(columns) + stored },
    dkdv: { by: 32, step: 2 * multiply + accumulate + again + stage + accumulate + again, rest: 2 * stored },
  }[part];
};
