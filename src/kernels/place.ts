import elements from '../../shaders/place/elements.wgsl' with { type: 'text' };
import { type DType, dtypes } from '../core/dtype.ts';
import { family } from './family.ts';
import { grid, inout, input, type SelectionProfile } from './kernel.ts';

/** Elements of four where they can be, and how many an invocation takes: software adapters pay for every workgroup. */
export function spread(dtype: DType, sizes: readonly number[], offset: number, selection: SelectionProfile) {
  const type = dtypes[dtype].wgsl;
  const width = [...sizes, offset].every((each) => each % 4 === 0) ? 4 : 1;
  const count = Math.max(...sizes) / width;
  const PER = selection === 'software' && count >= 4096 ? 4 : 1;
  const constants = { Element: width === 4 ? `vec4<${type}>` : type, PER };
  return { constants, width, count, workgroups: grid(Math.ceil(count / (64 * PER))) };
}

/**
 * Input 1 (`size` elements) written into input 0 from element `offset` on, and 0 behind it, up to `padded` elements in all;
 * the output is input 0 changed.
 */
export interface PlaceProblem {
  readonly size: number;
  readonly padded: number;
  readonly offset: number;
  readonly dtype: DType;
}

export const place = family<PlaceProblem>({
  name: 'place',
  select: () => 'elements',
  variants: {
    elements: {
      call: ({ size, padded, offset, dtype }, { selection }) => {
        const { constants, width, workgroups } = spread(dtype, [size, padded], offset, selection);
        const uniforms = { size: size / width, padded: padded / width, offset: offset / width };
        const bindings = [inout(0, 0), input(1)];
        return {
          dispatches: [{ kernel: 'place/elements', source: elements, constants, bindings, uniforms, workgroups }],
        };
      },
    },
  },
});
