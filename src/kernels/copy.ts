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
      call: ({ size, offset, dtype }, { selection }) => {
        const type = dtypes[dtype].wgsl;
        const width = size % 4 === 0 && offset % 4 === 0 ? 4 : 1;
        const count = size / width;
        // Software adapters pay for every workgroup.
        const PER = selection === 'software' && count >= 4096 ? 4 : 1;
        return {
          dispatches: [
            {
              kernel: 'copy/place',
              source: place,
              constants: { Element: width === 4 ? `vec4<${type}>` : type, PER },
              bindings: [inout(0, 0), input(1)],
              uniforms: { size: count, offset: offset / width },
              workgroups: grid(Math.ceil(count / (64 * PER))),
            },
          ],
        };
      },
    },
  },
};
