import { describe, expect, it } from 'vitest';
import { attentionForward } from '../../src/kernels/attention.ts';
import { crossEntropy } from '../../src/kernels/crossEntropy.ts';
import { cumsum } from '../../src/kernels/cumsum.ts';
import { embeddingBackward } from '../../src/kernels/embedding.ts';
import { familyCall } from '../../src/kernels/family.ts';
import { defaultProfile, type Family, grid } from '../../src/kernels/kernel.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { norm, normBackward } from '../../src/kernels/norm.ts';
import { recurrentBackward, recurrentForward } from '../../src/kernels/recurrent.ts';
import { reduce } from '../../src/kernels/reduce.ts';
import { scatterAdd } from '../../src/kernels/scatterAdd.ts';
import { softmax } from '../../src/kernels/softmax.ts';
import { topK } from '../../src/kernels/topK.ts';
import { profiles } from '../support/kernels.ts';
import { place } from './operands.ts';

const product = (M: number, N: number, K: number, batch: readonly number[] = []) => ({
  ...{ batch, M, N, K },
  a: place([...batch, M, K]),
  b: place([...batch, K, N]),
});
const sum = (outer: number, n: number, inner: number) => ({
  kind: 'sum' as const,
  outer,
  n,
  inner,
  dtype: 'f32' as const,
});
const lstm = (H: number) => ({ cell: 'lstm' as const, T: 4, B: 4, H, reverse: false, lengths: false });
const queries = (B: number, H: number, L: number, D: number) => {
  const heads = place([B, H, L, D]);
  return {
    ...{ B, H, L, S: L, D, causal: true, scale: 1, dropout: 0, stream: 0 },
    ...{ q: heads, k: heads, v: heads, O: heads },
  };
};

/** A family, a problem, and what is chosen for it on a GPU and on a software adapter, without subgroups and with them. */
function example<Problem>(
  family: Family<Problem>,
  problem: Problem,
  gpu: string,
  software: string,
  softwareWithSubgroups = software,
) {
  const withSubgroups = { ...defaultProfile, selection: 'software', subgroups: true } as const;
  const [onGpu, onSoftware, onSubgroups] = [...profiles, withSubgroups].map((profile) => ({
    selected: () => family.select(problem, profile),
    reason: () => family.variants[family.select(problem, profile)]?.unsupported?.(problem, profile) ?? null,
    call: () => family.variants[family.select(problem, profile)]?.call(problem, profile),
  })) as [Choice, Choice, Choice];
  const { q, k, v, O, a, b, ...plain } = problem as Record<string, unknown>;
  return {
    name: `${family.name} ${JSON.stringify(plain)}`,
    choices: [
      [onGpu, gpu],
      [onSoftware, software],
      [onSubgroups, softwareWithSubgroups],
    ] as const,
  };
}
interface Choice {
  selected(): string;
  reason(): string | null;
  call(): unknown;
}

