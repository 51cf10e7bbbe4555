import { describe, expect, it } from 'vitest';
import { embeddingBackward } from '../../src/kernels/embedding.ts';
import { type Dispatch, input, type KernelCall, output } from '../../src/kernels/kernel.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { noSideSum, withSideSum } from '../../src/kernels/sideSum.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { runProfile } from '../support/kernels.ts';
import { check, type Expected, magnitudes, summed } from './conformance.ts';
import { type Draw, drawFor } from './draw.ts';
import { residual } from './hooks.ts';
import { place } from './operands.ts';

/** A kernel with room for a sum in front of it: a call of one dispatch, its inputs, and what it gives. */
interface Host {
  readonly call: KernelCall;
  readonly inputs: Parameters<typeof check>[1]['inputs'];
  readonly expected: readonly Expected[];
}

const [M, N, K] = [37, 35, 20];

/** A·B, with a residual beside it or not. */
function product(variant: string, tail: boolean): (draw: Draw) => Host {
  return (draw) => {
    const [a, b, other] = [draw.f32(M * K), draw.f32(K * N), draw.f32(M * N)];
    const problem = {
      ...{ batch: [], M, N, K, a: place([M, K]), b: place([K, N]) },
      ...(tail && { epilogue: residual([M, N], 2, 1) }),
    };
    const values = [ref([M, K], a), ref([K, N], b)] as const;
    const [c] = evaluate('matmul', values) as [Ref];
    const [magnitude] = evaluate('matmul', values.map(magnitudes)) as [Ref];
    const plain = summed(c, magnitude, K);
    const tolerance = Float64Array.from(plain.tolerance as ArrayLike<number>, (bound) => bound + 1e-6);
    const sum: Expected = { dtype: 'f32', values: c.data.map((x, i) => x + (other[i] as number)), tolerance };
    const call = matmul.variants[variant]?.call(problem, runProfile) as KernelCall;
    return { call, inputs: tail ? [a, b, other] : [a, b], expected: tail ? [sum, plain] : [plain] };
  };
}

function table(variant: string): (draw: Draw) => Host {
  return (draw) => {
    const [count, V, E] = [70, 31, 5];
    const [dOut, ids] = [draw.f32(count * E), draw.i32(count, 0, V)];
    const [dWeight] = evaluate('embeddingBackward', [ref([count, E], dOut), ref([count], ids)], { rows: V }) as [Ref];
    const magnitude = magnitudes(ref([count, E], dOut));
    const [bound] = evaluate('embeddingBackward', [magnitude, ref([count], ids)], { rows: V }) as [Ref];
    const call = embeddingBackward.variants[variant]?.call({ count, V, E, indexDType: 'i32' }, runProfile);
    return { call: call as KernelCall, inputs: [dOut, ids], expected: [summed(dWeight, bound, count)] };
  };
}

const hosts: Readonly<Record<string, (draw: Draw) => Host>> = {
  'matmul/tiled32': product('tiled32', false),
  'matmul/tiled32 with a residual': product('tiled32', true),
  'matmul/splitK': product('splitK', false),
  'matmul/registers4': product('registers4', true),
  'embeddingBackward/rows': table('rows'),
  'embeddingBackward/chains': table('chains'),
};

/** [rows, columns] into one output or two. */
const sums: readonly (readonly [rows: number, columns: number, outputs: 1 | 2])[] = [
  [1, 1, 1],
  [7, 130, 2],
  [8, 65, 1],
  [43, 33, 1],
  [256, 6, 2],
];

describe('a sum in front of', () => {
  for (const [name, prepare] of Object.entries(hosts)) {
    it(name, async () => {
      for (const [rows, columns, outputs] of sums) {
        const draw = drawFor(`${name} ${rows} ${columns}`);
        const { call, inputs, expected } = prepare(draw);
        const source = draw.f32(rows * columns);
        const ones = ref([1, rows], new Float64Array(rows).fill(1));
        const matrix = ref([rows, columns], source);
        const [total] = evaluate('matmul', [ones, matrix]) as [Ref];
        const [magnitude] = evaluate('matmul', [ones, magnitudes(matrix)]) as [Ref];
        const { values, tolerance } = summed(total, magnitude, rows);
        const half = columns / outputs;
        const parts = Array.from({ length: outputs }, (_, i): Expected => {
          const part = (all: ArrayLike<number>) => Array.from(all).slice(i * half, (i + 1) * half);
          return { dtype: 'f32', values: part(values), tolerance: part(tolerance as ArrayLike<number>) };
        });
        const sum = {
          ...{ rows, columns, source: input(inputs.length) },
          outputs: parts.map((_, i) => output(expected.length + i)),
        };
        const [host, ...others] = call.dispatches as [Dispatch, ...Dispatch[]];
        const hosting = { ...call, dispatches: [withSideSum(host, sum), ...others] };
        await check(hosting, { inputs: [...inputs, source], expected: [...expected, ...parts] });
      }
    });
  }

  it('names kernels that have parameters for it', () => {
    for (const prepare of Object.values(hosts)) {
      const { dispatches } = prepare(drawFor('parameters')).call;
      expect(dispatches[0]?.uniforms).toMatchObject(noSideSum);
      expect(dispatches[0]?.sideThreads).toBeGreaterThan(0);
    }
  });
});
