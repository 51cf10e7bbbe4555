import source from '../../shaders/commit/elements.wgsl' with { type: 'text' };
import type { DType } from '../core/dtype.ts';
import { family } from './family.ts';
import { inout, input, output, status } from './kernel.ts';
import { spread } from './place.ts';

/**
 * The next version of a state, or the present one where the submit's status is set. Inputs: present version, next version;
 * a state without a present version has only the next, and zeros take the other's place.
 */
export interface CommitProblem {
  readonly size: number;
  readonly dtype: DType;
  readonly fresh: boolean;
}

export const commit = family<CommitProblem>({
  name: 'commit',
  select: () => 'elements',
  variants: {
    elements: {
      call: ({ size, dtype, fresh }, { selection }) => {
        const { constants, count, workgroups } = spread(dtype, [size], 0, selection);
        const bindings = fresh ? [output(0), input(0), status] : [inout(0, 0), input(1), status];
        return {
          dispatches: [
            {
              kernel: 'commit/elements',
              source,
              constants: { ...constants, FRESH: fresh },
              bindings,
              uniforms: { size: count },
              workgroups,
            },
          ],
        };
      },
    },
  },
});
