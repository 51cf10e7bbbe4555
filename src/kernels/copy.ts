import place from '../../shaders/copy/place.wgsl' with { type: 'text' };
import { type DType, dtypes } from '../graph/dtype.ts';
import { type Family, grid, inout, input } from './kernel.ts';

/** Input 1 (`size` elements) written into input 0 from element `offset` on; the output is input 0 changed. */
export interface CopyProblem {
  readonly size: number;
  readonly offset: number;
  readonly dtype: DType;
}

export const copyFamily: Family<CopyProblem> = {
  name: 'copy',
  select: () => 'place',
  variants: {
    place: {
      call: ({ size, offset, dtype }) => ({
        dispatches: [
          {
            kernel: 'copy/place',
            source: place,
            constants: { T: dtypes[dtype].wgsl },
            bindings: [inout(0, 0), input(1)],
            uniforms: { size, offset },
            workgroups: grid(Math.ceil(size / 64)),
          },
        ],
      }),
    },
  },
};
