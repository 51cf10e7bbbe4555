import './randomLibrary.ts';
import source from '../../shaders/categorical/gumbel.wgsl' with { type: 'text' };
import { family } from './family.ts';
import { grid, input, output, status } from './kernel.ts';
import { loop } from './loopLimit.ts';

/** One draw from softmax of each row of logits [rows, n]; `stream` tells the random ops of one step apart. */
export interface CategoricalProblem {
  readonly rows: number;
  readonly n: number;
  readonly stream: number;
}

/**
 * inputs logits f32 [rows, n], key u32 [4] (see shaders/lib/philox.wgsl) → output(0) i32 [rows]. Logits at or below -1e30
 * have probability 0. Element (row, j) uses word row · n + j of the stream, whatever the device. A row with a logit that is
 * NaN or +infinity, or with none above -1e30, gives 0 and sets the status.
 */
export const categorical = family<CategoricalProblem>({
  name: 'categorical',
  variants: {
    gumbel: {
      call: ({ rows, n, stream }, { selection, loopLimit }) => {
        const turns = (lanes: number) => loop(Math.ceil(n / lanes)) + loop(Math.log2(lanes));
        const few = selection === 'software' && n <= 2 ** 17 && turns(32) <= loopLimit;
        const SIZE = few ? 32 : n <= 256 ? 64 : 256;
        return {
          dispatches: [
            {
              kernel: 'categorical/gumbel',
              source,
              constants: { SIZE },
              bindings: [input(0), input(1), output(0), status],
              uniforms: { rows, n, stream, statusCode: 0 },
              workgroups: grid(rows),
              turns: turns(SIZE),
            },
          ],
        };
      },
    },
  },
  select: () => 'gumbel',
});
