import './randomLibrary.ts';
import source from '../../shaders/fill/fill.wgsl' with { type: 'text' };
import { type Dispatch, grid, output } from './kernel.ts';
import { type SpecialisedShader, specialise } from './specialise.ts';

/** Random numbers to write to output(0), f32 [count]: block 0 of them is block `first` of the key's stream 0. */
export interface FillProblem {
  readonly kind: 'uniform' | 'normal';
  readonly key: ArrayLike<number>;
  readonly settings: ArrayLike<number>;
  readonly first: number;
  readonly count: number;
}

/** Elements that a workgroup fills. */
const perGroup = 64 * 4 * 4;

/** The one kernel that draws first values: all that tells one tensor from another is in its uniforms. */
export function fill({ kind, key, settings, first, count }: FillProblem): {
  readonly dispatch: Dispatch;
  readonly shader: SpecialisedShader;
} {
  const [seedLow, seedHigh, positionLow, positionHigh] = key as unknown as [number, number, number, number];
  const [a, b, c, d] = settings as unknown as [number, number, number, number];
  const dispatch: Dispatch = {
    kernel: 'fill',
    source,
    bindings: [output(0)],
    uniforms: {
      ...{ seedLow, seedHigh, positionLow, positionHigh, kind: kind === 'normal' ? 1 : 0, first, count },
      ...{ a, b, c, d },
    },
    workgroups: grid(Math.ceil(count / perGroup)),
  };
  return { dispatch, shader: specialise(dispatch) };
}
