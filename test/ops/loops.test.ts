import { describe, expect, it } from 'vitest';
import {
  cumsum,
  full,
  grad,
  type InitOptions,
  init,
  ones,
  randn,
  scaledDotProductAttention,
  type Tensor,
  zeros,
} from '../../src/index.ts';
import { profile, runtime } from '../support/environment.ts';
import { device, read, useGpu } from '../support/gpu.ts';

useGpu();

/**
 * Work that is longer than the turns of its loops that Mesa's software driver allows an invocation (see kernels/loopLimit.ts,
 * and test/kernels/turns.test.ts for every kernel at a limit of its own).
 */
describe('long loops', () => {
  // No other driver has such a limit, and these take a while.
  if (runtime === 'chromium') {
    it('have no limit on SwiftShader and GPUs', () => {
      expect(device.profile.loopLimit).toBe(Number.POSITIVE_INFINITY);
    });
    return;
  }

  it('of attention are split: queries that look at all keys alike', async () => {
    const [L, S, D] = [16384, 2, 64];
    const q = zeros([1, 1, L, D]);
    const [k, v] = [randn([1, 1, S, D]), randn([1, 1, S, D])];
    const [dV] = grad(scaledDotProductAttention(q, k, v).sum(), [v]);
    // Each query gives each key the weight 1/S: sums of halves, which are exact.
    const [values] = await read(dV as Tensor);
    expect(new Set(values)).toEqual(new Set([L / S]));
  });

  it('of attention are split: as many keys', async () => {
    const [L, S, D] = [2, 60_000, 64];
    const [q, k] = [zeros([1, 1, L, D]), zeros([1, 1, S, D])];
    const v = ones([1, 1, S, D]);
    const [values] = await read(scaledDotProductAttention(q, k, v));
    // A mean of ones: with each key, a kernel may round the sum of values and that of weights by half an ulp.
    const bound = S * 2 ** -23;
    for (const value of values as Float32Array) expect(Math.abs(value - 1)).toBeLessThan(bound);
  });

  it('of cumulative sums are split', async () => {
    const n = 5_000_000;
    const [sums] = await read(cumsum(ones([n]), 0));
    expect((sums as Float32Array).findIndex((sum, i) => sum !== i + 1)).toBe(-1);
  });

  it('of sums are split, however many elements one value is expanded to', async () => {
    const n = 2 ** 28 + 2 ** 20;
    const [sum] = await read(full([1], 2).expand([n]).sum());
    expect(sum?.[0]).toBe(2 * n);
  });

  it('of products are split', async () => {
    const K = 2_200_000;
    const [product] = await read(ones([1, K]).matmul(full([K, 1], 0.5)));
    expect(product?.[0]).toBe(K / 2);
  });
});

// The last test: a device of its own takes the place of the one that all share.
describe('a loop limit', () => {
  it.for([0, 1023, 1024.5, Number.NaN, '4096'])('is no %s', async (loopLimit) => {
    await expect(init({ loopLimit } as InitOptions)).rejects.toThrow(
      /^\[init\] loopLimit must be a whole number of turns, 1024 or more; leave it out for what the adapter allows/,
    );
  });

  it('is what the driver allows whatever the profile, or less', async () => {
    if (runtime === 'deno') expect(device.profile.loopLimit).toBe(65535);
    const own = await init({ profile, limits: 'default', loopLimit: 2048 });
    expect(own.profile.loopLimit).toBe(2048);
    // At positions beyond those that one dispatch could walk over, as at a few.
    const [q, v] = [zeros([1, 1, 3000, 4]), ones([1, 1, 3000, 4])];
    const [values] = await read(scaledDotProductAttention(q, q, v, { causal: true }));
    const bound = 3000 * 2 ** -23;
    for (const value of values as Float32Array) expect(Math.abs(value - 1)).toBeLessThan(bound);
    own.destroy();
  });
});
