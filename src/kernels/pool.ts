import backwardText from '../../shaders/pool/backward.wgsl' with { type: 'text' };
import forwardText from '../../shaders/pool/forward.wgsl' with { type: 'text' };
import { family } from './family.ts';
import { grid, input, output, type StoreHook } from './kernel.ts';
import { loop } from './loopLimit.ts';
import { withStore } from './storeTail.ts';

type Pair = readonly [rows: number, columns: number];

/** Windows [OH, OW] on planes [H, W]. */
export interface PoolProblem {
  readonly planes: number;
  readonly image: Pair;
  readonly result: Pair;
  /** Of a window forward, and of the windows that may meet a pixel backward: the most rows and columns. */
  readonly taps: Pair;
  /** A tail fused into `store` of output 0. */
  readonly store?: StoreHook;
}

/** The same with what lies between the pixels of a window. */
export interface MaxPoolProblem extends PoolProblem {
  readonly dilation: Pair;
}

const SIZE = 64;

const extents = ({ planes, image: [H, W], result: [OH, OW] }: PoolProblem) => ({ planes, H, W, OH, OW });

/** inputs x [planes, H, W], table → outputs values [planes, OH, OW], positions i32 in the plane: see shaders/pool/forward.wgsl. */
export const maxPool = family<MaxPoolProblem>({
  name: 'maxPool',
  variants: {
    pool: {
      call: (problem) => ({
        dispatches: [
          withStore(
            {
              kernel: 'maxPool/pool',
              source: forwardText,
              constants: { SIZE },
              bindings: [input(0), input(1), output(0), output(1)],
              uniforms: { ...extents(problem), rowStep: problem.dilation[0], columnStep: problem.dilation[1] },
              workgroups: grid(Math.ceil((problem.planes * problem.result[0] * problem.result[1]) / SIZE)),
              turns: loop(problem.taps[0], loop(problem.taps[1])),
            },
            problem.store,
          ),
        ],
      }),
    },
  },
  select: () => 'pool',
});

/** inputs dy [planes, OH, OW], positions, table → output(0) dx [planes, H, W]: see shaders/pool/backward.wgsl. */
export const maxPoolBackward = family<PoolProblem>({
  name: 'maxPoolBackward',
  variants: {
    pool: {
      call: (problem) => ({
        dispatches: [
          withStore(
            {
              kernel: 'maxPoolBackward/pool',
              source: backwardText,
              constants: { SIZE },
              bindings: [input(0), input(1), input(2), output(0)],
              uniforms: extents(problem),
              workgroups: grid(Math.ceil((problem.planes * problem.image[0] * problem.image[1]) / SIZE)),
              turns: loop(problem.taps[0], loop(problem.taps[1])),
            },
            problem.store,
          ),
        ],
      }),
    },
  },
  select: () => 'pool',
});
