import check from '../../shaders/finite/check.wgsl' with { type: 'text' };
import { grid, input, type KernelCall, status } from './kernel.ts';

/** input(0), `count` elements of f32: sets the status where one of them is not finite. */
export function finiteCheck(count: number): KernelCall {
  return {
    dispatches: [
      {
        kernel: 'finite/check',
        source: check,
        bindings: [input(0), status],
        uniforms: { count, statusCode: 0 },
        workgroups: grid(Math.ceil(count / 64)),
      },
    ],
  };
}
