import { wordSize } from '../core/dtype.ts';
import './randomLibrary.ts';
import source from '../../shaders/sample/phases.wgsl' with { type: 'text' };
import type { CategoricalProblem } from './categorical.ts';
import { family } from './family.ts';
import { grid, input, output, scratch, status } from './kernel.ts';
import { loop, ranges, timesIn } from './loopLimit.ts';

/**
 * As `categorical`, with settings f32 [4] before the key: the temperature, k and p of the nucleus among the k best, and one
 * that is not read. k ≥ n and p ≥ 1 keep all; temperature 0 takes the best.
 */
export const sample = family<CategoricalProblem>({
  name: 'sample',
  variants: {
    /** As many phases to a dispatch as the limit of turns allows: as a rule all. */
    phases: {
      unsupported: ({ n }) => (n <= 2 ** 24 ? null : 'more than 2^24 classes can not be counted in f32'),
      call: ({ rows, n, stream }, { selection, loopLimit }) => {
        const SIZE = selection === 'software' && n <= 4096 ? 32 : n <= 256 ? 64 : 128;
        const digits = Math.max(1, Math.ceil(Math.log2(n) / 4));
        const phase = loop(16) + loop(Math.ceil(n / SIZE)) + loop(SIZE) + loop(16);
        return {
          dispatches: ranges(3 + 2 * (8 + digits), timesIn(loopLimit, phase)).map(({ start, end }, i) => ({
            kernel: `sample/phases/${i}`,
            source,
            constants: { SIZE },
            bindings: [input(0), input(1), input(2), scratch(0), output(0), status],
            uniforms: { rows, n, stream, digits, first: start, last: end, statusCode: 0 },
            workgroups: grid(rows),
            turns: loop(end - start, phase),
          })),
          // The eight words of a State.
          scratch: [rows * 8 * wordSize],
        };
      },
    },
  },
  select: () => 'phases',
});