const examples = [
  example(matmul, product(1, 256, 256), 'gemv', 'registers4'),
  example(matmul, product(256, 1, 256), 'gemv', 'gemv'),
  example(matmul, product(16, 16, 16), 'tiled32', 'registers8'),
  example(matmul, product(64, 8, 16), 'tiled32', 'registers8'),
  example(matmul, product(64, 128, 64), 'tiled32', 'registers8', 'quads16'),
  example(matmul, product(512, 512, 256), 'tiled64', 'registers16', 'quads'),
  example(matmul, product(257, 255, 257), 'tiled32', 'padded', 'quads'),
  example(matmul, product(1025, 63, 261), 'tiled32', 'registers16', 'quads'),
  example(matmul, product(128, 128, 4096), 'splitK', 'registers16', 'quads'),
  example(matmul, product(128, 128, 300_000), 'splitK', 'splitK'),
  example(matmul, product(1024, 2048, 256), 'tiled64x128', 'registers16', 'quads'),
  example(matmul, product(4096, 4096, 256), 'tiled128', 'registers16', 'quads'),
  example(attentionForward, queries(4, 4, 32, 16), 'flash', 'block', 'quadBlock'),
  example(attentionForward, queries(4, 4, 64, 16), 'flash', 'rows', 'quads'),
  example(softmax, { log: false, outer: 64, n: 256, inner: 1 }, 'rows', 'thread'),
  example(softmax, { log: false, outer: 64, n: 8, inner: 1 }, 'rows', 'thread'),
  example(softmax, { log: false, outer: 8, n: 256, inner: 8 }, 'rows', 'thread'),
  example(norm, { kind: 'layer', rows: 64, E: 64, eps: 1e-5, weight: true, bias: true }, 'rows', 'thread'),
  example(normBackward, { kind: 'layer', rows: 128, E: 64, weight: true, bias: true }, 'rows', 'line'),
  example(normBackward, { kind: 'layer', rows: 1024, E: 64, weight: true, bias: true }, 'rows', 'thread'),
  example(
    crossEntropy,
    { rows: 64, V: 65, ignoreIndex: -100, labelSmoothing: 0, targetDType: 'i32' },
    'rows',
    'thread',
  ),
  example(reduce, sum(1, 100000, 1), 'split', 'split'),
  example(reduce, sum(64, 1000, 1), 'rows', 'thread'),
  example(reduce, sum(64, 4, 1), 'thread', 'thread'),
  example(reduce, sum(1, 100, 64), 'columns', 'thread'),
  example(reduce, sum(1, 5000, 8), 'split', 'split'),
  example(recurrentForward, lstm(64), 'sequence', 'sequence'),
  example(recurrentForward, lstm(256), 'sequence', 'steps'),
  example(recurrentBackward, lstm(260), 'steps', 'steps'),
  example(cumsum, { outer: 1, n: 1000, inner: 1, reverse: false, dtype: 'f32' }, 'scan', 'serial'),
  example(cumsum, { outer: 1, n: 100000, inner: 1, reverse: false, dtype: 'f32' }, 'scan', 'blocks'),
  example(cumsum, { outer: 1, n: 5_000_000, inner: 1, reverse: false, dtype: 'f32' }, 'blocks', 'blocks'),
  example(topK, { rows: 4, n: 50, k: 5, largest: true }, 'insertion', 'insertion'),
  example(topK, { rows: 4, n: 5000, k: 200, largest: true }, 'sort', 'sort'),
  example(embeddingBackward, { count: 128, V: 65, E: 64, indexDType: 'i32' }, 'rows', 'chains'),
  example(scatterAdd, { outer: 1, n: 100, inner: 1, m: 4, dtype: 'f32', indexDType: 'i32' }, 'destinations', 'sources'),
];

describe('selection', () => {
  for (const { name, choices } of examples) {
    it(`for ${name} is ${[...new Set(choices.map(([, expected]) => expected))].join(' or ')}`, () => {
      for (const [choice, expected] of choices) {
        expect(choice.selected()).toBe(expected);
        expect(choice.reason()).toBeNull();
      }
    });
  }

  it('takes products of one class of shapes for alike', () => {
    const transposed = { ...product(500, 260, 90), b: place([90, 260], { order: [1, 0] }) };
    expect(matmul.shapeClass?.(product(512, 512, 512))).toBe('NN 512 512 512');
    expect(matmul.shapeClass?.(transposed)).toBe('NT 512 256 64');
    expect(matmul.shapeClass?.(product(64, 64, 16, [12, 4]))).toBe('NN 64 64 16 × 64');
  });

  it('is a function of its arguments alone', () => {
    for (const { choices } of examples) {
      for (const [choice] of choices) {
        expect(choice.selected()).toBe(choice.selected());
        expect(choice.call()).toEqual(choice.call());
      }
    }
  });

  it('gives way to a variant that is pinned', () => {
    const call = familyCall(matmul, product(16, 16, 16));
    expect(call.variants).toContain('tiled64');
    expect(call.call(defaultProfile).variant).toBe('tiled32');
    const pinned = call.call(defaultProfile, 'tiled64');
    expect(pinned.variant).toBe('tiled64');
    expect(pinned.dispatches.map(({ kernel }) => kernel)).toEqual(['matmul/tiled64']);
  });

  it('refuses a pinned variant that is unknown or cannot do the problem', () => {
    const call = familyCall(matmul, product(16, 16, 16));
    expect(() => call.call(defaultProfile, 'tiled7')).toThrow('[matmul] variant tiled7: there is no such variant');
    expect(() => call.call(defaultProfile, 'gemv')).toThrow('[matmul] variant gemv: neither M = 16 nor N = 16 is 1');
  });
});

describe('grid', () => {
  it.each([1, 2, 65535, 65536, 131070, 131071, 10_000_000])(
    'has at least %i workgroups, few more, and no dimension above 65535',
    (count) => {
      const [x, y, z] = grid(count);
      expect(z).toBe(1);
      expect(Math.max(x, y)).toBeLessThanOrEqual(65535);
      expect(x * y).toBeGreaterThanOrEqual(count);
      expect(x * y - count).toBeLessThan(y);
    },
  );
});
