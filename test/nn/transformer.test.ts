import { describe, expect, it } from 'vitest';
import { randn, type Tensor } from '../../src/index.ts';
import { MultiHeadAttention, TransformerBlock } from '../../src/nn/index.ts';
import { expectGolden, given, goldenCases, loadGolden, optional } from '../support/golden.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

useGpu();
const cases = await goldenCases('transformer');

interface Options {
  embedDim: number;
  heads: number;
  causal: boolean;
  batchFirst: boolean;
  bias: boolean;
  feedForward: number;
  activation: 'relu' | 'gelu';
  normFirst: boolean;
}

describe('MultiHeadAttention agrees with PyTorch, all gradients included', () => {
  it.for(cases.filter(({ name }) => name.startsWith('attention')))('$name', async (golden) => {
    const { embedDim, heads, causal, batchFirst, bias } = golden.options as unknown as Options;
    const module = new MultiHeadAttention(embedDim, heads, { batchFirst, bias });
    loadGolden(module, golden);
    const query = given(golden, 'query');
    const [key, value] = [optional(golden, 'key'), optional(golden, 'value')];
    const keyPaddingMask = optional(golden, 'padding')?.cast('bool') ?? null;
    const y = module.forward(query, key, value, { causal, keyPaddingMask });
    const inputs: Record<string, Tensor> = { query, ...(key && value && { key, value }) };
    await expectGolden(golden, { y }, inputs, module);
  });
});

describe('TransformerBlock agrees with TransformerEncoderLayer of PyTorch, all gradients included', () => {
  it.for(cases.filter(({ name }) => name.startsWith('encoderLayer')))('$name', async (golden) => {
    const { embedDim, heads, ...options } = golden.options as unknown as Options;
    const module = new TransformerBlock(embedDim, heads, { ...options, dropout: 0, batchFirst: true });
    loadGolden(module, golden);
    const x = given(golden, 'x');
    await expectGolden(golden, { y: module.forward(x) }, { x }, module);
  });
});

describe('MultiHeadAttention', () => {
  it('takes masks, added or of truth values, together with padding', async () => {
    const attention = new MultiHeadAttention(4, 2, { batchFirst: true });
    const x = randn([2, 3, 4]);
    const lower = randn([3, 3]).mul(0).add(1).tril();
    const padding = randn([2, 3]).mul(0).greater(1);
    const causal = attention.forward(x, x, x, { causal: true });
    const truth = attention.forward(x, x, x, { mask: lower.greater(0), keyPaddingMask: padding });
    const added = attention.forward(x, x, x, { mask: lower.sub(1).mul(1e30), keyPaddingMask: padding });
    announceReads(3);
    const wanted = await causal.data();
    expect(await truth.data()).toEqual(wanted);
    expect(await added.data()).toEqual(wanted);
  });

  it('is the same for a tensor given three times and for three equal ones', async () => {
    const attention = new MultiHeadAttention(4, 2, { batchFirst: true });
    const x = randn([2, 3, 4]);
    const packed = attention.forward(x);
    const apart = attention.forward(x, x.add(0), x.add(0));
    announceReads(2);
    const [a, b] = [await packed.data(), await apart.data()];
    for (const [i, value] of a.entries()) expect(b[i]).toBeCloseTo(value, 6);
  });

  it('says what it wants', () => {
    expect(() => new MultiHeadAttention(10, 3)).toThrow(
      '[MultiHeadAttention] the width, 10, must be a multiple of the number of heads, 3',
    );
    expect(() => new MultiHeadAttention(4, 2).forward(randn([2, 3, 5]))).toThrow(
      '[MultiHeadAttention] inputs must be [T, B, 4], got [2, 3, 5]',
    );
    expect(() => new TransformerBlock(4, 2, { activation: 'silu' as 'relu' })).toThrow(
      "[TransformerBlock] activation must be 'relu' or 'gelu', got 'silu'",
    );
  });
});
