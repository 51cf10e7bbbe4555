import commit from '../../shaders/copy/commit.wgsl' with { type: 'text' };
import place from '../../shaders/copy/place.wgsl' with { type: 'text' };
import { type DType, dtypes } from '../core/dtype.ts';
import { family } from './family.ts';
import { grid, inout, input, output, type SelectionProfile, status } from './kernel.ts';

/** Elements of four where they can be, and how many an invocation takes: software adapters pay for every workgroup. */
function spread(dtype: DType, sizes: readonly number[], offset: number, selection: SelectionProfile) {
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
export interface CopyProblem {
  readonly size: number;
  readonly padded: number;
  readonly offset: number;
  readonly dtype: DType;
}

export const copyFamily = family<CopyProblem>({
  name: 'copy',
  select: () => 'place',
  variants: {
    place: {
      call: ({ size, padded, offset, dtype }, { selection }) => {
        const { constants, width, workgroups } = spread(dtype, [size, padded], offset, selection);
        const uniforms = { size: size / width, padded: padded / width, offset: offset / width };
        const bindings = [inout(0, 0), input(1)];
        return { dispatches: [{ kernel: 'copy/place', source: place, constants, bindings, uniforms, workgroups }] };
      },
    },
  },
});

/**
 * A state's next version, unless the submit's status is set: inputs present version, next version, or, where nothing came
 * before, the next one alone, in place of which there are zeros then.
 */
export interface CommitProblem {
  readonly size: number;
  readonly dtype: DType;
  readonly fresh: boolean;
}

export const commitFamily = family<CommitProblem>({
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
              source: commit,
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
